"""The two shapes of a good answer: the original's envelope, and plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from ghostd.api import views
from ghostd.api.front import Ask


def plain(document: Mapping[str, Any], *, status: int = 200) -> Response:
    """JSON as it is."""
    return Response(views.as_json(document), status_code=status, media_type="application/json")


def enveloped(ask: Ask, data: Any, **beside: Any) -> Response:
    """The original's envelope; `beside` are fields that its clients also look for on top."""
    return plain({**beside, **views.envelope(data, ask.now)})
