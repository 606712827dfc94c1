"""The web application that serves trained models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi_offline import FastAPIOffline

from lightfit.errors import BadInput, DataError
from lightfit.version import VERSION

from .bodies import LimitBody, read_samples
from .limits import Limits
from .models import Models, ServedModel

PAGE = Path(__file__).resolve().with_name("page.html")


class Service:
    """Answer requests with the models of a server.

    Args:
        models: the models.
        limits: limits of batches and requests.
    """

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models = models
        self.max_inputs = limits.max_inputs

    @asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """Run the models while the server runs."""
        await self.models.start()
        yield
        await self.models.stop()

    async def health(self) -> dict[str, str]:
        """Report that the server is up."""
        return {"status": "ok"}

    async def info(self) -> dict[str, Any]:
        """Describe the model: domain, classes, inputs, versions."""
        return self.models.first.info

    async def page(self) -> str:
        """Return a page to try the model in a browser."""
        return PAGE.read_text(encoding="utf-8")

    async def predict(self, request: Request, top: int = 1) -> dict[str, list[Any]]:
        """Predict the inputs of a request, in order; a bad input has an `error` in place of a prediction."""
        model = self.models.first
        with model.batcher.request():
            return await self.predict_with(model, request, top)

    async def predict_with(self, model: ServedModel, request: Request, top: int) -> dict[str, list[Any]]:
        """Predict the inputs of a request with one of the models."""
        if not 1 <= top <= model.most_ranked:
            raise HTTPException(422, f"expected top from 1 to {model.most_ranked}, received {top}")
        samples = await read_samples(request, model.inputs, self.max_inputs)
        good = [(sample, top) for sample in samples if not isinstance(sample, BadInput)]
        try:
            results = iter(await model.batcher(good))
        except DataError as error:
            raise HTTPException(422, str(error)) from error
        predictions = [{"error": item.problem} if isinstance(item, BadInput) else next(results) for item in samples]
        return {"predictions": predictions}


def make_app(models: Models, limits: Limits) -> FastAPI:
    """Build the application: `POST /predict`, `/health`, `/info`, documentation at `/docs`, and a page at `/`.

    Args:
        models: the models.
        limits: limits of batches and requests.
    """
    service = Service(models, limits)
    app = FastAPIOffline(title="LightFit", version=VERSION, lifespan=service.running, redoc_url=None)
    app.add_middleware(LimitBody, max_bytes=limits.max_bytes)
    app.add_exception_handler(RequestValidationError, answer_invalid)
    app.get("/health")(service.health)
    app.get("/info")(service.info)
    app.get("/", response_class=HTMLResponse, include_in_schema=False)(service.page)
    body = _request_body(models.first.inputs.schema)
    app.post("/predict", openapi_extra={"requestBody": body})(service.predict)
    return app


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
