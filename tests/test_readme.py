"""README: its first commands, its length and picture; versions that are written in several places."""

import re
import sys

import pytest
import yaml
from packaging.requirements import Requirement
from pages import ROOT, find_commands
from PIL import Image

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from lightfit.version import VERSION

README = ROOT / "README.md"
if not README.is_file():
    pytest.skip("installed, not checked out", allow_module_level=True)
READMES = ("README.md", "README.zh-CN.md")


def test_first_two_commands_set_everything_up() -> None:
    train, test = find_commands("README.md")[:2]
    assert train.endswith("scripts/fit.py --task imdb")
    assert test.endswith("-m pytest")
    assert all(command.startswith("python3 -m venv .venv && .venv/bin/pip install") for command in (train, test))


@pytest.mark.parametrize("readme", READMES)
def test_readme_is_short_and_begins_with_a_picture_of_a_run(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    first_screen = text.split("\n## ")[0].splitlines()
    assert len(first_screen) <= 36
    assert [name for name in READMES if f"]({name})" in first_screen[2]] == [name for name in READMES if name != readme]
    assert sum(line.startswith("![") for line in first_screen) == 1
    assert sum(line.startswith("python scripts/fit.py --task") for line in first_screen) == 3
    picture = ROOT / re.findall(r"!\[[^]]*\]\((docs/images/\w+\.png)\)", text)[0]
    assert picture.stat().st_size < 200_000
    with Image.open(picture) as image:
        assert image.width > 1000


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == VERSION
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = dict(re.findall(r"^## \[([\d.]+)\] - ([\d-]+)$", changelog, re.MULTILINE))
    assert next(iter(released)) == VERSION, "the newest release of CHANGELOG.md"
    assert str(citation["date-released"]) == released[VERSION]
    assert list(released) == sorted(released, reverse=True)


def test_the_lock_file_has_what_is_needed_with_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.MULTILINE):
        locked.setdefault(name.lower(), set()).add(version)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in map(Requirement, project["dependencies"]):
        versions = locked[requirement.name.lower()]
        assert all(requirement.specifier.contains(version) for version in versions), requirement
    entries = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in lock
