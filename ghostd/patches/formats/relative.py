"""Absolute paths of a patch: under a known prefix they become relative to the repository, else they are an error."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from ghostd.patches.fields import Findings
from ghostd.patches.refusal import KeyPath

#: The keys of a mutation that hold a path of the tree.
_PATH_KEYS = ("path", "to")


def relative(mapping: Mapping[str, Any], prefixes: Sequence[str], found: Findings) -> dict[str, Any]:
    """The unified mapping with every path relative. Values of a wrong type are left for the reader to note."""
    prefixes = sorted((prefix.rstrip("/") + "/" for prefix in prefixes), key=len, reverse=True)
    cut = _Cut(prefixes, found)
    result = dict(mapping)
    if isinstance(target := mapping.get("target"), dict):
        result["target"] = cut.target(target)
    if isinstance(content := mapping.get("content"), dict) and isinstance(content.get("mutations"), list):
        mutations = [cut.mutation(each, index) for index, each in enumerate(content["mutations"])]
        result["content"] = {**content, "mutations": mutations}
    return result


class _Cut:
    def __init__(self, prefixes: Sequence[str], found: Findings) -> None:
        self.prefixes = prefixes
        self.found = found

    def path(self, value: Any, where: KeyPath) -> Any:
        if not isinstance(value, str) or not value.startswith("/"):
            return value
        prefix = next((each for each in self.prefixes if value.startswith(each)), None)
        if prefix is None or len(value) == len(prefix):
            self.found.error(where, f"{value[:200]} is an absolute path outside the repository")
            return value
        return value.removeprefix(prefix)

    def coded(self, value: Any, where: KeyPath) -> Any:
        """The same for a path in base64."""
        try:
            path = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
        except (binascii.Error, ValueError):
            return value
        text = path.decode("utf-8", "surrogateescape")
        cut = self.path(text, where)
        return value if cut == text else base64.b64encode(cut.encode("utf-8", "surrogateescape")).decode()

    def mutation(self, value: Any, index: int) -> Any:
        if not isinstance(value, dict):
            return value
        result, where = dict(value), ("content", "mutations", index)
        for key in _PATH_KEYS:
            if key in value:
                result[key] = self.path(value[key], (*where, key))
            if (coded := f"{key}_b64") in value:
                result[coded] = self.coded(value[coded], (*where, coded))
        return result

    def target(self, value: Mapping[str, Any]) -> dict[str, Any]:
        result = dict(value)
        if "file" in value:
            result["file"] = self.path(value["file"], ("target", "file"))
        if isinstance(files := value.get("files"), list):
            result["files"] = [self.path(each, ("target", "files", index)) for index, each in enumerate(files)]
        return result
