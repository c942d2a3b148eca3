"""The OpenAPI document, made by FastAPI from the table of routes."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from starlette.responses import Response

from ghostd import __version__
from ghostd.api.front import Ask, Listener, Route

_NAME = re.compile(r"\{(\w+)\}")
_UNSAFE = re.compile(r"\W+")
_ASSETS = frozenset({"/page.js", "/style.css", "/favicon.svg", "/parts.html"})
_SECURITY = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
_ENVELOPE = {
    "type": "object",
    "required": ["status", "timestamp", "data"],
    "properties": {"status": {"const": "success"}, "timestamp": {"type": "string", "format": "date-time"}, "data": {}},
}
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "detail", "status", "message", "timestamp", "code", "request_id"],
    "properties": {"status": {"const": "error"}, "code": {"type": "string"}, "message": {"type": "string"}},
}
_RECEIPT = {
    "type": "object",
    "required": ["id", "digest", "status", "status_url"],
    "properties": {name: {"type": "string"} for name in ("id", "digest", "status", "status_url")},
}
#: What may come as a patch, and as a report.
_BODIES = {
    "/webhook": {"application/json": {}, "application/yaml": {}},
    "/api/patches": {"application/json": {}, "application/yaml": {}},
    "/api/webhooks/patch-event": {"application/json": {"schema": {"type": "object"}}},
}
_QUERIES = {
    "/api/patches": ("lane", "state", "limit", "cursor"),
    "/api/events": ("since", "limit", "subject"),
}


def operation(route: Route) -> dict[str, Any]:
    """What FastAPI can not see in a handler that reads the request by itself."""
    described: dict[str, Any] = {
        "parameters": [_parameter(name, "path") for name in _NAME.findall(route.path)],
        "responses": {"default": _content("A problem (RFC 9457)", "application/problem+json", "Problem")},
    }
    if route.method == "GET":
        described["parameters"] += [_parameter(name, "query") for name in _QUERIES.get(route.path, ())]
    elif route.path in _BODIES:
        described["requestBody"] = {"required": True, "content": _BODIES[route.path]}
    if route.method == "POST" and route.path in {"/webhook", "/api/patches"}:
        described["responses"]["202"] = _content("The receipt: it is on disk", "application/json", "Receipt")
    if route.scope is not None:
        described["security"] = [{"bearer": []}]
        described["description"] = f"Scope: `{route.scope}`."
    return described


def _parameter(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}


def _content(description: str, media_type: str, schema: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


async def openapi(ask: Ask) -> Response:
    """What this door answers, for programs."""
    body = await ask.front.desk.aside(lambda: document(ask.listener))
    return Response(body, media_type="application/json")


@functools.cache
def document(listener: Listener) -> bytes:
    """The OpenAPI document of one door. FastAPI is imported here and nowhere else, for the few who ask."""
    from fastapi import FastAPI

    from ghostd.api.routes import routes_of

    app = FastAPI(title=f"ghost · {listener}", version=__version__)
    for route in routes_of(listener):
        if route.method != "WS" and route.path not in _ASSETS:
            app.add_api_route(
                route.path,
                _described,
                methods=[route.method],
                summary=route.summary,
                operation_id=_UNSAFE.sub("_", f"{route.method.lower()}{route.path}").strip("_"),
                openapi_extra=operation(route),
            )
    described = app.openapi()
    schemas = {"Problem": _PROBLEM, "Receipt": _RECEIPT, "Envelope": _ENVELOPE}
    return json.dumps({**described, "components": {"schemas": schemas, "securitySchemes": _SECURITY}}).encode()


def _described() -> None:
    """Stands for a handler: all that matters of one is in the table."""
