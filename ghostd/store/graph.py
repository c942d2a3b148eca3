"""What each commit of ours did to which lines: the graph of rollbacks, kept so that it is read from Git only once.

All of it comes from Git and can be thrown away. A commit's rows are written in one transaction with the mark that says
that it was read; a kill before that leaves it unread, and the next one who asks reads it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from ghostd.model.touch import Span, Touch
from ghostd.model.tree import Entry, Mode
from ghostd.store.part import Part, Row, as_text


class GraphTable(Part):
    """Touches of commits by their paths."""

    def uncharted(self, repo: str, branch: str, since: str) -> Sequence[str]:
        return [row["oid"] for row in self._db.all("uncharted", repo=repo, branch=branch, since=since)]

    def chart(self, repo: str, touches: Mapping[str, Iterable[Touch]]) -> None:
        with self._db.write():
            for oid, of_commit in touches.items():
                self._db.all("mark_charted", repo=repo, oid=oid)
                for touch in of_commit:
                    self._db.all("add_touch", repo=repo, oid=oid, **_columns(touch))

    def touches(self, repo: str, oid: str) -> Sequence[Touch]:
        return [_touch(row) for row in self._db.all("touches_of", repo=repo, oid=oid)]

    def touched(self, repo: str, branch: str, since: str, path: bytes) -> Sequence[tuple[str, Touch]]:
        rows = self._db.all("touched", repo=repo, branch=branch, since=since, path=path)
        return [(row["oid"], _touch(row)) for row in rows]

    def touched_below(self, repo: str, branch: str, since: str, folder: bytes) -> Sequence[tuple[str, Touch]]:
        # Every path below it lies between `folder/` and `folder0`: 0 is what comes after the slash.
        rows = self._db.all(
            "touched_between", repo=repo, branch=branch, since=since, first=folder + b"/", end=folder + b"0"
        )
        return [(row["oid"], _touch(row)) for row in rows]

    def depending(self, ids: Iterable[str]) -> frozenset[str]:
        return frozenset(row["id"] for row in self._db.all("depending", ids=as_text(sorted(ids))))

    def forget_chart(self, repo: str) -> None:
        with self._db.write():
            self._db.all("forget_charted", repo=repo)
            self._db.all("forget_touches", repo=repo)


def _columns(touch: Touch) -> dict[str, object]:
    spans = None if touch.spans is None else [[span.old, span.old_end, span.new, span.new_end] for span in touch.spans]
    return {
        "path": touch.path,
        "was_mode": touch.before and int(touch.before.mode),
        "was": touch.before and touch.before.oid,
        "now_mode": touch.after and int(touch.after.mode),
        "now": touch.after and touch.after.oid,
        "spans": None if spans is None else as_text(spans),
    }


def _touch(row: Row) -> Touch:
    return Touch(
        path=bytes(row["path"]),
        before=_entry(row["was_mode"], row["was"]),
        after=_entry(row["now_mode"], row["now"]),
        spans=None if row["spans"] is None else tuple(Span(*numbers) for numbers in json.loads(row["spans"])),
    )


def _entry(mode: int | None, oid: str | None) -> Entry | None:
    return None if mode is None or oid is None else Entry(mode=Mode(mode), oid=oid)
