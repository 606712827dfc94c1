"""The order of samples is a function of (seed, epoch, rank)."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lightfit.datamodules.sampler import BatchSampler


def order(**kwargs: object) -> list[list[int]]:
    sampler = BatchSampler(**{"num_samples": 33, "batch_size": 5, "shuffle": True, **kwargs})  # type: ignore[arg-type]
    batches = [batch.tolist() for batch in sampler]
    assert len(batches) == len(sampler) or "start" in kwargs
    return batches


def flat(batches: list[list[int]]) -> list[int]:
    return [index for batch in batches for index in batch]


def test_every_sample_once_in_another_order_each_epoch() -> None:
    epochs = [order(start=lambda epoch=epoch: (epoch, 0)) for epoch in range(3)]
    assert all(sorted(flat(epoch)) == list(range(33)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[1] == order(start=lambda: (1, 0))
    assert order(seed=1) != order(seed=2)
    assert [len(batch) for batch in epochs[0]] == [5, 5, 5, 5, 5, 5, 3]


def test_neither_numpy_nor_torch_state_matters() -> None:
    torch.manual_seed(0)
    first = order()
    torch.manual_seed(1)
    assert order() == first


def test_evaluation_keeps_the_order() -> None:
    assert flat(order(shuffle=False)) == list(range(33))


@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("num_samples", [33, 35])
def test_processes_share_the_samples(world_size: int, num_samples: int) -> None:
    ranks = [order(rank=r, world_size=world_size, shuffle=False, num_samples=num_samples) for r in range(world_size)]
    assert sorted(index for rank in ranks for index in flat(rank)) == list(range(num_samples))
    trained = [order(rank=r, world_size=world_size, num_samples=num_samples) for r in range(world_size)]
    seen = [index for rank in trained for index in flat(rank)]
    assert len(set(seen)) == len(seen) == num_samples
    assert len({len(rank) for rank in trained}) == 1


def test_an_epoch_resumes_where_it_stopped() -> None:
    whole = order(start=lambda: (4, 0))
    assert order(start=lambda: (4, 3)) == whole[3:]
    assert order(start=lambda: (4, 7)) == whole


def test_batches_of_similar_lengths() -> None:
    lengths = torch.randint(1, 200, (1000,), generator=torch.Generator().manual_seed(0))
    batches = order(num_samples=1000, batch_size=10, lengths=lengths)
    assert sorted(flat(batches)) == list(range(1000))
    spread = [float(lengths[batch].float().std()) for batch in batches]
    assert sum(spread) / len(spread) < 2
    means = torch.tensor([float(lengths[batch].float().mean()) for batch in batches])
    assert means.diff().lt(0).any(), "short and long batches alternate"
    assert means.diff().gt(0).any()


def test_samples_are_drawn_by_weight() -> None:
    weights = torch.cat([torch.full((900,), 1 / 900), torch.full((100,), 1 / 100)])
    first = order(num_samples=1000, weights=weights)
    assert len(flat(first)) == 1000
    assert 420 < sum(index >= 900 for index in flat(first)) < 580
    assert first == order(num_samples=1000, weights=weights)
    assert first != order(num_samples=1000, weights=weights, start=lambda: (1, 0))
    assert flat(order(num_samples=1000, weights=weights, shuffle=False)) == list(range(1000))
    ranks = [flat(order(num_samples=1000, weights=weights, rank=rank, world_size=2)) for rank in (0, 1)]
    assert [index for pair in zip(*ranks, strict=True) for index in pair] == flat(first)


def test_the_epoch_comes_with_the_indices() -> None:
    pairs = list(BatchSampler(33, batch_size=5, shuffle=True, start=lambda: (4, 2), with_epoch=True))
    assert [epoch for epoch, _ in pairs] == [4] * 5
    assert [index.tolist() for _, index in pairs] == order(start=lambda: (4, 2))


def test_loader_asks_for_whole_batches() -> None:
    data = TensorDataset(torch.arange(33))
    loader = DataLoader(data, sampler=BatchSampler(33, batch_size=5), batch_size=None)
    assert [len(batch[0]) for batch in loader] == [5, 5, 5, 5, 5, 5, 3]
    assert len(loader) == 7
