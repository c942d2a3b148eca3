"""The live table of the demonstration on a terminal; one line for each change elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from ghostd.base.log import one_line
from ghostd.cli import output
from ghostd.cli.demo.scene import Act
from ghostd.model.job import Job


class Board:
    """Shows what has become of each patch. Without `live` it is silent until the end."""

    def __init__(self, *, live: bool) -> None:
        self._live: Any = None
        self._wanted = live
        self._rows: list[tuple[str, ...]] = []

    def __enter__(self) -> Self:
        if self._wanted:
            from rich.live import Live

            self._live = Live(refresh_per_second=10)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def show(self, acts: Sequence[tuple[Act, Job | None]]) -> None:
        """Bring the table up to date; in a pipe it is printed once, when all have ended."""
        self._rows = [_row(act, job) for act, job in acts]
        if self._live is not None:
            self._live.update(_table(self._rows))
        elif not output.wants_json() and all(job is not None and job.state.terminal for _, job in acts):
            output.table(("PATCH", "DOOR", "STATUS", "COMMIT", "WHY"), self._rows)


def _row(act: Act, job: Job | None) -> tuple[str, ...]:
    if job is None:
        return (act.id, act.door, "on its way", "", "")
    told = job.result or {}
    error = told.get("error") or {}
    status = told.get("status", job.state.value)
    return (act.id, act.door, status, (told.get("commit") or "")[:10], one_line(str(error.get("message", "")), 70))


def _table(rows: Sequence[tuple[str, ...]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    colours = {"applied": "green", "rejected": "red", "failed": "red"}
    table = Table("patch", "door", "status", "commit", "why")
    for id, door, status, commit, why in rows:
        table.add_row(id, door, Text(status, style=colours.get(status, "yellow")), commit, Text(why))
    return table
