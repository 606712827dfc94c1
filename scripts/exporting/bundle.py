"""A folder with an exported net and all that runs it: a program, its requirements, a Dockerfile and a README."""

import ast
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from lightfit.errors import UsageError

MODEL, REQUIREMENTS, DOCKERFILE, README = "model.onnx", "requirements.txt", "Dockerfile", "README.md"
FILES = frozenset({MODEL, REQUIREMENTS, DOCKERFILE, README})
NAMES_SHOWN = 100  # of classes in the README; the model has all
SAMPLES = {"text": '"A text"', "images": "picture.jpg", "series": "table.csv"}


def check_folder(path: Path, *, overwrite: bool) -> None:
    """Check that a bundle can be written at a path.

    Raises:
        UsageError: something is there that may not be replaced, or the folder around it does not exist.
    """
    if not path.absolute().parent.is_dir():
        raise UsageError(
            f"no folder '{path.absolute().parent}' to write '{path.name}' into: create it, or choose another path"
        )
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"'{path}' is a file: expected the name of a folder to write")
    names = sorted(own.name for own in path.iterdir())
    if strange := [
        name for name in names if name not in FILES and not (name.startswith("onnx_") and name[-3:] == ".py")
    ]:
        raise UsageError(
            f"the folder '{path}' holds '{strange[0]}', so it is no bundle to replace: choose another name"
        )
    if names and not overwrite:
        raise UsageError(f"'{path}' already exists: choose another name, or replace it with --overwrite")


def list_requirements(program: Path) -> list[str]:
    """Return the packages that a program imports, with the versions that are installed here."""
    modules = set[str]()
    for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(str(node.module).partition(".")[0])
    names = {_find_distributions()[module][0] for module in modules - sys.stdlib_module_names}
    # A local part of a version, such as +cpu, is not on the index.
    return sorted(f"{name}=={version(name).partition('+')[0]}" for name in names)


@cache
def _find_distributions() -> Mapping[str, list[str]]:
    """Return the installed packages by the modules that they bring; it reads all of them, which takes a second."""
    return packages_distributions()


def fill_folder(folder: Path, program: Path, known: dict[str, Any], checked: Sequence[str]) -> None:
    """Write all but the model into a folder that has it.

    Args:
        folder: the folder, with the ONNX file.
        program: the example program for the model.
        known: the metadata in the ONNX file.
        checked: what the comparison with the checkpoint found, in lines.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copyfile(program, folder / program.name)
    x, y = _describe_tensors(folder / MODEL)
    texts = {
        REQUIREMENTS: list_requirements(program),
        DOCKERFILE: [
            f"FROM python:{python}-slim",
            "WORKDIR /model",
            f"COPY {REQUIREMENTS} .",
            f"RUN pip install --no-cache-dir -r {REQUIREMENTS}",
            f"COPY {MODEL} {program.name} ./",
            "USER nobody",
            f'ENTRYPOINT ["python", "{program.name}", "{MODEL}"]',
        ],
        README: list(describe_bundle(program.name, python, known, x, y, checked)),
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join([*lines, ""]), encoding="utf-8")


def _describe_tensors(model: Path) -> list[str]:
    """Return dtype and sizes of the input and of the output of an ONNX file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return [
        f"{'float32' if found.type == 'tensor(float)' else found.type[7:-1]} ({', '.join(map(str, found.shape))})"
        for found in (*session.get_inputs(), *session.get_outputs())
    ]


def describe_bundle(
    program: str, python: str, known: dict[str, Any], x: str, y: str, checked: Sequence[str]
) -> Iterator[str]:
    """Yield the lines of the README: how to run the model, what it takes and what it gives.

    Args:
        program: name of the program.
        python: version of Python that it was written with.
        known: the metadata in the ONNX file.
        x: dtype and sizes of the net's input.
        y: dtype and sizes of its output.
        checked: what the comparison with the checkpoint found, in lines.
    """
    domain = known["domain"]
    sample, target = SAMPLES[domain], known.get("target") or {}
    mount = "" if domain == "text" else ' -v "$PWD:/data:ro"'
    inside = sample if domain == "text" else f"/data/{sample}"
    yield from (f"# A model of {domain}, by LightFit {known['lightfit']}", "", "## Run it", "")
    yield from (f"With Python {python} (`pip install -r {REQUIREMENTS}`), in this folder:", "")
    yield from ("```bash", f"python {program} {MODEL} {sample}", "```", "", "Or in a container:", "")
    yield from ("```bash", "docker build -t model .", f"docker run --rm{mount} model {inside}", "```", "")
    yield from (f"`{program}` is a short program to copy from: `prepare` makes the input of the net.", "")
    yield from ("## Inputs", "", *_describe_inputs(known, x), "", "## Outputs", "", *_describe_outputs(known, y), "")
    if names := target.get("names"):
        title = {"classes": "Classes", "multi_label": "Labels", "numbers": "Numbers"}[target["kind"]]
        yield from (f"## {title}", "", f"{len(names)}, in the order of the outputs, as JSON:", "", "```json")
        yield from (json.dumps(name, ensure_ascii=False) for name in names[:NAMES_SHOWN])
        yield "```"
        if len(names) > NAMES_SHOWN:
            yield from ("", f"And {len(names) - NAMES_SHOWN} more, in the metadata of `{MODEL}` under `lightfit`.")
        yield ""
    yield from ("## Compared with the checkpoint", "", "```text", *checked, "```")


def _describe_inputs(known: dict[str, Any], x: str) -> Iterator[str]:
    """Yield what the program and the net take; `x` says dtype and sizes of the net's input."""
    if known["domain"] == "text":
        cut = f", of which the first {known['max_len']:,} words count" if known["max_len"] else ""
        yield f"The program takes texts{cut}."
        yield f"The net takes `x`, {x}: ids of words, or of n-grams, padded with {known['pad']}."
    elif known["domain"] == "images":
        yield "The program takes files of images, of any size."
        yield f"The net takes `x`, {x}: (image, channel, row, column), scaled by `mean` and `std` of the metadata."
    else:
        roles = known["roles"]
        columns = [name for own in ("time", "series_id", "targets", "past", "known", "static") for name in roles[own]]
        yield "The program takes a CSV with a row for each step, in the order of time, and these columns, as JSON:"
        yield from ("", "```json", json.dumps(columns, ensure_ascii=False), "```", "")
        if roles["known"]:
            yield f"What is known ahead goes on for {known['horizon']:,} more rows, without targets."
        yield f"The net takes `x`, {x}: (window, step, column), scaled."


def _describe_outputs(known: dict[str, Any], y: str) -> Iterator[str]:
    """Yield what the net and the program give; `y` says dtype and sizes of the net's output."""
    yield f"The net gives `y`, {y}."
    kind = (known.get("target") or {}).get("kind")
    if kind == "classes":
        yield "That is a probability for each class; the program prints the likeliest."
    elif kind == "multi_label":
        yield "That is a probability for each label, and the threshold from which on it counts; the program prints the"
        yield "labels that reach theirs."
    elif kind == "numbers":
        yield "That is each number with the ends of its 90 % interval, scaled by `mean` and `std` of the metadata;"
        yield "without an interval, the low end lies above the high one. The program prints them unscaled."
    else:
        levels = ", ".join(f"{level:g}" for level in known["quantiles"])
        last = f", and the quantiles {levels}" if levels else ""
        yield f"That is a forecast for each of {known['horizon']:,} steps and each target{last}, scaled. The"
        yield "program prints them in the units of the table, of quantiles the middle one."
