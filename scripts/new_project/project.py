"""Write a project from the template, and update it to a later version of the template."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightfit.errors import LightFitError, MissingPackageError, UsageError
from lightfit.extras import importing_extra
from lightfit.version import VERSION

from .names import ProjectNames
from .versions import BUNDLE, TEMPLATE, add_version, list_versions, read_bundle, run_git, write_bundle

ANSWERS = ".copier-answers.yml"
CONFLICT = "<<<<<<< before updating"  # Copier's mark in a file


def create_project(folder: Path, names: ProjectNames, *, domain: str, licence: str, overwrite: bool = False) -> int:
    """Write a project and return how many files it has.

    Args:
        folder: where to; files of other names that are there stay.
        names: of the project.
        domain: images, text, series or own.
        licence: apache-2.0, mit, bsd-3 or none.
        overwrite: replace files that exist.

    Raises:
        UsageError: something is there, and `overwrite` is not set.
        MissingPackageError: Copier or git is not installed.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{folder}' is a file: expected the name of a folder to make")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise UsageError(
            f"'{folder}' exists and is not empty: give another NAME, or --overwrite to replace the files of a project; "
            "other files stay"
        )
    copier = _import_copier()
    with tempfile.TemporaryDirectory() as scratch:
        repository, project = Path(scratch, "template"), Path(scratch, "project")
        add_version(repository, TEMPLATE, VERSION)
        project.mkdir()
        write_bundle(repository, project / BUNDLE)
        answers = {**names._asdict(), "domain": domain, "licence": licence}
        with _inside(project):  # the source is recorded as given: relative to the project, wherever it lies
            copier.run_copy(BUNDLE, ".", data=answers, vcs_ref=f"v{VERSION}", defaults=True, overwrite=True, quiet=True)
        shutil.copytree(project, folder, dirs_exist_ok=True)
        return sum(path.is_file() for path in project.rglob("*"))


def update_project(folder: Path) -> tuple[str, list[str]]:
    """Bring a project to the installed version of the template; what it changed itself stays.

    Copier works on a copy, so that nothing has changed where it fails.

    Args:
        folder: the project.

    Returns:
        The version before, and the files with conflicts that are left to solve.

    Raises:
        UsageError: the folder is no project of `lightfit new`, is not in git, has changes that are not committed, or is
            of a later LightFit.
        MissingPackageError: Copier or git is not installed.
    """
    for name in (ANSWERS, BUNDLE):
        if not (folder / name).is_file():
            raise UsageError(f"'{folder}' has no {name}: expected the folder of a project that `lightfit new` made")
    copier = _import_copier()
    import yaml  # here, as `lightfit new --help` imports this file

    folder = folder.resolve()
    if not _is_committed(folder):
        raise UsageError(
            f"'{folder}' has changes that are not committed, or is not in git, so that an update could not be undone: "
            'git init && git add -A && git commit -m "Before the update"'
        )
    top = Path(run_git("rev-parse", "--show-toplevel", cwd=folder, isolated=False).strip()).resolve()
    with tempfile.TemporaryDirectory() as scratch:
        repository, copy = Path(scratch, "template"), Path(scratch, "project")
        before = str(yaml.safe_load((folder / ANSWERS).read_text(encoding="utf-8"))["_commit"]).removeprefix("v")
        if before == VERSION:
            return before, []
        read_bundle(folder / BUNDLE, repository)
        if VERSION in list_versions(repository):
            raise UsageError(f"'{folder}' is of LightFit {before}, and {VERSION} is installed: install a later one")
        add_version(repository, TEMPLATE, VERSION)
        run_git("clone", "--quiet", top, copy, cwd=top)
        project = copy / folder.relative_to(top)
        (project / BUNDLE).unlink()
        write_bundle(repository, project / BUNDLE)
        run_git("commit", "--quiet", "--all", f"--message=LightFit {VERSION}", cwd=copy)
        with _inside(project):
            try:
                copier.run_update(
                    ".", vcs_ref=f"v{VERSION}", defaults=True, overwrite=True, quiet=True, conflict="inline"
                )
            except copier.errors.UserMessageError as error:  # such as a project of a later LightFit
                raise UsageError(f"'{folder}' cannot be updated: {error}") from error
        run_git("add", "--all", cwd=copy)
        changes = Path(scratch, "changes.patch")
        run_git("diff", "--cached", "--binary", f"--output={changes}", "origin/HEAD", cwd=copy)
        run_git("apply", "--whitespace=nowarn", changes, cwd=top, isolated=False)
    return before, _find_conflicts(folder)


def _import_copier() -> Any:
    with importing_extra("`lightfit new`", extra="new"):
        import copier.errors
    return copier


def _is_committed(folder: Path) -> bool:
    """Return whether all of a folder is committed in git."""
    try:
        return not run_git("status", "--porcelain", "--", ".", cwd=folder, isolated=False).strip() and bool(
            run_git("ls-files", "--", ANSWERS, cwd=folder, isolated=False)
        )
    except MissingPackageError:
        raise
    except LightFitError:  # no repository
        return False


def _find_conflicts(folder: Path) -> list[str]:
    names = run_git("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=folder, isolated=False)
    files = [folder / name for name in names.split("\0") if (folder / name).is_file()]
    marked = [path for path in files if CONFLICT.encode() in path.read_bytes()]
    return [path.relative_to(folder).as_posix() for path in marked]


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
