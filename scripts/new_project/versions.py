"""Versions of the template, as a git repository in one file.

Copier updates a project from the version of the template that it was made from to a later one, and needs both in a git
repository. An installation holds one version. Each project therefore keeps its own as a git bundle, a repository in a
file that Copier reads as any other: an update adds the installed version to it, and needs no network.
"""

import os
import shutil
import subprocess
from pathlib import Path

from lightfit.errors import LightFitError, MissingPackageError

TEMPLATE = Path(__file__).parent / "project-template"
BUNDLE = ".template.bundle"  # in a project
# The same commits everywhere, whatever the settings of who runs git: no signatures, hooks or line ends of theirs.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    # Whoever owns the project, as in a container: the user named it.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    **{f"GIT_{who}_NAME": "LightFit" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "lightfit@localhost" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2000-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
}


def run_git(*args: str | Path, cwd: Path, isolated: bool = True) -> str:
    """Run git and return what it printed.

    Args:
        args: the command after `git`.
        cwd: the folder to run it in.
        isolated: leave out the settings of the user and the system.

    Raises:
        MissingPackageError: git is not installed.
        LightFitError: git failed.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *map(str, args)],
            cwd=cwd,
            env=kept | (ENVIRONMENT if isolated else {}),
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
    except FileNotFoundError as error:
        raise MissingPackageError("the template is kept in git, which is not installed: install git first") from error
    if done.returncode:
        raise LightFitError(f"`git {args[0]}` failed: {' '.join(done.stderr.split())}")
    return done.stdout


def add_version(repository: Path, template: Path, version: str) -> None:
    """Commit a template as the newest version of a repository, which is made if there is none.

    Args:
        repository: a folder, empty or with the repository.
        template: the folder with copier.yml.
        version: its version, such as 0.3.0; the tag is v0.3.0.
    """
    if not (repository / ".git").exists():
        repository.mkdir(parents=True, exist_ok=True)
        run_git("init", "--quiet", "--initial-branch=main", cwd=repository)
    for path in repository.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(template, repository, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    run_git("add", "--all", "--force", cwd=repository)
    # An installation may have lost which files are programs.
    for path in repository.rglob("*"):
        if path.is_file() and ".git" not in path.relative_to(repository).parts and path.read_bytes()[:2] == b"#!":
            run_git("update-index", "--chmod=+x", path.relative_to(repository), cwd=repository)
    run_git("commit", "--quiet", "--allow-empty", f"--message=LightFit {version}", cwd=repository)
    run_git("tag", f"v{version}", cwd=repository)


def list_versions(repository: Path) -> list[str]:
    """Return the versions that a repository has, without their v."""
    return [tag.removeprefix("v") for tag in run_git("tag", "--list", cwd=repository).split()]


def write_bundle(repository: Path, path: Path) -> None:
    """Write all versions of a repository to a bundle."""
    run_git("bundle", "create", "--quiet", path, "main", "--tags", cwd=repository)


def read_bundle(path: Path, repository: Path) -> None:
    """Make a repository with all versions that a bundle holds."""
    run_git("clone", "--quiet", "--branch=main", path, repository, cwd=path.parent)
