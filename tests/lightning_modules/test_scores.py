"""Scores of classifiers and bootstrap intervals, against numbers by hand and other libraries."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from lightfit.callbacks.logs.sample_outputs import restore_data_order
from lightfit.lightning_modules.metrics import (
    bootstrap_interval,
    calibration_table,
    class_table,
    classification_scores,
    expected_calibration_error,
)

PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
LABELS = np.array([0, 1, 1, 1])


def test_class_table_by_hand() -> None:
    table = class_table(PROBABILITIES, LABELS, ["no", "yes"])
    assert table["class"].tolist() == ["no", "yes"]
    assert table["precision"].tolist() == [0.5, 1.0]
    assert table["recall"].tolist() == pytest.approx([1.0, 2 / 3])
    assert table["f1"].tolist() == pytest.approx([2 / 3, 0.8])
    assert table["support"].tolist() == [1, 3]


def test_a_class_that_does_not_occur_has_no_recall() -> None:
    table = class_table(np.eye(3)[[0, 0]], np.array([0, 0]), ["a", "b", "c"])
    assert table["recall"].isna().tolist() == [False, True, True]
    scores = classification_scores(np.eye(3)[[0, 0]], np.array([0, 0]))
    assert (scores["f1_macro"], scores["balanced_accuracy"]) == (1.0, 1.0)
    assert "auroc" not in scores


def test_scores_by_hand() -> None:
    scores = classification_scores(PROBABILITIES, LABELS)
    assert scores["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores["log_loss"] == pytest.approx(-np.log([0.9, 0.4, 0.7, 0.8]).mean())
    assert scores["brier"] == pytest.approx(2 * np.mean([0.01, 0.36, 0.09, 0.04]))
    assert scores["auroc"] == 1.0
    assert "top_5_accuracy" not in scores


def test_top_5() -> None:
    probabilities = np.linspace(1, 7, 7)[None] / 28
    assert classification_scores(np.repeat(probabilities, 7, 0), np.arange(7))["top_5_accuracy"] == pytest.approx(5 / 7)


def test_calibration_error_is_that_of_torchmetrics() -> None:
    logits = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    probabilities, labels = (2 * logits).softmax(1), (logits + torch.randn(500, 4)).argmax(1)
    table = calibration_table(probabilities.double().numpy(), labels.numpy())
    theirs = multiclass_calibration_error(probabilities, labels, num_classes=4, n_bins=15)
    assert expected_calibration_error(table) == pytest.approx(float(theirs), abs=1e-5)
    assert table["samples"].sum() == 500


def test_interval_of_an_accuracy_is_about_that_of_the_normal_approximation() -> None:
    right = np.arange(1000) % 10 < 8
    low, high = bootstrap_interval(right.astype(float))
    assert (low, high) == pytest.approx((0.8 - 1.96 * 0.0126, 0.8 + 1.96 * 0.0126), abs=0.004)
    assert bootstrap_interval(np.ones(5)) == (1.0, 1.0)
    assert np.isnan(bootstrap_interval(np.ones(5), block=3)).all()


def test_blocks_widen_the_interval_of_what_goes_together() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=100), 20)
    (low, high), (block_low, block_high) = bootstrap_interval(values), bootstrap_interval(values, block=40)
    assert 3 < (block_high - block_low) / (high - low) < 6  # the root of 20


def test_samples_of_all_processes_in_the_order_of_the_data() -> None:
    shares = [{"y": torch.arange(7)[rank::3], "preds": 10 * torch.arange(7)[rank::3]} for rank in range(3)]
    assert restore_data_order(shares)["y"].tolist() == list(range(7))
    assert restore_data_order(shares)["preds"].tolist() == list(range(0, 70, 10))
    assert restore_data_order([{"y": torch.tensor([5])}, {}])["y"].tolist() == [5]
    assert restore_data_order([{}, {}]) == {}
