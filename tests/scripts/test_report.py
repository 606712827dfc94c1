"""The report of an evaluation: what it claims, what it shows, and that everybody can read it."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from axe import find_violations, get_axe, look, open_chromium
from conftest import write_csv

from lightfit.callbacks.pictures.confusion import plot_confusion_matrix
from lightfit.datamodules import TextDataModule
from lightfit.datamodules.findings import Findings
from lightfit.lightning_modules.metrics import bootstrap_difference, class_table
from lightfit.scripts.checking.page import render_findings
from lightfit.scripts.evaluation.glossary import GLOSSARY, HIGHER, LOWER
from lightfit.scripts.evaluation.page import list_long, render_report
from lightfit.scripts.evaluation.result import Baseline, Evaluation
from lightfit.scripts.evaluation.verdict import find_best, judge
from lightfit.scripts.evaluation.worst import Shown, find_worst_numbers, find_worst_sets
from lightfit.scripts.pages.render import MOST_ROWS, make_table

HOSTILE = [
    *("<script>alert(1)</script>", "Supercalifragilistic" * 12, "العربية الفصحى", "负面评论", "😀🎉", "=1+1", "\"'&"),
    *("\u202egnp.exe", "עברית", "ไทย", "हिन्दी"),
]


def make_baseline(score: float, interval: tuple[float, float]) -> Baseline:
    return Baseline("always answering 'a'", score, lambda: interval)


def make_evaluation(headline: str, score: float, *baselines: Baseline, **changes: Any) -> Evaluation:
    own = Evaluation(40, {headline: score}, headline, (score - 0.1, score + 0.1), {}, {}, (), {}, baselines=baselines)
    return own._replace(**changes)


def make_classes(names: list[str], num_samples: int = 400) -> Evaluation:
    """Make an evaluation of a classifier that is right in half of the cases."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, len(names), num_samples)
    guesses = np.where(rng.random(num_samples) < 0.5, labels, rng.integers(0, len(names), num_samples))
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (labels, guesses), 1)
    rows = np.flatnonzero(labels != guesses)
    wrong = pd.DataFrame(
        {
            "file": [f"{names[labels[row]]}/{row}.png" for row in rows],
            "true": [names[labels[row]] for row in rows],
            "predicted": [names[guesses[row]] for row in rows],
            "probability": rng.random(len(rows)),
            "probability_of_true": 0.1,
        }
    )
    tables = {
        "classes": class_table(np.eye(len(names))[guesses], labels, names),
        "confusion matrix": pd.DataFrame(counts, index=names, columns=names)
        .rename_axis("true \\ predicted")
        .reset_index(),
        "words that decide": pd.DataFrame({"class": names[:2], "words": ["good, fine", "坏"]}),
    }
    plots = {"confusion matrix": lambda: plot_confusion_matrix(torch.from_numpy(counts), names)}
    baseline = make_baseline(0.2, (0.1, 0.3))
    return make_evaluation("accuracy", 0.5, baseline, tables=tables, plots=plots, wrong=wrong)


def render(evaluation: Evaluation, **arguments: Any) -> str:
    needed = {"title": "Net on <data>", "subtitle": "test", "configuration": {}}
    return render_report(evaluation, **(needed | arguments))


