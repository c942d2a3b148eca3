"""The monitor: looks at services, queues, disk and folders, keeps the health files, opens and resolves alerts."""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ghostd import __version__
from ghostd.alerts.rules import targets
from ghostd.base.clock import Clock, SystemClock, rfc3339
from ghostd.base.errors import Cannot
from ghostd.base.files import make_dir, write_atomic
from ghostd.base.life import Life, life
from ghostd.base.log import log_to_stderr, one_line
from ghostd.bridges.watch import Watch
from ghostd.config.load import load
from ghostd.model.job import State
from ghostd.model.settings import Places, Settings
from ghostd.monitor import probes, rules
from ghostd.monitor.rules import Copied, Gateway, Lasting, Service, Snapshot
from ghostd.security import secrets
from ghostd.store.db import open_ledger
from ghostd.store.ports import Ledger
from ghostd.store.wake import DatagramBell
from ghostd.supervise.client import Control
from ghostd.supervise.journal import entries

_LOG = logging.getLogger("monitor")
HEALTH, RESOURCES = ".aggregated-health.json", ".resource.json"
JOURNAL = "engine.journal"
#: Our place in the engine's journal.
CURSOR = "monitor:journal"
_PAGE = 500
_ASK_TIMEOUT = 2.0
_OPEN = (State.QUEUED, State.HELD, State.RUNNING)
#: An executor has something to do with these.
_WAITING = (State.QUEUED, State.RUNNING)


# What happened to the services ----------------------------------------------------------------------------------


class Scribe:
    """Copies the engine's journal into events, each entry exactly once.

    The entry's number is in its event. The cursor is written after the event, so a crash between the two leaves it
    behind; at the start it is put right by the numbers of the events that are newer than it. There is one monitor.
    """

    def __init__(self, ledger: Ledger, journal: Path) -> None:
        self._ledger = ledger
        self._journal = journal
        self._copied = self._recover()
        self._stamp: tuple[int, int, int] | None = None

    def copy(self) -> int:
        """Copy what is new; how many that were."""
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return 0
        found = rules.to_copy(entries(self._journal), self._copied)
        for entry in found:
            self._append(entry)
        self._stamp = stamp
        return len(found)

    def _append(self, entry: Mapping[str, Any]) -> None:
        number = int(entry["seq"])
        told = {"number": number, **{key: value for key, value in entry.items() if key != "seq"}}
        seq = self._ledger.append("ghost.service.state", str(entry.get("service", "")), told)
        self._copied = Copied(number=number, time=float(entry.get("time", 0.0)))
        self._ledger.kv_set(CURSOR, json.dumps({"number": number, "time": self._copied.time, "event": seq}))

    def _recover(self) -> Copied:
        text = self._ledger.kv_get(CURSOR)
        known: dict[str, Any] = json.loads(text) if text else {"number": 0, "time": 0.0, "event": 0}
        copied = Copied(number=known["number"], time=known["time"])
        since: int = known["event"]
        while page := self._ledger.events(since, limit=_PAGE):
            since = page[-1].seq
            for event in page:
                if event.type == "ghost.service.state" and "number" in event.data:
                    copied = Copied(number=event.data["number"], time=float(event.data.get("time", 0.0)))
        return copied

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self._journal.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns


