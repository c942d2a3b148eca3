"""What the demonstration shows: a repository of three files, and five patches that arrive by five doors."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FILES: Mapping[str, str] = {
    "README.md": "# Greeter\n\nSays hello.\n",
    "greet.py": 'def greeting(name: str) -> str:\n    return f"Hello, {name}"\n',
    "test_greet.py": (
        "import unittest\n\nfrom greet import greeting\n\n\n"
        "class Greeting(unittest.TestCase):\n"
        "    def test_names_the_guest(self) -> None:\n"
        '        self.assertIn("Ada", greeting("Ada"))\n'
    ),
}
PHASE = "P1"
GATE: Mapping[str, Any] = {"run": [sys.executable, "-m", "unittest", "-q"], "timeout": "60s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One patch of the demonstration: through which door it comes, and how it has to end."""

    id: str
    door: str
    text: str
    status: str
    #: The kind of its error; empty where it applies.
    kind: str = ""


def _unified(id: str, description: str, *mutations: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": id,
        "type": "unified",
        "metadata": {"phase": PHASE, "author": "demo", "description": description},
        "content": {"mutations": list(mutations)},
        "execution": {"maxRetries": 0},
    }


_SHOUT = _unified(
    "demo-politeness",
    "greet with an exclamation mark",
    {"op": "replace", "path": "greet.py", "search": '{name}"', "replace": '{name}!"'},
)
_README = _unified(
    "demo-readme",
    "say how to run the tests",
    {
        "op": "diff",
        "path": "README.md",
        "diff": "@@ -1,3 +1,5 @@\n # Greeter\n \n Says hello.\n+\n+Test it with `python3 -m unittest`.\n",
    },
)
_BROKEN = _unified(
    "demo-broken",
    "forgets whom it greets; its gate will notice",
    {"op": "write", "path": "greet.py", "contents": 'def greeting(name: str) -> str:\n    return "Hello"\n'},
)
_HEALTH = {
    "id": "demo-health",
    "role": "demo",
    "description": "a health check",
    "target_file": "health.py",
    "patch": "def healthy() -> bool:\n    return True\n",
    "metadata": {"author": "demo"},
}
_MISMATCH = _unified(
    "demo-mismatch",
    "expects a text that is not there",
    {"op": "replace", "path": "greet.py", "search": "Good evening", "replace": "Good morning"},
)


def _pretty(patch: Mapping[str, Any]) -> str:
    return json.dumps(patch, indent=2) + "\n"


ACTS = (
    Act(id="demo-politeness", door="command", text=_pretty(_SHOUT), status="applied"),
    Act(id="demo-readme", door="drop folder", text=_pretty(_README), status="applied"),
    Act(
        id="demo-broken",
        door="chat transcript",
        text=f"Here is the change you asked for:\n\n```json\n{_pretty(_BROKEN)}```\n\nTell me how it went.\n",
        status="rejected",
        kind="gate-failed",
    ),
    Act(id="demo-health", door="signed webhook", text=_pretty(_HEALTH), status="applied"),
    Act(id="demo-mismatch", door="API", text=_pretty(_MISMATCH), status="rejected", kind="no-match"),
)


def configuration(transcript: str) -> dict[str, Any]:
    """The demonstration's ghost.toml: one gate, free ports, a transcript to follow."""
    listeners = ("gateway", "runner", "status", "telemetry", "trigger", "dashboard", "monitor")
    return {
        "ghost": {"name": "demo"},
        "lane": {
            "MAIN": {"aliases": ["BRAUN"], "default": True, "gates": ["tests"]},
            "CYOPS": {"aliases": ["DEV"], "gates": ["tests"]},
        },
        "gate": {"tests": dict(GATE)},
        "listen": dict.fromkeys(listeners, "127.0.0.1:0"),
        "bridge": {"chat": {"files": [transcript]}},
        "monitor": {"interval": "2s"},
    }
