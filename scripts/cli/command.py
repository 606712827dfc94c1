"""The command `lightfit`, with one verb per script."""

import importlib
import sys
from difflib import get_close_matches
from pathlib import Path

from lightfit.version import VERSION

from .postponed import postpone

VERBS = {
    "check": "tell what is in your data, and what may be wrong with it",
    "fit": "train a task, or a custom preset",
    "evaluate": "score a checkpoint, on its own data or on other data",
    "predict": "predict from a checkpoint, without its data",
    "export": "write a checkpoint for other runtimes",
    "serve": "serve a checkpoint over HTTP",
    "tune": "search for good hyperparameters",
    "runs": "list runs, compare them on a page, or delete all but the best",
    "features": "draw the feature maps of one sample",
    "new": "begin a project of your own",
}
SCRIPTS = Path(__file__).resolve().parents[1]
HELP = "usage: lightfit VERB ...\n\n" + "\n".join(f"  {verb:9} {what}" for verb, what in VERBS.items())


def main(args: list[str] | None = None) -> int:
    """Run a verb with its arguments; return the exit code."""
    verb, *rest = (sys.argv[1:] if args is None else args) or ["--help"]
    if verb in ("-h", "--help"):
        print(f"{HELP}\n\n`lightfit VERB --help` explains each.")
        return 0
    if verb in ("-V", "--version"):
        print(f"lightfit {VERSION}")
        return 0
    if verb not in VERBS:
        near = get_close_matches(verb, VERBS, n=1)
        hint = f"the nearest is '{near[0]}'; " if near else ""
        print(f"error: unknown verb '{verb}'; {hint}expected one of {', '.join(VERBS)}", file=sys.stderr)
        return 2
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # custom classes, as the scripts find them
    if _is_command():
        postpone()
    return importlib.import_module(f"lightfit.scripts.{verb}").main(rest)


def program(verb: str) -> str:
    """Return the program name of a verb, for its help."""
    return f"lightfit {verb}" if _is_command() else f"{verb}.py"


def _is_command() -> bool:
    return Path(sys.argv[0]).stem == "lightfit"


def format_command(verb: str) -> str:
    """Return what to type for a verb: `lightfit VERB` if that is what runs now, otherwise the script."""
    if _is_command():
        return f"lightfit {verb}"
    return f"python {shorten_path(SCRIPTS)}/{verb}.py"


def shorten_path(path: Path) -> Path:
    """Return a path relative to the working directory if it lies below it, otherwise as it is."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
