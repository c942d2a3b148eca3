"""The record of how a gate came to its verdict: what it was given, what ran it, what shut it in, and what it used."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ghostd.pipeline.task import Ran, Task

#: Digests of executables by what tells one state of a file from the next: path, inode, size, times.
_DIGESTS: dict[tuple[str, int, int, int, int], str] = {}


def record(task: Task, environment: Mapping[str, str], runs: Sequence[Ran]) -> dict[str, Any]:
    """All of it as JSON-able facts. Values of the environment are told by their digest, as they may be secret."""
    gate = task.gate
    return {
        "tree": task.subject.tree,
        "argv": list(gate.run),
        "environment": {name: _digest(value.encode(errors="surrogateescape")) for name, value in environment.items()},
        "tool": tool(gate.run[0]),
        "sandbox": {"policy": task.policy, "network": gate.network},
        "limits": gate.limits.as_json(),
        "timeoutMs": round(gate.timeout * 1000),
        "runs": [_run(run) for run in runs],
    }


def cached(tree: str, key: str, id: str) -> dict[str, Any]:
    """The record of a gate that was not run: under which key, and for which job, it passed before."""
    return {"tree": tree, "cached": {"key": key, "job": id}, "runs": []}


def tool(name: str) -> dict[str, str | None]:
    """Where a command is found and the digest of its file; None where it is not there (or lies in the tree)."""
    found = shutil.which(name)
    return {"path": found, "sha256": executable(Path(found)) if found else None}


def executable(path: Path) -> str:
    """The SHA-256 of a file in hex, read once for each state of it."""
    path = path.resolve()
    told = path.stat()
    key = (str(path), told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns)
    if key not in _DIGESTS:
        with path.open("rb") as file:
            _DIGESTS[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _DIGESTS[key]


def _run(run: Ran) -> dict[str, Any]:
    verdict, finished = run.verdict, run.finished
    return {
        "status": verdict.said.value,
        "exit": verdict.status,
        "durationMs": verdict.duration_ms,
        "layers": list(finished.layers),
        "outputSha256": verdict.digest,
        "outputBytes": len(finished.output) + finished.cut,
        "leftovers": finished.leftovers,
        "outOfMemory": finished.out_of_memory,
        "usage": None if finished.usage is None else asdict(finished.usage),
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