@pytest.mark.parametrize(
    ("headline", "score", "baseline", "interval", "kind", "text"),
    [
        (
            "accuracy",
            0.7,
            0.5,
            (0.1, 0.3),
            "good",
            "0.5000; this model has an accuracy of 0.7000. The difference",
        ),
        ("accuracy", 0.7, 0.5, (-0.1, 0.3), "warning", "may be chance: .* -0.1000 to 0.3000, includes 0"),
        ("accuracy", 0.4, 0.5, (-0.2, -0.1), "error", "worse, beyond chance: .* difference 0.1000 to 0.2000"),
        ("accuracy", 0.7, 0.5, (np.nan, np.nan), "warning", "Too few samples to tell"),
        (
            "mae_original",
            2.1,
            3.2,
            (-1.5, -0.7),
            "good",
            "errs by 3.2000 on average, this model by 2.1.*: 34 % less",
        ),
        ("mae", 3.5, 3.2, (0.1, 0.5), "error", "9 % more. That is worse"),
        (
            "mase",
            0.8,
            1.0,
            (-0.3, 0.1),
            "warning",
            "has a MASE of 1.0000, this model of 0.8000: 20 % less. That",
        ),
        ("f1_micro", 0.8, 0.3, (0.4, 0.6), "good", "this model has a f1_micro of 0.8000"),
    ],
)
def test_a_verdict_claims_no_more_than_the_interval_says(
    headline: str, score: float, baseline: float, interval: tuple[float, float], kind: str, text: str
) -> None:
    (sentence,) = judge(make_evaluation(headline, score, make_baseline(baseline, interval)))
    assert sentence.kind == kind
    assert re.search(text, sentence.text), sentence.text


def test_the_best_baseline_is_compared_with() -> None:
    three = [make_baseline(score, (0.0, 0.1)) for score in (0.3, 0.6, np.nan)]
    assert find_best(make_evaluation("accuracy", 0.5, *three)).score == 0.6
    assert find_best(make_evaluation("mase", 0.5, *three)).score == 0.3
    assert judge(make_evaluation("accuracy", 0.5)) == []
    frequent = make_evaluation("accuracy", 0.95, make_baseline(0.9, (0.0, 0.1)))
    said = judge(frequent._replace(metrics=frequent.metrics | {"balanced_accuracy": 0.55}))
    assert said[1].text.startswith("One class has 90 % of the samples")
    assert "0.5500" in said[1].text


def test_differences_are_of_the_same_samples() -> None:
    """Whoever is right where the other is, too, differs less than two that have nothing in common."""
    right = np.arange(400) % 4 != 0
    also, other = right & (np.arange(400) % 8 != 1), np.roll(right, 2) & (np.arange(400) % 8 != 1)
    low, high = bootstrap_difference(right * 1.0, also * 1.0)
    assert low < right.mean() - also.mean() < high
    assert low > 0
    wider = bootstrap_difference(right * 1.0, other * 1.0)
    assert wider[1] - wider[0] > high - low
    assert np.isnan(bootstrap_difference(right[:3] * 1.0, right[:3] * 1.0, block=2)).all()
    assert bootstrap_difference(right * 1.0, right * 1.0) == (0, 0)


def test_names_of_any_script_are_whole_and_escaped() -> None:
    page = render(make_classes(HOSTILE)._replace(plots={}), subtitle="\ud800 lone")
    assert "? lone" in page  # what UTF-8 cannot encode
    assert "<script>alert" not in page
    assert page.count("<script>") == 1  # the page's own
    for name in HOSTILE:
        assert html.escape(name, quote=True).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in page
    assert "Net on &lt;data&gt;" in page
    assert re.search(r'<th scope="row" dir="auto">العربية', page)
    assert "http" not in page


def test_what_a_reader_wants_comes_first() -> None:
    pictures = [Shown(picture=np.full((8, 8, 3), 200, np.uint8)), Shown(picture=np.zeros((400, 500, 3), np.uint8))]
    made = {"command": "evaluate.py CKPT", "facts": {"date": "today"}}
    page = render(make_classes(["a", "b", "c"]), samples=pictures, **made)
    places = [
        page.index(part) for part in (">0.5000<", "What is wrong", "Confused pairs", "words that decide", "Details")
    ]
    assert places == sorted(places)
    assert page.index("Details") < page.index("<details>") < page.index("evaluate.py CKPT")
    assert page.count("data:image/png") == 2, "a small picture and the confusion matrix"
    assert page.count("data:image/jpeg") == 1
    assert "the most wrong first; more are in most_wrong.csv" in page
    assert f'<abbr title="{GLOSSARY["recall"].sentence}">recall</abbr>' in page
    texts = render(make_classes(["a", "b", "c"]), samples=[Shown(text="مرحبا <b>")])
    assert '<td class="text" dir="auto">مرحبا &lt;b&gt;</td>' in texts
    perfect = make_classes(["a", "b"])
    assert "All 40 samples are right." in render(perfect._replace(wrong=perfect.wrong.iloc[:0]))  # type: ignore[union-attr]