# How things stand -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """Everything that a look needs."""

    ledger: Ledger
    settings: Settings
    places: Places
    clock: Clock
    #: The supervisor's status document. Raises Cannot where nobody answers.
    ask: Callable[[], Mapping[str, Any]]
    has_secret: bool
    processes: probes.Processes = field(default_factory=probes.Processes)

    def look(self, before: Lasting) -> Lasting:
        """Write the health files and bring the alerts in line; what has lasted, for the next look."""
        status = self._status()
        snapshot = self._snapshot(status)
        lasting = rules.lasting(before, snapshot, self.clock.monotonic())
        # Files first: they tell of a full disk even when the ledger can not.
        self._write_files(status or {}, snapshot)
        verdict = rules.examine(snapshot, self.settings.monitor, lasting)
        self.ledger.observe(verdict.findings, targets=targets(self.settings.alerts), rules=verdict.rules)
        return lasting

    def _status(self) -> Mapping[str, Any] | None:
        try:
            return self.ask()
        except Cannot as error:
            _LOG.warning("%s", one_line(str(error)))
            return None

    def _snapshot(self, status: Mapping[str, Any] | None) -> Snapshot:
        counts = self.ledger.counts()
        lanes = self.settings.lanes
        return Snapshot(
            wall=self.clock.wall(),
            services=None if status is None else tuple(_service(row) for row in status.get("services", ())),
            waiting={lane: sum(counts.get((lane, state), 0) for state in _WAITING) for lane in lanes},
            paused=frozenset(lane for lane in lanes if self.ledger.paused(lane)),
            oldest=self.ledger.jobs(states=_OPEN, limit=rules.MOST, newest_first=False),
            disk_free=probes.free_bytes(self.places.state),
            folderless=frozenset(lane for lane in lanes if not self.places.drop(lane).is_dir()),
        )

    def _write_files(self, status: Mapping[str, Any], snapshot: Snapshot) -> None:
        metrics = probes.machine(self.places.state)
        resources = {
            "timestamp": rfc3339(snapshot.wall),
            "version": __version__,
            **metrics,
            "disk_free_bytes": snapshot.disk_free,
            "services": self.processes.look(
                {row["name"]: row["pid"] for row in status.get("services", ()) if row.get("pid")}
            ),
        }
        writable = self._write(RESOURCES, resources)
        document = rules.health(
            snapshot, self._gateway(status), writable=writable, metrics=metrics, version=__version__
        )
        services = [
            {"name": one.name, "state": one.state, "ready": one.ready, "why": one.why}
            for one in snapshot.services or ()
        ]
        self._write(HEALTH, {**document, "services": services, "queue": self._queue()})

    def _queue(self) -> dict[str, dict[str, int]]:
        counts = self.ledger.counts()
        return {lane: {state.value: counts.get((lane, state), 0) for state in State} for lane in self.settings.lanes}

    def _gateway(self, status: Mapping[str, Any]) -> Gateway:
        configured = self.settings.listen.gateway
        if not configured:
            return Gateway(bound=False, responsive=False, webhook="off")
        # The port that it got where the configuration leaves it free.
        address = str(status.get("listen", {}).get("gateway", configured))
        bound, responsive = probes.answers(address)
        webhook = "operational" if responsive else "down"
        return Gateway(bound=bound, responsive=responsive, webhook=webhook if self.has_secret else "no-secret")

    def _write(self, name: str, document: Mapping[str, Any]) -> bool:
        try:
            write_atomic(make_dir(self.places.heartbeat) / name, json.dumps(document, indent=2).encode() + b"\n")
        except OSError as error:
            _LOG.error("cannot write %s: %s", name, error)
            return False
        return True


def _service(row: Mapping[str, Any]) -> Service:
    return Service(
        name=str(row["name"]),
        state=str(row["state"]),
        ready=bool(row.get("ready")),
        why=one_line(str(row.get("why") or "")),
        exit=row.get("exit"),
        healthy=row.get("healthy"),
    )


# The service ----------------------------------------------------------------------------------------------------


def serve(here: Life, monitor: Monitor, scribe: Scribe, watch: Watch | None) -> None:
    """Look each interval, copy the journal when it changes, until the end is asked for."""
    lasting = Lasting()
    due = monitor.clock.monotonic()
    while not here.ending:
        it_is_time = monitor.clock.monotonic() >= due
        if it_is_time:
            due = monitor.clock.monotonic() + monitor.settings.monitor.interval
        try:
            scribe.copy()
            if it_is_time:
                lasting = monitor.look(lasting)
        except (Cannot, OSError) as error:
            # The ledger or the disk refuses: the next look tries again, and the files tell it if they can.
            _LOG.error("cannot look: %s; trying again", one_line(str(error)))
        here.sleep([watch.fileno()] if watch else [], due - monitor.clock.monotonic())
        if watch:
            watch.changes()


def _watch(folder: Path) -> Watch | None:
    try:
        return Watch([make_dir(folder)])
    except Cannot as error:
        _LOG.warning("%s", one_line(str(error)))
        return None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the monitor of `--workspace` until SIGTERM."""
    parser = argparse.ArgumentParser(prog="ghostd-monitor", description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    settings = load(parser.parse_args(argv).workspace).settings
    log_to_stderr()
    places, clock = Places(workspace=settings.workspace), SystemClock()
    with ExitStack() as stack:
        here = stack.enter_context(life())
        ledger = stack.enter_context(closing(open_ledger(places.ledger, clock=clock, bell=DatagramBell(places.wake))))
        watch = _watch(places.run)
        if watch:
            stack.enter_context(closing(watch))
        monitor = Monitor(
            ledger=ledger,
            settings=settings,
            places=places,
            clock=clock,
            ask=Control(places.control, timeout=_ASK_TIMEOUT).status,
            has_secret=bool(secrets.load("webhook", places.secrets, os.environ)),
        )
        scribe = Scribe(ledger, places.run / JOURNAL)
        here.ready("STATUS=watching")
        serve(here, monitor, scribe, watch)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
