"""The nets: sizes as published, outputs as computed by hand."""

import math

import pytest
import torch
from torch import nn

from lightning_modules.classification import accuracy, classification_loss, probabilities
from lightning_modules.nets import NaiveBayesBag, TextCNN
from lightning_modules.nets.naive_bayes_bag import hash_pairs
from lightning_modules.optimizers import make_optimizer, optimizer_class


def num_parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def test_text_cnn_has_the_cookbooks_size() -> None:
    net = TextCNN(10_000, max_len=200)
    assert num_parameters(net) == 40_625
    assert net.dense[1].in_features == 6144
    assert net(torch.zeros(3, 200, dtype=torch.int64)).shape == (3, 1)
    assert TextCNN(50, max_len=10, num_classes=4)(torch.zeros(3, 10, dtype=torch.int64)).shape == (3, 4)


def test_text_cnn_says_what_length_it_needs() -> None:
    with pytest.raises(ValueError, match="max_len of at least 10.*received 9"):
        TextCNN(50, max_len=9)
    with pytest.raises(ValueError, match=r"texts of 20 words, received a batch \(2, 15\).*data.bucket"):
        TextCNN(50, max_len=20)(torch.zeros(2, 15, dtype=torch.int64))


def test_ngrams_are_distinct_and_skip_padding() -> None:
    net = NaiveBayesBag(10, num_buckets=1000)
    pair = lambda a, b: 10 + int(hash_pairs(torch.tensor(a), torch.tensor(b), 1000))  # noqa: E731
    ids = net.ngrams(torch.tensor([[2, 3, 2, 3, 1, 1]]))
    assert sorted(set(ids[0].tolist()) - {1}) == sorted({2, 3, pair(2, 3), pair(3, 2)})
    kept = ids[ids != 1]
    assert len(kept) == len(kept.unique())


def test_naive_bayes_ratio_by_hand() -> None:
    net = NaiveBayesBag(4, num_buckets=1, smoothing=1.0)
    # Words 2 and 3: class 0 has (2), (2); class 1 has (3). No pairs, since every text has one word.
    net.adapt([(torch.tensor([[2], [2], [3]]), torch.tensor([0, 0, 1]))])
    # Smoothed counts of class 1 over the 5 ids: [1, 1, 1, 2, 1], sum 6; of class 0: [1, 1, 3, 1, 1], sum 7.
    expected = torch.tensor([0.0, 0.0, math.log(1 / 6) - math.log(3 / 7), math.log(2 / 6) - math.log(1 / 7), 0.0])
    assert torch.allclose(net.log_count_ratio[:, 0], expected)
    nn.init.ones_(net.weight.weight)
    assert net(torch.tensor([[3, 1]])).item() == pytest.approx(expected[3].item(), rel=1e-6)


def test_several_classes_have_a_ratio_each() -> None:
    net = NaiveBayesBag(5, num_classes=3, num_buckets=1)
    net.adapt([(torch.tensor([[2], [3], [4]]), torch.tensor([0, 1, 2]))])
    nn.init.ones_(net.weight.weight)
    assert net(torch.tensor([[2], [3], [4]])).argmax(1).tolist() == [0, 1, 2]


def test_hash_stays_in_its_buckets_and_tells_pairs_apart() -> None:
    first, second = torch.randint(0, 60_000, (2, 100_000), generator=torch.Generator().manual_seed(0))
    buckets = hash_pairs(first, second, 4_000_000)
    assert buckets.min() >= 0
    assert buckets.max() < 4_000_000
    # 100,000 balls in 4,000,000 bins leave 98,768 different bins on average.
    assert buckets.unique().numel() > 98_500
    assert not torch.equal(hash_pairs(first, second, 997), hash_pairs(second, first, 997))


def test_losses_and_probabilities_by_hand() -> None:
    one, two = torch.tensor([[0.0], [2.0]]), torch.tensor([[0.0, 0.0], [0.0, 2.0]])
    y = torch.tensor([0, 1])
    expected = (math.log(2) + math.log(1 + math.exp(-2))) / 2
    assert classification_loss(one, y).item() == pytest.approx(expected)
    assert classification_loss(one, y[:, None].float()).item() == pytest.approx(expected)
    assert classification_loss(two, y).item() == pytest.approx(expected)
    assert torch.allclose(probabilities(one), probabilities(two))
    assert accuracy(torch.tensor([[1.0], [2.0]]), y) == 0.5
    assert accuracy(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), y) == 1.0


def test_optimizers_by_name() -> None:
    parameters = [nn.Parameter(torch.zeros(1))]
    made = make_optimizer(optimizer_class("SGD"), parameters, lr=0.5, weight_decay=0.1)
    assert made.param_groups[0]["lr"] == 0.5
    assert made.param_groups[0]["weight_decay"] == 0.1
    with pytest.raises(ValueError, match="no optimizer 'adam'; the nearest names: .*Adam"):
        optimizer_class("adam")
    with pytest.raises(ValueError, match="SparseAdam takes no weight_decay, received 0.1"):
        make_optimizer(optimizer_class("SparseAdam"), parameters, lr=0.5, weight_decay=0.1)
