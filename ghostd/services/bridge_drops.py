"""Takes the files of the lanes' drop folders, and puts each away with its result when its patches have ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.bridges import rules
from ghostd.bridges.drop import DropFolder, Dropped
from ghostd.bridges.rules import Seen
from ghostd.model.job import Origin
from ghostd.model.settings import Places, Settings
from ghostd.model.submission import Submission
from ghostd.services.bridge_desk import DROP, Desk, passing

_LOG = logging.getLogger("bridge")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ticket:
    """What became of one patch of a file: a job, or a refusal."""

    id: str | None
    refusal: Mapping[str, Any] | None = None


@dataclass(slots=True)
class _Lane:
    """A lane's folder and the files of it that are on their way."""

    name: str
    folder: DropFolder
    waiting: dict[Seen, tuple[_Ticket, ...]] = field(default_factory=dict)

    def key(self, seen: Seen) -> str:
        return str(self.folder.folder / seen.name)


class Drops:
    """All lanes' drop folders."""

    def __init__(self, desk: Desk, settings: Settings) -> None:
        self._desk = desk
        places = Places(workspace=settings.workspace)
        limit = settings.store.max_patch
        self._lanes = [_Lane(name, DropFolder(places.drop(name), limit=limit)) for name in settings.lanes]

    def folders(self) -> frozenset[Path]:
        """What has to be watched."""
        return frozenset(lane.folder.folder for lane in self._lanes if lane.folder.folder.is_dir())

    @property
    def restless(self) -> bool:
        """A file is about to be whole."""
        return any(lane.folder.restless for lane in self._lanes)

    def concern(self, changed: frozenset[Path]) -> bool:
        """Whether one of the changes is in a drop folder."""
        ours = {lane.folder.folder for lane in self._lanes}
        return any(path in ours or path.parent in ours for path in changed)

    def make(self) -> None:
        """Make the folders, before they are watched."""
        for lane in self._lanes:
            lane.folder.make()

    def look(self) -> None:
        """Take the files that are whole, put away those that are done."""
        for lane in self._lanes:
            source = str(lane.folder.folder)
            if self._desk.waits(source):
                continue
            try:
                self._look_into(lane)
                self._finish(lane)
            except OSError as error:
                self._desk.failed(source, error)
            except Cannot as error:
                if not passing(error):
                    raise
                self._desk.failed(source, error)
            else:
                self._desk.worked(source)

    def _look_into(self, lane: _Lane) -> None:
        if lane.folder.make():
            error = Cannot(f"watch {lane.folder.folder}: it was gone", kind="missing", hint="it was made again")
            self._desk.tell(str(lane.folder.folder), DROP, error, lane=lane.name)
        ripe, foreign = lane.folder.look(time.monotonic())
        for seen in foreign:
            error = Cannot(
                f"take {lane.key(seen)}: it is no .json or .yaml file", kind="foreign", hint="it is left alone"
            )
            self._desk.tell(lane.key(seen), DROP, error, lane=lane.name)
        lane.waiting = {seen: tickets for seen, tickets in lane.waiting.items() if seen in ripe}
        for seen in ripe:
            if seen not in lane.waiting and not self._desk.waits(lane.key(seen)):
                self._take(lane, seen)
                self._desk.alive()

    def _take(self, lane: _Lane, seen: Seen) -> None:
        try:
            dropped = lane.folder.take(seen)
            if dropped is not None:
                lane.waiting[seen] = self._tickets(lane, dropped)
        except OSError as error:
            self._desk.failed(lane.key(seen), error)
        except Cannot as error:
            # The file stays where it is, and its patches that are queued already are known by their ids.
            self._desk.failed(lane.key(seen), error)
        else:
            self._desk.worked(lane.key(seen))

    def _tickets(self, lane: _Lane, dropped: Dropped) -> tuple[_Ticket, ...]:
        """Submit every patch of a file. Raises Cannot where one failed for the moment."""
        source = lane.key(dropped.seen)
        try:
            parts = self._desk.rooms.split(dropped.data)
        except Cannot as error:
            return (self._refused(lane, source, error),)
        return tuple(self._ticket(lane, source, part) for part in parts)

    def _ticket(self, lane: _Lane, source: str, part: bytes) -> _Ticket:
        try:
            taken = self._desk.rooms.submit(
                Submission(data=part, origin=Origin(door=DROP, source=source), lane=lane.name)
            )
        except Cannot as error:
            if passing(error):
                raise
            return self._refused(lane, source, error)
        if taken.repeat in ("reverted", "rewound"):
            told = Cannot(f"apply {taken.job.id}: it was {taken.repeat}", kind=taken.repeat, hint="give it a new id")
            return self._refused(lane, source, told)
        return _Ticket(id=taken.job.id)

    def _refused(self, lane: _Lane, source: str, error: Cannot) -> _Ticket:
        self._desk.tell(source, DROP, error, lane=lane.name, line=error.details.get("line"))
        return _Ticket(id=None, refusal=self._desk.rooms.refusal(error))

    def _finish(self, lane: _Lane) -> None:
        for seen, tickets in list(lane.waiting.items()):
            jobs = [self._desk.ledger.get(ticket.id) if ticket.id else None for ticket in tickets]
            shelf = rules.shelf([None if job is None else job.state for job in jobs])
            if shelf is None:
                continue
            pairs = zip(tickets, jobs, strict=True)
            patches = [ticket.refusal if job is None else self._desk.rooms.result(job) for ticket, job in pairs]
            result = {"file": seen.name, "status": shelf.removeprefix("."), "patches": patches}
            moved = lane.folder.shelve(seen, shelf, result)
            del lane.waiting[seen]
            _LOG.info("%s: %s", one_line(lane.key(seen)), f"now {moved}" if moved else "changed or gone, left alone")
