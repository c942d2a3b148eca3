"""Follows chat transcripts: each block that is meant as a patch is kept, submitted and answered once."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.bridges.follow import Stretch, folders, follow, stamp, transcripts
from ghostd.bridges.rules import Course, Position
from ghostd.bridges.transcripts import Passage, Unread
from ghostd.model.job import Origin
from ghostd.model.settings import BridgeSettings
from ghostd.model.submission import Submission
from ghostd.services.bridge_desk import CHAT, Desk, passing
from ghostd.store.ports import Receipt

_LOG = logging.getLogger("bridge")
#: A transcript that rested so long may be read to a last line without line end.
_QUIET = 0.4
#: All is looked at so often where no bridge asks for more: a lost notice costs this much.
POLL = 5.0


@dataclass(slots=True)
class _Followed:
    """A transcript and how far it was read."""

    path: Path
    roles: tuple[str, ...]
    position: Position | None
    stamp: tuple[int, int] | None = None
    #: When (monotonic) a last line without line end may be read.
    quiet_at: float | None = None
    missing_told: bool = False


class Chats:
    """Follows all transcripts. A block that was answered is known by its file and its text, wherever it stands now."""

    def __init__(self, desk: Desk, bridges: Iterable[BridgeSettings]) -> None:
        self._desk = desk
        self._bridges = tuple(bridges)
        self._files: dict[Path, _Followed] = {}
        self.poll = min((bridge.poll for bridge in self._bridges), default=POLL)

    def folders(self) -> frozenset[Path]:
        """What has to be watched."""
        return frozenset(folder for bridge in self._bridges for path in bridge.files for folder in folders(path))

    def look(self, changed: frozenset[Path] | None) -> None:
        """Read on in the files that changed, rested or failed before; in all of them where `changed` is None."""
        for bridge in self._bridges:
            for source in bridge.files:
                for path in transcripts(source):
                    followed = self._files.get(path) or self._begin(path, bridge.roles)
                    if self._wanted(followed, changed):
                        self._look_at(followed)
                    self._desk.alive()

    def next_look(self) -> float | None:
        """When (monotonic) the first file has rested long enough."""
        return min((f.quiet_at for f in self._files.values() if f.quiet_at is not None), default=None)

    def retry(self) -> None:
        """Try what was journalled and has no answer: after a crash, or when the ledger or a repository failed."""
        rows = [entry for entry in self._desk.ledger.journalled() if entry[1].door == CHAT]
        failures = [error for entry in rows if (error := self._submit(*entry)) is not None]
        if failures:
            self._desk.failed("journal", failures[0])
        else:
            self._desk.worked("journal")

    def _begin(self, path: Path, roles: tuple[str, ...]) -> _Followed:
        text = self._desk.ledger.kv_get(_position_key(path))
        try:
            position = Position.from_text(text) if text else None
        except (ValueError, TypeError, KeyError):
            # Another version's: reading from the start is harmless, every answered block is known.
            position = None
        return self._files.setdefault(path, _Followed(path=path, roles=roles, position=position))

    def _wanted(self, followed: _Followed, changed: frozenset[Path] | None) -> bool:
        if self._desk.waits(str(followed.path)):
            return False
        rested = followed.quiet_at is not None and followed.quiet_at <= time.monotonic()
        new = followed.stamp is None or self._desk.failing(str(followed.path))
        if changed is None:
            return rested or new or stamp(followed.path) != followed.stamp
        return rested or new or followed.path in changed or followed.path.resolve() in changed

    def _look_at(self, followed: _Followed) -> None:
        try:
            self._read(followed)
        except FileNotFoundError:
            self._missing(followed)
        except OSError as error:
            self._desk.failed(str(followed.path), error)
        except Cannot as error:
            if not passing(error):
                raise
            self._desk.failed(str(followed.path), error)
        else:
            followed.missing_told = False
            self._desk.worked(str(followed.path))

    def _missing(self, followed: _Followed) -> None:
        self._desk.worked(str(followed.path))
        followed.stamp = followed.quiet_at = None
        if not followed.missing_told:
            followed.missing_told = True
            error = Cannot(f"follow {followed.path}: there is no such file", kind="missing", hint="it is waited for")
            self._desk.tell(str(followed.path), CHAT, error)

    def _read(self, followed: _Followed) -> None:
        rested = followed.quiet_at is not None and stamp(followed.path) == followed.stamp
        stretch = follow(followed.path, followed.position, roles=followed.roles, ended=rested)
        if stretch.course not in (Course.ON, Course.FIRST):
            _LOG.info("%s: %s, reading from the start", one_line(str(followed.path)), stretch.course)
        self._settle(followed.path, stretch)
        # Last: what dies before reads the stretch again, and knows each block by its receipt.
        if stretch.position != followed.position:
            self._desk.ledger.kv_set(_position_key(followed.path), stretch.position.as_text())
            followed.position = stretch.position
        followed.stamp = stretch.stamp
        followed.quiet_at = time.monotonic() + _QUIET if stretch.unfinished else None

    def _settle(self, path: Path, stretch: Stretch) -> None:
        for unread in stretch.reading.unread:
            self._tell_unread(path, unread)
        taken = [self._take(path, passage) for passage in stretch.reading.passages]
        if taken:
            _LOG.info("%s: %d blocks, %d new patches", one_line(str(path)), len(taken), sum(taken))

    def _tell_unread(self, path: Path, unread: Unread) -> None:
        key, digest = _receipt_key(path, unread.text)
        if self._desk.ledger.receipt(key) is None:
            error = Cannot(
                f"read {path}:{unread.line}: {unread.reason}", kind="malformed", hint="the line was left out"
            )
            self._desk.tell(str(path), CHAT, error, line=unread.line)
            self._desk.ledger.remember(Receipt(key=key, body_digest=digest, answer={"status": "unread"}))

    def _take(self, path: Path, passage: Passage) -> bool:
        """Submit a block that is meant as a patch and was not answered yet. Its bytes are kept before they are read."""
        self._desk.alive()
        key, _ = _receipt_key(path, passage.text)
        if self._desk.ledger.receipt(key) is not None or not self._desk.rooms.is_patch(passage.text):
            return False
        origin = Origin(door=CHAT, source=f"{path}#{passage.place}")
        row = self._desk.ledger.journal(origin, passage.text)
        if (error := self._submit(row, origin, passage.text, line=passage.line)) is not None:
            self._desk.failed("journal", error)
        return True

    def _submit(self, row: int, origin: Origin, text: bytes, *, line: int | None = None) -> Exception | None:
        """One journalled block. It leaves the journal when its answer is written; else the failure that will pass."""
        self._desk.alive()
        try:
            answers = [self._answer(origin, part, line) for part in self._parts(text)]
        except (OSError, Cannot) as error:
            if isinstance(error, Cannot) and not passing(error):
                raise
            return error
        key, digest = _receipt_key(Path(origin.source.rpartition("#")[0]), text)
        self._desk.ledger.remember(Receipt(key=key, body_digest=digest, answer={"patches": answers}))
        self._desk.ledger.settle(row)
        return None

    def _parts(self, text: bytes) -> Sequence[bytes]:
        """A block may hold several patches. One that can not be split is one: intake will say what is wrong with it."""
        try:
            return self._desk.rooms.split(text)
        except Cannot:
            return (text,)

    def _answer(self, origin: Origin, text: bytes, line: int | None) -> Mapping[str, Any]:
        """Submit one patch. Raises Cannot or OSError where that failed for the moment."""
        try:
            taken = self._desk.rooms.submit(Submission(data=text, origin=origin))
        except Cannot as error:
            if passing(error):
                raise
            self._desk.tell(origin.source, CHAT, error, block_line=line, line=error.details.get("line"))
            return {"status": "refused", "error": {"kind": error.kind, "message": str(error)}}
        _LOG.info("%s: %s is %s", one_line(origin.source), taken.job.id, taken.repeat or "queued")
        return {"status": taken.job.state.value, "id": taken.job.id, "digest": taken.job.digest}


def _position_key(path: Path) -> str:
    return f"bridge:position:{path}"


def _receipt_key(path: Path, text: bytes) -> tuple[str, str]:
    """A block is known by its file and its text: it may move when the file is rewritten."""
    digest = hashlib.sha256(text).hexdigest()
    return f"{CHAT}:{path}:{digest}", digest
