"""The list of runs: what is found, in which order, the page, and what is deleted."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lightfit.scripts.comparison.found import find_runs, is_higher_better
from lightfit.scripts.comparison.page import render_runs
from lightfit.scripts.comparison.table import format_bytes, format_seconds
from lightfit.scripts.runs import main as runs


def write_run(path: Path, score: float | None = None, *, metric: str = "accuracy", **own: Any) -> Path:
    """Write a run folder as `fit` does."""
    (path / "checkpoints").mkdir(parents=True)
    (path / "config.yaml").write_text("model: {}\n")
    (path / ".lock").touch()
    (path / "history.csv").write_text("epoch,loss,val_loss\n0,2.0,2.5\n1,1.0,nan\n")
    scores = {"val": {"headline": metric, "interval": [0.1, 0.9], "metrics": {metric: score}}} if score else {}
    held = {"task": path.parent.name, "data": "a.csv", "net": "Net", "started": "2026-01-02T03:04:05+00:00"}
    held |= {"finished": True, "seconds": 61.0, "scores": scores, "settings": {"model.lr": score}, **own}
    (path / "run.json").write_text(json.dumps(held))
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for index, score in enumerate((0.7, 0.9, 0.8)):
        write_run(Path(f"runs/text/version_{index}"), score)
    for index, score in enumerate((3.0, 2.0)):
        write_run(Path(f"runs/series/version_{index}"), score, metric="mae")
    write_run(Path("runs/text/version_3"), finished=False)
    return Path("runs")


def test_the_best_of_each_task_comes_first(folder: Path) -> None:
    found = find_runs(folder)
    assert [run.folder.as_posix() for run in found] == [
        *("runs/series/version_1", "runs/series/version_0"),
        *("runs/text/version_1", "runs/text/version_2", "runs/text/version_0", "runs/text/version_3"),
    ]
    assert [run.state for run in found] == ["finished"] * 5 + ["stopped"]
    assert (found[2].metric, found[2].score, found[2].interval) == ("val accuracy", 0.9, (0.1, 0.9))
    assert (found[2].epochs, found[2].seconds) == (2, 61.0)
    assert [is_higher_better(name) for name in ("test f1_micro", "val mae", "val r2", "val loss")] == [1, 0, 1, 0]


def test_a_run_that_is_trained_now_is_running(folder: Path) -> None:
    with FileLock(folder / "text/version_3/.lock"):
        assert find_runs(folder / "text/version_3")[0].state == "running"
    assert find_runs(folder / "text/version_3")[0].state == "stopped"


def test_older_and_damaged_records(folder: Path) -> None:
    (folder / "text/version_1/run.json").write_text("{")
    (folder / "text/version_1/checkpoints/best-epoch=01-val_loss=0.2500.ckpt").touch()
    (folder / "text/version_1/card.md").touch()
    (folder / "text/version_1/history.csv").write_text("")
    (run,) = find_runs(folder / "text/version_1")
    assert (run.metric, run.score, run.state, run.epochs) == ("val loss", 0.25, "finished", 0)


def test_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs([]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"runs/text/version_1 .*val accuracy 0\.9000 +61 s .*finished +model\.lr 0\.9", printed)
    assert re.search(r"6 runs, \d kB\n$", printed)
    assert runs(["--task", "series", "--sort", "size"]) == 0
    assert "2 runs" in capsys.readouterr().out
    assert runs(["-o", "runs.csv"]) == 0
    assert len(Path("runs.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "no folder 'nowhere': expected one with runs of"),
        (["--task", "imdb"], "no run of the task 'imdb': expected one of series, text"),
        (["-o", "x.pdf"], "expected --output to end in .html or .csv, received 'x.pdf'"),
        (["empty"], "'empty' holds no runs: expected folders that"),
        (["prune", "--keep", "0"], "expected --keep of at least 1, received 0"),
        (["prune", "--keep", "1"], "3 runs, .* would be deleted, and nobody can be asked: add --yes"),
    ],
)
def test_wrong_words(words: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert runs(words) != 0
    assert re.search(message, capsys.readouterr().err)
    assert len(find_runs(folder)) == 6


def test_the_page(folder: Path) -> None:
    write_run(Path("runs/text/</script><b>"), 0.5, data="数据 <i>.csv", command="--task text")
    page = render_runs(find_runs(folder), folder)
    assert "<b>" not in page
    assert "</script><" not in page.replace("</script>\n", "")
    assert "数据 &lt;i&gt;.csv" in page
    assert page.count('<input type="checkbox" data-run') == 7
    assert page.count('badge good">best') == 3, "one for each task, data and metric"
    curves = json.loads(page.partition('id="curve-data">')[2].partition("</script>")[0])
    assert curves[0] == {"loss": [[0.0, 2.0], [1.0, 1.0]], "val_loss": [[0.0, 2.5]]}
    assert "model.lr</th>" in page, "a setting in which runs differ"


def test_all_but_the_best_are_deleted(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: "")
    assert runs(["prune", "--keep", "1"]) == 0
    assert "nothing was deleted" in capsys.readouterr().out
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert runs(["prune", "--keep", "1"]) == 0
    left = {run.folder.as_posix() for run in find_runs(folder)}
    assert left == {"runs/text/version_1", "runs/series/version_1", "runs/text/version_3"}
    assert "kept, as they have no score" in capsys.readouterr().out
    with FileLock(folder / "text/version_3/.lock"):
        assert runs(["prune", "--stopped", "--yes"]) == 0
    assert len(find_runs(folder)) == 3
    assert runs(["prune", "--stopped", "--yes"]) == 0
    assert len(find_runs(folder)) == 2
    assert not list(folder.rglob("*.deleted"))


def test_sizes_and_times() -> None:
    assert [format_bytes(size) for size in (12, 1500, 3_400_000, 2e12)] == ["12 B", "2 kB", "3.4 MB", "2.0 TB"]
    assert [format_seconds(time) for time in (None, 42, 210, 7560)] == ["", "42 s", "3.5 min", "2.1 h"]


@pytest.mark.slow
def test_a_run_is_recorded(
    fit: Callable[..., tuple[int, str, str]], reviews: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    args = ("--data.source", "reviews.csv", "--data.max_ngrams", 1000, "--data.min_steps", 1, "--model.lr", 0.125)
    assert fit("--task", "text", *args, "--trainer.max_epochs", 1, "--quiet")[0] == 0
    (run,) = find_runs(Path("runs"))
    assert (run.task, run.data, run.net, run.state) == ("text", "reviews.csv", "NgramBag", "finished")
    assert run.settings == {"data.source": "reviews.csv", "data.max_ngrams": 1000, "data.min_steps": 1,
                            "model.lr": 0.125, "trainer.max_epochs": 1}  # fmt: skip
    assert run.metric == "val accuracy"
    events = EventAccumulator(str(run.folder))
    events.Reload()
    assert events.Scalars("best_val_accuracy")[0].value == pytest.approx(run.score)
    plugin = events.SummaryMetadata("_hparams_/session_start_info").plugin_data
    assert b"model.lr" in plugin.content
    assert b"data.batch_size" not in plugin.content, "what nobody set says nothing"
