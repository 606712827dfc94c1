"""Hooks of mkdocs: the reference reads a copy of the package, links that lead out of docs/ are kept, languages linked.

In a clone the folders of the package lie beside `lightfit/`, and `lightfit/__init__.py` finds them at run time. The
reference is made without importing anything, so it reads a copy that is arranged as an installation is.
"""

import posixpath
import re
import shutil
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("lightning_modules", "datamodules", "callbacks", "scripts")
OUTSIDE = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md", "SECURITY.md": "reporting.md"}
CHINESE = "zh/"  # the folder of docs/ with the translations, at the same paths
_copy: tempfile.TemporaryDirectory[str] | None = None


@event_priority(100)  # before mkdocstrings reads its configuration
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Arrange the package as installed, for the reference."""
    global _copy
    _copy = tempfile.TemporaryDirectory()
    package = Path(_copy.name) / "lightfit"
    only_python = shutil.ignore_patterns("__pycache__", "*.ipynb", "*.html", "*.css")
    shutil.copytree(ROOT / "lightfit", package, ignore=only_python)
    for room in ROOMS:
        shutil.copytree(ROOT / room, package / room, ignore=only_python)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [_copy.name]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand at the top of the repository, and the picture of the benchmarks."""
    for source, page in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = re.sub(r"\]\(docs/([^)]*)\)", r"](\1)", text)
        text = re.sub(
            r"\]\((\w+\.md)\)", lambda link: f"]({OUTSIDE[link[1]]})" if link[1] in OUTSIDE else link[0], text
        )
        files.append(File.generated(config, page, content=text.replace("](LICENSE)", "](license.md)")))
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    files.append(File.generated(config, "license.md", content=f"# Licence\n\n```text\n{licence}```\n"))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: object) -> str:
    """Link a page with its translation, and turn links out of docs/, which work in a clone, into names of files."""
    markdown = re.sub(
        r"\[([^\]]*)\]\((?:\.\./)+(?:scripts|benchmarks|tests|tasks|lightfit)/?[^)]*\)", r"`\1`", markdown
    )
    here = page.file.src_uri
    other = here.removeprefix(CHINESE) if here.startswith(CHINESE) else CHINESE + here
    if files.get_file_from_path(other) is None:
        return markdown
    link = posixpath.relpath(other, posixpath.dirname(here) or ".")
    languages = f"[English]({link}) | 简体中文" if here.startswith(CHINESE) else f"English | [简体中文]({link})"
    title, _, rest = markdown.lstrip().partition("\n")
    return f"{title}\n\n{languages}\n{{: data-search-exclude }}\n{rest}"


def on_post_page(output: str, page: Page, **_: object) -> str:
    """Name the language of Chinese pages, by which browsers choose the shapes of characters."""
    if page.file.src_uri.startswith(CHINESE):
        output = output.replace('<html lang="en"', '<html lang="zh-CN"', 1)
    return output


def on_post_build(**_: object) -> None:
    """Remove the copy."""
    if _copy is not None:
        _copy.cleanup()
