"""What the OpenAPI says of requests that are read by hand."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from chordkit.service.settings import MOST_BODY_BYTES
from chordkit.service.wanted import ITEMS_TYPE, JSON_TYPE, PROFILE_TYPE, SamplesRequest, SamplesTerms, StrategyRequest, StrategyTerms

_BINARY = {"type": "string", "format": "binary", "maxLength": MOST_BODY_BYTES}
_DETAIL = {"content": {JSON_TYPE: {"schema": {"$ref": "#/components/schemas/Refusal"}}}}
_REFUSAL = {
    "type": "object",
    "required": ["detail"],
    "properties": {"detail": {"type": "string", "description": "One sentence: what is wrong and how to mend it."}},
}
_DEADLINE = {
    "name": "Chord-Deadline-Ms",
    "in": "header",
    "required": False,
    "description": "The answer is there after so many milliseconds, or 503 is.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 600_000},
}


def _answer(description: str, **more: Any) -> dict[str, Any]:
    return {"description": description, **_DETAIL, **more}


BINARY_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The octets of docs/formats.md.", "content": {PROFILE_TYPE: {"schema": _BINARY}}},
    401: _answer("No token, or a wrong one.", headers={"WWW-Authenticate": {"schema": {"type": "string"}, "required": True}}),
    404: _answer("There is no pool for this backbone."),
    408: _answer("The body did not come in time."),
    409: _answer("Another backbone than those that are served."),
    413: _answer("The body is too large."),
    415: _answer("Another media type."),
    422: _answer("The request is wrong."),
    503: _answer("Too much to do.", headers={"Retry-After": {"schema": {"type": "integer"}, "required": True}}),
}
_RELEASE = {
    "description": "Where the request has a report and the service a channel: the highest release that is worth asking the mirrors for.",
    "schema": {"type": "integer", "minimum": 1},
}
STRATEGY_RESPONSES = BINARY_RESPONSES | {200: BINARY_RESPONSES[200] | {"headers": {"Chord-Release": _RELEASE}}}
HEALTH_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "It lives.", "content": {JSON_TYPE: {"schema": {"type": "object"}}}}
}
READY_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Send requests.", "content": {JSON_TYPE: {"schema": {"type": "object"}}}},
    503: {"description": "Send none.", "content": {JSON_TYPE: {"schema": {"type": "object"}}}},
}
METRICS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


def _headers(terms: type[StrategyTerms] | type[SamplesTerms]) -> list[dict[str, Any]]:
    """The terms as header parameters; with JSON they stand in the body."""
    found = []
    for name, schema in terms.model_json_schema()["properties"].items():
        plain = {key: value for key, value in schema.items() if key not in ("title", "description", "anyOf", "default")}
        plain |= next((each for each in schema.get("anyOf", []) if each.get("type") != "null"), {})
        parameter = {"name": f"Chord-{name.replace('_', '-').title()}", "in": "header", "required": False}
        found.append(parameter | {"description": schema.get("description", ""), "schema": plain})
    return found


def _operation(terms: type[StrategyTerms] | type[SamplesTerms], model: type[StrategyRequest] | type[SamplesRequest]) -> dict[str, Any]:
    return {
        "parameters": [*_headers(terms), _DEADLINE],
        "security": [{"token": []}, {}],
        "requestBody": {
            "required": True,
            "content": {
                PROFILE_TYPE: {"schema": _BINARY | {"description": "The profile, float32, little-endian."}},
                ITEMS_TYPE: {
                    "schema": _BINARY | {"description": "Items, int32, little-endian, oldest first, where the service allows it."}
                },
                JSON_TYPE: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}},
            },
        },
    }


STRATEGY = _operation(StrategyTerms, StrategyRequest)
SAMPLES = _operation(SamplesTerms, SamplesRequest)


def describe(app: FastAPI) -> dict[str, Any]:
    """The document, made once."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = found.setdefault("components", {})
        components.setdefault("schemas", {})["Refusal"] = _REFUSAL
        for model in (StrategyRequest, SamplesRequest):
            components["schemas"][model.__name__] = model.model_json_schema()
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        app.openapi_schema = found
    return app.openapi_schema
