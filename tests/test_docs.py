"""README and the pages of docs/ hold: commands and programs run, names exist, links lead somewhere, figures agree."""

import importlib
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl
import yaml
from conftest import make_images, make_reviews, make_series, write_csv
from pages import ROOT, Reader, environment, find_blocks, find_commands, find_flags, list_pages, read_page
from PIL import Image
from test_custom_data import make_waves

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

import lightfit
from lightfit import callbacks, datamodules
from lightfit.lightning_modules import nets
from lightfit.scripts.cli.command import VERBS
from lightfit.scripts.cli.help import HELP
from lightfit.scripts.cli.presets import TASKS, find_task_names
from lightfit.scripts.tuning.space import read_space

if not (ROOT / "README.md").is_file():
    pytest.skip("installed, not checked out", allow_module_level=True)
PAGES = list_pages()
ENGLISH = [page for page in PAGES if "zh" not in page]
TRANSLATED = [
    (page, other)
    for page in ENGLISH
    for other in ("README.zh-CN.md" if page == "README.md" else page.replace("docs/", "docs/zh/", 1),)
    if other != page and (ROOT / other).is_file()
]
WITH_BLOCKS = [page for page in ENGLISH if any(block.language in ("bash", "python") for block in find_blocks(page))]
GROUPS = ("model", "data", "trainer", "checkpoint")
HEADING = re.compile(r"^#+ (.*)", re.MULTILINE)


