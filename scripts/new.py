"""Begin a project of your own that uses LightFit: `python scripts/new.py my-project --domain text`."""

import argparse
import shlex
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import UsageError
from lightfit.scripts.cli.command import program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.new_project.names import choose_names
from lightfit.scripts.new_project.project import create_project, update_project
from lightfit.version import VERSION

DOMAINS = ("images", "text", "series", "own")
LICENCES = ("apache-2.0", "mit", "bsd-3", "none")


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        program("new"),
        description="Write a small project that uses the installed LightFit: a net, its data, a preset, tests, a "
        "notebook and CI. It trains and tests at once, on data that it makes.",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the folder to make; the package gets its name")
    parser.add_argument(
        "--domain", choices=DOMAINS, default="own", help="what it trains on; own: another raw format (default: own)"
    )
    parser.add_argument("--licence", choices=LICENCES, default="none", help="of the project (default: none)")
    parser.add_argument("--package", metavar="NAME", help="the name of the package, if not that of the folder")
    parser.add_argument("--overwrite", action="store_true", help="replace the files of a project that exists")
    parser.add_argument(
        "--update", action="store_true", help="bring the project NAME (default: here) to this LightFit's template"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors")
    options = parser.parse_args(args)
    return exit_code(lambda: (update if options.update else create)(options), debug=options.debug)


def create(options: argparse.Namespace) -> None:
    """Write the project and print what to type next.

    Raises:
        UsageError: there is no name, or it cannot be used.
    """
    if not options.name:
        raise UsageError("expected the NAME of the project, such as `lightfit new my-project --domain text`")
    folder = Path(options.name)
    names = choose_names(folder.absolute(), options.package)
    count = create_project(folder, names, domain=options.domain, licence=options.licence, overwrite=options.overwrite)
    print(f"{count} files in {folder}: the package {names.package}, which uses LightFit {VERSION}")
    print("to train and test it:")
    print(f"  cd {shlex.quote(str(folder))}")
    print("  python make_data.py")
    print(f"  lightfit fit --task tasks/{names.package}.yaml")
    print("  python -m pytest")


def update(options: argparse.Namespace) -> None:
    """Update the project and print what is left to do."""
    folder = Path(options.name or ".")
    before, conflicts = update_project(folder)
    if before == VERSION:
        print(f"the template of '{folder}' is of this LightFit, {VERSION}, already")
        return
    print(f"the template of '{folder}' was of LightFit {before} and is of {VERSION}: see `git diff`, test, and commit")
    if conflicts:
        print(f"conflicts to solve, marked in the files: {', '.join(conflicts)}")


if __name__ == "__main__":
    sys.exit(main())