def test_a_thousand_classes() -> None:
    evaluation = make_classes([f"Tomato_Yellow_Leaf_Curl_Virus_{index}" for index in range(1000)], 3000)
    page = render(evaluation._replace(plots={}))
    assert "The 10 most confused pairs" in page
    assert "The 10 classes that are found least" in page
    assert "The matrix of 1,000 classes is too large for a page; all of it is in all_confusion_matrix.csv" in page
    assert len(page) < 1_000_000
    assert page.count('<th scope="row"') > 1000, "the classes are all there"
    assert list(list_long(evaluation)) == ["all_confusion_matrix.csv"]


def test_long_tables_go_on_in_a_file() -> None:
    long = pd.DataFrame({"step": range(MOST_ROWS + 7), "mae": 0.5})
    shown = make_table(long, "steps", file="all_steps.csv")
    assert len(shown["rows"]) == MOST_ROWS
    assert shown["rest"] == "The first 5,000 of 5,007 rows; all are in all_steps.csv."
    evaluation = make_evaluation("mase", 0.5, tables={"by step and target": long, "by target": long.head()})
    assert list(list_long(evaluation)) == ["all_by_step_and_target.csv"]


def test_cells_are_formatted() -> None:
    values = {"a": [1234567, 2], "b": [0.12345678, np.nan], "c": [True, False], "d": [None, "x" * 700]}
    shown = make_table(pd.DataFrame(values), "t", terms={"b": "meaning"})
    assert [column["kind"] for column in shown["columns"]] == ["number", "number", "short", "text"]
    assert shown["columns"][1]["term"] == "meaning"
    assert shown["rows"] == [("1,234,567", "0.1235", "yes", ""), ("2", "", "no", f"{'x' * 600}…")]


def test_the_glossary_has_direction_and_range() -> None:
    for name in ("accuracy", "mae", "mae_original", "mase", "f1_micro", "ece", "auroc", "r2", "coverage", "mAP"):
        term = GLOSSARY[name]
        assert term.better in (HIGHER, LOWER) or name == "coverage"
        assert term.extent, name
        assert term.sentence.endswith(".")


def test_series_that_lose() -> None:
    series = pd.DataFrame(
        {
            "series": [f"shop {index}" for index in range(20)],
            "mae": 1.0,
            "mase": np.linspace(0.5, 2, 20),
            "naive_mase": 1.0,
            "beaten_by_naive": np.linspace(0.5, 2, 20) > 1,
        }
    )
    steps = pd.DataFrame({"step": ["1", "2", "3"], "target": "all", "mae": [1.0, 3.0, 2.0], "values": 9})
    windows = pd.DataFrame({"origin": ["2024-01-01"], "mae": [4.0]})
    evaluation = make_evaluation("mase", 0.9, series=series, tables={"by step": steps}, windows=windows)
    page = render(evaluation)
    lost = page[page.index("Series that lose") : page.index("The worst steps ahead")]
    assert "13 of 20 lose against the naive forecast, the worst 10 first; all are in series.csv." in lost
    assert re.findall(r"shop \d+", lost)[:2] == ["shop 19", "shop 18"]
    worst = page[page.index("The worst steps ahead") : page.index("The worst forecasts")]
    assert re.findall(r'<th scope="row" class="short" dir="auto">(\d)</th>', worst) == ["2", "3", "1"]


