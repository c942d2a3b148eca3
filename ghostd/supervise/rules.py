"""What becomes of a service: the state machine and the restart policy. Pure.

The states bear supervisor's names. Everything that moves a service from one to another stands in TABLE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from ghostd.model.service import RestartWhen, ServiceSpec

# -- the state machine ---------------------------------------------------------------------------------------------


class State(StrEnum):
    STOPPED = "STOPPED"
    #: Wanted up and not ready: it waits for what it requires, or its process has not said yet that it is ready.
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    #: It failed, and the next attempt has its time.
    BACKOFF = "BACKOFF"
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    #: It failed, and there will be no attempt until somebody asks for one.
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


class Happens(StrEnum):
    START = "start"  # it is wanted up: by the configuration, by somebody, or by the restart policy
    READY = "ready"
    STOP = "stop"  # its process is asked to end
    CANCEL = "cancel"  # it is not wanted any more, and has no process
    EXIT = "exit"  # its process ended: from RUNNING, or as it was asked to
    FAIL = "fail"  # it did not come up: no process, an early end, not ready in time
    REST = "rest"  # it ended and need not run again
    GIVE_UP = "give up"


class IllegalMove(Exception):  # noqa: N818 - a bug, not an expected failure
    """Nothing like this can happen to a service in that state."""


_S = State
#: state → (what happens → next state). None: it can not happen there.
TABLE: Mapping[State, Mapping[Happens, State | None]] = {
    state: dict(zip(Happens, row, strict=True))
    for state, row in {
        #            START        READY       STOP         CANCEL      EXIT        FAIL        REST       GIVE_UP
        _S.STOPPED: (_S.STARTING, None, None, _S.STOPPED, None, None, None, None),
        _S.STARTING: (_S.STARTING, _S.RUNNING, _S.STOPPING, _S.STOPPED, None, _S.BACKOFF, None, _S.FATAL),
        _S.RUNNING: (None, _S.RUNNING, _S.STOPPING, None, _S.EXITED, None, None, None),
        _S.BACKOFF: (_S.STARTING, None, None, _S.STOPPED, None, _S.BACKOFF, _S.EXITED, _S.FATAL),
        _S.STOPPING: (None, _S.STOPPING, _S.STOPPING, None, _S.STOPPED, _S.BACKOFF, None, None),
        _S.EXITED: (_S.STARTING, None, None, _S.EXITED, None, _S.BACKOFF, _S.EXITED, _S.FATAL),
        _S.FATAL: (_S.STARTING, None, None, _S.FATAL, None, None, None, _S.FATAL),
        _S.UNKNOWN: (_S.STARTING, None, _S.STOPPING, _S.STOPPED, _S.EXITED, _S.BACKOFF, None, _S.FATAL),
    }.items()
}

#: Nothing runs, and nothing will by itself.
DOWN = frozenset({State.STOPPED, State.EXITED, State.FATAL})


def advance(state: State, happens: Happens) -> State:
    """The next state. Raises IllegalMove for an empty cell, and then nothing has changed."""
    following = TABLE[state][happens]
    if following is None:
        raise IllegalMove(f"{happens} can not happen to a service that is {state}")
    return following


# -- the restart policy --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What the policy remembers since the last start by hand or long run. Instants are monotonic seconds."""

    starts: tuple[float, ...] = ()
    #: Restarts in a row.
    tries: int = 0

    def started(self, now: float) -> Past:
        """The same, with one more start; no policy looks at more than the last hundred."""
        return replace(self, starts=(*self.starts[-99:], now))


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a run ended. `code` is an exit status, minus a signal, or None where there is none or it is not known."""

    code: int | None
    #: Seconds that the process lived.
    ran: float
    why: str
    #: It did not come up, whatever its exit status.
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    past: Past


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitUntil:
    when: float
    past: Past


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    why: str
    #: EXITED when all is well with that, else FATAL.
    final: State = State.FATAL


def decide(spec: ServiceSpec, past: Past, end: End, *, now: float, chance: float) -> Start | WaitUntil | GiveUp:
    """What to do after a run has ended by itself. `chance` in [0, 1) is the jitter's dice."""
    if not _wanted_again(spec, end):
        return GiveUp(why=end.why, final=State.FATAL if end.failed else State.EXITED)
    limit = spec.start_limit
    if end.ran > limit.interval:
        return Start(past=Past())
    when = now + pause(spec, past.tries + 1, chance)
    recent = [start for start in past.starts if when - start < limit.interval]
    if len(recent) >= limit.burst:
        return GiveUp(why=f"{end.why}; gave up after {len(recent)} starts within {limit.interval:g} s")
    return WaitUntil(when=when, past=replace(past, tries=past.tries + 1))


def pause(spec: ServiceSpec, nth: int, chance: float) -> float:
    """Seconds before the n-th restart in a row."""
    backoff = spec.backoff
    # The exponent is capped, or a service that fails for a week would overflow a float.
    pure = min(backoff.max, backoff.initial * backoff.factor ** min(nth - 1, 64))
    return max(0.0, pure * (1 + backoff.jitter * (2 * chance - 1)))


def _wanted_again(spec: ServiceSpec, end: End) -> bool:
    match spec.restart:
        case RestartWhen.NEVER:
            return False
        case RestartWhen.ALWAYS:
            return True
        case RestartWhen.ON_FAILURE:
            return end.failed or end.code not in spec.exit_codes
