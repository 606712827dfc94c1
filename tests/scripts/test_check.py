"""The command that tells what is in the data before it is trained on."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightfit.scripts.check import main


def write_table(name: str, **columns: list[object]) -> str:
    pd.DataFrame(columns).to_csv(name, index=False)
    return name


@pytest.fixture
def unbalanced() -> str:
    """Write a folder with one class in 16 rare, a duplicate, and texts in two splits."""
    texts = [f"word{row % 7} and word{row}" for row in range(160)]
    Path("folder").mkdir()
    labels = ["rare" if row % 16 == 0 else "frequent" for row in range(160)]
    write_table("folder/train.csv", text=[*texts, texts[0]], label=[*labels, "frequent"])
    write_table("folder/test.csv", text=texts[:20], label=labels[:20])
    return "folder"


def test_finds_what_may_be_wrong(unbalanced: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--task", "text", "--data.source", unbalanced]) == 0
    out = capsys.readouterr().out
    assert out.startswith("folder: 129 train, 32 val, 20 test texts; classes in train: frequent ")
    assert "warning: the classes are unbalanced: 'frequent' has" in out
    assert "--data.class_weights or --data.balanced_sampling counts them alike" in out
    assert re.search(
        r"texts of test are in train too, such as .*, so scores on test are too high; --data.on_duplicate", out
    )
    assert "1 texts occur with different labels" in out
    assert main(["--task", "text", "--data.source", unbalanced, "--data.on_duplicate", "drop"]) == 0
    out = capsys.readouterr().out
    assert "are in train too" not in out
    assert "dropped from train" in out


def test_json_and_page_say_the_same(unbalanced: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--task", "text", "--data.source", unbalanced, "--json", "-o", "check.html"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["class"]: row["test"] for row in told["tables"]["classes"]} == {"frequent": 18, "rare": 2}
    assert any("--data.class_weights" in warning for warning in told["warnings"])
    page = Path("check.html").read_text(encoding="utf-8")
    assert page.count('class="bar"') == sum(len(table) * (len(table[0]) - 1) for table in told["tables"].values())
    assert "--data.class_weights" in page
    assert main(["--task", "text", "--data.source", unbalanced, "-o", "check.html"]) == 2


def test_names_of_any_kind_are_escaped_in_the_page() -> None:
    labels = ["<script>alert(1)</script>", "一个非常长的类别名称" * 20]
    source = write_table("odd.csv", text=[f"text {row}" for row in range(40)], label=labels * 20)
    assert main(["--task", "text", "--data.source", source, "-o", "check.html"]) == 0
    page = Path("check.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "expected --task NAME, one of:"),
        (["--task", "texts"], "unknown task 'texts'; the nearest: text"),
        (["--task", "text", "--data.sorce", "a.csv"], "unknown key 'data.sorce'; the nearest: data.source"),
        (["--task", "text", "--trainer.max_epochs", "1"], "unknown option --trainer.max_epochs"),
        (["--task", "text", "--data.source", "missing.csv"], "no file or folder at 'missing.csv'"),
        (["--task", "text", "-o", "check.pdf"], "check.pdf"),
    ],
)
def test_slips_are_one_sentence(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) != 0
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_other_domains_are_described(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--task", "digits"]) == 0
    assert "10 classes in train" in capsys.readouterr().out


def test_series_are_described_with_plots(capsys: pytest.CaptureFixture[str]) -> None:
    rng, hours = np.random.default_rng(0), pd.date_range("2024-01-01", periods=480, freq="h")
    load = 50 + 9 * np.sin(np.arange(480) * np.pi / 12) + rng.normal(size=480)
    table = pd.DataFrame({"date": hours, "load": load, "total": 3 * load + 1}).drop(index=[100, 101, 102])
    table.loc[200, "load"] = 900
    table.loc[200, "total"] = 2701
    table.to_csv("a.csv", index=False)
    args = ("--task", "series", "--data.path", "a.csv", "--data.target", "load", "--data.fill", "interpolate")
    assert main([*args, "--data.columns.known", "total", "-o", "check.html"]) == 0
    out = capsys.readouterr().out
    assert "3 missing steps (0.6%) in 1 gaps; the longest has 3, after 2024-01-05 03:00:00" in out
    assert "strengths from 0 to 1: trend" in out
    assert "warning: 900 at 2024-01-09 08:00:00 in 'load' lies" in out
    assert "warning: the column 'total' almost determines the target 'load'" in out
    assert "name it in --data.columns.past, or leave it out" in out
    assert Path("check.html").read_text(encoding="utf-8").count("data:image/png;base64,") == 3


def test_fit_prints_the_same(unbalanced: str, fit: object) -> None:
    code, out, _ = fit("--task", "text", "--data.source", unbalanced, "--trainer.max_epochs", "1")  # type: ignore[operator]
    assert code == 0
    assert "warning: the classes are unbalanced" in out
    assert "  lengths  " in out
