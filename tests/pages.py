"""The commands and programs of README and docs/: found, and run in order as a reader would type them."""

import contextlib
import glob
import importlib
import os
import re
import runpy
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import pytest

from lightfit.scripts.cli.presets import TASKS

ROOT = TASKS.parent
FENCE = re.compile(
    r"(?P<notes>(?:<!--[^>]*-->\n)*)```(?P<language>\w+)(?P<options>[^\n]*)\n(?P<text>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
# What a reader has to have, and a test has not: packages to install, other machines, a browser.
OUTSIDE = ("python3 -m venv", "pip", "source", "tensorboard", "copier", "lightfit new", "cd", "mkdocs", "ruff", ".ci/")
SERVER_S = 120.0  # until a server answers
EPOCHS = ("--trainer.max_epochs", "2")  # of a fit that names no number, which would take minutes
PRINT_ONLY = {"--list", "--help", "--help_all", "--print_config"}


class Block(NamedTuple):
    """A fenced block of a page.

    `title` is the file that a reader saves it as, `why_not_run` why no test runs it, and `checkpoint` the kind of data
    that the checkpoint `CKPT` was trained on.
    """

    language: str
    text: str
    title: str | None
    why_not_run: str | None
    checkpoint: str | None

    @property
    def commands(self) -> list[str]:
        """Return its lines without comments."""
        lines = [line.split(" #")[0].strip() for line in self.text.splitlines()]
        return [line for line in lines if line and not line.startswith("#")]


def list_pages() -> list[str]:
    """Return the pages: README, in each language, and all below docs/."""
    tops = [path for path in ROOT.glob("*.md") if path.name.startswith("README") or path.name == "CONTRIBUTING.md"]
    return sorted(path.relative_to(ROOT).as_posix() for path in [*tops, *(ROOT / "docs").rglob("*.md")])


def read_page(page: str) -> str:
    """Read a page, with the files that it includes."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(
        r'^--8<-- "([^"]+)"$', lambda found: (ROOT / found[1]).read_text("utf-8").rstrip(), text, flags=re.MULTILINE
    )


def find_blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    blocks = []
    for found in FENCE.finditer(read_page(page)):
        notes = dict(re.findall(r"<!-- (not run|CKPT): ([^>]*) -->", found["notes"]))
        title = re.search(r'title="([^"]+)"', found["options"])
        blocks.append(
            Block(
                found["language"], found["text"], title[1] if title else None, notes.get("not run"), notes.get("CKPT")
            )
        )
    return blocks


def find_commands(page: str) -> list[str]:
    """Return all commands of a page."""
    return [command for block in find_blocks(page) if block.language == "bash" for command in block.commands]


class Reader:
    """Runs the blocks of a page in the working directory, in order.

    Args:
        trained: from a kind of data to the checkpoint of a run on it, in the working directory.
        capsys: to read what commands print.
    """

    def __init__(self, trained: Any, capsys: pytest.CaptureFixture[str]) -> None:
        self.trained = trained
        self.capsys = capsys
        self.names: dict[str, Any] = {"__name__": "program"}
        self.variables: dict[str, str] = {}
        self.server: subprocess.Popen[str] | None = None
        self.port = free_port()

    def read(self, blocks: list[Block]) -> None:
        """Do what the page says."""
        with contextlib.ExitStack() as stack:
            stack.callback(self.stop_server)
            for block in blocks:
                if block.title:
                    Path(block.title).write_text(block.text, encoding="utf-8")
                elif block.why_not_run or block.language not in ("bash", "python"):
                    continue
                elif block.language == "python":
                    self.run_program(block.text)
                else:
                    if block.checkpoint:
                        self.variables["CKPT"] = self.trained(block.checkpoint)
                    for command in block.commands:
                        self.type(command)

    def run_program(self, program: str) -> None:
        """Run a program of a page, with the names of those before it; a LightModel that it trains has a history."""
        self.names.pop("model", None)
        exec(compile(program, "program", "exec"), self.names)
        if hasattr(self.names.get("model"), "history"):
            assert len(self.names["model"].history) >= 2, program

    def type(self, command: str) -> None:
        """Run a command, in this process where it is one of LightFit's."""
        if command.startswith(OUTSIDE):
            return
        command = re.sub(r"\bCKPT\b", lambda _: self.variables["CKPT"], command).replace("8000", str(self.port))
        command = Template(command).safe_substitute(self.variables)
        if assigned := re.fullmatch(r"(\w+)=(\S+)", command):
            self.variables[assigned[1]] = assigned[2]
            return
        words = [word for typed in shlex.split(command) for word in sorted(glob.glob(typed)) or [typed]]
        if "scripts/serve.py" in command:
            self.start_server(words)
        elif re.match(r"python scripts/\w+\.py", command) and not {"|", "--trainer.devices"} & set(words):
            self.run_command(Path(words[1]).stem, words[2:])
        elif re.match(r"python \w+\.py", command):
            runpy.run_path(words[1], run_name="__main__")
        else:
            self.run_in_a_shell(command)

    def run_command(self, verb: str, arguments: list[str]) -> None:
        """Run a command of LightFit in this process."""
        if verb == "fit" and EPOCHS[0] not in arguments and not PRINT_ONLY & set(arguments):
            arguments = [*arguments, *EPOCHS]
        try:
            code = importlib.import_module(f"lightfit.scripts.{verb}").main(arguments)
        except SystemExit as end:  # of --help and --print_config
            code = end.code
        assert not code, f"{verb}.py {shlex.join(arguments)}\n{self.capsys.readouterr().err}"

    def run_in_a_shell(self, command: str) -> None:
        """Run any other command: pipes, curl, what starts several processes, scripts without LightFit."""
        command = re.sub(r"\bpython (?=scripts/)", f"{shlex.quote(sys.executable)} {shlex.quote(str(ROOT))}/", command)
        run = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            capture_output=True,
            text=True,
            timeout=300,
            env=environment(),
        )
        assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"
        if command.startswith("curl"):
            expected = '"predictions"' if "/predict" in command else '"domain"'
            assert expected in run.stdout, f"{command}\n{run.stdout}"

    def start_server(self, words: list[str]) -> None:
        """Start a server and wait until it answers."""
        self.stop_server()
        command = [sys.executable, str(ROOT / words[1]), *words[2:]]
        if "--port" not in words:
            command += ["--port", str(self.port)]
        with open("server.log", "w") as log:
            self.server = subprocess.Popen(command, stdout=log, stderr=log, text=True, env=environment())
        end = time.monotonic() + SERVER_S
        while time.monotonic() < end and self.server.poll() is None:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5),
            ):
                return
            time.sleep(0.2)
        raise AssertionError(f"{command} did not answer:\n{Path('server.log').read_text()}")

    def stop_server(self) -> None:
        """Stop the server as Ctrl-C does."""
        if self.server is not None:
            self.server.send_signal(signal.SIGINT)
            self.server.wait(60)
            self.server = None


def environment() -> Mapping[str, str]:
    """Return the environment of other processes, which import LightFit from this clone."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "JSONARGPARSE_DEPRECATION_WARNINGS": "off"}


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def find_flags(pages: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the flags of LightFit's commands that pages name, each with its page."""
    for page in pages:
        inline = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", read_page(page), flags=re.DOTALL))
        ours = [span for span in inline if span.startswith("--")]
        for words in [*inline, *find_commands(page)]:
            ours += re.findall(r"(?:scripts/|\b)(?:\w+\.py|lightfit \w+) (.*)", words)
        yield from ((flag, page) for words in ours for flag in re.findall(r"(?<![\w-])--[A-Za-z][\w.]*", words))
