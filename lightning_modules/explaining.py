"""Explanations: how much each part of an input adds to what a net says of it.

Where a net is linear in its input, or in the vectors of its words, the contributions are exact: with the bias they sum
to the output. Of other nets they are integrated gradients, whose sum is the output's distance from that of a neutral
input.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from lightfit.errors import UsageError
from lightfit.extras import importing_extra

STEPS = (32, 256)  # of the path from the neutral input; the second where the first left more than the tolerance
TOLERANCE = 0.05  # of the output's distance from that of the neutral input, or of 1 where that is larger
SAMPLES_AT_ONCE = 16  # whose paths are in memory together
ROWS_AT_ONCE = 64  # inputs on these paths in a batch
PAD = 1  # id of padding, in place of each word, where no neutral input is given

Read = Callable[[Tensor], Tensor]


@runtime_checkable
class EmbedsInputs(Protocol):
    """A net that names the layer in which ids become vectors, as those of transformers do; else its first Embedding."""

    def get_input_embeddings(self) -> nn.Module:
        """Return the layer, from ids (B, P) to vectors (B, P, D)."""


@runtime_checkable
class HasParts(Protocol):
    """A net whose embedding gets other ids than those of its input, such as of pairs."""

    def parts(self, x: Tensor) -> Tensor:
        """Return the first position of `x` in each part, and the one after its last, (B, P, 2) int64."""


@runtime_checkable
class WeighsWords(Protocol):
    """A linear net of texts with a weight for each id and output."""

    is_linear: bool

    def word_weights(self) -> Tensor:
        """Return what each id adds to each output, in a text of mean length, (num_ids, K)."""


class Contributions(NamedTuple):
    """What the parts of each input of a batch add to one of the net's outputs.

    Attributes:
        values: contributions, float64 on the CPU: of the shape of float inputs (B, ...), or (B, P) for P parts of ids.
        parts: positions of each part of ids, (B, P, 2) int64, as in `HasParts`; None: each position is a part.
        output: the output that is explained, (B,) float64.
        base: the output without any part: the bias, or that of the neutral input, (B,) float64.
        is_exact: whether the net is linear, so that the contributions are exact.
    """

    values: Tensor
    parts: Tensor | None
    output: Tensor
    base: Tensor
    is_exact: bool

    @property
    def delta(self) -> Tensor:
        """Return what the contributions do not account for, (B,): the output less the base and their sum."""
        return self.output - self.base - self.values.flatten(1).sum(1)

    @property
    def is_complete(self) -> Tensor:
        """Return whether the contributions account for the output, within `TOLERANCE`, (B,) bool."""
        return self.delta.abs() <= TOLERANCE * (self.output - self.base).abs().clamp(min=1)


def explain(
    net: nn.Module, x: Tensor, index: Tensor, *, neutral: Tensor | None = None, read: Read | None = None
) -> Contributions:
    """Compute what each part of the inputs adds to an output of a net; the net is left as it was.

    Exact where the net, or the one that it wraps, has a true attribute `is_linear`: linear in float inputs, or in the
    vectors of ids. Else by captum's integrated gradients, from a neutral input.
    Source: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", section 3.

    Args:
        net: the net, or a LightModel, called with `x`.
        x: floats (B, ...), or ids (B, T).
        index: the output to explain, for each sample, (B,) int64: a column of what `read` returns.
        neutral: inputs that say nothing, of the shape of `x`; None: zeros, or padding in place of each id. Of a linear
            net of ids there are no vectors in its place.
        read: from the net's output for any batch to columns (B, K); None: the output is that.

    Raises:
        UsageError: the net takes ids and has no embedding, or the output has no gradient by the input.
        MissingPackageError: captum is needed and not installed.
    """
    modes = {module: module.training for module in net.modules()}
    is_recurrent = any(
        isinstance(module, nn.RNNBase) for module in modes
    )  # cuDNN differentiates those in training only
    cudnn: Any = torch.backends.cudnn.flags(enabled=False) if is_recurrent else nullcontext()
    try:
        net.eval()
        with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]), cudnn:
            neutral = _make_neutral(x) if neutral is None else neutral
            whole = (x.detach().clone(), neutral.detach().clone().to(x.device), index.detach().clone().to(x.device))
            chunks = zip(*(item.split(SAMPLES_AT_ONCE) for item in whole), strict=True)
            found = [_explain(net, *chunk, read=read or _as_they_are) for chunk in chunks]
    finally:
        for module, mode in modes.items():
            module.training = mode
    values, parts, output, base = zip(*found, strict=True)
    own = None if parts[0] is None else torch.cat([item for item in parts if item is not None])
    return Contributions(torch.cat(values), own, torch.cat(output), torch.cat(base), is_linear(net))


def is_linear(net: nn.Module) -> bool:
    """Return whether a net, or the one that it wraps, says that it is linear."""
    return any(bool(getattr(module, "is_linear", False)) for module in _unwrap(net))


def find_word_weights(net: nn.Module) -> Tensor | None:
    """Return what each id adds to each output of a linear net of texts, (num_ids, K) on the CPU; None of other nets."""
    for module in _unwrap(net):
        if isinstance(module, WeighsWords) and module.is_linear:
            with torch.no_grad():
                return module.word_weights().float().cpu()
    return None


def check_explainable(net: nn.Module, *, takes_ids: bool) -> None:
    """Check that inputs of a net can be explained.

    Raises:
        UsageError: the net takes ids and has no embedding.
        MissingPackageError: captum is needed and not installed.
    """
    if takes_ids:
        find_embedding(net)
    if not is_linear(net):
        _import_captum()


def find_embedding(net: nn.Module) -> nn.Module:
    """Return the layer in which ids become vectors.

    Raises:
        UsageError: there is none.
    """
    for module in _unwrap(net):
        if isinstance(module, EmbedsInputs):
            return module.get_input_embeddings()
    found = next((module for module in net.modules() if isinstance(module, nn.Embedding)), None)
    if found is None:
        name = type(list(_unwrap(net))[-1]).__name__
        raise UsageError(
            f"{name} takes ids, and has no nn.Embedding whose vectors could be followed, so its predictions cannot be "
            "explained: define get_input_embeddings() in it, which returns the layer in which ids become vectors"
        )
    return found


def _unwrap(net: nn.Module) -> Iterator[nn.Module]:
    """Yield a module, and the net that it wraps as its `net`, if it does."""
    yield net
    inner = getattr(net, "net", None)
    if isinstance(inner, nn.Module):
        yield from _unwrap(inner)


def _make_neutral(x: Tensor) -> Tensor:
    return torch.zeros_like(x) if x.is_floating_point() else torch.full_like(x, PAD)


def _as_they_are(output: Tensor) -> Tensor:
    return output.flatten(1)


def _explain(
    net: nn.Module, x: Tensor, neutral: Tensor, index: Tensor, *, read: Read
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Return values, parts, output and base of a few samples, as in `Contributions`."""
    linear, parts = is_linear(net), None
    if x.is_floating_point():

        def run(point: Tensor, given: Tensor, column: Tensor) -> Tensor:
            return read(net(point)).gather(1, column[:, None])[:, 0]

        start, end = neutral, x
    else:
        embedding = find_embedding(net)

        def run(point: Tensor, given: Tensor, column: Tensor) -> Tensor:
            with _replacing(embedding, point):
                return read(net(given)).gather(1, column[:, None])[:, 0]

        end = _record(net, embedding, x)
        start = torch.zeros_like(end) if linear else _record(net, embedding, neutral)
        parts = next((module.parts(x).cpu() for module in _unwrap(net) if isinstance(module, HasParts)), None)
    with torch.no_grad():
        output, base = (run(point, x, index).double().cpu() for point in (end, start))
    values = _multiply(run, start, end, x, index) if linear else _integrate(run, start, end, x, index, output - base)
    values = values.double().cpu()
    return values if x.is_floating_point() else values.sum(-1), parts, output, base


