"""The benchmarks' own arithmetic; what they measure is measured by `python benchmarks/run.py`."""

import sys
from pathlib import Path

import pytest

from benchmarks import figures, run
from benchmarks.contenders import Contender, run_once
from benchmarks.figures import Figure, figure, line, load, moved, save, table, write_page
from benchmarks.timing import Spread, alternate, difference, ratio, spread
from lightfit.scripts.cli.presets import TASKS

ROOT = TASKS.parent
FIGURE = figure("q", "ours", "theirs", Spread(3.0, 2.5, 3.5), "times faster", rounds=5, target=">= 2")


def test_contenders_take_turns_after_a_warm_up() -> None:
    calls: list[str] = []

    def contender(name: str, took: float) -> float:
        calls.append(name)
        return took * len(calls)

    times = alternate({"a": lambda: contender("a", 2.0), "b": lambda: contender("b", 1.0)}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert times == {"a": [6.0, 10.0], "b": [4.0, 6.0]}
    assert ratio(times, "a", "b") == Spread((1.5 + 10 / 6) / 2, 1.5, 10 / 6)
    assert difference(times, "a", "b") == Spread(3.0, 2.0, 4.0)
    assert spread([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize(("target", "met"), [(">= 3", True), (">= 3.1", False), ("<= 2.9", False), ("", None)])
def test_a_target_is_met_or_not(target: str, met: bool | None) -> None:
    assert FIGURE._replace(target=target).met is met
    assert ("NOT met" in line(FIGURE._replace(target=target))) is (met is False)
    assert ("**not met**" in table([FIGURE._replace(target=target)])) is (met is False)


def test_what_moved_beyond_its_spread_is_named() -> None:
    assert moved([FIGURE._replace(low=3.4, high=9.0)], [FIGURE]) == []
    (sentence,) = moved([FIGURE._replace(value=4.0, low=3.6, high=9.0)], [FIGURE])
    assert sentence == "q: ours, against theirs: 4 (3.6 to 9) times faster, before 3 (2.5 to 3.5)"
    assert moved([FIGURE._replace(ours="new", low=9.0, high=9.0)], [FIGURE]) == []


def test_page_and_results_are_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{figures.BEGIN}\nold\n{figures.END}\nafter\n")
    write_page([FIGURE], ["2 cores.", "gpu: not run."], page)
    text = page.read_text()
    assert "| q | ours | theirs | 3 (2.5 to 3.5) times faster | ≥ 2 | 5 |" in text
    assert "2 cores.\ngpu: not run." in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    save([FIGURE], ["2 cores."], tmp_path / "results.json")
    assert load(tmp_path / "results.json") == ([FIGURE], ["2 cores."])


def test_the_table_of_the_page_is_the_one_that_was_kept() -> None:
    found, remarks = load()
    assert {item.question for item in found} == set(run.QUESTIONS) - {"gpu"}, "run.py wrote all but the GPU's"
    page = figures.PAGE.read_text(encoding="utf-8")
    assert table(found) in page
    assert all(remark in page for remark in remarks)


def test_contenders_in_processes_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom benchmarks.contenders import answer\n"
        "print('noise')\nanswer(lambda: 1.5) if sys.argv[1] == 'serve' else print(3, 4.5)"
    )
    contender = Contender(str(file), "serve")
    assert [contender(), contender()] == [1.5, 1.5]
    contender.close()
    ended = Contender(str(file), "end")
    with pytest.raises(RuntimeError, match=r"one.py', 'end'\] ended without an answer"):
        ended()
    ended.close()
    assert run_once(file, "once") == [3.0, 4.5]


def test_check_fails_where_a_figure_moved(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(run, "PEERS", ())
    monkeypatch.setattr(run, "load", lambda: ([FIGURE], []))
    for now, code, said in ((3.2, 0, "none has moved"), (1.0, 1, "q: ours, against theirs: 1 (1 to 1)")):
        item = FIGURE._replace(value=now, low=now, high=now)
        monkeypatch.setattr(run, "ask", lambda question, item=item: [item, "a remark"])
        assert run.main(["--check", "--only", "loop"]) == code
        assert said in capsys.readouterr().out


def test_peers_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(run, "PEERS", ("torch", "no_such_package"))
    with pytest.raises(SystemExit):
        run.main([])
    assert "without no_such_package there is nothing to compare with: pip install" in capsys.readouterr().err


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = pytest.importorskip("benchmarks.gpu")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [item.split(",")[0] for item in gpu.measure()] == ["gpu: not run"]
    assert sys.modules["benchmarks.gpu"] is gpu


def test_every_question_is_a_file() -> None:
    assert all((ROOT / "benchmarks" / f"{question}.py").is_file() for question in run.QUESTIONS)
    assert isinstance(FIGURE, Figure)
