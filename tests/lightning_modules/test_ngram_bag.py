"""The bag of n-grams: its scale by hand, its two paths, and its gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lightfit.lightning_modules import TextClassifier
from lightfit.lightning_modules.calibration import fit_temperature
from lightfit.lightning_modules.nets import NgramBag
from lightfit.lightning_modules.nets.ngram_bag import SHRINKAGES

X = torch.tensor([[2, 3, 1], [2, 4, 1], [3, 4, 5], [4, 1, 1]])


def test_scale_is_the_largest_log_count_ratio() -> None:
    net = NgramBag(6, smoothing=1.0, power=1.0)
    net.adapt([(X[:2], torch.tensor([1, 0])), (X[2:], torch.tensor([0, 0]))])
    pos = torch.tensor([0, 0, 1, 1, 0, 0.0]) + 1
    neg = torch.tensor([0, 0, 1, 1, 3, 1.0]) + 1
    expected = ((pos / pos.sum()).log() - (neg / neg.sum()).log()).abs()
    expected[[0, 1]] = 0
    torch.testing.assert_close(net.scale, expected)
    assert net.mean_length.item() == 2.0
    column = NgramBag(6, power=1.0)
    column.adapt([(X, torch.tensor([[1.0], [0.0], [0.0], [0.0]]))])
    torch.testing.assert_close(column.scale, expected)
    root = NgramBag(6)
    root.adapt([(X, torch.tensor([1, 0, 0, 0]))])
    torch.testing.assert_close(root.scale, expected.sqrt())


def test_scale_of_three_classes() -> None:
    net = NgramBag(6, num_classes=3, power=1.0)
    net.adapt([(X, torch.tensor([0, 1, 2, 2]))])
    own = torch.tensor([[0, 0, 1, 1, 0, 0], [0, 0, 1, 0, 1, 0], [0, 0, 0, 1, 2, 1.0]])
    rest = own.sum(0) - own
    ratio = ((own + 1) / (own + 1).sum(1, keepdim=True)).log() - ((rest + 1) / (rest + 1).sum(1, keepdim=True)).log()
    torch.testing.assert_close(net.scale[2:], ratio.abs().amax(0)[2:])


def test_scale_of_labels_and_of_numbers() -> None:
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    net, single = NgramBag(6, num_outputs=2, power=1.0), NgramBag(6, num_outputs=1, power=1.0)
    net.adapt([(X, labels)])
    single.adapt([(X, labels[:, :1])])
    classes = NgramBag(6, power=1.0)
    classes.adapt([(X, labels[:, 0].long())])
    torch.testing.assert_close(single.scale, classes.scale)
    assert (net.scale >= single.scale - 1e-6).all()
    numbers = NgramBag(6, num_outputs=1, power=1.0)
    numbers.adapt([(X, torch.tensor([[1.5], [0.5], [-1.0], [-1.0]]))])
    torch.testing.assert_close(numbers.scale, torch.tensor([0, 0, 2 / 3, 0.5 / 3, 1.5 / 4, 0.5]))


@pytest.mark.parametrize(("num_classes", "num_outputs", "width"), [(2, None, 1), (5, None, 5), (0, 3, 3), (2, 1, 1)])
def test_both_paths_agree(num_classes: int, num_outputs: int | None, width: int) -> None:
    net = NgramBag(6, num_classes=num_classes, num_outputs=num_outputs)
    torch.nn.init.normal_(net.weight.weight)
    net.scale.uniform_()
    net.scale[1] = 0
    net.mean_length.fill_(2.25)
    training, longer = net(X), torch.cat([X, torch.ones(4, 7, dtype=torch.int64)], 1)
    assert training.shape == (4, width)
    torch.testing.assert_close(net.eval()(X), training)
    torch.testing.assert_close(net(longer), training)
    torch.testing.assert_close(net(torch.ones(2, 3, dtype=torch.int64)), net.bias.expand(2, width))
    weights = net.weight.weight * net.scale[:, None]
    torch.testing.assert_close(training[0], (weights[2] + weights[3]) * math.sqrt(2.25 / 2) + net.bias)


def test_gradients_are_sparse_and_right() -> None:
    net, y = NgramBag(6, num_classes=3), torch.tensor([0, 1, 2, 2])
    net.scale.uniform_()

    def gradient(logits: Tensor) -> Tensor:
        net.zero_grad()
        F.cross_entropy(logits, y).backward()
        assert net.weight.weight.grad is not None
        return net.weight.weight.grad

    sparse = gradient(net.train()(X))
    assert sparse.is_sparse
    assert sparse.coalesce().indices().tolist() == [[2, 3, 4, 5]]
    dense = gradient(net.eval()(X)).to_dense()
    dense[1] = 0  # of padding, whose scale is 0 after `adapt`
    torch.testing.assert_close(sparse.to_dense(), dense)


def test_shrinkage_is_chosen_among_candidates() -> None:
    net = NgramBag(6, num_classes=3)
    net.adapt([(X, torch.tensor([0, 1, 2, 2]))])
    torch.nn.init.normal_(net.weight.weight)
    net.eval()
    candidates = net.candidate_logits(X)
    assert candidates.shape == (4, len(SHRINKAGES), 3)
    torch.testing.assert_close(candidates[:, 0], net(X))
    net.choose_candidate(2)
    torch.testing.assert_close(candidates[:, 2], net(X))
    assert net.shrunk_scale()[3] == pytest.approx(net.scale[3] * 2 / (2 + SHRINKAGES[2]))
    net.train()
    torch.testing.assert_close(candidates[:, 0], net(X), msg="training is without it")


def test_weights_of_before_it_was_chosen_load() -> None:
    state = {name: value for name, value in NgramBag(6, num_classes=3).state_dict().items() if "eight" in name}
    state |= {"scale": torch.ones(6), "mean_length": torch.ones(()), "bias": torch.zeros(3)}
    net = NgramBag(6, num_classes=3)
    net.load_state_dict(state)
    torch.testing.assert_close(net.shrunk_scale(), torch.ones(6))
    assert set(NgramBag(6).state_dict()) == {"weight.weight", "bias", "scale", "mean_length"}, "two classes choose none"


@pytest.mark.parametrize("calibrate", [True, False])
def test_shrinkage_is_that_of_the_lowest_log_loss(calibrate: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    net = NgramBag(40, num_classes=3)
    x = torch.cat([torch.arange(3).repeat(20)[:, None] + 2, torch.randint(5, 40, (60, 6), generator=generator)], 1)
    y = torch.arange(3).repeat(20)
    net.adapt([(x, y)])
    with torch.no_grad():  # the first three words tell the classes apart, in 20 texts each; all others are noise
        net.weight.weight.copy_(4 * torch.randn(40, 3, generator=generator))
        net.weight.weight[2:5] = 5 * torch.eye(3)
    model = TextClassifier(net, multi_class="one_vs_rest", calibrate=calibrate)
    candidates = net.eval().candidate_logits(x)
    model.fit_on_val(candidates, y)
    losses = []
    for logits in candidates.unbind(1):
        scores = F.logsigmoid(logits)
        temperature = fit_temperature(scores, y) if calibrate else 1.0
        losses.append(F.cross_entropy(scores / temperature, y).item())
    chosen = SHRINKAGES.index(net.shrinkage.item())
    assert chosen == losses.index(min(losses)) > 0
    model.fit_on_val(candidates[:20], y[:20])
    assert net.shrinkage == 0, "20 samples are too few to choose by"
