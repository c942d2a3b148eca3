"""The service of one service: what rules.py decides is performed here, with the keeper's hands.

What it needs of the engine is the House. `standing` has one door, `_move`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol

from ghostd.base.clock import Clock
from ghostd.model.service import ServiceSpec
from ghostd.supervise import words
from ghostd.supervise.body import Body
from ghostd.supervise.link import Kept, Link, Order, SpawnFailed
from ghostd.supervise.logs import LogFile
from ghostd.supervise.loop import Loop
from ghostd.supervise.order import hindrance
from ghostd.supervise.orders import Unrunnable
from ghostd.supervise.probes import Ear, Told
from ghostd.supervise.rules import DOWN, End, GiveUp, Happens, Past, Start, State, WaitUntil, advance, decide

#: What dies at once has died by then; only reports wait for it, no other service does.
_TRIAL = 0.2


class House(Protocol):
    """What a service needs of the engine around it."""

    clock: Clock
    loop: Loop
    link: Link

    def chance(self) -> float: ...
    def service(self, name: str) -> Service: ...
    def states(self) -> Mapping[str, State]: ...
    def may_leave(self, service: Service) -> bool: ...
    def moved(self, service: Service, before: State) -> None: ...
    def ear(self, service: Service) -> Ear | None: ...
    def order(self, service: Service) -> Order: ...


class Due(Enum):
    """What a service's deadline is for."""

    RETRY = "retry"
    #: It has lived long enough to count as ready.
    SETTLED = "settled"
    TOO_LATE = "too late"
    KILL = "kill"


