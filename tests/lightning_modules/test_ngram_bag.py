"""The bag of n-grams: its scale by hand, its two paths, and its gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lightfit.lightning_modules.nets import NgramBag

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
