"""Serve a checkpoint: `python scripts/serve.py CKPT`, then http://127.0.0.1:8000.

On FastAPI, not on LitServe: LitServe puts a model into worker processes that it ends at once when it stops, and
fails all of a batch for one input; here requests in flight are finished, a bad input is answered by itself, and
inputs are read and refused before they reach a batch.
"""

import argparse
import socket
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a file: classes of your own come from the working directory, ours from this clone
    sys.path[:1] = [str(Path.cwd()), str(Path(__file__).resolve().parents[1])]

from lightfit.errors import MissingPackageError, UsageError
from lightfit.scripts.cli.command import program
from lightfit.scripts.cli.exit_codes import exit_code
from lightfit.scripts.cli.flags import add_trust
from lightfit.scripts.cli.quiet import hush

STOP_S = 30  # that requests in flight have to be finished


def main(args: list[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(program("serve"), description="Serve a checkpoint over HTTP.", allow_abbrev=False)
    parser.add_argument("checkpoint", help="a .ckpt file of a run")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, for this machine)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000; 0: any that is free)")
    parser.add_argument("--gpus", default="auto", help="auto (default), 0 the CPU, N that many, or ids such as 1,")
    parser.add_argument("--max_batch_size", type=int, default=32, help="most inputs predicted together (default: 32)")
    parser.add_argument("--wait_ms", type=float, default=2, help="how long a batch waits for more inputs (default: 2)")
    parser.add_argument("--max_bytes", type=int, default=10 * 2**20, help="most bytes of a request (default: 10 MiB)")
    parser.add_argument("--max_inputs", type=int, default=1000, help="most inputs of a request (default: 1000)")
    add_trust(parser)
    parser.add_argument("--debug", action="store_true", help="errors with their traceback, and a line for each request")
    options = parser.parse_args(args)
    return exit_code(lambda: serve(options), debug=options.debug)


def serve(options: argparse.Namespace) -> None:
    """Listen until stopped by Ctrl-C or SIGTERM, then finish the requests in flight.

    Raises:
        UsageError: what was typed cannot be done, such as a port that is in use.
    """
    for name in ("max_batch_size", "max_bytes", "max_inputs"):
        if getattr(options, name) < 1:
            raise UsageError(f"expected --{name} of at least 1, received {getattr(options, name)}")
    with listen(options.host, options.port) as listening:  # before anything heavy is loaded
        try:
            import uvicorn

            from lightfit.scripts.serving.app import Limits, make_app
        except ImportError as error:
            raise MissingPackageError(f"serving needs {error.name}: pip install 'lightfit[serve]'") from error
        from lightfit.scripts.inference.predictor import Predictor, choose_devices
        from lightfit.scripts.inference.trained import load_trained

        hush()
        trained = load_trained(options.checkpoint, options.trust)
        predictor = Predictor(trained.model, trained.codec, choose_devices(options.gpus))
        predictor(trained.codec.dummy_batch())  # the first call allocates, and would keep a client waiting
        limits = Limits(options.max_batch_size, options.wait_ms / 1000, options.max_bytes, options.max_inputs)
        app = make_app(trained, predictor, limits)
        level = "info" if options.debug else "warning"
        server = uvicorn.Server(uvicorn.Config(app, log_level=level, timeout_graceful_shutdown=STOP_S))
        listening.listen()  # who connects from the next line on is answered, if only when the server has started
        host, port = listening.getsockname()[:2]
        print(
            f"serving {trained.path} at http://{host}:{port}, with its documentation at /docs; Ctrl-C stops", flush=True
        )
        server.run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address.

    Raises:
        UsageError: it is in use, or is none of this machine's.
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
            f"cannot listen on {host}:{port} ({why}): choose another --port, 0 for any that is free, or another --host"
        ) from error
    return listening


if __name__ == "__main__":
    sys.exit(main())
