"""What is fitted on val: temperatures, thresholds, intervals; and the scores of label sets and numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from sklearn import metrics as sklearn_metrics
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional import r2_score
from torchmetrics.functional.classification import multilabel_average_precision, multilabel_f1_score

from lightfit.checkpoint import read_checkpoint
from lightfit.lightning_modules import Classifier, MultiLabelClassifier, Regressor
from lightfit.lightning_modules.calibration import choose_thresholds, fit_temperature
from lightfit.lightning_modules.epoch_metrics import R2, MicroF1
from lightfit.lightning_modules.intervals import compute_interval_radius
from lightfit.lightning_modules.metrics import (
    bootstrap_interval,
    label_set_scores,
    label_table,
    number_scores,
    number_table,
)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("temperature", [0.4, 1.7, 6.0])
def test_the_temperature_is_found_again(num_classes: int, temperature: float) -> None:
    logits = 2 * torch.randn(20_000, num_classes, generator=rng())
    labels = torch.multinomial(logits.softmax(1), 1, generator=rng(1))[:, 0]
    found = fit_temperature(logits * temperature, labels)
    assert found == pytest.approx(temperature, rel=0.05)
    losses = {t: float(F.cross_entropy(logits * temperature / t, labels)) for t in (found * 0.97, found, found * 1.03)}
    assert min(losses, key=losses.__getitem__) == found
    if num_classes == 2:
        one = (logits[:, 1:] - logits[:, :1]) * temperature
        assert fit_temperature(one, labels) == pytest.approx(found, rel=1e-4)


def test_a_temperature_needs_samples_and_an_improvement() -> None:
    logits = 3 * torch.randn(29, 2, generator=rng())
    labels = torch.randint(2, (29,), generator=rng(1))
    assert fit_temperature(logits, labels) == 1.0, "under 30 samples"
    assert fit_temperature(torch.cat([logits, logits]), torch.cat([labels, labels])) > 1.5, "random labels"
    assert fit_temperature(torch.zeros(50, 3), torch.randint(3, (50,), generator=rng())) == 1.0, "nothing to scale"
    labels = torch.arange(40) % 2
    separated = torch.stack([1 - 2.0 * labels, 2.0 * labels - 1], 1)
    sure = float((separated / fit_temperature(separated, labels)).softmax(1).max())
    assert 0.95 < sure < 0.995, "no error in 40 samples is no proof that there are none"


def test_thresholds_have_the_best_f1() -> None:
    probabilities, y = torch.rand(200, 3, generator=rng()).round(decimals=2), torch.zeros(200, 3)
    y[:, 0] = (probabilities[:, 0] + 0.3 * torch.randn(200, generator=rng(1)) > 0.7).float()
    y[:, 1] = (torch.rand(200, generator=rng(2)) < 0.1).float()
    y[:4, 2] = 1  # too few
    thresholds = choose_thresholds(probabilities, y)
    assert thresholds[2] == 0.5
    for label in (0, 1):
        f1 = {
            t: sklearn_metrics.f1_score(y[:, label], probabilities[:, label] >= t, zero_division=0)
            for t in (*np.arange(0, 1, 0.005), float(thresholds[label]))
        }
        assert f1[float(thresholds[label])] == max(f1.values())
    same = choose_thresholds(torch.full((20, 1), 0.3), (torch.arange(20) % 2)[:, None])
    assert 0 < same <= 0.3, "equal probabilities are all chosen or none"


def test_the_radius_covers_what_it_should() -> None:
    errors = torch.arange(1, 100).float()[torch.randperm(99, generator=rng())][:, None].repeat(1, 2)
    assert compute_interval_radius(errors, 0.9).tolist() == [90, 90]  # the 0.9 * 100th
    assert compute_interval_radius(errors[:8], 0.9).tolist() == [-1, -1]
    assert compute_interval_radius(errors[:9], 0.9).tolist() == [float(errors[:9].max())] * 2


def test_scores_are_those_of_torchmetrics() -> None:
    probabilities = torch.rand(300, 4, generator=rng())
    y = (probabilities + 0.4 * torch.randn(300, 4, generator=rng(1)) > 0.8).long()
    y[:, 3] = 0  # does not occur
    arrays = probabilities.double().numpy(), np.full(4, 0.5), y.numpy()
    scores = label_set_scores(*arrays)
    micro = float(multilabel_f1_score(probabilities, y, num_labels=4, average="micro"))
    assert scores["f1_micro"] == pytest.approx(micro)
    macro = float(multilabel_f1_score(probabilities[:, :3], y[:, :3], num_labels=3, average="macro"))
    assert scores["f1_macro"] == pytest.approx(macro)
    precision = float(multilabel_average_precision(probabilities[:, :3], y[:, :3], num_labels=3))
    assert scores["mAP"] == pytest.approx(precision, abs=1e-6)
    assert scores["subset_accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(y, probabilities >= 0.5))
    table = label_table(*arrays, names=list("abcd"))
    assert table["support"].tolist() == y.sum(0).tolist()
    assert np.isnan(table["recall"][3])
    metric = MicroF1()
    for part in (slice(0, 100), slice(100, 300)):
        metric.update(probabilities[part], y[part])
    assert float(metric.compute()) == pytest.approx(micro)
    hits = 2.0 * ((probabilities >= 0.5) & (y > 0)).sum(1).numpy()
    sizes = ((probabilities >= 0.5).sum(1) + y.sum(1)).double().numpy()
    low, high = bootstrap_interval(hits, weights=sizes)
    assert low < micro < high < low + 0.1


def test_scores_of_numbers() -> None:
    y = 1e6 + torch.randn(100, 2, generator=rng())
    value = y + 0.3 * torch.randn(100, 2, generator=rng(1))
    predictions = torch.stack([value, value - 0.5, value + 0.5], 2).double().numpy()
    table = number_table(predictions, y.double().numpy(), ["a", "b"])
    scores = number_scores(table)
    assert scores["mae"] == pytest.approx(float((value - y).abs().mean()), rel=1e-4)
    assert scores["width"] == pytest.approx(1, rel=1e-4)
    assert scores["r2"] == pytest.approx(float(r2_score(value.double() - 1e6, y.double() - 1e6)), abs=1e-6)
    assert table["coverage"].tolist() == pytest.approx(((value - y).abs() <= 0.5).double().mean(0).tolist())
    metric = R2(2, mean=[1e6, 1e6])
    for part in (slice(0, 30), slice(30, 100)):
        metric.update(value[part], y[part])
    assert float(metric.compute()) == pytest.approx(scores["r2"], abs=1e-6)
    predictions[..., 1] += 9  # above the other end: there is no interval
    assert set(number_scores(number_table(predictions, y.double().numpy(), ["a", "b"]))) == {"mae", "rmse", "r2"}


def loader(x: Tensor, y: Tensor, *, shuffle: bool = False) -> DataLoader:
    return DataLoader(TensorDataset(x, y), batch_size=16, shuffle=shuffle)


def trainer(**options: Any) -> pl.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return pl.Trainer(**{"max_epochs": 3, "enable_checkpointing": False, "log_every_n_steps": 1, **quiet, **options})


class Keeper(pl.Callback):
    """Saves the checkpoint of every epoch as the run's own callback does, and compares what is in it."""

    def __init__(self) -> None:
        self.held: list[dict[str, Tensor]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.held.append({name: value.clone() for name, value in pl_module.state_dict().items()})


def test_a_classifier_is_calibrated_on_val(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(60, 40)
    y = (x[:, 0] + torch.randn(60) > 0).long()  # as many weights as samples: the net will be far too sure
    val_x = torch.randn(400, 40)
    val_y = (val_x[:, 0] + torch.randn(400) > 0).long()
    keeper = Keeper()
    model = Classifier(nn.Linear(40, 3), lr=0.1, calibrate=True)
    run = trainer(max_epochs=20, callbacks=[keeper])
    run.fit(model, loader(x, y), loader(val_x, val_y))
    temperature = float(model.temperature)
    assert temperature > 1.5
    assert float(keeper.held[-1]["temperature"]) == temperature, "fitted before the epoch's checkpoint"
    assert float(keeper.held[0]["temperature"]) != temperature
    logits = model.eval()(val_x).detach()
    assert torch.allclose(model.predict_step(val_x), (logits / temperature).softmax(1))
    assert torch.equal(model.shared_step((val_x, val_y))["preds"], model.predict_step(val_x))
    calibrated = float(F.cross_entropy(logits / temperature, val_y))
    assert calibrated < float(F.cross_entropy(logits, val_y)) - 0.1
    run.save_checkpoint(tmp_path / "a.ckpt")
    again = Classifier.load(tmp_path / "a.ckpt", net=nn.Linear(40, 3))
    assert torch.equal(again.predict_step(val_x), model.predict_step(val_x))
    old = read_checkpoint(tmp_path / "a.ckpt")
    del old["state_dict"]["temperature"]
    assert float(Classifier.from_checkpoint(old, net=nn.Linear(40, 3)).temperature) == 1


def test_a_classifier_that_does_not_calibrate_has_the_same_state_as_before() -> None:
    model = Classifier(nn.Linear(4, 3))
    x, y = torch.randn(64, 4), torch.randint(3, (64,))
    trainer(max_epochs=1).fit(model, loader(x, y), loader(x, y))
    assert set(model.state_dict()) == {"net.weight", "net.bias"}
    assert torch.equal(model.eval().predict_step(x), model(x).softmax(1))


def test_sets_of_labels(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x = torch.randn(400, 6)
    y = (x[:, :2] + 0.5 * torch.randn(400, 2) > 1.2).float()  # about one in seven
    model = MultiLabelClassifier(nn.Linear(6, 2), num_outputs=2, lr=0.05, calibrate=True)
    run = trainer(max_epochs=10)
    run.fit(model, loader(x[:200], y[:200]), loader(x[200:], y[200:]))
    history = model.history
    assert list(history) == ["epoch", "loss", "val_loss", "val_f1_micro"]
    assert history["loss"].is_monotonic_decreasing
    assert not torch.equal(model.thresholds, torch.full((2,), 0.5))
    with torch.no_grad():
        prediction = model.eval().predict_step(x[200:])
    assert prediction.shape == (200, 2, 2)
    assert torch.equal(prediction[0, :, 1], model.thresholds)
    probabilities = (model(x[200:]) / model.temperature).sigmoid()
    assert torch.allclose(prediction[..., 0], probabilities)
    chosen = prediction[..., 0] >= prediction[..., 1]
    tested = run.test(model, loader(x[200:], y[200:]), verbose=False)[0]
    expected = sklearn_metrics.f1_score(y[200:], chosen, average="micro")
    assert tested["test_f1_micro"] == pytest.approx(expected)
    assert expected >= history["val_f1_micro"].iloc[-1], "val is with 0.5"
    run.save_checkpoint(tmp_path / "a.ckpt")
    again = MultiLabelClassifier.load(tmp_path / "a.ckpt", net=nn.Linear(6, 2))
    assert torch.equal(again.predict_step(x), model.predict_step(x))
    weighted = MultiLabelClassifier(nn.Linear(6, 2), num_outputs=2, loss_weights=[3.0, 1.0])
    logits, truth = weighted(x).detach(), y
    by_hand = -(3.0 * truth * F.logsigmoid(logits) + (1 - truth) * F.logsigmoid(-logits))[:, 0].mean()
    unweighted = F.binary_cross_entropy_with_logits(logits[:, 1], truth[:, 1])
    assert weighted.shared_step((x, y))["loss"].item() == pytest.approx(float((by_hand + unweighted) / 2), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_numbers(loss: Any) -> None:
    torch.manual_seed(0)
    x = torch.randn(600, 5)
    y = torch.stack([x[:, 0] + 0.3 * torch.randn(600), x[:, 1]], 1)
    units = {"mean": [100.0, 0.0], "std": [10.0, 1.0]}
    model = Regressor(nn.Linear(5, 2), num_outputs=2, lr=0.05, loss=loss, units=units)
    run = trainer(max_epochs=12)
    before = model.predict_step(x)
    assert (before[..., 1] > before[..., 2]).all(), "there is no interval yet"
    run.fit(model, loader(x[:200], y[:200]), loader(x[200:400], y[200:400]))
    assert list(model.history) == ["epoch", "loss", "mae", "val_loss", "val_mae", "val_r2"]
    assert model.history["val_r2"].iloc[-1] > 0.9
    value, low, high = model.eval().predict_step(x[400:]).unbind(2)
    value = value.detach()
    assert torch.equal(value, model(x[400:]))
    covered = ((low <= y[400:]) & (y[400:] <= high)).float().mean(0)
    assert 0.82 < covered[0] < 0.97
    scores = run.test(model, loader(x[400:], y[400:]), verbose=False)[0]
    errors = (value - y[400:]).abs() * torch.tensor(units["std"])
    assert scores["test_mae"] == pytest.approx(float(errors.mean()), rel=1e-4)
    assert scores["test_r2"] == pytest.approx(float(r2_score(value, y[400:])), rel=1e-4)


def test_a_net_with_another_number_of_outputs() -> None:
    batch = torch.randn(4, 3), torch.zeros(4, 2)
    for model in (MultiLabelClassifier(nn.Linear(3, 1), num_outputs=2), Regressor(nn.Linear(3, 1), num_outputs=2)):
        with pytest.raises(ValueError, match=r"Linear returned \(4, 1\) for targets \(4, 2\): .* `num_outputs`"):
            model.shared_step(batch)
    with pytest.raises(ValueError, match="expected loss mse or huber, received mae"):
        Regressor(nn.Linear(3, 1), loss="mae")  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:You defined a `validation_step`")
def test_intervals_and_thresholds_need_no_validation() -> None:
    x, y = torch.randn(32, 3), torch.rand(32, 1).round()
    for model in (MultiLabelClassifier(nn.Linear(3, 1), num_outputs=1), Regressor(nn.Linear(3, 1))):
        trainer(max_epochs=1, limit_val_batches=0).fit(model, loader(x, y))
        assert model.eval().predict_step(x).isfinite().all()
