"""The demonstration's own repository, workspace and daemon; gone at the end unless they are kept."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from ghostd.base import process
from ghostd.base.errors import Cannot
from ghostd.cli.demo import scene
from ghostd.config.init import init
from ghostd.model.settings import Places
from ghostd.repo.create import create_repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where everything of the demonstration is."""

    folder: Path

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def workspace(self) -> Path:
        return self.repo / ".ghost"

    @property
    def transcript(self) -> Path:
        return self.folder / "chat.md"


@contextmanager
def stage(*, keep: bool) -> Iterator[Stage]:
    """Set up, start ghostd, and in the end stop it and remove all, unless `keep`."""
    its = Stage(folder=Path(tempfile.mkdtemp(prefix="ghost-demo-")))
    try:
        create_repository(its.repo, {name: text.encode() for name, text in scene.FILES.items()})
        its.transcript.write_text("# A chat with an agent\n\n")
        init(its.workspace, repo=None)
        configuration = scene.configuration(str(its.transcript))
        Places(workspace=its.workspace).conf.write_text(tomli_w.dumps(configuration))
        ghostd(its, "start")
        yield its
    except BaseException:
        _leave(its)
        raise
    if not keep:
        _leave(its)


def ghostd(its: Stage, *arguments: str) -> dict[str, Any]:
    """Run a verb of ghostd on the demonstration's workspace and read its JSON."""
    argv = [sys.executable, "-I", "-m", "ghostd.cli.ghostd", *arguments, "--json", "--workspace", str(its.workspace)]
    done = process.run(argv, timeout=60.0)
    if done.status != 0:
        told = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise Cannot(
            f"{arguments[0]} ghostd: {told[-1] if told else f'exit status {done.status}'}",
            kind="demo-failed",
            hint=f"its log was in {its.workspace}/state/log",
        )
    told_json: dict[str, Any] = json.loads(done.stdout or b"{}")
    return told_json


def _leave(its: Stage) -> None:
    """Stop the daemon, whatever state it is in, then remove the folder."""
    try:
        ghostd(its, "stop")
    finally:
        shutil.rmtree(its.folder)
