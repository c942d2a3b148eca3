"""RFC 8785 JSON, the bytes that a patch's digest is of: by the C encoder where that gives the same."""

from __future__ import annotations

import json
import re
from typing import Any

import rfc8785

from ghostd.patches.strict_json import MAX_NUMBER

_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False)
# Beyond these Python sorts keys by code points and the RFC by UTF-16 units, and halves of pairs have no UTF-8.
_ODD = re.compile("[\ud800-\U0010ffff]")


def dumps(value: Any) -> bytes:
    """The canonical bytes of a value made of mappings, lists and scalars. Raises ValueError for what has none."""
    if not _plain(value):
        return rfc8785.dumps(value)
    text = _ENCODER.encode(value)
    return text.encode() if text.isascii() or not _ODD.search(text) else rfc8785.dumps(value)


def _plain(value: Any) -> bool:
    """True where no number is written otherwise by the RFC than by Python."""
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    if isinstance(value, list):
        return all(map(_plain, value))
    return not isinstance(value, (int, float)) or (isinstance(value, int) and abs(value) <= MAX_NUMBER)
