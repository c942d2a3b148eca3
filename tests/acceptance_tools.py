"""Git as it answers, and patch texts, for tests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any


def git(where: Path, *arguments: str) -> str:
    """What git printed, stripped; a failure fails the test with git's own words."""
    done = subprocess.run(["git", *arguments], cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def patch_text(id: str, *mutations: dict[str, Any], phase: str | None = None, **more: Any) -> str:
    """A unified patch as JSON."""
    metadata = {"author": "tester", "description": f"what {id} does"} | ({"phase": phase} if phase else {})
    return json.dumps({"id": id, "metadata": metadata, "content": {"mutations": list(mutations)}, **more})


def write_op(path: str, contents: str) -> dict[str, Any]:
    return {"op": "write", "path": path, "contents": contents}


def replace_op(path: str, search: str, replace: str) -> dict[str, Any]:
    return {"op": "replace", "path": path, "search": search, "replace": replace}
