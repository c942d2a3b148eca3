"""The engine: decides when services start, stop and start again, and serves supervisor's contract while it does.

It performs nothing on processes itself (link.py asks the keeper), sleeps in one place (loop.py), and is supervisord to
supervisor's RPC classes. Killed at any moment, its successor finds everything with the keeper.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor import events
from supervisor.states import ProcessStates, SupervisorStates, getSupervisorStateDescription
from supervisor.supervisord import Supervisor

from ghostd.base.clock import Clock
from ghostd.base.files import make_dir
from ghostd.base.notify import notify
from ghostd.base.sockets import LONGEST
from ghostd.model.service import RestartWhen, ServiceSpec
from ghostd.model.settings import Places
from ghostd.supervise import order, orders, status
from ghostd.supervise.child import Child
from ghostd.supervise.contract import Options
from ghostd.supervise.journal import Journal
from ghostd.supervise.link import KeeperLost, Kept, Link, Order, attach, launch
from ghostd.supervise.lock import only_engine
from ghostd.supervise.loop import Loop
from ghostd.supervise.probes import Ear
from ghostd.supervise.rpc import ControlServer, serve
from ghostd.supervise.rules import DOWN, State
from ghostd.supervise.service import Service
from ghostd.supervise.survivors import Record, end_survivors

_log = logging.getLogger("ghostd.engine")
#: After a bug in one pass, or a keeper that died at once: try again, but do not burn the core.
_BREATH = 0.2
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


class Engine(Supervisor):  # type: ignore[misc]
    """One workspace's services. `run` is all there is to call."""

    def __init__(
        self,
        places: Places,
        specs: Mapping[str, ServiceSpec],
        *,
        clock: Clock,
        dice: random.Random,
        environ: Mapping[str, str],
    ) -> None:
        """Raises Cannot when the services can not be put in an order."""
        self.places = places
        self.clock = clock
        self.loop = Loop(clock)
        self.exit_status = 0
        self._specs = [specs[name] for name in order.start_order(specs)]
        self._dice = dice
        self._environ = environ
        self._born = clock.monotonic()
        self._stirred = True
        self._told_ready = False
        self.stopping = False
        #: What the first pass does; kept until it has worked.
        self._begin: Callable[[], None] | None = None
        #: Adopted, but not in the configuration any more.
        self._strangers: set[str] = set()
        self.link: Link
        self.site: orders.Site
        self._journal: Journal
        self._server: ControlServer

    # -- from the first line to the last -----------------------------------------------------------------------------

    def run(self, *, only_stop: bool = False) -> int:
        """Supervise until a signal or a client says stop; the exit status. Raises Cannot(already-running)."""
        for folder in (self.places.run, self.places.log, self.places.run / "notify"):
            make_dir(folder)
        with only_engine(self.places.run):
            self._open()
            self._begin = self._stop_at_once if only_stop else self._autostart
            self.runforever()
            self._clear_away()
        return self.exit_status

    def runforever(self) -> None:
        """Pass after pass until all is down. Neither a lost keeper nor a bug in one pass ends it."""
        events.notify(events.SupervisorRunningEvent())
        while not self._over():
            try:
                self._pass()
            except KeeperLost:
                _log.error("the keeper is lost; the services are started anew")
            except Exception:  # noqa: BLE001 - the event pump: a bug in one pass must not cost the services
                _log.exception("a pass of the engine failed; the services go on")
                time.sleep(_BREATH)

    def _pass(self) -> None:
        if self.link.broken:
            self._new_keeper()
        if self._begin is not None:
            self._begin()
            self._begin = None
        # Before sleeping: an end that was told between question and answer makes no descriptor readable any more.
        while self._stirred or self.link.pending:
            self._stirred = False
            self.reap()
            for service in self.services():
                service.stir()
        self._drop_strangers()
        self._tell_progress()
        if self._over():
            return
        self.loop.once(self._next_due())
        for service in self.services():
            service.tick()
        self._follow_mood()

    def _next_due(self) -> float | None:
        dues = [service.due[0] for service in self.services() if service.due]
        if not self._told_ready:
            now = self.clock.monotonic()
            dues += [now + service.untried() for service in self.services() if service.untried() > 0]
        return min(dues, default=None)

    def _over(self) -> bool:
        return self.stopping and all(service.standing in DOWN for service in self.services())

    def _open(self) -> None:
        """Find the keeper and what it holds, or launch one; then open the doors."""
        self._journal = Journal(self.places.run / "engine.journal", self.clock)
        kept, notes = self._find_keeper()
        super().__init__(Options(house=self, logfile=self.places.log / "ghostd.log", log_folder=self.places.log))
        self._find_address()
        self._add(self._specs)
        self._adopt(kept, notes)
        self._server = serve(self.places.control, self)
        self._catch_signals()

    def _clear_away(self) -> None:
        """Everything is down: end the keeper with whatever is left below it, and leave no socket behind."""
        self.link.quit()
        self.loop.close()
        self.places.control.unlink(missing_ok=True)
        for left in (self.places.run / "notify").iterdir():
            left.unlink(missing_ok=True)
        self._journal.close()
        _log.info("ghostd ends")

    # -- the keeper --------------------------------------------------------------------------------------------------

    def _find_keeper(self) -> tuple[list[Kept], dict[str, Any]]:
        link = attach(self.places.run)
        if link is not None:
            with contextlib.suppress(KeeperLost):
                found = link.children()
                self._use(link)
                return found
            link.abandon()
        self._launch_keeper()
        return [], {}

    def _launch_keeper(self, also: Iterable[Record] = ()) -> None:
        killed = end_survivors(self.places.run, also)
        if killed:
            _log.warning("%d processes had outlived their keeper and were killed", killed)
        self._use(launch(self.places.run, self.places.log / "keeper.log"))

    def _use(self, link: Link) -> None:
        self.link = link
        self.loop.watch(link.fileno(), self.reap)

    def _new_keeper(self) -> None:
        """The keeper has died or hangs: end what it has left, and start again what should run."""
        self.loop.forget(self.link.fileno())
        self.link.abandon()
        known = [Record(service.pid, service.body.start) for service in self.services() if service.pid]
        self._launch_keeper(known)
        self._find_address()
        for service in self.services():
            service.lost()
        self._stirred = True
        time.sleep(_BREATH)

    def _find_address(self) -> None:
        """Where clients and services reach us; in a deep workspace it leads over the keeper."""
        self.options.serverurl = f"unix://{self._reachable(self.places.control)}"
        self.site = orders.Site(
            workspace=str(self.places.workspace), server_url=self.options.serverurl, environ=self._environ
        )

    def reap(self, once: bool = False, recursionguard: int = 0) -> None:  # noqa: FBT001, FBT002 - supervisor's signature
        """Hear who ended. supervisor's RPC methods call this where they hope for news."""
        for ended in self.link.ended():
            if ended.name in self.process_groups:
                self.service(ended.name).ended(ended.pid, ended.status)

    def _adopt(self, kept: Iterable[Kept], notes: Mapping[str, Any]) -> None:
        for one in kept:
            if one.name not in self.process_groups:
                gone = ServiceSpec(name=one.name, command=("?",), autostart=False, restart=RestartWhen.NEVER)
                self._strangers.add(one.name)
                self._add([gone])
            age = time.clock_gettime(time.CLOCK_BOOTTIME) - one.start / os.sysconf("SC_CLK_TCK")
            self.service(one.name).adopt(one, notes.get(one.name, {}), max(0.0, age))
            if one.name in self._strangers:
                self.service(one.name).down("not in the configuration any more")
        for name, note in notes.items():
            if note.get("down") and name in self.process_groups and self.service(name).standing is State.STOPPED:
                self.service(name).stay_down(note)

    def _drop_strangers(self) -> None:
        for name in [name for name in self._strangers if self.service(name).standing in DOWN]:
            self._strangers.discard(name)
            self.remove_process_group(name)
            configs = self.options.process_group_configs
            configs[:] = [config for config in configs if config.name != name]

    def _add(self, specs: Iterable[ServiceSpec]) -> None:
        self.options.add_groups(specs)
        for config in self.options.process_group_configs:
            self.add_process_group(config)

    def remove_process_group(self, name: str) -> bool:
        """For supervisorctl remove: not while it runs, nor while another service counts on it."""
        if any(name in order.before(other.spec) for other in self.services()):
            return False
        return bool(super().remove_process_group(name))

    # -- what services need (the House) ------------------------------------------------------------------------------

    def services(self) -> list[Child]:
        """All services, in start order."""
        return [child for group in self.process_groups.values() for child in group.processes.values()]

    def chance(self) -> float:
        return self._dice.random()

    def service(self, name: str) -> Child:
        child: Child = self.process_groups[name].processes[name]
        return child

    def states(self) -> dict[str, State]:
        return {service.name: service.standing for service in self.services()}

    def may_leave(self, service: Service) -> bool:
        others = [other for other in self.services() if not other.wanted and other.name != service.name]
        return order.stops_now(service.name, [other.spec for other in others if other.standing not in DOWN])

    def ear(self, service: Service) -> Ear | None:
        """The notify socket of a service that speaks."""
        if service.spec.ready.notify or service.spec.own:
            return Ear(self.places.run / "notify" / f"{service.name}.sock")
        return None

    def order(self, service: Service) -> Order:
        speaks = service.spec.ready.notify or service.spec.own
        path = self._reachable(self.places.run / "notify" / f"{service.name}.sock") if speaks else None
        return orders.order(service.spec, self.site, nonce=os.urandom(8).hex(), notify=path)

    def moved(self, service: Service, before: State) -> None:
        """Tell everybody who wants to know."""
        self._stirred = True
        self.loop.hurry()
        _log.info("%s: %s → %s: %s", service.name, before, service.standing, service.why)
        facts = {"service": service.name, "from": before.value, "to": service.standing.value, "why": service.why}
        self._journal.record(**facts, pid=service.pid, exit=service.code)
        child = self.service(service.name)
        event = child.event_map[child.state]
        expected = service.code is None or service.code in service.spec.exit_codes
        events.notify(event(child, getattr(ProcessStates, before), expected))
        if service.standing is State.FATAL and service.spec.exit_on_failure:
            self.exit_status = service.code if service.code is not None and service.code > 0 else 1
            self.begin_shutdown(f"{service.name} failed, and ghostd ends with it")

    def _reachable(self, path: Path) -> str:
        """A name for others that fits into a socket address: the keeper works in the run folder, and outlives us."""
        if len(os.fsencode(path)) <= LONGEST:
            return str(path)
        return f"/proc/{self.link.pid}/cwd/{path.relative_to(self.places.run)}"

    # -- what clients ask (the Control) ------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        return status.document(
            self.services(),
            pid=os.getpid(),
            keeper=self.link.pid,
            state=str(getSupervisorStateDescription(self.options.mood)),
            uptime=self.clock.monotonic() - self._born,
            server_url=self.options.serverurl,
        )

    def pick(self, names: Sequence[str]) -> list[Service]:
        """These services; all where none is named. Raises KeyError with the name that is none."""
        return [self.service(name) for name in names] if names else list(self.services())

    def start(self, services: Iterable[Service]) -> None:
        for service in services:
            service.up("started by user", by_hand=True)

    def stop(self, services: Iterable[Service]) -> None:
        self._all_down(services, "stopped by user", by_user=True)

    def restart(self, services: Iterable[Service]) -> None:
        for service in reversed(list(services)):
            service.down_then_up("restarted by user")

    def begin_shutdown(self, why: str) -> None:
        """Stop all, each before what it requires. `runforever` ends when all are down."""
        if not self.stopping:
            _log.info("stopping: %s", why)
            self.stopping = True
            self.options.mood = SupervisorStates.SHUTDOWN
            events.notify(events.SupervisorStoppingEvent())
            notify("STOPPING=1", f"STATUS={why}")
        self._all_down(self.services(), why)

    def _all_down(self, services: Iterable[Service], why: str, *, by_user: bool = False) -> None:
        services = list(services)
        # First everybody is told, so that each knows who has to leave before it.
        for service in services:
            service.wanted = False
        for service in reversed(services):
            service.down(why, by_user=by_user)

    def _stop_at_once(self) -> None:
        self.begin_shutdown("ghostd was stopped by user")

    def _autostart(self) -> None:
        for service in self.services():
            if service.spec.autostart and service.standing is State.STOPPED and not service.kept_down:
                service.up("started")

    def _follow_mood(self) -> None:
        """A shutdown or restart by supervisor's own methods only sets a mood."""
        if self.options.mood == SupervisorStates.SHUTDOWN and not self.stopping:
            self.begin_shutdown("ghostd was stopped by user")
        elif self.options.mood == SupervisorStates.RESTARTING:
            self.options.mood = SupervisorStates.RUNNING
            self.restart([service for service in self.services() if service.spec.autostart or service.pid])

    def _tell_progress(self) -> None:
        """To whoever started us: how far we are, and once that every service is ready or has failed."""
        if self._told_ready or self.stopping:
            return
        services = [service for service in self.services() if service.spec.autostart]
        open_ones = [one.name for one in services if one.standing not in DOWN and (not one.ready or one.untried() > 0)]
        told = f"STATUS={sum(service.ready for service in services)} of {len(services)} services are ready"
        if open_ones:
            notify(f"{told}; waiting for {', '.join(open_ones)}")
        else:
            self._told_ready = True
            # It is told once, and who waits for it has nothing else to go by.
            notify("READY=1", told, patience=5.0)

    # -- signals -----------------------------------------------------------------------------------------------------

    def _catch_signals(self) -> None:
        """A signal becomes a byte in a pipe, and is answered in the loop like everything else."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (*_ENDING, signal.SIGHUP, signal.SIGUSR2):
            signal.signal(number, lambda *_: None)
        self.loop.watch(reader, lambda: self._on_signals(os.read(reader, 64)))

    def _on_signals(self, numbers: bytes) -> None:
        for number in map(signal.Signals, numbers):
            if number in _ENDING and self.stopping:
                _log.warning("%s again: what still runs is killed", number.name)
                for service in self.services():
                    self.link.kill(service.name, signal.SIGKILL, group=True)
            elif number in _ENDING:
                self.begin_shutdown(f"ghostd got {number.name}")
            elif number is signal.SIGUSR2:
                for group in self.process_groups.values():
                    group.reopenlogs()
            else:
                _log.info("%s is ignored: a changed configuration is read when ghostd starts", number.name)