class Service:
    """A service, whether it has a process now or not."""

    def __init__(self, spec: ServiceSpec, house: House, log: LogFile) -> None:
        self.spec = spec
        self.house = house
        self.body = Body(log=log, loop=house.loop, clock=house.clock)
        self.standing = State.STOPPED
        self.why = "not started"
        #: Whether it is meant to be up. Between the wish and the fact lies `standing`.
        self.wanted = False
        #: To be started by hand as soon as it is down: a restart.
        self.again = False
        self.past = Past()
        self.restarts = 0
        #: How the last process ended: exit status, or minus a signal.
        self.code: int | None = None
        self.laststop = 0.0
        #: A monotonic instant, and what is to be done then.
        self.due: tuple[float, Due] | None = None
        self._cause = ""
        #: Why it is stopped although it is wanted.
        self._failing = ""
        #: Somebody stopped it, and it stays so until somebody starts it, even for a next engine.
        self.kept_down = False
        self._noted: Mapping[str, Any] = {}

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int:
        return self.body.pid

    @property
    def ready(self) -> bool:
        return self.standing is State.RUNNING

    def untried(self) -> float:
        """Seconds until a service that says nothing about itself has lived long enough to be reported as started."""
        return 0.0 if self.spec.ready.notify or not self.pid else max(0.0, _TRIAL - self.body.age())

    # -- wishes ------------------------------------------------------------------------------------------------------

    def up(self, why: str, *, by_hand: bool = False) -> None:
        """It is wanted up, and so is what it requires. By hand, the policy forgets what was."""
        self.wanted, self.kept_down = True, False
        if by_hand:
            self.past = Past()
        if self.standing is State.STOPPING and not self._failing:
            self.again = True
        if self.standing in DOWN or (by_hand and self.standing is State.BACKOFF):
            for other in map(self.house.service, self.spec.requires):
                if other.standing in DOWN:
                    other.up(f"required by {self.name}", by_hand=by_hand)
            self._begin(why)

    def down(self, why: str, *, by_user: bool = False) -> None:
        """It is not wanted any more; those that come after it and leave as well go first."""
        self.wanted = self.again = False
        self.kept_down = by_user
        self._failing = ""
        if self.standing not in DOWN:
            self.why = why
            self.leave()

    def down_then_up(self, why: str) -> None:
        """A restart by hand."""
        if self.standing in DOWN:
            self.up(why, by_hand=True)
        else:
            self.down(why)
            self.again = True

    def stir(self) -> None:
        """Something has changed around it: go on where it had to wait."""
        if self.again and self.standing in DOWN:
            self.again = False
            self.up(self.why, by_hand=True)
        elif self.wanted and self.standing is State.STARTING and not self.pid:
            self._attempt()
        elif not self.wanted:
            self.leave()

    def leave(self) -> None:
        """Take the step down, if it is our turn."""
        if self.standing in (State.STARTING, State.BACKOFF) and not self.pid:
            self._move(Happens.CANCEL, self.why)
        elif self.standing in (State.STARTING, State.RUNNING) and self.house.may_leave(self):
            self._ask_to_end(self.why)

    def tick(self) -> None:
        """Do what is due."""
        if self.due is None or self.due[0] > self.house.clock.monotonic():
            return
        what, self.due = self.due[1], None
        match what:
            case Due.RETRY:
                self._restart(self.past, self.why)
            case Due.SETTLED:
                self._came_up()
            case Due.TOO_LATE:
                self._failing = words.not_ready(self.spec)
                self._ask_to_end(self._failing)
            case Due.KILL:
                self.why += f" (killed after {self.spec.stop.timeout:g} s)"
                self.house.link.kill(self.name, signal.SIGKILL, group=True)

    # -- up ----------------------------------------------------------------------------------------------------------

    def _begin(self, why: str) -> None:
        self._cause = why
        self._move(Happens.START, why)
        self._attempt()

    def _restart(self, past: Past, why: str) -> None:
        self.past = past
        self.restarts += 1
        self._begin(f"restarting after {why}")

    def _attempt(self) -> None:
        """Start the process, unless something that has to be there first is not."""
        hindered = hindrance(self.spec, self.house.states())
        if hindered.failed:
            self.wanted = False
            self._move(Happens.GIVE_UP, hindered.failed)
        elif hindered.waits:
            self.why = f"waits for {', '.join(hindered.waits)}"
        else:
            self._launch()

    def _launch(self) -> None:
        self.why = self._cause
        try:
            # The ear first: a quick service speaks before we are told its pid.
            self.body.hearken(self.house.ear(self), self._heard)
            wish = self.house.order(self)
            self.past = self.past.started(self.house.clock.monotonic())
            kept = self.house.link.spawn(wish)
        except Unrunnable as error:
            self.wanted = False
            self._move(Happens.GIVE_UP, str(error))
        except SpawnFailed as error:
            self._not_started(error.code, error.stage)
        except OSError as error:
            self._not_started(error.errno or 0, "notify")
        else:
            self.code = None
            self.body.take(kept)
            self._await_ready()

    def _not_started(self, code: int, stage: str) -> None:
        self.body.deafen()
        why = words.not_started(self.spec, code, stage)
        self._settle(Happens.FAIL, End(code=None, ran=0.0, why=why, failed=True))

    def _await_ready(self) -> None:
        ready = self.spec.ready
        now = self.house.clock.monotonic()
        if ready.notify:
            self.due = (now + ready.timeout, Due.TOO_LATE)
        elif (missing := ready.after - self.body.age()) > 0:
            self.due = (now + missing, Due.SETTLED)
        else:
            self._came_up()

    def _heard(self, told: Told) -> None:
        if told.ready and self.spec.ready.notify and self.standing is State.STARTING and self.pid:
            self._came_up()

    def _came_up(self) -> None:
        self.due = None
        again = self._cause.startswith("restarting ")
        self._move(Happens.READY, self._cause.replace("restarting", "restarted", 1) if again else "ready")

    def adopt(self, kept: Kept, note: Mapping[str, Any], age: float) -> None:
        """Take over a process that an engine before us has started."""
        self.wanted = True
        self.restarts = int(note.get("restarts", 0))
        self._noted = note
        self._cause = "taken over from the engine before"
        self._move(Happens.START, self._cause)
        self.body.hearken(self.house.ear(self), self._heard)
        self.body.listen = dict(note.get("listen", {}))
        self.body.take(kept, age=age)
        if note.get("ready") == kept.pid:
            self._move(Happens.READY, self._cause)
        else:
            self._await_ready()
        if note.get("down"):
            self.down(str(note["down"]), by_user=True)
        if kept.status is not None:
            self.ended(kept.pid, kept.status)

    def stay_down(self, note: Mapping[str, Any]) -> None:
        """Somebody stopped it while an engine before us ran."""
        self._noted = note
        self.kept_down = True
        self.restarts = int(note.get("restarts", 0))
        self.why = str(note["down"])

    # -- down --------------------------------------------------------------------------------------------------------

    def _ask_to_end(self, why: str) -> None:
        self._move(Happens.STOP, why)
        self.due = (self.house.clock.monotonic() + self.spec.stop.timeout, Due.KILL)
        self.house.link.kill(self.name, words.signal_number(self.spec.stop.signal), group=self.spec.stop.group)

    def ended(self, pid: int, status: int) -> None:
        """The keeper says that its process has ended, with this wait status."""
        if pid != self.pid:
            return
        ran = self.body.age()
        self.house.link.sweep(self.name)
        self._let_go()
        self.house.link.acknowledge(self.name, pid)
        self.code = os.waitstatus_to_exitcode(status)
        why = words.ended(self.code, self.spec)
        match self.standing:
            case State.STOPPING if self._failing:
                why = self._failing if self.code in (0, -signal.SIGTERM) else f"{self._failing}; {why}"
                self._settle(Happens.FAIL, End(code=self.code, ran=ran, why=why, failed=True))
            case State.STOPPING:
                self._move(Happens.EXIT, self.why)
            case State.STARTING:
                why = f"{why} before it was ready"
                self._settle(Happens.FAIL, End(code=self.code, ran=ran, why=why, failed=True))
            case _:
                self._settle(Happens.EXIT, End(code=self.code, ran=ran, why=why))

    def lost(self) -> None:
        """The keeper has died and the process with it. It is started again, which is no fault of its own."""
        had_process = bool(self.pid)
        self._let_go()
        self._noted, self._failing = {}, ""
        if had_process:
            self.code = None
            match self.standing:
                case State.RUNNING | State.STOPPING:
                    self._move(Happens.EXIT, "its keeper died" if self.wanted else self.why)
                case _ if not self.wanted:
                    self._move(Happens.CANCEL, self.why)
                case _:
                    pass
        if had_process and self.wanted:
            self.restarts += 1
            self._cause = "restarting after its keeper died"
            self._move(Happens.START, self._cause)
        self._remember()

    def _let_go(self) -> None:
        self.due = None
        if self.pid:
            self.laststop = self.house.clock.wall()
        self.body.let_go()

    def _settle(self, happens: Happens, end: End) -> None:
        """It has ended by itself: what now?"""
        self._failing = ""
        self._move(happens, end.why)
        if not self.wanted:
            self.leave()
            return
        now = self.house.clock.monotonic()
        match decide(self.spec, self.past, end, now=now, chance=self.house.chance()):
            case Start(past=past):
                self._restart(past, end.why)
            case WaitUntil(when=when, past=past):
                self.past = past
                if self.standing is State.EXITED:
                    self._move(Happens.FAIL, end.why)
                self.due = (when, Due.RETRY)
            case GiveUp(why=why, final=final):
                self.wanted = False
                self._move(Happens.REST if final is State.EXITED else Happens.GIVE_UP, why)

    # -- the one door ------------------------------------------------------------------------------------------------

    def _move(self, happens: Happens, why: str) -> None:
        before, self.standing = self.standing, advance(self.standing, happens)
        self.why = why
        if self.standing in DOWN:
            self.due = None
        if before is not self.standing:
            self._remember()
            self.house.moved(self, before)

    def _remember(self) -> None:
        """Hand to the keeper what a next engine could not see by itself, where it has changed."""
        stays_down = self.kept_down and not self.wanted and self.standing in (State.STOPPING, State.STOPPED)
        note = {
            "ready": self.pid if self.ready else 0,
            "restarts": self.restarts,
            "listen": self.body.listen,
            "down": self.why if stays_down else "",
        }
        if note != self._noted and (self.ready or stays_down or self._noted.get("down")):
            self._noted = note
            self.house.link.note(self.name, note)
