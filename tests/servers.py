"""A server in this process: on a thread of its own, with the connections of `serve.py`."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import uvicorn
from starlette.types import ASGIApp

from lightfit.scripts.inference.predictor import Predictor
from lightfit.scripts.inference.trained import load_trained
from lightfit.scripts.serving.app import make_app
from lightfit.scripts.serving.connections import limit_connections
from lightfit.scripts.serving.hosts import ANY
from lightfit.scripts.serving.limits import Limits
from lightfit.scripts.serving.models import Models, ServedModel
from lightfit.scripts.serving.protection import protect

LIMITS = Limits(8, 0.001, max_bytes=1_000_000, max_inputs=50)


def build_app(task: str, checkpoint: str, limits: Limits = LIMITS, hosts: Sequence[str] = (ANY,)) -> ASGIApp:
    """Return the application that serves a checkpoint on the CPU."""
    held = load_trained(checkpoint)
    predictor = Predictor(held.model, held.codec, [torch.device("cpu")])
    return protect(make_app(Models([ServedModel(task, held, predictor, limits)]), limits), hosts)


@contextmanager
def run_server(app: ASGIApp, limits: Limits = LIMITS) -> Iterator[int]:
    """Run an application, and yield its port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        connection = limit_connections(limits.header_s, limits.answer_s)
        server = uvicorn.Server(uvicorn.Config(app, http=connection, ws="none", log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
