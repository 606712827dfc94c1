"""The models of a server: each has a name, a version and a batcher."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from torch import Tensor

from lightfit.datamodules import LabelCodec, SeriesCodec
from lightfit.download import sha256_of
from lightfit.errors import BadInput, clip
from lightfit.version import VERSION

from ..inference.inputs import choose_inputs
from ..inference.predictor import Predictor
from ..inference.rows import predict_records
from ..inference.trained import Trained
from .batcher import Batcher, Observer
from .limits import Limits
from .sources import find_task


class ServedModel:
    """A model that answers requests.

    Args:
        name: its name in the addresses of the server.
        trained: its checkpoint.
        predictor: predicts batches.
        limits: limits of batches and requests.
        observer: is told of batches.

    Attributes:
        loaded: when it was made.
        version: the checkpoint's SHA-256, in hexadecimal digits.
        info: a description as plain data, for `/info`.
        inputs: reads raw samples from requests.
        most_ranked: largest `top` of a request.
        batcher: predicts the samples of requests.
    """

    def __init__(
        self, name: str, trained: Trained, predictor: Predictor, limits: Limits, observer: Observer | None = None
    ) -> None:
        self.name = name
        self.trained = trained
        self.predictor = predictor
        self.loaded = datetime.now(timezone.utc)
        self.version = sha256_of(trained.path)
        self.inputs = choose_inputs(trained, limits.pixels)
        self.info = describe_model(trained) | {"name": name, "model_version": self.version}
        self.most_ranked = trained.codec.target.most_ranked if isinstance(trained.codec, LabelCodec) else 1
        self.batcher = Batcher(
            lambda items: _predict(predictor, items),
            max_batch_size=limits.max_batch_size,
            wait_s=limits.wait_s,
            num_workers=predictor.num_replicas,
            observer=observer,
        )

        self._num_users = 0

    async def start(self) -> None:
        """Start the batcher, for the first of the applications that use the model."""
        self._num_users += 1
        if self._num_users == 1:
            await self.batcher.start()

    async def stop(self) -> None:
        """Stop the batcher, for the last of them; all requests to the model must have been answered."""
        self._num_users -= 1
        if not self._num_users:
            await self.batcher.stop()


class Models:
    """The models of a server by name; the first one also answers where no name is given.

    Args:
        models: the models, with different names.
    """

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._held = {model.name: model for model in models}

    @property
    def first(self) -> ServedModel:
        """Return the first model."""
        return next(iter(self._held.values()))

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._held.values())

    def __getitem__(self, name: str) -> ServedModel:
        """Return the model of a name.

        Raises:
            KeyError: there is none.
        """
        return self._held[name]

    async def start(self) -> None:
        """Start all models."""
        for model in self:
            await model.start()

    async def stop(self) -> None:
        """Stop all models; all requests must have been answered."""
        for model in self:
            await model.stop()

    def list(self) -> list[dict[str, Any]]:
        """List the models as plain data, for `/models`."""
        return [
            {
                "name": model.name,
                "domain": model.info["domain"],
                "task": model.info["task"],
                "version": model.version,
                "checkpoint": model.info["checkpoint"],
                "loaded": model.loaded.isoformat(timespec="seconds"),
                "default": model is self.first,
            }
            for model in self
        ]

    def replacing(self, model: ServedModel) -> "Models":
        """Return the models with another one of the same name."""
        return Models([model if held.name == model.name else held for held in self])


def describe_model(trained: Trained) -> dict[str, Any]:
    """Describe a model as plain data, for `/info`."""
    known = trained.codec.metadata()
    shape = trained.codec.dummy_batch().shape
    return {
        "task": find_task(trained.path),
        "domain": known["domain"],
        "model": type(trained.model).__name__,
        "net": type(trained.model.net).__name__,
        "classes": known.get("class_names") or None,
        "target": known.get("target"),
        "columns": known.get("roles"),
        "input_shape": [None, *([known["width"]] if known["domain"] == "text" else shape[1:])],
        "request": choose_inputs(trained).schema,
        "checkpoint": trained.path.name,
        "trained_by": trained.version,
        "version": VERSION,
    }


class Encoded(NamedTuple):
    """A large sample that was encoded outside of the batches, so that others need not wait for it.

    Args:
        sample: the raw sample.
        x: the sample as the net takes it, (1, ...). It is predicted alone, as others would be padded to its length.
    """

    sample: Any
    x: Tensor


def _predict(predictor: Predictor, items: list[tuple[Any, int]]) -> list[Any]:
    """Return the record of each sample, or a list of records if it is a series: one for each step.

    `BadInput` stands in place of a prediction that is no number.
    """
    results: dict[int, Any] = {}
    for top in {top for _, top in items}:
        places = [place for place, (_, own) in enumerate(items) if own == top]
        together = [place for place in places if not isinstance(items[place][0], Encoded)]
        records = predict_records(predictor, [items[place][0] for place in together], top=top) if together else []
        results |= dict(zip(together, records, strict=True))
        for place in places:
            if isinstance(large := items[place][0], Encoded):
                (results[place],) = predict_records(predictor, [large.sample], top=top, x=large.x)
    return [_check_finite(predictor, results[place]) for place in range(len(items))]


def _check_finite(predictor: Predictor, rows: list[dict[str, Any]]) -> Any:
    codec = predictor.codec
    needed = codec.state.roles.targets if isinstance(codec, SeriesCodec) else ()
    for row in rows:
        bad = [name for name, value in row.items() if isinstance(value, float) and math.isinf(value)]
        if bad := bad or [name for name in needed if row.get(name) is None]:
            return BadInput(f"the prediction of '{clip(bad[0])}' is beyond any number: are its inputs far too large?")
    return rows if isinstance(codec, SeriesCodec) or codec.domain == "series" else rows[0]
