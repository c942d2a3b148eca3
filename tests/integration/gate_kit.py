"""What the tests of gates share: a workspace with gates of their own, worked in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ghostd.config.load import load
from ghostd.model.job import Job, Origin
from ghostd.model.submission import Submission
from ghostd.pipeline.intake import Intake
from ghostd.pipeline.worker import Worker
from ghostd.pipeline.workshop import Workshop
from ghostd.sandbox import cell
from ghostd.services.executor import build

HERE = Origin(door="command", source="test")
#: Why a test that needs the whole sandbox can not run here; empty where it can.
LACKING = ", ".join(cell.missing("required"))


def configure(workspace: Path, lane: dict[str, Any] | None = None, **gates: dict[str, Any]) -> None:
    """Lane MAIN asks for all of these gates, in this order; `lane` has further keys of it."""
    keys = {"gates": list(gates), **(lane or {})}
    repo = workspace.parent
    text = f'[lane.MAIN]\nrepo = "{repo}"\n{_rows(keys)}' + "".join(
        f"\n[gate.{name}]\n{_rows(one)}" for name, one in gates.items()
    )
    (workspace / "conf" / "ghost.toml").write_text(text)


def _rows(keys: dict[str, Any]) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


@contextmanager
def opened(workspace: Path) -> Iterator[Workshop]:
    shop = build(load(workspace).settings)
    try:
        yield shop
    finally:
        shop.close()


def send(shop: Workshop, text: str, **options: Any) -> Job:
    """A patch, brought to its end."""
    taken = Intake(shop).submit(Submission(data=text.encode(), origin=HERE, options=options))
    worker = Worker(shop, shop.settings.default_lane)
    while worker.run_one() is not None:
        pass
    found = shop.ledger.get(taken.id)
    assert found is not None
    return found


def gates(job: Job) -> list[tuple[str, str]]:
    """Names and verdicts of a job's RESULT."""
    assert job.result is not None
    return [(row["name"], row["status"]) for row in job.result["gates"]]


def kind(job: Job) -> str:
    """The kind of the error with which it ended; empty for none."""
    assert job.result is not None
    return job.result["error"]["kind"] if job.result["error"] else ""
