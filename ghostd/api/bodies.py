"""A request's body, counted while it arrives: a stranger decides neither its size nor its pace."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from ghostd.base.errors import Cannot


async def read(request: Request, *, limit: int, seconds: float) -> bytes:
    """The raw bytes. Raises Cannot: too-large as soon as the limit is passed, slow-body when the time is up."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _collect(request, limit)
    except TimeoutError:
        raise Cannot(
            f"read the request: it did not arrive within {seconds:g} s", kind="slow-body", hint="send it again, faster"
        ) from None
    except ClientDisconnect:
        raise Cannot("read the request: the client went away", kind="bad-request", hint="send it again") from None


async def _collect(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> Cannot:
    return Cannot(
        f"take the request: its body is larger than {limit} bytes",
        kind="too-large",
        hint="make it smaller, or raise [security] max_body",
        limit=limit,
    )


def as_object(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises Cannot(bad-request)."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Cannot("read the request: it is no JSON object", kind="bad-request", hint='send {"…": …}')
    return value
