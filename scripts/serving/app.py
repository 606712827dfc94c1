"""The web application that serves trained models."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from fastapi_offline import FastAPIOffline

from lightfit.errors import BadInput, DataError
from lightfit.version import VERSION

from ..inference.predictor import encode_samples
from .admission import Admission
from .bodies import BodyReader, LimitBody
from .errors import AnswerFailures, add_error_answers
from .head import AnswerHead
from .headers import SecurityHeaders
from .hosts import ANY
from .limits import Limits
from .models import Encoded, Models, ServedModel
from .schemas import add_openapi
from .trusted_hosts import TrustedHosts

PAGE = Path(__file__).resolve().with_name("page.html")
LARGE_CHARS = 10_000  # of a text that is encoded outside of the batches


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
        samples = await self.bodies.read(request, model.inputs)
        good = [sample for sample in samples if not isinstance(sample, BadInput)]
        try:
            items = [(await self.encode_large(model, sample), top) for sample in good]
            results = iter(await model.batcher(items))
        except DataError as error:
            raise HTTPException(422, str(error)) from error
        answers = [item if isinstance(item, BadInput) else next(results) for item in samples]
        if all(isinstance(answer, BadInput) for answer in answers):
            raise HTTPException(422, answers[0].problem)
        return {"predictions": [{"error": item.problem} if isinstance(item, BadInput) else item for item in answers]}

    async def encode_large(self, model: ServedModel, sample: Any) -> Any:
        """Return a sample; a large one encoded, in a thread, so that it does not keep a batch waiting."""
        if not isinstance(sample, str) or len(sample) <= LARGE_CHARS:
            return sample
        return Encoded(sample, await self.bodies.in_thread(encode_samples, model.trained.codec, [sample]))


def make_app(models: Models, limits: Limits, hosts: Sequence[str] = (ANY,)) -> FastAPI:
    """Build the application: `POST /predict`, `/health`, `/info`, documentation at `/docs`, and a page at `/`.

    Args:
        models: the models.
        limits: limits of batches and requests.
        hosts: names that the server answers to, as returned by `choose_hosts`.
    """
    service = Service(models, limits)
    app = FastAPIOffline(title="LightFit", version=VERSION, lifespan=service.running, redoc_url=None)
    add_error_answers(app)
    # The last one sees a request first.
    app.add_middleware(LimitBody, max_bytes=limits.max_bytes, body_s=limits.body_s)
    app.add_middleware(Admission, max_requests=limits.max_requests, answer_s=limits.answer_s)
    app.add_middleware(TrustedHosts, hosts=hosts)
    app.add_middleware(AnswerFailures)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(AnswerHead)
    app.get("/health")(service.health)
    app.get("/info")(service.info)
    app.get("/", response_class=HTMLResponse, include_in_schema=False)(service.page)
    app.post("/predict")(service.predict)
    add_openapi(app, lambda path: models.first, limits)
    return app
