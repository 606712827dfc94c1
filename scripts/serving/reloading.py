"""Loading the models of a server, and loading them again when their files change."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from lightfit.errors import CheckpointError

from ..cli.exit_codes import format_error
from ..inference.predictor import Predictor, choose_devices
from ..inference.trained import load_served
from .gate import Gate
from .limits import Limits
from .metrics import Metrics
from .models import Models, ServedModel
from .sources import FileState, Source, find_checkpoint, look_at

TRIES = 3  # of a file that is replaced while it is read


class Loader:
    """Load models.

    Args:
        trust: packages whose classes a checkpoint may name.
        gpus: which devices predict, as in `choose_devices`.
        limits: limits of batches and requests.
        metrics: counts batches and models.
        newest: of a checkpoint called best, load the best one beside it.

    Attributes:
        states: the state of the file of each model, when it was loaded.
    """

    def __init__(
        self, *, trust: Sequence[str], gpus: str, limits: Limits, metrics: Metrics, newest: bool = False
    ) -> None:
        self.trust = trust
        self.gpus = gpus
        self.limits = limits
        self.metrics = metrics
        self.newest = newest
        self.states: dict[str, FileState] = {}

    def find(self, source: Source) -> FileState:
        """Return the file of a source as it is now.

        Raises:
            FileNotFoundError: there is none.
        """
        return look_at(find_checkpoint(source.path, newest=self.newest))

    def load(self, source: Source) -> ServedModel:
        """Load a model, and predict once: the first time is slow, so no client should wait for it.

        Raises:
            FileNotFoundError, ValueError: as `load_trained`.
        """
        for _ in range(TRIES):
            path = find_checkpoint(source.path, newest=self.newest)
            state = look_at(path) if path.is_file() else None  # loading says what there is in place of a missing one
            trained = load_served(path, self.trust)
            predictor = Predictor(trained.model, trained.codec, choose_devices(self.gpus))
            predictor(trained.codec.dummy_batch())
            model = ServedModel(source.name, trained, predictor, self.limits, self.metrics.observe(source.name))
            if state is not None and look_at(path) == state:  # so that its checksum is of what was loaded
                self.states[source.name] = state
                return model
        raise CheckpointError(f"'{source.path}' is being written: expected a whole file")

    def load_all(self, sources: Sequence[Source]) -> Models:
        """Load all models."""
        models = Models([self.load(source) for source in sources])
        for model in models:
            self.metrics.serve_model(model.name, model.version, model.trained.path.name)
        return models


async def keep_reloading(
    gate: Gate, loader: Loader, sources: Sequence[Source], seconds: float, say: Callable[[str], Any] | None = None
) -> None:
    """Look for changed files and replace their models, until cancelled.

    A file that cannot be loaded is told of in one line, and the model before goes on answering.

    Args:
        gate: the server, whose models are loaded.
        loader: loads the models.
        sources: the models.
        seconds: time between two looks. A file must be the same in two of them, so that it is whole.
        say: prints a line; by default to standard error.
    """
    say = say or (lambda line: print(line, file=sys.stderr, flush=True))
    known, seen = dict(loader.states), dict[str, FileState]()
    while True:
        await asyncio.sleep(seconds)
        for source in sources:
            try:
                state = await asyncio.to_thread(loader.find, source)
            except OSError:  # between the old file and the new one
                continue
            if state == known[source.name] or seen.get(source.name) != state:
                seen[source.name] = state
                continue
            known[source.name] = state  # also if it is damaged: it is tried again when it changes again
            try:
                model = await asyncio.to_thread(loader.load, source)
            except Exception as error:
                loader.metrics.reloads.labels(source.name, "failed").inc()
                say(f"'{state.path}' was not loaded, and model '{source.name}' stays: {format_error(error)}")
                continue
            known[source.name] = loader.states[source.name]
            old = await gate.replace(model)
            loader.metrics.serve_model(model.name, model.version, model.trained.path.name)
            loader.metrics.reloads.labels(source.name, "loaded").inc()
            say(f"model '{source.name}' is now '{model.trained.path}', sha256 {model.version[:12]}")
            await gate.drain(old)
