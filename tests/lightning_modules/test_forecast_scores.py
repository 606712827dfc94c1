"""Scores of forecasts by step, by series and by target, against numbers by hand."""

import numpy as np
import pytest

from lightfit.lightning_modules.metrics import ForecastScores

NAN = float("nan")


def add(scores: ForecastScores, forecast: list[object], y: list[object], **options: object) -> None:
    own = np.array(forecast, float)
    scores.add(own if own.ndim == 4 else own[..., None], np.array(y, float), **options)  # type: ignore[arg-type]


def test_scores_by_hand() -> None:
    scores = ForecastScores(2, 2, 1)
    options = {"naive_error": np.array([[2.0], [4.0]]), "naive_square": np.array([[4.0], [16.0]])}
    add(scores, [[[1], [2]], [[8], [4]]], [[[3], [2]], [[4], [NAN]]], series=np.array([0, 1]), **options)
    by_step = scores.score(scores.by_step.sum(1))
    assert by_step["mae"].tolist() == [3, 0]
    assert by_step["bias"].tolist() == [1, 0]
    assert by_step["rmse"].tolist() == [10**0.5, 0]
    assert by_step["mase"].tolist() == [1, 0]
    by_series = scores.score(scores.by_series.sum(1))
    assert by_series["wape"].tolist() == [2 / 5, 1]
    assert by_series["smape"].tolist() == [pytest.approx((2 * 2 / 4 + 0) / 2), pytest.approx(8 / 12)]
    assert by_series["rmsse"].tolist() == [pytest.approx(0.5**0.5), 1]
    assert scores.windows.tolist() == [1, 1]
    table = scores.tabulate(scores.by_series.sum(1), {"series": ["a", "b"]})
    assert list(table) == ["series", "mae", "rmse", "bias", "mase", "rmsse", "wape", "smape", "values"]
    assert table["values"].tolist() == [2, 1]


def test_quantiles_have_pinball_coverage_and_width() -> None:
    scores = ForecastScores(1, 1, 1, quantiles=(0.1, 0.5, 0.9))
    add(scores, [[[[0, 2, 6]]], [[[0, 1, 2]]]], [[[3]], [[4]]], series=np.zeros(2, int))
    found = scores.score(scores.by_step.sum((0, 1)))
    losses = [(0.1 * 3 + 0.5 * 1 + 0.1 * 3) / 3, (0.1 * 4 + 0.5 * 3 + 0.9 * 2) / 3]
    assert found["pinball"] == pytest.approx(np.mean(losses))
    assert (found["coverage"], found["width"], found["mae"]) == (0.5, 4.0, 2.0)
    assert np.isnan(found["mase"])


def test_a_constant_series_has_no_mase_and_spoils_none() -> None:
    scores = ForecastScores(1, 2, 1)
    add(scores, [[[1]], [[5]]], [[[3]], [[5]]], series=np.array([0, 1]), naive_error=np.array([[2.0], [0.0]]))
    assert scores.score(scores.by_series.sum(1))["mase"].tolist() == [1, pytest.approx(NAN, nan_ok=True)]
    assert scores.score(scores.by_step.sum((0, 1)))["mase"] == 1


@pytest.mark.parametrize(
    ("y", "near"),
    [
        ([100, 90, 110], False),
        ([100, 0, 110], True),
        ([100, 0.1, 100], True),
        ([100, -90, 100], True),
        ([0, 0, 0], True),
    ],
)
def test_percentages_say_nothing_near_zero(y: list[float], near: bool) -> None:
    scores = ForecastScores(3, 1, 1)
    add(scores, [[[1], [1], [1]]], [[[value] for value in y]], series=np.zeros(1, int))
    assert scores.is_near_zero is near
