"""The model card of a run."""

import hashlib
import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import make_reviews, write_csv

from lightfit.datamodules.images.sources import source_path
from lightfit.scripts.evaluate import main as evaluate
from lightfit.scripts.training.card import escape, hash_files

Fit = Callable[..., tuple[int, str, str]]


def test_card_of_texts(fit: Fit, reviews: Path) -> None:
    fit(
        "--task",
        "text",
        "--data.source",
        "reviews.csv",
        "--data.max_ngrams",
        1000,
        "--data.min_steps",
        1,
        "--trainer.max_epochs",
        3,
        "--seed_everything",
        7,
    )
    card = Path("runs/text/version_0/card.md").read_text()
    _, head, text = card.split("---\n", 2)
    assert text.startswith("\n# text: NgramBag\n")
    known = yaml.safe_load(head)
    assert known["library_name"] == "lightfit"
    assert known["pipeline_tag"] == "text-classification"
    (result,) = known["model-index"][0]["results"]
    assert result["dataset"] == {"name": "reviews.csv", "type": "local", "split": "val"}
    assert f"| val | 16 | accuracy | {result['metrics'][0]['value']:.4f} (95 % interval" in card
    (best,) = Path("runs/text/version_0/checkpoints").glob("best*.ckpt")
    assert f"lightfit predict 'checkpoints/{best.name}' 'A text of your choice'\n" in card
    assert "reviews.csv: 64 train, 16 val texts; classes in train: neg 32, pos 32" in card
    assert "| class | train | val |\n| --- | ---: | ---: |\n| neg | 32 | 8 |\n| pos | 32 | 8 |" in card
    assert f"sha256 `{hashlib.sha256(reviews.read_bytes()).hexdigest()}` of reviews.csv" in card
    assert re.search(r"3 epochs, \d+ steps, \d+\.\d s; seed 7", card)
    assert re.search(r"\| val \| 16 \| accuracy \| [01]\.\d+ \(95 % interval", card)
    assert re.search(r"torch \d+\.\d+", card)
    assert "Inputs outside these 2 classes" in card
    assert "## Warnings" not in card


def test_card_and_report_carry_what_was_found_in_the_data(
    fit: Fit, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(text, "neg" if index % 12 else "pos") for index, (text, _) in enumerate(make_reviews(96))]
    write_csv(workplace / "reviews.csv", rows)
    args = ("--data.source", "reviews.csv", "--data.max_ngrams", 1000, "--data.min_steps", 1)
    assert fit("--task", "text", *args, "--trainer.max_epochs", 1, "--quiet")[0] == 0
    run = Path("runs/text/version_0")
    warning = "the classes are unbalanced: 'neg' has 70 samples in train, 'pos' 6; --data.class_weights"
    card = (run / "card.md").read_text()
    assert f"\n## Warnings\n\n- {warning}" in card
    assert evaluate(["--gpus", "0", str(run / "checkpoints/last.ckpt")]) == 0
    assert f">{warning}" in html.unescape((run / "evaluation/report.html").read_text())
    written = json.loads((run / "evaluation/evaluation.json").read_text())
    assert written["warnings"][0].startswith(warning)


@pytest.mark.slow
def test_card_of_series_has_both_splits(fit: Fit, series: Path) -> None:
    fit("--task", "series", "--data.path", "series.csv", "--data.target", "load", "--trainer.max_epochs", 1, "--quiet")
    card = Path("runs/series/version_0/card.md").read_text()
    assert "| test | 25 | mae |" in card
    assert re.search(r"\| val \| \d+ \| coverage \|", card)
    assert "Forecasts of more than 24 steps" in card
    backtest = pd.read_csv("runs/series/version_0/backtest.csv")
    assert backtest["values"].max() == 25 * 24  # of the test split, not of val, which the card reports too


def test_a_dry_run_has_no_card(fit: Fit, reviews: Path) -> None:
    code, _, err = fit("--task", "text", "--data.source", "reviews.csv", "--quiet", "--trainer.fast_dev_run", "true")
    assert code == 0, err
    assert not list(Path().rglob("card.md"))


def test_names_are_shown_as_they_are() -> None:
    assert escape("<b>a|b</b>\n# c") == r"\<b\>a\|b\</b\> \# c"
    assert escape("[x](y) *z* `w`") == r"\[x\](y) \*z\* \`w\`"
    assert escape("--data.class_weights, 中文, _x_") == r"--data.class_weights, 中文, \_x\_"


def test_digest_of_a_folder_changes_with_its_files_and_their_names(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("1")
    (folder / "b").write_text("2")
    lines = "".join(f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in (("a", b"1"), ("b", b"2")))
    assert hash_files(folder) == hashlib.sha256(lines.encode()).hexdigest()
    before = hash_files(folder)
    (folder / "b").rename(folder / "c")
    assert hash_files(folder) != before


def test_digits_have_a_file() -> None:
    assert source_path("digits", Path("data")).is_file()
    assert source_path("photos", Path("data")) == Path("photos")
