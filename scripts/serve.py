"""Serve checkpoints: `python scripts/serve.py CKPT`, then http://127.0.0.1:8000.

It uses FastAPI rather than LitServe, which kills its worker processes when it stops, and fails a whole batch for one
bad input. Here requests in flight are finished, a bad input only fails itself, and inputs are checked before batching.
"""

import argparse
import re
import socket
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: custom classes come from the working directory, LightFit's from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import UsageError
from lightfit.extras import importing_extra
from lightfit.scripts.cli.command import program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.flags import add_trust
from lightfit.scripts.cli.postponed import postpone
from lightfit.scripts.cli.quiet import hush
from lightfit.scripts.inference.pixel_limits import DEFAULT_LIMITS, PixelLimits
from lightfit.scripts.serving.hosts import choose_hosts
from lightfit.scripts.serving.limits import Limits
from lightfit.scripts.serving.settings import Settings
from lightfit.scripts.serving.sources import parse_sources
from lightfit.scripts.serving.tokens import read_token
from lightfit.scripts.serving.workers import supervise

DEFAULTS = Limits(max_batch_size=32, wait_s=0.002, max_bytes=10 * 2**20, max_inputs=1000)
LONGEST_S = 86_400  # of a time limit
SIZES = {
    "max_text_chars": "characters of one text",
    "max_columns": "columns of a table",
    "max_cells": "cells of a table in a Parquet file or a workbook",
    "max_unpacked_bytes": "bytes of a compressed table when it is unpacked",
    "max_parts": "parts of a form",
    "max_requests": "requests that are received or predicted at the same time; others are answered 503",
}
TIMES = {
    "header_s": "seconds until the headers of a request are complete; then the answer is 408",
    "body_s": "seconds until its body is complete; then the answer is 408",
    "answer_s": "seconds from then until the answer, else it is 504; and that a client may read nothing of it",
}
PIXELS = {
    "max_pixels": "one image, before and after it is resized",
    "max_request_pixels": "all images in a request",
    "max_decoding_pixels": "the images that are decoded at the same time, over all requests; up to 12 bytes each",
}


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(program("serve"), description="Serve checkpoints over HTTP.", allow_abbrev=False)
    parser.add_argument(
        "checkpoints",
        nargs="+",
        metavar="CKPT",
        help="a .ckpt file of a run, or the run's folder for its best one; several, each as NAME=CKPT or named after "
        "its task, answer at /models/NAME/predict, and the first one at /predict too",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000; 0: any free port)")
    parser.add_argument(
        "--gpus", default="auto", help="auto (default), 0 for the CPU, a number of GPUs, or ids such as 1,"
    )
    parser.add_argument(
        "--max_batch_size", type=int, default=32, help="largest number of inputs in a batch (default: 32)"
    )
    parser.add_argument(
        "--wait_ms", type=float, default=2, help="milliseconds that a batch waits for more inputs (default: 2)"
    )
    parser.add_argument(
        "--max_bytes", type=int, default=10 * 2**20, help="largest size of a request in bytes (default: 10 MiB)"
    )
    parser.add_argument(
        "--max_inputs", type=int, default=1000, help="largest number of inputs in a request (default: 1000)"
    )
    for name, what in PIXELS.items():
        value = getattr(DEFAULT_LIMITS, name)
        parser.add_argument(
            f"--{name}", type=int, default=value, help=f"largest number of pixels of {what} (default: {value:,})"
        )
    for name, what in SIZES.items():
        value = getattr(DEFAULTS, name)
        parser.add_argument(f"--{name}", type=int, default=value, help=f"largest number of {what} (default: {value:,})")
    for name, what in TIMES.items():
        value = getattr(DEFAULTS, name)
        parser.add_argument(f"--{name}", type=float, default=value, help=f"{what} (default: {value})")
    parser.add_argument(
        "--allowed_hosts",
        default="",
        metavar="NAMES",
        help="names that the server answers to, such as model.example.com,*.example.org, or * for any; addresses in "
        "numbers always (default: localhost, --host, and the name of this machine if others can connect)",
    )
    add_operations(parser)
    add_trust(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors, and log each request")
    options = parser.parse_args(args)
    codes: list[int] = []
    return exit_code(lambda: codes.append(serve(options)), debug=options.debug) or codes[0]


def add_operations(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for those who operate a server."""
    parser.add_argument(
        "--token_file",
        metavar="FILE",
        help="file with the token that requests must hold, as Authorization: Bearer TOKEN (default: the environment's "
        "LIGHTFIT_TOKEN, or none is needed)",
    )
    parser.add_argument(
        "--root_path", default="", metavar="PATH", help="path at which a proxy shows the server, such as /imdb"
    )
    parser.add_argument(
        "--workers", type=int, default=1, help="number of processes, each with its own copy of the models (default: 1)"
    )
    parser.add_argument(
        "--reload",
        type=float,
        nargs="?",
        const=2.0,
        default=0.0,
        metavar="SECONDS",
        help="look for a new checkpoint every 2 (or SECONDS) seconds: a file that was replaced, or a new best one "
        "beside one called best or in the run's folder; it takes over without a lost request",
    )
    parser.add_argument(
        "--access_log", default="", metavar="FILE", help="append a line of JSON for each request; - for standard output"
    )
    parser.add_argument(
        "--drain_s",
        type=float,
        default=0,
        metavar="SECONDS",
        help="seconds between the signal to stop, from which on /ready answers 503, and the last connection that is "
        "taken (default: 0)",
    )
    parser.add_argument(
        "--stop_s",
        type=int,
        default=30,
        metavar="SECONDS",
        help="seconds to finish requests in flight (default: 30)",
    )


def serve(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM, then finish the requests in flight; return the exit code.

    Raises:
        UsageError: the arguments are invalid, or the port is in use.
    """
    for name in ("max_batch_size", "max_bytes", "max_inputs", "workers", "stop_s", *PIXELS, *SIZES):
        if getattr(options, name) < 1:
            raise UsageError(f"expected --{name} of at least 1, received {getattr(options, name)}")
    for name in TIMES:
        if not 0 < getattr(options, name) <= LONGEST_S:  # nor NaN
            raise UsageError(f"expected --{name} above 0 and at most {LONGEST_S:,}, received {getattr(options, name)}")
    for name in ("reload", "drain_s", "wait_ms"):
        if not 0 <= getattr(options, name) <= LONGEST_S:
            raise UsageError(f"expected --{name} from 0 to {LONGEST_S:,}, received {getattr(options, name)}")
    hosts = choose_hosts(options.host, options.allowed_hosts, machine=socket.gethostname())
    token, root_path = read_token(options.token_file), check_root_path(options.root_path)
    with listen(options.host, options.port) as listening:  # before anything heavy is loaded
        settings = Settings(
            sources=parse_sources(options.checkpoints),
            trust=options.trust,
            gpus=options.gpus,
            limits=make_limits(options),
            hosts=hosts,
            token=token,
            root_path=root_path,
            log=check_log(options.access_log),
            reload_s=options.reload,
            drain_s=options.drain_s,
            stop_s=options.stop_s,
            debug=options.debug,
        )
        host, port = listening.getsockname()[:2]
        shown = ", ".join(f"{source.path}" for source in settings.sources)
        line = f"serving {shown} at http://{host}:{port}{root_path}, documentation at /docs; press Ctrl-C to stop"

        def ready() -> None:
            print(line, flush=True)

        if options.workers > 1:
            return supervise(settings, listening, options.workers, ready)
        with importing_extra("the server"):
            from lightfit.scripts.serving.server import run

        hush()
        run(settings, listening, ready)
        return 0


def make_limits(options: argparse.Namespace) -> Limits:
    """Return the limits that the arguments set."""
    return Limits(
        options.max_batch_size,
        options.wait_ms / 1000,
        options.max_bytes,
        options.max_inputs,
        PixelLimits(*(getattr(options, name) for name in PIXELS)),
        **{name: getattr(options, name) for name in (*SIZES, *TIMES)},
    )


def check_root_path(path: str) -> str:
    """Return a path without a slash at its end.

    Raises:
        UsageError: it is no path, or begins with no slash.
    """
    bare = path.rstrip("/")
    if bare and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", bare):
        raise UsageError(f"expected --root_path as a path such as /imdb, received '{path}'")
    return bare


def check_log(path: str) -> str:
    """Return the path of a log that can be written.

    Raises:
        UsageError: it cannot be.
    """
    if path and path != "-":
        try:
            Path(path).open("a", encoding="utf-8").close()
        except OSError as error:
            raise UsageError(f"--access_log '{path}' cannot be written: {error.strerror}") from error
    return path


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address.

    Raises:
        UsageError: the address is in use, or is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"cannot listen on {host}:{port} ({why}): choose another --port (0: any free port), or another --host"
        ) from error
    return listening


if __name__ == "__main__":
    postpone()
    sys.exit(main())