def _multiply(run: Callable[..., Tensor], start: Tensor, end: Tensor, x: Tensor, index: Tensor) -> Tensor:
    """Return the gradient times the distance from the start: exact where the output is linear."""
    point = end.clone().requires_grad_()
    (slope,) = torch.autograd.grad(run(point, x, index).sum(), point)
    return slope * (end - start)


def _integrate(
    run: Callable[..., Tensor], start: Tensor, end: Tensor, x: Tensor, index: Tensor, total: Tensor
) -> Tensor:
    """Return integrated gradients, with more steps for the samples whose sum is not yet the total."""
    if not run(end[:1].clone().requires_grad_(), x[:1], index[:1]).requires_grad:
        raise UsageError(
            "the predictions of this net have no gradient by its inputs, as those of AutoETS and AutoTheta, so they "
            "cannot be explained"
        )
    method = _import_captum()(run)
    values = torch.zeros_like(end)
    rows = torch.arange(len(end), device=end.device)
    for steps in STEPS:
        values[rows] = method.attribute(
            end[rows],
            baselines=start[rows],
            additional_forward_args=(x[rows], index[rows]),
            n_steps=steps,
            internal_batch_size=max(ROWS_AT_ONCE, len(rows)),
        ).detach()
        error = (total - values.double().cpu().flatten(1).sum(1)).abs()
        rows = (error > TOLERANCE * total.abs().clamp(min=1)).nonzero()[:, 0].to(end.device)
        if not len(rows):
            break
    return values


def _import_captum() -> Any:
    with importing_extra("an explanation of a net that is not linear", extra="pictures"):
        from captum.attr import IntegratedGradients  # here, as it takes a second that few commands need
    return IntegratedGradients


@contextmanager
def _replacing(embedding: nn.Module, vectors: Tensor) -> Iterator[None]:
    """Let an embedding return some vectors, whatever ids it gets."""
    handle = embedding.register_forward_hook(lambda module, inputs, output: vectors)
    try:
        yield
    finally:
        handle.remove()


def _record(net: nn.Module, embedding: nn.Module, x: Tensor) -> Tensor:
    """Return the vectors of the embedding for a batch, (B, P, D)."""
    seen: list[Tensor] = []
    handle = embedding.register_forward_hook(lambda module, inputs, output: seen.append(output.detach()))
    try:
        with torch.no_grad():
            net(x)
    finally:
        handle.remove()
    if not seen or seen[0].ndim != 3 or len(seen[0]) != len(x):
        shape = tuple(seen[0].shape) if seen else "none"
        raise UsageError(
            f"expected the embedding of {type(list(_unwrap(net))[-1]).__name__} to return vectors (B, P, D) for "
            f"{len(x)} samples, received {shape}: define get_input_embeddings() in the net, which returns the layer in "
            "which ids become vectors"
        )
    return seen[0].clone()
