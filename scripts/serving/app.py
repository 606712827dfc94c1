"""The web application that serves trained models."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from fastapi_offline import FastAPIOffline

from lightfit.datamodules import SeriesCodec
from lightfit.errors import BadInput, DataError, clip
from lightfit.version import VERSION

from ..inference.explanation import explain_samples
from ..inference.predictor import encode_samples
from ..inference.rows import list_known
from .admission import Admission
from .bodies import BodyReader, LimitBody
from .errors import AnswerFailures, add_error_answers
from .limits import Limits
from .models import Encoded, Models, ServedModel
from .page import page_routes
from .schemas import add_openapi

MOST_EXPLAINED = 16  # inputs of a request, as an explanation may cost as much as a hundred predictions
METHODS = {"predict": "POST", "info": "GET", "examples": "GET", "card": "GET"}  # of the addresses of a model
LARGE_CHARS = 10_000  # of a text that is encoded outside of the batches


class Predictions(JSONResponse):
    """An answer with predictions, whose time stamps are written as in ISO 8601."""

    def render(self, content: Any) -> bytes:
        """Return an answer as JSON in UTF-8."""
        return json.dumps(
            content, default=_to_plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()


def _to_plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "item"):  # a number of numpy
        return value.item()
    return str(value)


class Service:
    """Answer requests with the models of a server.

    Args:
        models: the models.
        limits: limits of batches and requests.
    """

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models = models
        self.bodies = BodyReader(limits)

    @asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """Run the models while the server runs."""
        await self.models.start()
        yield
        await self.models.stop()
        self.bodies.close()

    async def health(self) -> dict[str, str]:
        """Report that the server is up."""
        return {"status": "ok"}

    async def ready(self) -> dict[str, str]:
        """Report that the models are loaded; before, and while the server stops, the answer is 503."""
        return {"status": "ready"}

    async def list_models(self) -> dict[str, list[dict[str, Any]]]:
        """List the models: each answers at `/models/NAME/predict`, and the default one at `/predict` too."""
        return {"models": self.models.list()}

    async def find_model(self, name: str, what: str) -> None:
        """Answer a request to what is not there: a model, an address of it, or a method of the address."""
        names = [model.name for model in self.models]
        if name not in names:
            raise HTTPException(404, f"no model '{clip(name)}' here: there are {', '.join(names)}; see /models")
        if what not in METHODS:
            known = ", ".join(f"/models/{name}/{own}" for own in METHODS)
            raise HTTPException(404, f"no '{clip(what)}' of a model here: expected one of {known}")
        allowed = METHODS[what]
        raise HTTPException(405, f"expected {allowed} at /models/{name}/{what}", headers={"Allow": allowed})

    def add_model(self, app: FastAPI, model: ServedModel, path: str) -> None:
        """Add the addresses of a model to an application, below a path."""

        async def info(request: Request) -> dict[str, Any]:
            """Describe the model: domain, classes, inputs, versions."""
            request.scope["model"] = model
            return model.info

        async def predict(request: Request, top: int = 1, history: bool = False, explain: bool = False) -> Response:
            """Predict the inputs of a request, in order; a bad input has an `error` in place of a prediction."""
            request.scope["model"] = model
            with model.batcher.request():
                return Predictions(await self.predict_with(model, request, top, history=history, explain=explain))

        app.get(f"{path}/info")(info)
        app.post(f"{path}/predict")(predict)

    async def predict_with(
        self, model: ServedModel, request: Request, top: int, *, history: bool = False, explain: bool = False
    ) -> dict[str, list[Any]]:
        """Predict the inputs of a request with one of the models.

        Args:
            model: the model.
            request: the request.
            top: number of most probable names to list.
            history: whether forecasts come with the last rows before each, in `history`.
            explain: whether predictions come with what decided them, in `explanations`.
        """
        if not 1 <= top <= model.most_ranked:
            raise HTTPException(422, f"expected top from 1 to {model.most_ranked}, received {top}")
        if explain and not model.info["explain"]:
            raise HTTPException(422, f"predictions of {model.info['net']} cannot be explained: leave explain out")
        samples = await self.bodies.read(request, model.inputs)
        if explain and len(samples) > MOST_EXPLAINED:
            raise HTTPException(
                413,
                f"expected at most {MOST_EXPLAINED} inputs to explain in a request, received {len(samples):,}: send "
                "several requests, or leave explain out",
            )
        good = [sample for sample in samples if not isinstance(sample, BadInput)]
        try:
            items = [(await self.encode_large(model, sample), top) for sample in good]
            results = iter(await model.batcher(items))
        except DataError as error:
            raise HTTPException(422, str(error)) from error
        answers = [item if isinstance(item, BadInput) else next(results) for item in samples]
        if all(isinstance(answer, BadInput) for answer in answers):
            raise HTTPException(422, answers[0].problem)
        said = {"predictions": [{"error": item.problem} if isinstance(item, BadInput) else item for item in answers]}
        if history and isinstance(model.trained.codec, SeriesCodec):
            said["history"] = [list_known(model.trained.codec, sample) for sample in samples]
        if explain:
            explained = iter(await self.bodies.in_thread(explain_samples, model.predictor, good))
            # A prediction that is no number has none, but is among the good inputs.
            each = [None if isinstance(sample, BadInput) else next(explained) for sample in samples]
            said["explanations"] = [
                None if own is None or isinstance(answer, BadInput) else own.to_dict(picture=True)
                for own, answer in zip(each, answers, strict=True)
            ]
        return said

    async def encode_large(self, model: ServedModel, sample: Any) -> Any:
        """Return a sample; a large one encoded, in a thread, so that it does not keep a batch waiting."""
        if not isinstance(sample, str) or len(sample) <= LARGE_CHARS:
            return sample
        return Encoded(sample, await self.bodies.in_thread(encode_samples, model.trained.codec, [sample]))


def make_app(models: Models, limits: Limits) -> FastAPI:
    """Build the application: `/predict`, `/info`, `/models`, `/health`, documentation at `/docs`, and a page at `/`.

    Args:
        models: the models.
        limits: limits of batches and requests.
    """
    service = Service(models, limits)
    app = FastAPIOffline(
        title="LightFit",
        version=VERSION,
        lifespan=service.running,
        redoc_url=None,
        # The names of functions in clients that are made from the description.
        generate_unique_id_function=lambda route: re.sub(r"\W+", "_", route.path.strip("/")),
    )
    add_error_answers(app)
    # The last one sees a request first.
    app.add_middleware(LimitBody, max_bytes=limits.max_bytes, body_s=limits.body_s)
    app.add_middleware(Admission, max_requests=limits.max_requests, answer_s=limits.answer_s)
    app.add_middleware(AnswerFailures)
    app.get("/health")(service.health)
    app.get("/ready")(service.ready)
    app.get("/models")(service.list_models)
    app.include_router(page_routes(lambda name: (models[name] if name else models.first).trained))
    paths = {"": models.first} | {f"/models/{model.name}": model for model in models}
    for path, model in paths.items():
        service.add_model(app, model, path)
    app.api_route("/models/{name}/{what}", methods=["GET", "POST"], include_in_schema=False)(service.find_model)
    add_openapi(app, lambda path: paths[path.removesuffix("/predict")], limits)
    return app
