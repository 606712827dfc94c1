"""The web application that serves a trained model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline

from lightfit.datamodules import LabelCodec
from lightfit.errors import BadInput, DataError
from lightfit.version import VERSION

from ..inference.inputs import choose_inputs
from ..inference.pixel_limits import DEFAULT_LIMITS, PixelLimits
from ..inference.predictor import Predictor
from ..inference.rows import list_known, predict_records
from ..inference.trained import Trained
from .batcher import Batcher
from .bodies import LimitBody, read_samples
from .page import find_card, page_routes


class Limits(NamedTuple):
    """Limits of batches and requests.

    Args:
        max_batch_size: as in `Batcher`.
        wait_s: as in `Batcher`.
        max_bytes: largest size of a request, in bytes.
        max_inputs: largest number of inputs in a request.
        pixels: limits of the pixels of images.
    """

    max_batch_size: int
    wait_s: float
    max_bytes: int
    max_inputs: int
    pixels: PixelLimits = DEFAULT_LIMITS


class Service:
    """Answer requests with a trained model.

    Args:
        trained: the checkpoint.
        predictor: predicts batches.
        limits: limits of batches and requests.
    """

    def __init__(self, trained: Trained, predictor: Predictor, limits: Limits) -> None:
        self.inputs = choose_inputs(trained, limits.pixels)
        self.codec = trained.codec
        self.model_info = describe_model(trained) | {"limits": {"bytes": limits.max_bytes, "inputs": limits.max_inputs}}
        self.max_inputs = limits.max_inputs
        self.most_ranked = trained.codec.target.most_ranked if isinstance(trained.codec, LabelCodec) else 1
        self.batcher = Batcher(
            lambda items: _predict(predictor, items),
            max_batch_size=limits.max_batch_size,
            wait_s=limits.wait_s,
            num_workers=predictor.num_replicas,
        )

    @asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """Run the batcher while the server runs."""
        await self.batcher.start()
        yield
        await self.batcher.stop()

    async def health(self) -> dict[str, str]:
        """Report that the server is up."""
        return {"status": "ok"}

    async def info(self) -> dict[str, Any]:
        """Describe the model: domain, classes, inputs, versions."""
        return self.model_info

    async def predict(self, request: Request, top: int = 1, history: bool = False) -> dict[str, list[Any]]:
        """Predict the inputs of a request, in order; a bad input has an `error` in place of a prediction.

        With `history`, forecasts come with the last rows before each, in `history`.
        """
        if not 1 <= top <= self.most_ranked:
            raise HTTPException(422, f"expected top from 1 to {self.most_ranked}, received {top}")
        samples = await read_samples(request, self.inputs, self.max_inputs)
        good = [(sample, top) for sample in samples if not isinstance(sample, BadInput)]
        try:
            results = iter(await self.batcher(good))
        except DataError as error:
            raise HTTPException(422, str(error)) from error
        predictions = [{"error": item.problem} if isinstance(item, BadInput) else next(results) for item in samples]
        if history and self.codec.domain == "series":
            return {"predictions": predictions, "history": [list_known(self.codec, item) for item in samples]}
        return {"predictions": predictions}


def make_app(trained: Trained, predictor: Predictor, limits: Limits) -> FastAPI:
    """Build the application: `POST /predict`, `/health`, `/info`, documentation at `/docs`, and a page at `/`.

    Args:
        trained: the checkpoint.
        predictor: predicts batches.
        limits: limits of batches and requests.
    """
    service = Service(trained, predictor, limits)
    app = FastAPIOffline(title="LightFit", version=VERSION, lifespan=service.running, redoc_url=None)
    app.add_middleware(LimitBody, max_bytes=limits.max_bytes)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.get("/health")(service.health)
    app.get("/info")(service.info)
    app.include_router(page_routes(lambda name: {"": trained}[name]))
    app.post("/predict", openapi_extra={"requestBody": _request_body(service.inputs.schema)})(service.predict)
    return app


def describe_model(trained: Trained) -> dict[str, Any]:
    """Describe a model as plain data, for `/info`."""
    known = trained.codec.metadata()
    run, shape = trained.path.absolute().parent.parent, trained.codec.dummy_batch().shape
    return {
        "task": run.parent.name if trained.path.parent.name == "checkpoints" else None,
        "domain": known["domain"],
        "model": type(trained.model).__name__,
        "net": type(trained.model.net).__name__,
        "classes": known.get("class_names") or None,
        "target": known.get("target"),
        "columns": known.get("roles"),
        "input_shape": [None, *([known["width"]] if known["domain"] == "text" else shape[1:])],
        "horizon": known.get("horizon"),
        "num_examples": len(trained.codec.examples),
        "card": find_card(trained.path) is not None,
        "request": choose_inputs(trained).schema,
        "checkpoint": trained.path.name,
        "trained_by": trained.version,
        "version": VERSION,
    }


def _predict(predictor: Predictor, items: list[tuple[Any, int]]) -> list[Any]:
    """Return the record of each sample, or a list of records if it is a series: one for each step."""
    results: dict[int, Any] = {}
    for top in {top for _, top in items}:
        places = [place for place, (_, own) in enumerate(items) if own == top]
        records = predict_records(predictor, [items[place][0] for place in places], top=top)
        one = predictor.codec.domain != "series"
        results |= {place: rows[0] if one else rows for place, rows in zip(places, records, strict=True)}
    return [results[place] for place in range(len(items))]


def _request_body(schema: dict[str, Any]) -> dict[str, Any]:
    file = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
    content = {"application/json": {"schema": schema}, "multipart/form-data": {"schema": file}}
    return {"required": True, "content": content}


async def answer_invalid(request: Request, error: Exception) -> JSONResponse:
    """Answer an invalid parameter with a message in one sentence."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"]))
    return JSONResponse({"detail": f"{place}: {first['msg']}, received {first.get('input')!r}"}, 422)
