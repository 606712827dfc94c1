"""Samples that must not be divided between splits."""

import numpy as np
import pytest

from lightfit.datamodules.division import _join_groups

sparse = pytest.importorskip("scipy.sparse")  # the reference


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_joined_as_connected_components(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, owners = rng.integers(0, 40, 50), rng.integers(0, 40, 50)
    _, first = np.unique(groups, return_inverse=True)
    edges = sparse.coo_matrix((np.ones(50), (first, 40 + owners)), (80, 80))
    _, components = sparse.csgraph.connected_components(edges, directed=False)
    joined = _join_groups(groups, [f"{owner:02d}" for owner in owners])
    assert joined.tolist() == np.unique(components[first], return_inverse=True)[1].tolist()


def test_a_long_chain_of_groups_and_owners_is_one() -> None:
    rng, size = np.random.default_rng(0), 20_000
    groups, owners = rng.permutation(size)[np.arange(size) // 2], rng.permutation(size)[(np.arange(size) + 1) // 2]
    assert not _join_groups(groups, list(map(str, owners))).any()


def test_no_samples() -> None:
    assert _join_groups(np.zeros(0, np.int64), []).tolist() == []
