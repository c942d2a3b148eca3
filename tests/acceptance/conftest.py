"""Real `ghost` and `ghostd` processes, and a daemon that never outlives its test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Ran:
    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def results(self) -> list[dict[str, Any]]:
        return self.json["patches"]

    @property
    def result(self) -> dict[str, Any]:
        (only,) = self.results
        return only


Program = Callable[..., Ran]


def _program(module: str, cwd: Path) -> Program:
    def call(*arguments: str, cwd: Path = cwd, stdin: str = "", env: dict[str, str] | None = None) -> Ran:
        done = subprocess.run(
            [sys.executable, "-I", "-m", module, *arguments],
            cwd=cwd, input=stdin, capture_output=True, text=True, timeout=100, check=False,
            env=os.environ | (env or {}),
        )  # fmt: skip
        return Ran(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    return call


@pytest.fixture
def ghost(repo: Path) -> Program:
    """The `ghost` command, run in `repo`."""
    return _program("ghostd.cli.ghost", repo)


@pytest.fixture
def ghostd(repo: Path) -> Program:
    """The `ghostd` command, run in `repo`."""
    return _program("ghostd.cli.ghostd", repo)


@pytest.fixture
def daemon(workspace: Path, ghostd: Program) -> Iterator[dict[str, Any]]:
    """A running ghostd in `workspace` with all services ready; its status document."""
    started = ghostd("start", "--json")
    try:
        assert started.status == 0, started.stdout + started.stderr
        yield ghostd("status", "--json").json
    finally:
        ghostd("stop")
