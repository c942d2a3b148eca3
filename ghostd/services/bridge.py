"""The bridge: follows chat transcripts and drop folders, and hands every patch in them to intake, each exactly once."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ghostd.base.clock import SystemClock
from ghostd.base.errors import Cannot
from ghostd.base.life import Life, life
from ghostd.base.log import log_to_stderr
from ghostd.bridges import rules
from ghostd.bridges.watch import Watch
from ghostd.config.load import load
from ghostd.model.job import Job
from ghostd.model.settings import Places, Settings
from ghostd.model.submission import Submission
from ghostd.services.bridge_chats import POLL, Chats
from ghostd.services.bridge_desk import Desk, Taken, passing
from ghostd.services.bridge_drops import Drops
from ghostd.store.db import open_ledger
from ghostd.store.ports import Ledger, Waiter
from ghostd.store.wake import DatagramBell, listen

#: Rings within so many seconds are answered together.
_GATHER = 0.1


class House:
    """Intake and the reader of patches."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._places = Places(workspace=settings.workspace)
        self._ledger = ledger
        self._intake: Any = None

    def submit(self, submission: Submission) -> Taken:
        if self._intake is None:
            from ghostd.pipeline.intake import Intake
            from ghostd.pipeline.workshop import Repositories, Workshop, owner_of_this_process

            shop = Workshop(
                ledger=self._ledger,
                settings=self._settings,
                places=self._places,
                repositories=Repositories(self._settings),
                clock=SystemClock(),
                owner=owner_of_this_process(),
            )
            self._intake = Intake(shop)
        taken: Taken = self._intake.submit(submission)
        return taken

    def is_patch(self, text: bytes) -> bool:
        from ghostd.patches.recognise import Recognition, recognised

        return recognised(text) is not Recognition.OTHER

    def split(self, data: bytes) -> Sequence[bytes]:
        from ghostd.patches.read import documents

        found = documents(data, max_bytes=self._settings.store.max_patch)
        return [document.source for document in found]

    def result(self, job: Job) -> Mapping[str, Any]:
        from ghostd.pipeline import result

        return result.of_job(job, self._places)

    def refusal(self, error: Cannot) -> Mapping[str, Any]:
        from ghostd.pipeline import result

        return result.refused(None, error)


class Ending(Exception):  # noqa: N818 - no error: somebody asked for the end
    """Leaves work in its middle, which is as safe there as anywhere: everything goes on at the next start."""


class Bridge:
    """Both doors and what wakes them."""

    def __init__(self, desk: Desk, settings: Settings) -> None:
        self._desk = desk
        self._chats = Chats(desk, settings.bridges.values())
        self._drops = Drops(desk, settings)
        self._watch: Watch | None = None
        self._watched: frozenset[tuple[Path, int, int]] = frozenset()
        self._poll_at = 0.0
        self._drops_at = 0.0

    def serve(self, here: Life, bell: Waiter) -> None:
        """Work until the end is asked for."""
        self._desk.tried_again("journal")
        try:
            self._drops.make()
            self._watch_folders()
            here.ready("STATUS=following transcripts and drop folders")
            while not here.ending:
                if not self._desk.waits("bridge"):
                    self._guarded_round()
                if bell.fileno() in here.sleep(self._descriptors(bell), self._until() - time.monotonic()):
                    bell.drain()
                    self._drops_at = min(self._drops_at, time.monotonic() + _GATHER)
        except Ending:
            return
        finally:
            self._unwatch()

    def _guarded_round(self) -> None:
        try:
            self._round()
            self._desk.worked("bridge")
        except OSError as error:
            self._desk.failed("bridge", error)
        except Cannot as error:
            if not passing(error):
                raise
            self._desk.failed("bridge", error)

    def _round(self) -> None:
        """One look at whatever may have changed. Everything is looked at where notices may have been lost."""
        begun = time.monotonic()
        self._desk.alive()
        changed = self._watch.changes() if self._watch is not None else frozenset()
        anew = self._watch_folders() or begun >= self._poll_at or self._desk.due(begun)
        if anew:
            self._poll_at = time.monotonic() + self._chats.poll
        if self._desk.failing("journal") and not self._desk.waits("journal"):
            self._chats.retry()
        self._chats.look(None if anew else changed)
        if anew or self._drops.concern(changed) or time.monotonic() >= self._drops_at:
            self._drops_at = time.monotonic() + POLL
            self._drops.look()
        if anew:
            self._desk.forget(begun)

    def _until(self) -> float:
        """When (monotonic) something is due by itself."""
        if self._desk.waits("bridge"):
            return self._desk.next_try("bridge") or 0.0
        moments = [self._poll_at, self._drops_at, self._chats.next_look(), self._desk.next_try()]
        if self._drops.restless:
            self._drops_at = min(self._drops_at, time.monotonic() + rules.STILL)
            moments.append(self._drops_at)
        return min(moment for moment in moments if moment is not None)

    def _watch_folders(self) -> bool:
        """Watch what there is now; True where that changed. Without the kernel's notices the polling is left."""
        wanted = frozenset(_identified(self._chats.folders() | self._drops.folders()))
        if wanted == self._watched or self._desk.waits("watch"):
            return False
        self._unwatch()
        try:
            self._watch = Watch(path for path, *_ in wanted)
        except Cannot as error:
            self._desk.failed("watch", error)
            return True
        self._desk.worked("watch")
        self._watched = wanted
        return True

    def _unwatch(self) -> None:
        self._watched = frozenset()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _descriptors(self, bell: Waiter) -> tuple[int, ...]:
        return (bell.fileno(),) if self._watch is None else (bell.fileno(), self._watch.fileno())


def _identified(paths: Iterable[Path]) -> Iterator[tuple[Path, int, int]]:
    """A folder that was replaced is another one to watch."""
    for path in paths:
        with contextlib.suppress(OSError):
            status = path.stat()
            yield path, status.st_dev, status.st_ino


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bridge of `--workspace` until SIGTERM."""
    parser = argparse.ArgumentParser(prog="ghostd-bridge", description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    settings = load(parser.parse_args(argv).workspace).settings
    log_to_stderr()
    places = Places(workspace=settings.workspace)
    bell = DatagramBell(places.wake)
    with (
        life() as here,
        closing(listen(places.wake)) as waiter,
        closing(open_ledger(places.ledger, clock=SystemClock(), bell=bell)) as ledger,
    ):

        def alive() -> None:
            here.beat()
            if here.ending:
                raise Ending

        Bridge(Desk(ledger, House(settings, ledger), alive), settings).serve(here, waiter)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
