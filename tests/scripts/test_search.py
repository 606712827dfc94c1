"""Search for good hyperparameters: learning rate, batch size, folds, and tune.py."""

import importlib.util
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
import yaml
from conftest import write_csv

from lightfit.datamodules.splits import rolling_fold, stratified_fold
from lightfit.scripts.cli.presets import TASKS, find_task_names
from lightfit.scripts.training.label_errors import find_label_errors
from lightfit.scripts.tune import main as tune
from lightfit.scripts.tuning.find import find_steepest, remove_bias
from lightfit.scripts.tuning.space import Range, parse_pairs, read_space, set_key
from lightfit.scripts.tuning.trials import Report, Score, Search, negate_if_max

Fit = Callable[..., tuple[int, str, str]]
TEXT = (
    "--task",
    "text",
    "--data.source",
    "reviews.csv",
    "--data.max_ngrams",
    "1000",
    "--data.min_steps",
    "1",
    "--trainer.max_epochs",
    "3",
)


@pytest.mark.slow
def test_find_lr(fit: Fit, series: Path) -> None:
    line = ("--task", "series", "--data.path", "series.csv", "--data.target", "load", "--find_lr", "--quiet")
    code, _, err = fit(*line)
    assert code == 2
    assert "ForecastCombination is solved in closed form: leave it out, or name another net" in err
    code, out, err = fit(*line, "--model.net", "lightfit.nets.NLinear", "--data.lookback", 48, "--data.batch_size", 32)
    assert code == 0, err
    rate = float(re.search(r"falls fastest at a learning rate of (\S+),", out)[1])  # type: ignore[index]
    assert 1e-5 < rate < 1
    table = pd.read_csv("runs/series/version_0/lr_find.csv")
    assert table["lr"].is_monotonic_increasing
    assert Path("runs/series/version_0/lr_find.png").stat().st_size > 1000
    assert not Path("runs/series/version_0/checkpoints").exists()


def test_steepest_by_the_logarithm() -> None:
    rates = np.logspace(-8, 0, 100)
    losses = 1 / (1 + np.exp(4 * (np.log10(rates) + 3)))  # falls fastest at a thousandth
    assert find_steepest(rates, losses) == pytest.approx(1e-3, rel=0.2)
    assert find_steepest(rates, 1 - losses) is None
    assert find_steepest(rates[:5], losses[:5]) is None


def test_debiased_means_of_a_constant_are_the_constant() -> None:
    held, smoothed = 0.0, []
    for step in range(1, 6):  # as Lightning does it
        held = 0.98 * held + 0.02 * 3.0
        smoothed.append(held / (1 - 0.98 ** (step + 1)))
    assert remove_bias(np.array(smoothed)).tolist() == pytest.approx([3.0] * 5)


@pytest.mark.slow
def test_find_batch_size(fit: Fit, reviews: Path) -> None:
    code, out, err = fit(*TEXT, "--find_batch_size", "--quiet")
    assert code == 0, err
    assert "batches of up to 64 samples fit; to train with it, add --data.batch_size 64 to the same command" in out


def test_labels_that_are_probably_wrong_are_found() -> None:
    pytest.importorskip("cleanlab")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    given, wrong = labels.copy(), np.arange(0, 300, 30)
    given[wrong] = (given[wrong] + 1) % 3
    probabilities = 0.8 * np.eye(4)[labels] + 0.2 * rng.dirichlet(np.ones(4), 300)  # the fourth class has no sample
    places, names = [f"{index}.png" for index in range(300)], ["cat", "dog", "cow", "none"]
    table = find_label_errors(torch.from_numpy(probabilities).float(), torch.from_numpy(given), places, names)
    assert table is not None
    assert set(table["file"]) <= {places[index] for index in wrong}
    assert len(table) >= 6  # it estimates how many there are, and errs towards few
    first = int(table["file"][0].removesuffix(".png"))
    assert table.iloc[0][["label", "suggested"]].tolist() == [names[given[first]], names[labels[first]]]
    assert table["quality"].is_monotonic_increasing
    assert table["quality"].between(0, 0.3).all()