def make_data() -> None:
    """Write what pages call your own data: small, and learned in seconds."""
    write_csv(Path("reviews.csv"), make_reviews())
    write_csv(Path("other.csv"), make_reviews(20), ("review", "label"))
    write_csv(Path("tickets.csv"), make_reviews(), ("text", "urgency"))
    Path("lines.txt").write_text("a great film\nan awful film\n")
    make_images(Path("photos"))
    Path("pictures").mkdir()
    Path("pets").mkdir()
    for index, path in enumerate(sorted(Path("photos").rglob("*.png"))):
        Image.open(path).save(f"pictures/{path.parent.name}.{index}.jpg")
        Image.open(path).save(f"pets/{'cat' if path.parent.name == 'dark' else 'dog'}.{index}.jpg")
    shutil.copy("pictures/bright.0.jpg", "picture.jpg")
    shutil.copy("pictures/dark.20.jpg", "other.jpg")
    names = sorted(path.name for path in Path("pictures").glob("*.jpg"))
    pd.DataFrame({"image": names, "label": [name.split(".")[0] for name in names]}).to_csv("train.csv", index=False)
    make_series().to_csv("series.csv", index=False)
    days = np.arange(400)
    promo = (days % 10 == 0).astype(int)
    units = 100 + 10 * np.sin(2 * np.pi * days / 7) + 30 * promo + np.random.default_rng(0).normal(0, 1, 400)
    dates = pd.date_range("2024-01-01", periods=400).strftime("%Y-%m-%d")
    sales = pd.DataFrame({"date": dates, "units": units.round(1), "promo": promo})
    sales[:372].to_csv("sales.csv", index=False)
    sales.assign(units=sales["units"].where(sales.index < 372)).to_csv("plan.csv", index=False)
    Path("data").mkdir()
    for name, count in (("train", 40), ("valid", 12)):
        rows = (f"{index % 2}\ta {('bad', 'good')[index % 2]} film, number{index}\n" for index in range(count))
        Path(f"data/{name}.tsv").write_text("".join(rows))
    make_waves("waves")
    make_waves("other_waves", num_waves=6, first=100)
    shutil.copy("waves/000.npy", "new.npy")


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_BLOCKS)
@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_what_the_page_says_runs(
    page: str, trained: Callable[[str], str], workplace: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_data()
    monkeypatch.syspath_prepend(str(workplace))
    for name in ("mine", "model", "plain", "waves"):  # files that readers save
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("LIGHTFIT_CACHE", str(workplace / "cache"))
    Reader(trained, capsys).read(find_blocks(page))


@pytest.mark.slow
def test_ray_train_runs(reviews: Path) -> None:
    pytest.importorskip("ray.train", reason="Ray is not installed: pip install 'lightfit[ray]'")
    (program,) = (block for block in find_blocks("docs/how_to/several_machines.md") if block.title == "train_ray.py")
    Path("train_ray.py").write_text(program.text)
    run = subprocess.run(
        [sys.executable, "train_ray.py"], capture_output=True, text=True, timeout=300, env=environment()
    )
    assert run.returncode == 0, run.stderr
    assert "val_accuracy" in run.stdout + run.stderr


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'lightfit[docs]'")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "LightModel" in (tmp_path / "site" / "reference" / "models" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_commands_name_scripts_and_tasks_that_exist(page: str) -> None:
    titles = {block.title for block in find_blocks(page)} | {"waves.yaml", "plain.yaml"}
    for command in find_commands(page):
        for script in re.findall(r"(?:scripts|benchmarks)/[\w/]+\.py", command):
            assert (ROOT / script).is_file(), command
        words = shlex.split(command)
        for name in (after for word, after in pairwise(words) if word == "--task"):
            known = name in find_task_names() or name in titles or name.startswith("runs/")
            assert known, command
        if words[0] == "lightfit":
            assert words[1] in {*VERBS, "new", "--version"}, command


def test_every_block_has_a_language_that_says_whether_it_runs() -> None:
    for page in PAGES:
        languages = {block.language for block in find_blocks(page)}
        assert languages <= {"bash", "python", "yaml", "text", "ini", "nginx"}, page
        assert read_page(page).count("```") == 2 * len(find_blocks(page)), f"{page}: a block without a language"


def test_flags_exist(capsys: pytest.CaptureFixture[str]) -> None:
    known = set(re.findall(r"--\w+", HELP)) | {"--seed_everything", "--config", "--version"}
    for verb in VERBS:
        if verb != "fit":
            with pytest.raises(SystemExit):
                importlib.import_module(f"lightfit.scripts.{verb}").main(["--help"])
            known |= set(re.findall(r"--\w+", capsys.readouterr().out))
    known |= set(re.findall(r'"(--\w+)"', (ROOT / "benchmarks" / "run.py").read_text(encoding="utf-8")))
    with pytest.raises(SystemExit):
        importlib.import_module("lightfit.scripts.runs").main(["prune", "--help"])
    known |= set(re.findall(r"--\w+", capsys.readouterr().out))
    known |= {"--domain", "--update"}  # of `lightfit new`
    arguments: set[str] = set(inspect.signature(pl.Trainer.__init__).parameters) | {"help", "init_args", "class_path"}
    for room in (lightfit, callbacks, datamodules, nets):
        for item in (getattr(room, name) for name in room.__all__):
            if inspect.isclass(item) and not issubclass(item, Exception):
                arguments |= set(inspect.signature(item).parameters)
    arguments |= set(inspect.signature(pl.callbacks.ModelCheckpoint).parameters)
    for flag, page in find_flags(PAGES):
        first, *rest = flag.rstrip(".").split(".")
        if first.lstrip("-") in GROUPS:
            assert set(rest) <= arguments, f"{page}: {flag}"
        else:
            assert first in known, f"{page}: {flag}"


def test_presets_of_pages_are_read() -> None:
    tickets = next(block for block in find_blocks("docs/how_to/custom_task.md") if block.title == "tickets.yaml")
    assert set(yaml.safe_load(tickets.text)) == {"model", "data", "trainer"}
    space = next(block for block in find_blocks("docs/after_training.md") if block.title == "space.yaml")
    Path("space.yaml").write_text(space.text)
    assert set(read_space(Path("space.yaml"))) == {"model.lr", "data.batch_size"}


def test_every_guarantee_names_its_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    rows = [line for line in read_page("docs/guarantees.md").splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 20
    for row in rows:
        names = re.findall(r"`(test_\w+)`", row)
        assert names, row
        assert [name for name in names if f"def {name}(" not in tests] == []


@pytest.mark.parametrize("page", [page for page in PAGES if "| `imdb_cnn` |" in read_page(page)])
@pytest.mark.parametrize("task", find_task_names())
def test_tables_have_the_results_of_the_presets(task: str, page: str) -> None:
    result = (TASKS / f"{task}.yaml").read_text(encoding="utf-8").splitlines()[3]
    row = next(line for line in read_page(page).splitlines() if line.startswith(f"| `{task}` |"))
    assert [score for score in re.findall(r"0\.\d{3,4}", result) if score not in row] == []


def test_readme_and_the_page_of_tasks_have_the_results() -> None:
    assert {"README.md", "docs/tasks.md"} <= {page for page in PAGES if "| `imdb_cnn` |" in read_page(page)}


@pytest.mark.parametrize("page", [page for page in PAGES if "](" in read_page(page)])
def test_links_lead_to_files_and_headings(page: str) -> None:
    path = ROOT / page
    text = re.sub(r"```.*?```", "", read_page(page), flags=re.DOTALL)
    for file, heading in re.findall(r"\]\(<?([^)#>]*)>?(?:#([^)]*))?\)", text):
        if file.startswith("http"):
            continue
        made = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md", "reporting.md": "SECURITY.md"}
        linked = path.parent / file if file else path
        linked = ROOT / made[linked.name] if not linked.exists() and linked.name in made else linked
        assert linked.exists(), file
        if heading:
            titles = HEADING.findall(linked.read_text(encoding="utf-8"))
            slugs = [re.sub(r"[^\w\s-]", "", title.lower()).strip().replace(" ", "-") for title in titles]
            assert heading in slugs, f"{file}#{heading}"


@pytest.mark.parametrize("public", [lightfit, callbacks, datamodules, nets], ids=lambda module: module.__name__)
def test_reference_has_every_public_name(public: Any) -> None:
    shown = "".join(read_page(page) for page in PAGES if page.startswith("docs/reference/"))
    names = {name for name in public.__all__ if not name.startswith("__")}
    assert {
        name for name in names if not re.search(rf"^::: lightfit\.(?:[\w.]+\.)?{name}$", shown, re.MULTILINE)
    } == set()


def test_readme_index_and_tutorials_are_translated() -> None:
    tutorials = {page for page in ENGLISH if page.startswith("docs/tutorials/")}
    assert {"README.md", "docs/index.md", *tutorials} <= {page for page, _ in TRANSLATED}
    assert {other for _, other in TRANSLATED} == set(PAGES) - set(ENGLISH), "a translation without its page"


def test_the_page_on_installing_has_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    rows = [line.split("|")[1] for line in read_page("docs/install.md").splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == {*extras, "new"}


@pytest.mark.parametrize(("page", "other"), TRANSLATED)
def test_translations_have_the_same_code_names_and_figures(page: str, other: str) -> None:
    assert read_code(other) == read_code(page)
    prose, translated = (re.sub(r"```.*?```", "", read_page(each), flags=re.DOTALL) for each in (page, other))
    names, figures, layout = r"`([^`\n]+)`", r"\d+(?:[.,]\d+)+|\d{2,}", r"(?m)^#+ |^- |^\|"
    assert set(re.findall(names, translated)) == set(re.findall(names, prose))
    assert sorted(re.findall(figures, translated)) == sorted(re.findall(figures, prose))
    assert re.findall(layout, translated) == re.findall(layout, prose)


def read_code(page: str) -> list[tuple[str, str | None, str]]:
    """Return the blocks of a page without comments, which are translated."""
    return [
        (block.language, block.title, block.text if block.language == "text" else re.sub(r"\s*#.*", "", block.text))
        for block in find_blocks(page)
    ]


@pytest.mark.parametrize("page", [other for _, other in TRANSLATED])
def test_chinese_is_set_with_its_punctuation_and_with_blanks_around_latin_words(page: str) -> None:
    prose = re.sub(r"```.*?```", "", read_page(page), flags=re.DOTALL)
    seen = re.sub(r"\]\([^)]*\)", "", prose).replace("[", "").replace("**", "")
    assert re.findall(r".?[\u4e00-\u9fff][,;:!?.()].?", seen) == []
    assert re.findall(r"[\u4e00-\u9fff][A-Za-z0-9`]|[A-Za-z0-9`][\u4e00-\u9fff]", seen) == []
    assert re.findall(r"[\u3000-\u9fff\uff00-\uffef]\n[\u3000-\u9fff]", seen) == [], "a line end is shown as a blank"
