"""The OpenAPI description of a server: what it takes and answers, with the model's own names."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from lightfit.datamodules import LabelCodec, SeriesCodec
from lightfit.datamodules.codec import Codec

from ..inference.inputs.files import FileInputs
from ..inference.inputs.images import ImageInputs
from ..inference.inputs.protocol import Inputs
from .bodies import SUFFIXES
from .limits import Limits
from .models import ServedModel

SHOWN_CLASSES = 3
TEXT = "I loved every minute"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR42mNsYIAAJgaKGAAmCACQtTEKkQAAAABJRU5ErkJggg=="  # 8 x 8
NUMBER = {"type": ["number", "null"]}
ERRORS = {
    400: "The request is not one that can be read: no JSON, no form, or a name that is not the server's.",
    401: "The server has a token, which `Authorization: Bearer` must hold.",
    405: "The address takes other methods: those in `Allow`.",
    408: "The body took too long.",
    413: "The body is above a limit, which the sentence names.",
    415: "The body is of a type that is not read, or compressed.",
    422: "No input can be predicted; the sentence says why.",
    500: "The server failed.",
    503: "The server is busy: try again after the seconds in `Retry-After`.",
    504: "The answer took too long: send fewer inputs at once.",
}
OF_GET = (400, 401, 405, 500, 503)
OF_POST = (400, 401, 405, 408, 413, 415, 422, 500, 503, 504)


def add_openapi(app: FastAPI, choose: Callable[[str], ServedModel], limits: Limits) -> None:
    """Describe an application at `/openapi.json`.

    Args:
        app: the application. Paths that end in `/predict` predict.
        choose: returns the model of a path.
        limits: limits of requests, which are said in the description.
    """

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            held = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = held.setdefault("components", {}).setdefault("schemas", {})
            for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, which are not what is answered
                schemas.pop(name, None)
            schemas["Error"] = {
                "type": "object",
                "required": ["detail"],
                "properties": {"detail": {"type": "string", "description": "what is wrong, in one sentence"}},
                "example": {"detail": "expected at least one input, received none"},
            }
            for path, operations in held["paths"].items():
                for method, operation in operations.items():
                    if path.endswith("/predict"):
                        _describe_predict(operation, choose(path), limits)
                    _describe_errors(operation, OF_POST if method == "post" else OF_GET)
            app.openapi_schema = held
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe_errors(operation: dict[str, Any], statuses: Sequence[int]) -> None:
    responses = operation.setdefault("responses", {})
    responses.pop("422", None)
    for status in statuses:
        content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
        responses[str(status)] = {"description": ERRORS[status], "content": content}


def _describe_predict(operation: dict[str, Any], model: ServedModel, limits: Limits) -> None:
    operation["requestBody"] = describe_body(model.inputs, limits)
    answer = describe_answer(model.trained.codec, model.predictor.quantiles)
    content = {"application/json": {"schema": answer, "example": make_answer(model.trained.codec)}}
    description = "A prediction for each input, in order; a bad input has an `error` in its place."
    operation["responses"] = {"200": {"description": description, "content": content}}
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "top":
            most = model.most_ranked
            parameter["schema"] = {"type": "integer", "minimum": 1, "maximum": most, "default": 1}
            parameter["description"] = f"How many of the most probable names to list, at most {most}."
        if parameter["name"] == "explain":
            parameter["description"] = "Whether predictions come with what decided them; of at most 16 inputs."
        if parameter["name"] == "history":
            parameter["description"] = "Whether forecasts come with the last rows before each; of series alone."


def describe_body(inputs: Inputs, limits: Limits) -> dict[str, Any]:
    """Return what a request may hold, for each of its types."""
    schema, example = limit_schema(inputs, limits), make_request(inputs)
    binary = {"type": "string", "format": "binary"}
    files = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "array", "items": binary, "minItems": 1, "maxItems": limits.max_parts}},
    }
    described: dict[str, Any] = {"schema": schema} | ({} if example is None else {"example": example})
    content: dict[str, Any] = {"application/json": described, "multipart/form-data": {"schema": files}}
    if isinstance(inputs, FileInputs):
        content |= {"image/*": {"schema": binary}} if isinstance(inputs, ImageInputs) else {}
    else:
        content |= {kind: {"schema": binary} for kind in SUFFIXES}
    content["application/octet-stream"] = {"schema": binary}
    description = (
        f"Inputs as JSON, as a form with one or several files, or as a file; at most {limits.max_bytes:,} bytes and "
        f"{limits.max_inputs:,} inputs."
    )
    return {"required": True, "description": description, "content": content}


def limit_schema(inputs: Inputs, limits: Limits) -> dict[str, Any]:
    """Return the schema of a JSON request with the limits in it."""
    schema = inputs.schema
    properties = {}
    for name, values in schema["properties"].items():
        items = dict(values["items"])
        if name == "texts":
            items |= {"pattern": r"\S", "maxLength": limits.max_text_chars}
        if name != "rows":
            values = {**values, "maxItems": limits.max_inputs}
        properties[name] = {**values, "items": items}
    return {**schema, "properties": properties}


def make_request(inputs: Inputs) -> dict[str, Any] | None:
    """Return an example of a JSON request; None where a sample is of a custom format."""
    (key,) = inputs.schema["properties"]
    if key == "rows":
        columns = inputs.schema["properties"]["rows"]["items"]["properties"]
        return {
            "rows": [
                {
                    name: 1.5 if "number" in held["type"] else f"2024-01-0{day}T00:00:00" if not place else "a"
                    for place, (name, held) in enumerate(columns.items())
                }
                for day in (1, 2)
            ]
        }
    return {"texts": {"texts": [TEXT]}, "images": {"images": [PNG]}}.get(key)


def describe_answer(codec: Codec, quantiles: Sequence[float] = ()) -> dict[str, Any]:
    """Return the schema of the answer to a request."""
    one = describe_prediction(codec, quantiles)
    failed = {
        "type": "object",
        "title": "BadInput",
        "required": ["error"],
        "properties": {"error": {"type": "string", "description": "why this input cannot be predicted"}},
        "additionalProperties": False,
    }
    predictions = {"type": "array", "items": {"anyOf": [failed, one]}, "minItems": 1}
    properties: dict[str, Any] = {
        "predictions": predictions,
        "explanations": {"type": "array", "items": {"anyOf": [describe_explanation(), {"type": "null"}]}},
    }
    if isinstance(codec, SeriesCodec):
        properties["history"] = describe_history(codec)
    return {"type": "object", "title": "Predictions", "required": ["predictions"], "properties": properties}


def describe_explanation() -> dict[str, Any]:
    """Return the schema of what decided a prediction."""
    number = {"type": "number"}
    part = {
        "type": "object",
        "required": ["input", "weight"],
        "properties": {"input": {"type": "string"}, "weight": {**number, "description": "positive: speaks for `of`"}},
    }
    properties = {
        "of": {"type": "string", "description": "the class, label, number or column that is explained"},
        "unit": {"type": "string"},
        "method": {"type": "string"},
        "items": {"type": "array", "items": part},
        **dict.fromkeys(("output", "base", "rest", "missing"), number),
    }
    return {"type": "object", "title": "Explanation", "required": list(properties), "properties": properties}


def describe_history(codec: SeriesCodec) -> dict[str, Any]:
    """Return the schema of the rows before each forecast, null for a bad input."""
    roles = codec.state.roles
    properties: dict[str, Any] = {name: {"type": "string"} for name in (*roles.series_id, roles.time[0])}
    row = {"type": "object", "properties": properties | dict.fromkeys(roles.targets, NUMBER)}
    return {"type": "array", "items": {"anyOf": [{"type": "array", "items": row}, {"type": "null"}]}}


def describe_prediction(codec: Codec, quantiles: Sequence[float] = ()) -> dict[str, Any]:
    """Return the schema of the prediction for one input."""
    properties: dict[str, Any] = {}
    required: list[str] = []
    if isinstance(codec, SeriesCodec):
        roles = codec.state.roles
        properties = {name: {"type": "string"} for name in (*roles.series_id, roles.time[0])}
        for column in roles.targets:
            properties[column] = {"type": "number"}
            own = [level for place, level in enumerate(quantiles) if place != len(quantiles) // 2]
            properties |= {f"{column}_q{100 * level:g}": {"type": "number"} for level in own}
        step = _prediction("Step", properties, [*roles.series_id, roles.time[0], *roles.targets])
        return {"type": "array", "title": "Forecast", "items": step, "minItems": 1}
    if isinstance(codec, LabelCodec):
        target = codec.target
        if target.most_ranked > 1 or codec.class_names:
            shown = {"examples": list(target.names[:SHOWN_CLASSES])}
            if target.kind == "multi_label":
                properties["labels"] = {"type": "string", "description": "all labels of the input, with | between them"}
            properties |= {"label": {"type": "string", **shown}, "probability": _probability()}
            for rank in range(2, min(target.most_ranked, 10) + 1):
                properties |= {f"label_{rank}": {"type": "string", **shown}, f"probability_{rank}": _probability()}
            required = [name for name in properties if name in ("labels", "label", "probability")]
        else:
            columns = list(make_record(codec))
            properties, required = dict.fromkeys(columns, NUMBER), columns
        properties["input"] = {"type": "string", "description": "the beginning of a text"}
    return _prediction("Prediction", properties, required)


def _prediction(title: str, properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    warning = {"type": "string", "description": "why the prediction is doubtful"}
    return {
        "type": "object",
        "title": title,
        "required": required,
        "properties": {**properties, "warning": properties.get("warning", warning)},
    }


def _probability() -> dict[str, Any]:
    return {"type": "number", "minimum": 0, "maximum": 1}


def make_record(codec: LabelCodec) -> dict[str, Any]:
    """Return an example of the prediction for one input, with the names of the model."""
    target = codec.target
    if target.kind == "classes":
        return {"label": target.names[0], "probability": 0.93}
    if target.kind == "multi_label":
        return {"labels": target.names[0], "label": target.names[0], "probability": 0.93}
    return {f"{name}{part}": value for name in target.names for part, value in _PARTS.items()}


_PARTS = {"": 3.2, "_low": 2.8, "_high": 3.6}


def make_answer(codec: Codec) -> dict[str, Any]:
    """Return an example of an answer."""
    if isinstance(codec, SeriesCodec):
        roles = codec.state.roles
        step = dict.fromkeys(roles.series_id, "a") | {roles.time[0]: "2024-01-03T00:00:00"}
        return {"predictions": [[step | dict.fromkeys(roles.targets, 1.5)]]}
    if isinstance(codec, LabelCodec):
        return {"predictions": [make_record(codec), {"error": "text 2: the text is empty"}]}
    return {"predictions": [{}]}