@pytest.mark.slow
def test_folds_predict_every_sample_once(fit: Fit, reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = fit(*TEXT, "--folds", 4, "--quiet")
    assert code == 0, err
    table = pd.read_csv("runs/text/folds_0/out_of_fold.csv")
    places = [f"reviews.csv, line {line}" for line in range(2, 82)]
    assert sorted(table["sample"]) == sorted(places)
    truth = pd.read_csv("reviews.csv")["label"]
    lines = table["sample"].str.extract(r"line (\d+)")[0].astype(int) - 2
    assert table["label"].tolist() == truth[lines].tolist()
    assert table["fold"].value_counts().tolist() == [20] * 4
    scores = pd.read_csv("runs/text/folds_0/folds.csv")
    assert scores["fold"].tolist() == ["1", "2", "3", "4", "mean", "std"]
    own = table.groupby("fold").apply(lambda rows: (rows["label"] == rows["predicted"]).mean(), include_groups=False)
    assert scores["accuracy"][:4].tolist() == own.tolist()
    assert scores["accuracy"][4] == pytest.approx(own.mean())
    assert scores["accuracy"][5] == pytest.approx(own.std())
    assert "mean" in out
    assert (Path("runs/text/folds_0/fold_3") / "card.md").is_file()
    if importlib.util.find_spec("cleanlab"):
        assert list(pd.read_csv("runs/text/folds_0/label_errors.csv")) == ["file", "label", "suggested", "quality"]
    monkeypatch.setattr("lightfit.scripts.training.label_errors.PACKAGE", "a_package_that_is_not_installed")
    code, out, _ = fit(*TEXT, "--folds", 2, "--quiet")
    assert code == 0
    assert "labels that are probably wrong are found with cleanlab: pip install 'lightfit[labels]'" in out
    assert Path("runs/text/folds_1/folds.csv").is_file()
    assert not Path("runs/text/folds_1/label_errors.csv").exists()


@pytest.mark.slow
def test_folds_of_images_and_of_series(fit: Fit, images: Path, series: Path) -> None:
    args = ("--data.num_workers", 0, "--trainer.max_epochs", 1, "--trainer.callbacks", "null", "--quiet")
    code, _, err = fit("--task", "images", "--data.root", "images", "--folds", 2, *args)
    assert code == 0, err
    assert pd.read_csv("runs/images/folds_0/out_of_fold.csv")["sample"].nunique() == 40
    sizes = ("--data.lookback", 24, "--data.horizon", 6, "--trainer.callbacks", "null")
    code, _, err = fit("--task", "series", "--data.path", "series.csv", "--folds", 3, *sizes, "--quiet")
    assert code == 0, err
    table = pd.read_csv("runs/series/folds_0/out_of_fold.csv")
    assert {"load_1", "wind_6", "fold"} <= set(table)
    times = pd.to_datetime(table["sample"])
    assert times.is_monotonic_increasing
    assert table["load_1"].between(0, 20).all()  # in the units of the table


def test_stratified_folds_are_a_partition_that_keeps_groups() -> None:
    labels, groups = np.arange(60) % 3, np.arange(60) // 2 * 2 + np.arange(60) % 2
    groups[:6] = 0
    folds = [stratified_fold(labels, groups, fold=f"{number}/4", seed=1) for number in range(1, 5)]
    assert sorted(np.concatenate([val for _, val in folds])) == list(range(60))
    for train, val in folds:
        assert not set(groups[train]) & set(groups[val])
        assert np.bincount(labels[val], minlength=3).min() >= 2


def test_rolling_folds() -> None:
    assert [rolling_fold(60, f"{number}/5") for number in (1, 5)] == [(10, 20, 20), (50, 60, 60)]
    with pytest.raises(ValueError, match="such as 2/5 for the second of five, received '0/5'"):
        rolling_fold(60, "0/5")


@pytest.fixture
def preset(reviews: Path) -> Path:
    held = yaml.safe_load((TASKS / "text.yaml").read_text())
    held["data"]["init_args"] |= {"source": "reviews.csv", "max_words": 1000}
    held["model"]["init_args"]["net"]["init_args"] = {"smoothing": 1.0}
    held["tune"] = {"model.lr": {"low": 0.001, "high": 0.5, "log": True}, "data.batch_size": [8, 16]}
    Path("mine.yaml").write_text(yaml.safe_dump(held))
    return Path("mine.yaml")


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = tune(["--gpus", "0", *map(str, args)])
    return code, *capsys.readouterr()


@pytest.mark.slow
def test_search_resumes_and_its_best_preset_runs_unchanged(
    preset: Path, fit: Fit, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ("--task", "mine.yaml", "--trainer.max_epochs", 2)
    code, out, err = run(capsys, *line, "--trials", 2)
    assert code == 0, err
    assert len(re.findall(r"^trial \d: data\.batch_size \d+, model\.lr \S+: val_loss", out, re.MULTILINE)) == 2
    code, out, err = run(capsys, *line, "--trials", 4)
    assert code == 0, err
    assert "resuming after 2 trials" in out
    assert re.findall(r"^trial (\d)", out, re.MULTILINE) == ["2", "3"]
    assert "best of 4 trials" in out
    losses = [pd.read_csv(path)["val_loss"].min() for path in sorted(Path("runs/tune_mine").glob("*/history.csv"))]
    assert len(losses) == 4
    best = yaml.safe_load(Path("runs/tune_mine/best.yaml").read_text())
    assert "tune" not in best
    assert best["trainer"]["max_epochs"] == 2
    code, _, err = fit("--task", "runs/tune_mine/best.yaml", "--quiet")
    assert code == 0, err
    assert pd.read_csv("runs/best/version_0/history.csv")["val_loss"].min() == min(losses)
    assert list(Path("runs/tune_mine/trial_000").glob("events*"))


@pytest.mark.slow
def test_poor_trials_end_early(preset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr("lightfit.scripts.tuning.optuna_search.STARTUP_TRIALS", 1)
    code, out, err = run(capsys, "--task", "mine.yaml", "--trials", 6, "--trainer.max_epochs", 5)
    assert code == 0, err
    assert re.search(r"pruned after epoch [1-4], as it was worse than the others", out)


@pytest.mark.slow
def test_a_search_by_accuracy_takes_the_largest(preset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = ("--checkpoint.monitor", "val_accuracy", "--checkpoint.mode", "max", "--checkpoint.filename", "best")
    code, out, err = run(capsys, "--task", "mine.yaml", "--trials", 3, *monitor)
    assert code == 0, err
    found = [float(value) for value in re.findall(r"val_accuracy (\S+)", out)]
    assert found[-1] == max(found)


def watch_accuracy(preset: Path) -> None:
    """Make a preset monitor its accuracy, by its section checkpoint only."""
    held = yaml.safe_load(preset.read_text())
    held["checkpoint"] = {"monitor": "val_accuracy", "mode": "max", "filename": "best"}
    preset.write_text(yaml.safe_dump(held))


@pytest.mark.slow
def test_the_first_trial_is_reported_with_the_sign_of_its_mode(
    preset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    watch_accuracy(preset)
    code, out, err = run(capsys, "--task", "mine.yaml", "--trials", 1, "--trainer.max_epochs", 3)
    assert code == 0, err
    accuracies = pd.read_csv("runs/tune_mine/trial_000/history.csv")["val_accuracy"]
    (trial,) = optuna.load_study(storage="sqlite:///runs/tune_mine/study.db", study_name="lightfit").trials
    assert list(trial.intermediate_values.values()) == pytest.approx(list(-accuracies))
    assert trial.value == pytest.approx(-accuracies.max())
    assert f"best of 1 trials: val_accuracy {accuracies.max():.4f}" in out


@pytest.fixture
def ray_stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Replace Ray by a stub and return the dicts that trials report."""
    reported: list[dict[str, Any]] = []
    context = SimpleNamespace(get_trial_id=lambda: "abc_00003")
    names = {
        "ray": {},
        "ray.tune": {"report": reported.append, "get_context": lambda: context},
        "ray.tune.schedulers": {"ASHAScheduler": None},
        "ray.tune.search": {},
        "ray.tune.search.basic_variant": {"BasicVariantGenerator": None},
    }
    for name, held in names.items():
        module = ModuleType(name)
        vars(module).update(held)
        monkeypatch.setitem(sys.modules, name, module)
    vars(sys.modules["ray"])["tune"] = sys.modules["ray.tune"]
    sys.modules.pop("lightfit.scripts.tuning.ray_search", None)
    yield reported
    sys.modules.pop("lightfit.scripts.tuning.ray_search", None)  # it holds the stub


@pytest.mark.parametrize("args", [(), ("--model.pooling", "max"), ("--checkpoint.mode=max",)])
@pytest.mark.parametrize(("mode", "sign"), [("max", -1), ("min", 1)])
def test_ray_minimises_by_the_mode_of_the_trial(
    mode: str, sign: int, args: tuple[str, ...], ray_stub: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray_search = importlib.import_module("lightfit.scripts.tuning.ray_search")

    def trial(search: Search, number: int, values: dict[str, Any], report: Report) -> Score:
        assert (number, values) == (3, {"model.lr": 0.1})
        report(0.6, 0, mode)
        return Score(0.9, "val_f", mode)

    monkeypatch.setattr(ray_search, "run_trial", trial)
    ray_search._try({"model.lr": 0.1}, Search("t", Path("t.yaml"), args, "0", Path("runs")), str(Path.cwd()))
    assert ray_stub == [
        {"watched": sign * 0.6},
        {"watched": sign * 0.9, "value": 0.9, "score": 0.9, "monitor": "val_f", "mode": mode},
    ]


def test_a_metric_of_mode_max_is_negated() -> None:
    assert min([0.6, 0.9], key=lambda value: negate_if_max(value, "max")) == 0.9
    assert min([0.6, 0.9], key=lambda value: negate_if_max(value, "min")) == 0.6


TOKENIZER = """
from pathlib import Path
import lightfit
Path(__file__).with_name("found.txt").write_text(lightfit.__file__)
def split(text):
    return text.split()
"""


@pytest.mark.slow
def test_ray_takes_the_largest_accuracy_from_a_clone(preset: Path) -> None:
    pytest.importorskip("ray.tune", reason="Ray is not installed: pip install 'lightfit[ray]'")
    watch_accuracy(preset)
    held = yaml.safe_load(preset.read_text())
    held["tune"] = {"model.lr": [0.0, 0.05]}
    held["data"]["init_args"]["tokenizer"] = "of_mine.split"  # a custom one, in the working directory
    preset.write_text(yaml.safe_dump(held))
    Path("of_mine.py").write_text(TOKENIZER)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = ["--task", "mine.yaml", "--engine", "ray", "--trials", "4", "--gpus", "0", "--trainer.max_epochs", "4"]
    ended = subprocess.run(
        [sys.executable, str(TASKS.parent / "scripts" / "tune.py"), *command],
        capture_output=True,
        text=True,
        timeout=400,
        env={**environment, "RAY_USAGE_STATS_ENABLED": "0"},
    )
    assert ended.returncode == 0, ended.stderr
    assert Path(Path("found.txt").read_text()) == TASKS.parent / "lightfit" / "__init__.py"
    scores = {
        yaml.safe_load((path.parent / "config.yaml").read_text())["model"]["init_args"]["lr"]: pd.read_csv(path)[
            "val_accuracy"
        ].max()
        for path in Path("runs/tune_mine").glob("trial_*/history.csv")
    }
    assert scores[0.05] > scores[0.0], "one of the two is clearly worse"
    assert f"best of 4 trials: val_accuracy {scores[0.05]:.4f}" in ended.stdout
    best = yaml.safe_load(Path("runs/tune_mine/best.yaml").read_text())
    assert best["model"]["init_args"]["lr"] == 0.05


@pytest.mark.slow
def test_ray_stops_no_trial_for_its_length() -> None:
    pytest.importorskip("ray.tune", reason="Ray is not installed: pip install 'lightfit[ray]'")
    program = """
from types import SimpleNamespace
from lightfit.scripts.tuning.ray_search import _make_scheduler
scheduler, trial = _make_scheduler(), SimpleNamespace(trial_id="a")
scheduler.set_search_properties("watched", "min")
scheduler.on_trial_add(None, trial)
for epoch in range(1, 301):
    result = {"training_iteration": epoch, "watched": 1.0}
    assert scheduler.on_trial_result(None, trial, result) == scheduler.CONTINUE, epoch
"""
    paths = {"PYTHONPATH": str(TASKS.parent)}
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**os.environ, **paths})
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["--task", "cifar2"], "cifar2.yaml' has no section tune"),
        (["--task", "nope"], "unknown task 'nope'"),
        (["--task", "mine.yaml", "--trials", "0"], "--trials of at least 1"),
        (["--task", "mine.yaml", "--model.lr", "0.1"], "--model.lr is given, but is also in the section tune"),
        (["--task", "mine.yaml", "--data.sorce", "a"], "2 trials failed|trials failed.*unknown key"),
        (["--task", "mine.yaml", "word"], "'word' is not understood"),
        (["--task", "mine.yaml", "--engine", "ray"], "--engine ray needs ray, .*: pip install 'lightfit.ray.'"),
    ],
)
def test_what_goes_wrong(
    args: list[str], problem: str, preset: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    code, _, err = run(capsys, "--trials", 2, *args)
    assert code in (1, 2)
    assert re.search(problem, err), err


@pytest.mark.slow
def test_a_study_of_another_search(preset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--task", "mine.yaml", "--trials", 1)[0] == 0
    held = yaml.safe_load(preset.read_text())
    held["tune"]["data.batch_size"] = [8, 32]
    Path("mine.yaml").write_text(yaml.safe_dump(held))
    code, _, err = run(capsys, "--task", "mine.yaml", "--trials", 2)
    assert (code, "belongs to another search: its space" in err) == (2, True)
    Path("other.yaml").write_text(yaml.safe_dump(held))
    code, _, err = run(capsys, "--task", "other.yaml", "--trials", 2, "--output", "runs/tune_mine")
    assert (code, "its task is mine, received other" in err) == (2, True)
    write_csv(Path("runs/tune_mine/study.db"), [("no", "study")])
    code, _, err = run(capsys, "--task", "mine.yaml", "--trials", 2)
    assert (code, "is not a study of Optuna" in err) == (2, True)
    Path("runs/tune_mine/study.db").unlink()
    sqlite3.connect("runs/tune_mine/study.db").close()
    assert run(capsys, "--task", "mine.yaml", "--trials", 1)[0] == 0


@pytest.mark.parametrize("task", find_task_names())
def test_spaces_of_the_presets_are_understood(task: str) -> None:
    if "\ntune:" in (TASKS / f"{task}.yaml").read_text():
        assert len(read_space(TASKS / f"{task}.yaml")) >= 2


@pytest.mark.parametrize(
    "line", ["[1]", "{low: 2, high: 1}", "{low: 0, high: 1, log: true}", "{low: 1}", "7", "{low: a, high: b}"]
)
def test_invalid_spaces(line: str) -> None:
    Path("a.yaml").write_text(f"tune:\n  model.lr: {line}\n")
    with pytest.raises(Exception, match=r"tune.model.lr: expected a list of values, or .low, high, log."):
        read_space(Path("a.yaml"))


def test_keys_of_a_preset() -> None:
    config: dict[str, Any] = {"model": {"class_path": "A", "init_args": {"net": "B"}}, "data": {"class_path": "C"}}
    for key, value in parse_pairs(["--model.net.width", "3", "--data.size=[1,2]", "--trainer.max_epochs", "5"]).items():
        set_key(config, key, value)
    assert config == {
        "model": {"class_path": "A", "init_args": {"net": {"class_path": "B", "init_args": {"width": 3}}}},
        "data": {"class_path": "C", "init_args": {"size": [1, 2]}},
        "trainer": {"max_epochs": 5},
    }
    assert Range(1, 2, False).whole
    assert not Range(1, 2.5, False).whole
