"""A head on the features of a frozen backbone: computed once, kept, and solved as a convex problem."""

import hashlib
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from .distributed import gather_batches

PENALTIES = (1e4, 1e3, 1e2, 1e1, 1.0)  # L2, of the sum over samples; scikit-learn's C is one over it
FOLDS, FEW, MANY = (
    4,
    1000,
    4000,
)  # folds of the cross-validation, with up to so many samples; with more of them one fold
STEPS = 60  # of L-BFGS, at most
ONE_THREAD = 2**21  # values of the features, up to which threads cost more than they save: much more on a busy machine
Loss = Callable[[Tensor, Tensor], Tensor]


class FrozenFeatures:
    """What a frozen backbone makes of each batch, and the head on it.

    A batch that was seen before, such as one of val in the next validation, costs no second pass of the backbone.

    Args:
        net: the net, which must end in its head.
        head: the name of the head within the net.

    Raises:
        ValueError: the head is no linear layer.
    """

    def __init__(self, net: nn.Module, head: str) -> None:
        module = net.get_submodule(head)
        if not isinstance(module, nn.Linear):
            raise ValueError(
                f"`finetune.head`: the head of {type(net).__name__}, '{head}', is {type(module).__name__}: expected a "
                "net that ends in a linear layer, or `finetune.head` null"
            )
        self.net = net
        self.head = module
        self.name = head
        self.solver: nn.Linear | None = None  # in place of the head, while it is solved for
        self.rows: list[tuple[Tensor, Tensor]] = []  # features and labels of the training batches
        self.is_complete = False  # whether these begin with the epoch's first batch
        self.is_solved = False  # whether the head is that of these
        self._last: Tensor | None = None
        self._seen: dict[bytes, Tensor] = {}
        self._is_checked = False

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the outputs of the net for a batch (B, ...); of features (B, D) while the head is solved for."""
        if self.solver is not None:
            return self.solver(x.to(self.solver.weight.dtype))
        features = self._compute(x)
        return self.head(features.to(self.head.weight.device))

    def keep(self, labels: Tensor, *, is_first: bool) -> None:
        """Keep the features of the last batch, with its labels."""
        if is_first:
            self.rows, self.is_complete = [], True
        self.is_solved = False
        if len(labels):  # a rank without samples in the last batch has run another one
            assert self._last is not None
            self.rows.append((self._last.detach().float().cpu(), labels.detach().cpu()))

    def gather(self) -> tuple[Tensor, Tensor]:
        """Return the kept features (N, D) and labels of all ranks, in an order that does not depend on the batches'."""
        rows = list(gather_batches(self.rows))
        features, labels = (torch.cat([row[index] for row in rows]) for index in (0, 1))
        # By all values, as many samples may share some: those of dead units are 0. Equal rows may change places.
        keys = [np.ascontiguousarray(item.numpy()).reshape(len(item), -1).view(np.uint8) for item in (features, labels)]
        order = torch.tensor(sorted(range(len(features)), key=[row.tobytes() for row in np.hstack(keys)].__getitem__))
        return features[order], labels[order]

    def solve(self, features: Tensor, labels: Tensor, loss: Loss) -> float:
        """Set the head to the minimum of the loss with an L2 penalty, which cross-validation chooses.

        Args:
            features: (N, D) float32.
            labels: (N, ...).
            loss: mean loss of features and labels, by the model; it calls this object.

        Returns:
            The penalty.
        """
        mean, std = features.mean(0), features.std(0, correction=0).clamp(min=1e-6)
        z = (features - mean) / std
        basis = None
        if 2 * len(z) < z.shape[1]:  # the solution lies in the span of the samples: fewer variables, the same minimum
            values, vectors = torch.linalg.eigh(z.double() @ z.double().T)
            kept = values > 1e-9 * values[-1]
            roots = values[kept].sqrt()
            basis = ((vectors[:, kept] / roots).T @ z.double()).float()
            z = (vectors[:, kept] * roots).float()
        threads = torch.get_num_threads()
        if z.device.type == "cpu" and z.numel() <= ONE_THREAD:
            torch.set_num_threads(1)
        try:
            penalty = self._choose_penalty(z, labels, loss)
            weight, bias = self._minimise(z, labels, loss, [p for p in PENALTIES if p >= penalty])[-1]
        finally:
            self.solver = None
            torch.set_num_threads(threads)
        weight = (weight if basis is None else weight @ basis) / std
        with torch.no_grad():
            self.head.weight.copy_(weight)
            if self.head.bias is not None:
                self.head.bias.copy_(bias - weight @ mean)
        self.is_solved = True
        return penalty

    def _choose_penalty(self, z: Tensor, labels: Tensor, loss: Loss) -> float:
        count = len(z)
        if count < 2 * FOLDS:
            return PENALTIES[1]
        fold = torch.randperm(count, generator=torch.Generator().manual_seed(0)).to(z.device) % FOLDS
        totals = torch.zeros(len(PENALTIES), dtype=torch.float64)
        for index in range(FOLDS if count <= FEW else 2 if count <= MANY else 1):
            train, held_out = fold != index, fold == index
            for place, solved in enumerate(self._minimise(z[train], labels[train], loss, PENALTIES)):
                self._set_solver(*solved)
                with torch.no_grad():
                    totals[place] += float(loss(z[held_out], labels[held_out]))
        return PENALTIES[int(totals.nan_to_num(math.inf).argmin())]

    def _minimise(
        self, z: Tensor, labels: Tensor, loss: Loss, penalties: "tuple[float, ...] | list[float]"
    ) -> list[tuple[Tensor, Tensor]]:
        """Return weight and bias for each penalty, each found from the one before."""
        outputs = self.head.out_features
        self._set_solver(torch.zeros(outputs, z.shape[1]), torch.zeros(outputs), device=z.device)
        solver, found = self.solver, []
        assert solver is not None
        for penalty in penalties:
            steps = torch.optim.LBFGS(
                solver.parameters(),
                max_iter=STEPS,
                history_size=10,
                tolerance_change=1e-7,
                line_search_fn="strong_wolfe",
            )

            def closure(penalty: float = penalty, steps: torch.optim.Optimizer = steps) -> Tensor:
                steps.zero_grad()
                value = loss(z, labels) + penalty / (2 * len(z)) * solver.weight.square().sum()
                value.backward()
                return value

            steps.step(closure)
            found.append((solver.weight.detach().clone(), solver.bias.detach().clone()))
        return found

    def _set_solver(self, weight: Tensor, bias: Tensor, device: torch.device | None = None) -> None:
        solver = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], device=device or weight.device)
        with torch.no_grad():
            solver.weight.copy_(weight)
            solver.bias.copy_(bias)
        self.solver = solver

    def _compute(self, x: Tensor) -> Tensor:
        key = self._key(x) if not self.net.training and x.device.type == "cpu" else None
        if key is not None and key in self._seen:
            self._last = self._seen[key]
            return self._last
        received: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda module, inputs: received.append(inputs[0]))
        try:
            with torch.no_grad():
                output = self.net(x)
        finally:
            hook.remove()
        if not self._is_checked:
            self._check(received, output)
        self._last = received[0].detach()
        if key is not None:
            self._seen[key] = self._last
        return self._last

    def _check(self, received: list[Tensor], output: Tensor) -> None:
        with torch.no_grad():
            ends = len(received) == 1 and received[0].ndim == 2 and output.ndim == 2
            if not (ends and torch.allclose(self.head(received[0]).float(), output.float(), atol=1e-3, rtol=1e-3)):
                raise ValueError(
                    f"`finetune.head`: {type(self.net).__name__} does not end in its head, '{self.name}': expected a "
                    "net whose outputs are those of its last linear layer, or `finetune.head` null"
                )
        self._is_checked = True

    def _key(self, x: Tensor) -> bytes:
        """Return a digest of a batch and of the backbone's weights."""
        digest = hashlib.blake2b(x.contiguous().view(torch.uint8).numpy().data, digest_size=16)
        head = {id(parameter) for parameter in self.head.parameters()}
        sums = [float(p.detach().sum()) for p in self.net.parameters() if id(p) not in head]
        digest.update(repr((x.shape, x.dtype, sums)).encode())
        return digest.digest()
