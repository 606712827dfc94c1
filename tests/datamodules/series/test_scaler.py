"""Scaling of series: each by its own training part, in float64."""

import numpy as np
import pytest

from lightfit.datamodules.series.panel import Panel
from lightfit.datamodules.series.scaler import Scale, choose_kind, fit_moments, measure_errors_by_series

NAN = float("nan")


def panel(*series: list[float]) -> Panel:
    """Build a panel of series with one column."""
    values = np.concatenate([np.array(own, float) for own in series])[:, None]
    starts = np.concatenate([[0], np.cumsum([len(own) for own in series])])
    return Panel([str(index) for index in range(len(series))], starts, np.zeros(len(values), "datetime64[ns]"), values)


def moments(train: Panel, kind: str, **flags: bool) -> tuple[np.ndarray, np.ndarray]:
    shared, plain = (np.array([flags.get(name, False)]) for name in ("shared", "plain"))
    return fit_moments(train, kind, shared, plain)


def test_each_series_has_its_own_scale() -> None:
    train = panel([1, 2, 3], [1e9, 1e9 + 2, NAN, 1e9 + 4])
    mean, std = moments(train, "standard")
    assert mean[:, 0].tolist() == [2, 1e9 + 2]
    assert std[:, 0] == pytest.approx([np.std([1, 2, 3]), np.std([0, 2, 4])])
    scale = Scale("standard", mean, std, np.ones((2, 1)))
    scaled = scale.apply(train.values, train.codes).astype(np.float32)
    back = scaled.astype(np.float64) * std[train.codes] + mean[train.codes]
    assert np.nanmax(np.abs(back - train.values)) < 1e-6  # as float32, 1e9 + 2 is 1e9


def test_a_shared_scale_is_that_of_all_rows() -> None:
    mean, std = moments(panel([1, 2], [3, 4]), "standard", shared=True)
    assert mean[:, 0].tolist() == [2.5, 2.5]
    assert std[:, 0] == pytest.approx([np.std([1, 2, 3, 4])] * 2)


def test_flags_stay_as_they_are() -> None:
    mean, std = moments(panel([0, 1], [0, 0]), "standard", plain=True)
    assert (mean.tolist(), std.tolist()) == ([[0], [0]], [[1], [1]])


def test_positive_values_stay_positive() -> None:
    train = panel([10, 30], [1e-9, 3e-9])
    assert choose_kind(train, 1, "auto") == "mean"
    mean, std = moments(train, "mean")
    assert mean[:, 0].tolist() == [0, 0]
    assert std[:, 0] == pytest.approx([20, 2e-9])


@pytest.mark.parametrize("values", [[0, 1, 2], [-1, 1, 2], [1e9, 1e9 + 5, 1e9 - 5]])
def test_other_values_are_centred(values: list[float]) -> None:
    assert choose_kind(panel(values), 1, "auto") == "standard"
    assert choose_kind(panel(values), 1, "none") == "none"


@pytest.mark.parametrize(("value", "std"), [(7.0, 7.0), (0.0, 1.0), (-2.0, 2.0)])
def test_constant_series_are_scaled_by_their_size(value: float, std: float) -> None:
    mean, found = moments(panel([value] * 3, [1, 2]), "standard")
    assert (mean[0, 0], found[0, 0]) == (value, std)


def test_a_series_without_values_has_no_scale() -> None:
    mean, _ = moments(panel([NAN, NAN], [1, 2]), "standard")
    assert np.isnan(mean[0, 0])
    assert mean[1, 0] == 1.5


def test_errors_of_the_seasonal_naive_forecast() -> None:
    train = panel([0, 1, 5, 7, 0], [3, 3, 3], [2, 6], [4])
    # Season 2: |5-0|, |7-1|, |0-5|; a constant one and one of a row have none; one shorter than a season by its steps.
    assert measure_errors_by_series(train, 1, 2)[:, 0] == pytest.approx([16 / 3, 1, 4, 1])


def test_a_new_series_is_scaled_by_its_own_rows() -> None:
    scale = Scale("standard", np.array([[2.0, 0], [50, 0]]), np.array([[1.0, 1], [10, 1]]), np.ones((2, 1)))
    assert [values.tolist() for values in scale.of_series(1, np.zeros((1, 2)))] == [[50, 0], [10, 1]]
    mean, std = scale.of_series(None, np.array([[100.0, 0], [300, 1]]))
    assert (mean.tolist(), std.tolist()) == ([200, 0], [100, 1])  # the flag keeps its scale


def test_scales_of_older_checkpoints_are_those_of_all_series() -> None:
    scale = Scale.from_dict({"mean": [3.0], "std": [2.0], "naive_error": [0.5]})
    assert scale.apply(np.array([[5.0]]), np.array([7])).tolist() == [[1.0]]
    again = Scale.from_dict(scale.to_dict())
    assert (again.kind, again.mean.tolist()) == ("standard", [[3.0]])
