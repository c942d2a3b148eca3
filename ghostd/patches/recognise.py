"""Whether a block of a chat is meant as a patch at all: most blocks are not, and are left alone."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from ghostd.patches.documents import MAX_BYTES, documents
from ghostd.patches.formats.detect import detect
from ghostd.patches.refusal import Malformed

# Without any of these words no text can be recognised, and most of a chat is out after one look.
_WORDS = re.compile(rb"unified|mutation|target_file|blockId|patch|shell|file_modification")
# The look of a mapping or list; prose and program text have another.
_DATA = re.compile(r"\s*(?:[\[{]|---|%YAML|- |[\"']?[\w.-]+[\"']?\s*:)")
# What detection goes by, to be seen in a text that can not be parsed.
_MARKERS = re.compile(
    r"""(?:^|[\s{,\["'])(?:
        ["']?role["']?\s*:\s*["']?command_patch
      | ["']?type["']?\s*:\s*["']?(?:unified|multi_mutation|file_modification)\b
      | ["']?(?:target_file|blockId)["']?\s*:
      | ["']?patch["']?\s*:\s*\{?\s*["']?(?:id|kind)["']?\s*:
      | ["']?mutations["']?\s*:\s*(?:\[|\n\s*-)
    )""",
    re.VERBOSE,
)


class Recognition(Enum):
    """What a block is: a patch, a text that was meant as one and can not be parsed, or something else."""

    PATCH = "patch"
    BROKEN = "broken"
    OTHER = "other"


def recognised(data: bytes, *, max_bytes: int = MAX_BYTES) -> Recognition:
    """Tell what a block is. PATCH says that it was meant as one, not that it is a good one."""
    if not _WORDS.search(data):
        return Recognition.OTHER
    try:
        found = documents(data, max_bytes=max_bytes)
    except Malformed:
        text = data[:max_bytes].decode("utf-8", "replace").removeprefix("\ufeff")
        meant = _DATA.match(text) and _MARKERS.search(text)
        return Recognition.BROKEN if meant else Recognition.OTHER
    return Recognition.PATCH if any(_is_meant(doc.value) for doc in found) else Recognition.OTHER


def _is_meant(mapping: dict[str, Any]) -> bool:
    return mapping.get("role") == "command_patch" or detect(mapping) is not None
