"""`pl.metrics`: what Lightning 1.1 computed, on numbers worked out by hand or by scikit-learn."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torch import Tensor, tensor

from lightfit import pl

F = pl.metrics.functional


def draw(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw probabilities (60, 4) and labels (60,), each class among them."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (60,), generator=rng)
    labels[:4] = torch.arange(4)
    return (torch.randn(60, 4, generator=rng) + 2 * torch.eye(4)[labels]).softmax(1), labels


@pytest.mark.parametrize(
    ("preds", "target", "expected"),
    [
        (tensor([[1.0], [0.0], [1.0], [1.0]]), tensor([[1.0], [0.0], [0.0], [1.0]]), 0.75),  # the cookbook's
        (tensor([[0.9], [0.2], [0.7], [0.4]]), tensor([[1.0], [0.0], [0.0], [1.0]]), 0.5),
        (tensor([[0.9], [0.2]]), tensor([1, 1]), 0.5),
        (tensor([0, 1, 2, 3]), tensor([0, 1, 2, 2]), 0.75),
        (tensor([0.0, 1.0, 2.0, 3.0]), tensor([0, 1, 2, 2]), 0.75),
        (tensor([[0.1, 0.9], [0.8, 0.2]]), tensor([1, 1]), 0.5),
        (tensor([-2.0, 3.0]), tensor([0, 1]), 1.0),  # logits that are whole numbers
        (torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.int64), 1.0),
    ],
)
def test_accuracy(preds: Tensor, target: Tensor, expected: float) -> None:
    assert F.accuracy(preds, target) == pytest.approx(expected)
    assert pl.metrics.Accuracy()(preds, target) == pytest.approx(expected)


def test_shapes_that_do_not_match() -> None:
    with pytest.raises(ValueError, match=r"expected `preds` of the shape of `target`.*received \(3,\) and \(2,\)"):
        F.accuracy(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="expected labels below `num_classes` 2, received 3"):
        F.precision(tensor([0, 3]), tensor([0, 1]), num_classes=2)
    with pytest.raises(ValueError, match="expected labels below `num_classes` 2, received 2"):
        F.f1(tensor([0, 2]), tensor([0, 1]), num_classes=1)
    with pytest.raises(ValueError, match="expected a reduction over classes of micro, macro, weighted, none"):
        F.accuracy(tensor([0]), tensor([0]), class_reduction="mean")
    with pytest.raises(ValueError, match=r"expected `target` \(N, 2\) of label sets, received \(2, 3\)"):
        F.f1(torch.zeros(2, 3), torch.zeros(2, 3), 2, multilabel=True)
    with pytest.raises(ValueError, match="expected `normalize` as true, pred, all or None"):
        F.confusion_matrix(tensor([0]), tensor([0]), 2, normalize="rows")


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", "none"])
def test_precision_recall_and_f1_of_classes(average: str) -> None:
    preds, target = draw()
    labels = preds.argmax(1).numpy()
    asked = None if average == "none" else average
    expected = sk.precision_recall_fscore_support(target.numpy(), labels, average=asked, beta=0.5)
    for batch in (preds, preds.argmax(1), preds.argmax(1).float()):
        computed = [
            F.precision(batch, target, class_reduction=average),
            F.recall(batch, target, class_reduction=average),
            F.fbeta_score(batch, target, 0.5, class_reduction=average),
        ]
        for one, other in zip(computed, expected, strict=False):
            np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_allclose(F.fbeta(preds, target, 4, 0.5, average=average), expected[2], rtol=1e-5)
    np.testing.assert_allclose(F.f1_score(preds, target), F.f1(preds, target, 4))


def test_the_positive_class_alone() -> None:
    preds, target = tensor([0.9, 0.6, 0.2, 0.8, 0.1]), tensor([1, 0, 1, 1, 0])
    assert F.f1(preds, target, num_classes=1) == pytest.approx(2 / 3)
    assert pl.metrics.Precision()(preds, target) == pytest.approx(2 / 3)
    assert pl.metrics.Recall()(preds, target) == pytest.approx(2 / 3)
    assert pl.metrics.F1(1, threshold=0.85)(preds, target) == pytest.approx(0.5)
    assert pl.metrics.Precision()(torch.zeros(2), tensor([1, 0])) == 0


def test_label_sets() -> None:
    preds, target = tensor([[0.9, 0.1], [0.8, 0.7], [0.4, 0.6]]), tensor([[1, 0], [0, 1], [1, 1]])
    assert F.f1(preds, target, 2, multilabel=True, average="none").tolist() == pytest.approx([0.5, 1.0])
    assert pl.metrics.FBeta(2, multilabel=True)(preds, target) == pytest.approx(0.75)


def test_examples_of_its_documentation() -> None:
    x, y = tensor([0, 1, 2, 3]), tensor([0, 2, 2, 2])
    precision, recall = F.precision_recall(x, y, class_reduction="macro")
    assert (float(precision), float(recall)) == pytest.approx((0.5, 1 / 3))
    assert F.confusion_matrix(tensor([0, 1, 0, 0]), tensor([1, 1, 0, 0]), num_classes=2).tolist() == [[2, 0], [1, 1]]
    assert F.auc(x, tensor([0, 1, 2, 2])) == 4
    assert F.auroc(x, tensor([0, 1, 1, 0])) == 0.5
    assert [int(count) for count in F.stat_scores(tensor([1, 2, 3]), tensor([0, 2, 3]), 1)] == [0, 1, 2, 0, 0]
    assert F.to_onehot(tensor([1, 2, 3])).tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    assert F.to_categorical(tensor([[0.2, 0.5], [0.9, 0.1]])).tolist() == [1, 0]
    assert F.iou(tensor([[0, 1], [1, 1]]), tensor([[0, 1], [0, 1]])) == pytest.approx((0.5 + 2 / 3) / 2)
    assert F.iou(tensor([0, 1]), tensor([0, 1]), reduction="sum") == 2
    with pytest.raises(ValueError, match="expected `reduction` as elementwise_mean, sum or none, received 'mean'"):
        F.iou(x, y, reduction="mean")


@pytest.mark.parametrize("normalize", ["true", "pred", "all"])
def test_confusion_matrix_of_batches(normalize: str) -> None:
    preds, target = draw()
    metric = pl.metrics.ConfusionMatrix(4, normalize=normalize)
    for rows in (slice(0, 30), slice(30, 60)):
        metric.update(preds[rows], target[rows])
    expected = sk.confusion_matrix(target, preds.argmax(1), normalize=normalize)
    np.testing.assert_allclose(metric.compute(), expected, rtol=1e-6)
    np.testing.assert_allclose(F.confusion_matrix(preds, target, 4, normalize), expected, rtol=1e-6)


def test_curves() -> None:
    preds, target = draw()
    positive, is_one = preds[:, 1], (target == 1).long()
    area = sk.roc_auc_score(is_one, positive)
    assert F.auroc(positive, is_one) == pytest.approx(area)
    assert F.auroc(positive[:, None].logit(), is_one) == pytest.approx(area)
    assert F.auc(*F.roc(positive, is_one)[:2]) == pytest.approx(area)
    assert F.average_precision(positive, is_one) == pytest.approx(sk.average_precision_score(is_one, positive))
    of_each = sk.roc_auc_score(target, preds, multi_class="ovr")
    assert F.auroc(preds, target) == pytest.approx(of_each)
    assert F.multiclass_auroc(preds, target, num_classes=4) == pytest.approx(of_each)
    precision, _, _ = F.precision_recall_curve(positive, is_one)
    assert precision[-1] == 1
    metric = pl.metrics.AUROC()
    metric(positive[:30], is_one[:30])
    metric(positive[30:], is_one[30:])
    assert metric.compute() == pytest.approx(area)
    assert pl.metrics.AveragePrecision()(positive, is_one) == F.average_precision(positive, is_one)
    assert torch.equal(pl.metrics.ROC()(positive, is_one)[0], F.roc(positive, is_one)[0])
    assert torch.equal(pl.metrics.PrecisionRecallCurve()(positive, is_one)[0], precision)


def test_errors_and_images() -> None:
    x, y = draw()[0], draw(1)[0]
    assert F.mean_squared_error(x, y) == pytest.approx(float((x - y).square().mean()))
    assert (
        pl.metrics.MeanAbsoluteError()(x, y)
        == F.mean_absolute_error(x, y)
        == pytest.approx(float((x - y).abs().mean()))
    )
    span = float(y.max() - y.min())
    assert F.psnr(x, y) == pytest.approx(10 * np.log10(span**2 / float((x - y).square().mean())), rel=1e-5)
    assert pl.metrics.PSNR()(x, y) == F.psnr(x, y)
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    assert pl.metrics.SSIM()(image, image) == F.ssim(image, image) == pytest.approx(1)


def test_a_metric_of_the_users_own() -> None:
    class Mean(pl.metrics.Metric):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.add_state("total", tensor(0.0), dist_reduce_fx="sum")
            self.add_state("count", tensor(0), dist_reduce_fx="sum")

        def update(self, values: Tensor) -> None:
            self.total += values.sum()
            self.count += values.numel()

        def compute(self) -> Tensor:
            return self.total / self.count

    for returns in (True, False):
        metric = Mean(compute_on_step=returns, dist_sync_on_step=False, process_group=None)
        assert (metric(tensor([2.0, 4.0])) is None) != returns
        metric(tensor([6.0]))
        assert metric.compute() == 4


def test_modules_are_imported_by_name() -> None:
    from lightfit.torchkeras.pl.metrics import Accuracy
    from lightfit.torchkeras.pl.metrics.functional import accuracy

    assert Accuracy is pl.metrics.Accuracy
    assert accuracy is F.accuracy


def test_metrics_of_torchkeras_are_of_logits() -> None:
    from lightfit.torchkeras import metrics

    rng = torch.Generator().manual_seed(0)
    logits, target = torch.rand(80, 1, generator=rng), torch.randint(0, 2, (80, 1), generator=rng).float()
    logits[40:] -= 2
    labels, truth = (logits[:, 0] >= 0).int(), target[:, 0].int()
    expected = {
        "Accuracy": sk.accuracy_score(truth, labels),
        "Precision": sk.precision_score(truth, labels),
        "Recall": sk.recall_score(truth, labels),
        "AUC": sk.roc_auc_score(truth, logits[:, 0]),
    }
    rates = sk.roc_curve(truth, logits[:, 0])
    expected["KS"] = (rates[1] - rates[0]).max()
    for name in metrics.__all__:
        metric = getattr(metrics, name)()
        metric.update(logits[:40], target[:40])  # all within [0, 1], and no probabilities
        metric.update(logits[40:], target[40:])
        assert metric.compute() == pytest.approx(expected[name], rel=1e-6), name
