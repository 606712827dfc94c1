"""The cache of texts depends on the tokenizer and on all the code that it imports."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lightfit import TextDataModule
from lightfit.datamodules.text.corpus import load_tokenizer

FILES = {
    "by_name.py": "from helper import split\ndef tokenize(text): return split(text)\n",
    "by_module.py": "import helper\ndef tokenize(text): return helper.split(text)\n",
    "by_package.py": "import parts.near\ndef tokenize(text): return text.split(parts.near.nearer.WORD)\n",
    "within.py": "def tokenize(text):\n    from late import lower\n    return lower(text).split()\n",
    "of_others.py": "import re, yaml\nfrom lightfit.datamodules.text import vocabulary\n"
    "def tokenize(text): return vocabulary.tokenize(text)\n",
    "helper.py": "from deeper import SEPARATOR\ndef split(text): return text.split(SEPARATOR)\n",
    "deeper.py": "SEPARATOR = ' '\n",
    "late.py": "def lower(text): return text.lower()\n",
    "other.py": "NOT = 'imported'\n",
    "parts/__init__.py": "",
    "parts/near.py": "from . import nearer\n",
    "parts/nearer.py": "from .nearest import *\n",
    "parts/nearest.py": "WORD = 'a'\n",
}
USED = {
    "by_name": {"by_name.py", "helper.py", "deeper.py"},
    "by_module": {"by_module.py", "helper.py", "deeper.py"},
    "by_package": {"by_package.py", "parts/__init__.py", "parts/near.py", "parts/nearer.py", "parts/nearest.py"},
    "within": {"within.py", "late.py"},
    "of_others": {"of_others.py"},
}


def write_modules(folder: Path) -> None:
    (folder / "parts").mkdir(parents=True)
    for name, content in FILES.items():
        (folder / name).write_text(content)


@contextmanager
def new_process(folder: Path) -> Iterator[None]:
    """Import modules from the folder as a new process would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setattr(sys, "dont_write_bytecode", True)
        importlib.invalidate_caches()
        yield
    for name in FILES:
        sys.modules.pop(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."), None)


@pytest.mark.slow
@pytest.mark.parametrize("module", USED)
def test_a_tokenizer_is_another_when_a_module_it_imports_changes(module: str, tmp_path: Path) -> None:
    def digest(folder: Path) -> str:
        with new_process(folder):
            return load_tokenizer(f"{module}.tokenize")[1]

    write_modules(tmp_path / "a")
    write_modules(tmp_path / "b" / "c")
    digests = {digest(tmp_path / "a")}
    assert digests == {digest(tmp_path / "b" / "c")}, "the same elsewhere"
    changed = set()
    for name in FILES:
        with (tmp_path / "a" / name).open("a") as file:
            file.write("# changed\n")
        if (now := digest(tmp_path / "a")) not in digests:
            changed.add(name)
        digests.add(now)
    assert changed == USED[module]


def test_a_tokenizer_is_another_in_another_release_of_what_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_modules(tmp_path / "a")
    with new_process(tmp_path / "a"):
        before = load_tokenizer("of_others.tokenize")[1]
        monkeypatch.setattr("lightfit.datamodules.text.code_digest._version", lambda top: {"yaml": "PyYAML 99"}[top])
        assert load_tokenizer("of_others.tokenize")[1] != before


@pytest.mark.parametrize("module", ["by_name", "by_module"])
def test_texts_are_read_again_when_a_helper_of_the_tokenizer_changes(
    module: str, reviews: Path, tmp_path: Path
) -> None:
    def words() -> tuple[list[str], list[int]]:
        with new_process(tmp_path / "a"):
            data = TextDataModule(str(reviews), tokenizer=f"{module}.tokenize")
            data.setup()
            return data.codec.vocabulary.itos, data.codec.encode(["a bad film, number"])[0].tolist()

    write_modules(tmp_path / "a")
    first, _ = words()
    assert "film," in first
    (tmp_path / "a" / "deeper.py").write_text("SEPARATOR = 'film'\n")
    second, ids = words()
    assert second[ids[0]] == "a bad ", "the vocabulary's words are those of the tokenizer"