def test_worst_sets_and_numbers() -> None:
    present = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]], bool)
    chosen = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 1]], bool)
    table, rows = find_worst_sets(chosen, present, np.full((3, 3), 0.5), ["a", "b", "c"], ["x", "y", "z"])
    assert rows == (1, 2)
    assert table.to_dict("list") == {
        **{"file": ["y", "z"], "true": ["a|b", "c"], "predicted": ["", "b|c"], "wrong_labels": [2, 1]}
    }
    predictions = np.zeros((3, 2, 3))
    y = np.array([[1.0, 0.0], [0.0, 50.0], [-3.0, 0.0]])
    table, rows = find_worst_numbers(predictions, y, np.array([1.0, 100.0]), ["p", "q"], [])
    assert rows == (2, 0, 1)
    assert list(table) == ["file", "p_true", "p_predicted", "p_error", "q_true", "q_predicted", "q_error"]
    assert table["p_error"].tolist() == [3.0, -1.0, 0.0]


def test_texts_are_read_again(workplace: Path) -> None:
    rows = [(f"text,\n number {index} 坏", "a" if index % 2 else "b") for index in range(30)]
    data = TextDataModule(str(write_csv(workplace / "t.csv", rows)))
    data.setup()
    places, texts = data.find_places("val"), data.find_texts("val", [2, 0])
    for place, text in zip((places[2], places[0]), texts, strict=True):
        assert text == rows[(int(place.rpartition(" ")[2].rpartition(":")[2]) - 2) // 2][0], place


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_chromium(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return get_axe(tmp_path_factory.mktemp("axe"))


@pytest.mark.slow
def test_everybody_can_read_the_pages(browser: Any, axe: str, workplace: Path) -> None:
    names = [*HOSTILE, *(f"类别 {index}" for index in range(90))]
    pictures = [Shown(picture=np.full((8, 8, 3), 200, np.uint8))] * 4
    facts = {"data": "上海.csv", "date": "today"}
    report = render(make_classes(names), samples=pictures, warnings=["something"], command="a " * 300, facts=facts)
    table = pd.DataFrame({"class": names, "train": range(len(names)), "val": 1})
    check = render_findings(Findings(tables={"classes": table}, warnings=["odd"]), source="上海.csv", description="d")
    for name, page in {"report": report, "check": check}.items():
        (workplace / f"{name}.html").write_text(page, encoding="utf-8")
        browser.get((workplace / f"{name}.html").as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(part => { part.open = true; });")
        for width, dark in ((1280, False), (390, True)):
            look(browser, width=width, dark=dark)
            assert find_violations(browser, axe) == [], (name, width, dark)
            assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth"), (name, width)


@pytest.mark.slow
def test_tables_sort_and_filter(browser: Any, workplace: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    table = pd.DataFrame({"name": [f"类 {index}" for index in range(40)], "value": np.arange(40) * 250.0 - 5})
    table.loc[3, "value"] = np.nan
    (workplace / "r.html").write_text(render(make_evaluation("mase", 1.0, tables={"own": table})), encoding="utf-8")
    browser.get((workplace / "r.html").as_uri())
    region = browser.find_element("css selector", "[aria-label=own].scroll")
    names, value = region.find_elements("css selector", ".sort")

    def column(index: int) -> list[str]:
        rows = region.find_elements("css selector", "tbody tr")
        return [row.find_elements("css selector", "th, td")[index].text for row in rows if row.is_displayed()]

    value.click()
    assert value.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    assert column(1)[:2] == ["9,745", "9,495"]
    assert column(1)[-1] == "", "cells without a value come last"
    value.send_keys(Keys.ENTER)
    assert (column(1)[:2], column(1)[-1]) == (["-5.0000", "245.0"], "")
    names.click()
    assert column(0)[:3] == ["类 0", "类 1", "类 2"], "numbers in names count as numbers"
    assert value.find_element("xpath", "..").get_attribute("aria-sort") is None
    field = browser.find_element("css selector", "input[type=search][aria-label='Filter own']")
    field.send_keys("39 类")
    assert column(0) == ["类 39"]
    assert "1 of 40 rows" in browser.page_source
