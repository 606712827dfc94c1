"""Serve a checkpoint: `python scripts/serve.py CKPT`, then http://127.0.0.1:8000.

It uses FastAPI rather than LitServe, which kills its worker processes when it stops, and fails a whole batch for one
bad input. Here requests in flight are finished, a bad input only fails itself, and inputs are checked before batching.
"""

import argparse
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

STOP_S = 30  # seconds to finish requests in flight
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
    parser = argparse.ArgumentParser(program("serve"), description="Serve a checkpoint over HTTP.", allow_abbrev=False)
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
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
        value = Limits._field_defaults[name]
        parser.add_argument(f"--{name}", type=int, default=value, help=f"largest number of {what} (default: {value:,})")
    for name, what in TIMES.items():
        value = Limits._field_defaults[name]
        parser.add_argument(f"--{name}", type=float, default=value, help=f"{what} (default: {value})")
    parser.add_argument(
        "--allowed_hosts",
        default="",
        metavar="NAMES",
        help="names that the server answers to, such as model.example.com,*.example.org, or * for any; addresses in "
        "numbers always (default: localhost, --host, and the name of this machine if others can connect)",
    )
    add_trust(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of errors, and log each request")
    options = parser.parse_args(args)
    return exit_code(lambda: serve(options), debug=options.debug)


def serve(options: argparse.Namespace) -> None:
    """Serve until Ctrl-C or SIGTERM, then finish the requests in flight.

    Raises:
        UsageError: the arguments are invalid, or the port is in use.
    """
    for name in ("max_batch_size", "max_bytes", "max_inputs", *PIXELS, *SIZES):
        if getattr(options, name) < 1:
            raise UsageError(f"expected --{name} of at least 1, received {getattr(options, name)}")
    for name in TIMES:
        if not 0 < getattr(options, name) <= LONGEST_S:  # nor NaN
            raise UsageError(f"expected --{name} above 0 and at most {LONGEST_S:,}, received {getattr(options, name)}")
    hosts = choose_hosts(options.host, options.allowed_hosts, machine=socket.gethostname())
    with listen(options.host, options.port) as listening:  # before anything heavy is loaded
        with importing_extra("the server"):
            import uvicorn

            from lightfit.scripts.serving.app import make_app
            from lightfit.scripts.serving.connections import limit_connections
            from lightfit.scripts.serving.models import Models, ServedModel, find_task
        from lightfit.scripts.inference.predictor import Predictor, choose_devices
        from lightfit.scripts.inference.trained import load_trained

        hush()
        trained = load_trained(options.checkpoint, options.trust)
        predictor = Predictor(trained.model, trained.codec, choose_devices(options.gpus))
        predictor(trained.codec.dummy_batch())  # the first call is slow, so no client should wait for it
        pixels = PixelLimits(*(getattr(options, name) for name in PIXELS))
        limits = Limits(
            options.max_batch_size,
            options.wait_ms / 1000,
            options.max_bytes,
            options.max_inputs,
            pixels,
            **{name: getattr(options, name) for name in (*SIZES, *TIMES)},
        )
        model = ServedModel(find_task(trained.path) or trained.path.stem, trained, predictor, limits)
        app = make_app(Models([model]), limits, hosts)
        level = "info" if options.debug else "warning"
        connection = limit_connections(limits.header_s, limits.answer_s)
        config = uvicorn.Config(app, http=connection, ws="none", log_level=level, timeout_graceful_shutdown=STOP_S)
        server = uvicorn.Server(config)
        listening.listen()  # clients may connect from now on, and are answered once the server has started
        host, port = listening.getsockname()[:2]
        print(
            f"serving {trained.path} at http://{host}:{port}, documentation at /docs; press Ctrl-C to stop", flush=True
        )
        server.run(sockets=[listening])


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
