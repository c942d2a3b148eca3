"""Errors as clients see them: RFC 9457 problem documents with the original's `status`, `message`, `timestamp`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from ghostd.api import views
from ghostd.base.clock import rfc3339
from ghostd.base.errors import Cannot

MEDIA_TYPE = "application/problem+json"

#: Which HTTP status a kind of failure gets; kinds that are not here are a verdict on the patch (422).
STATUS: Mapping[str, HTTPStatus] = {
    "bad-request": HTTPStatus.BAD_REQUEST,
    "unauthorised": HTTPStatus.UNAUTHORIZED,
    "bad-signature": HTTPStatus.UNAUTHORIZED,
    "forbidden": HTTPStatus.FORBIDDEN,
    "host-not-allowed": HTTPStatus.FORBIDDEN,
    "cross-site": HTTPStatus.FORBIDDEN,
    "not-found": HTTPStatus.NOT_FOUND,
    "unknown-id": HTTPStatus.NOT_FOUND,
    "method-not-allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "slow-body": HTTPStatus.REQUEST_TIMEOUT,
    "id-reused": HTTPStatus.CONFLICT,
    "delivery-reused": HTTPStatus.CONFLICT,
    "illegal-state": HTTPStatus.CONFLICT,
    "too-large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "rate-limited": HTTPStatus.TOO_MANY_REQUESTS,
    "queue-full": HTTPStatus.TOO_MANY_REQUESTS,
    "bug": HTTPStatus.INTERNAL_SERVER_ERROR,
    **dict.fromkeys(
        (
            "disk-full",
            "git-failed",
            "git-locked",
            "git-missing",
            "ledger-damaged",
            "ledger-too-new",
            "repo-foreign",
            "repo-invalid",
            "repo-missing",
            "repo-unsupported",
        ),
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
}
#: A queue drains in seconds; a disk is cleared by a person.
RETRY_AFTER: Mapping[str, int] = {"queue-full": 5, "disk-full": 60, "git-locked": 5}


def status_of(error: Cannot) -> HTTPStatus:
    """The HTTP status of an expected failure."""
    return STATUS.get(error.kind, HTTPStatus.UNPROCESSABLE_ENTITY)


def document(error: Cannot, *, request_id: str, now: float) -> dict[str, Any]:
    """The problem's JSON. `status` is the original's word, which RFC 9457 lets its readers ignore."""
    known = error.as_json()
    path, line = error.details.get("path"), error.details.get("line")
    where = [{"pointer": path, "line": line, "detail": known["message"]}] if path or line else []
    core = {
        "type": f"urn:ghost:problem:{error.kind}",
        "title": status_of(error).phrase,
        "detail": str(error),
        "status": "error",
        "message": known["message"],
        "timestamp": rfc3339(now),
        "code": error.kind,
        "http_status": status_of(error).value,
        "request_id": request_id,
        "errors": where,
    }
    return {**core, **{key: value for key, value in known.items() if key not in core and key != "kind"}}


def response(error: Cannot, *, request_id: str, now: float) -> Response:
    """The answer to a request that could not be served."""
    body = views.as_json(document(error, request_id=request_id, now=now))
    return Response(body, status_code=status_of(error), headers=_headers(error), media_type=MEDIA_TYPE)


def _headers(error: Cannot) -> dict[str, str]:
    headers = {}
    wait = error.details.get("retry_after", RETRY_AFTER.get(error.kind))
    if wait is not None:
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
    if status_of(error) is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if "allow" in error.details:
        headers["Allow"] = str(error.details["allow"])
    return headers


def bug() -> Cannot:
    """What a client learns of an error of ours: that there was one, and nothing else."""
    return Cannot(
        "answer: something went wrong here", kind="bug", hint="the service's log has the details under this request_id"
    )
