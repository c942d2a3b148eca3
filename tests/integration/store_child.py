"""The other processes of the ledger's tests; what each says on stdout it has been acknowledged before."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from store_kit import claimed, done, new

from ghostd.base.clock import SystemClock
from ghostd.base.errors import Cannot
from ghostd.model.job import Happening
from ghostd.store.db import open_ledger
from ghostd.store.wake import DatagramBell, listen


def say(*words: object) -> None:
    print(*words, flush=True)


def opened(folder: str):
    return open_ledger(Path(folder) / "ghost.db", clock=SystemClock(), bell=DatagramBell(Path(folder) / "wake"))


def churn(folder: str, name: str) -> None:
    """Put, claim, seal and finish for ever."""
    ledger = opened(folder)
    for number in range(1_000_000):
        ledger.put(new(f"{name}-{number}", body=b"x" * 3000))
        say("put", f"{name}-{number}")
        claim = ledger.claim("MAIN", name, 60.0)
        if claim is not None and ledger.seal_all([(claim, b"sealed")], 60.0) and ledger.finish(claim, done()):
            say("finished", claim.job.id)


def work(folder: str, lane: str, name: str, total: str) -> None:
    """Work off a lane with others, and tell for each job from when to when it was held."""
    ledger = opened(folder)
    say("ready")
    sys.stdin.readline()
    # It ends when the lane is empty, not when the branch is busy.
    while sum(many for (_, state), many in ledger.counts().items() if state.terminal) < int(total):
        claim = ledger.claim(lane, name, 60.0)
        if claim is None:
            time.sleep(0.001)
            continue
        begun = time.monotonic()
        time.sleep(0.001)
        ended = time.monotonic()
        ledger.finish(claim, done())
        say(claim.job.id, claim.fence, begun, ended)


def putter(folder: str, name: str, count: str) -> None:
    """Put the same ids as others do at the same time."""
    ledger = opened(folder)
    say("ready")
    sys.stdin.readline()
    for number in range(int(count)):
        put = ledger.put(new(f"p{number}", digest=name))
        say(f"p{number}", put.created, put.job.digest)


def opener(folder: str) -> None:
    """Open a ledger that is not there yet at the same time as others."""
    say("ready")
    sys.stdin.readline()
    opened(folder).append("ghost.system.intake", "x", {})
    say("opened")


def waiter(folder: str) -> None:
    """Wait for news and tell of each."""
    waiting = listen(Path(folder) / "wake")
    ledger = opened(folder)
    say("ready")
    while waiting.wait(30.0):
        say(ledger.newest())


def limited(folder: str, limit: str) -> None:
    """Put until the files may not grow any more; then be allowed to, and go on."""
    ledger = opened(folder)
    ledger.put(new("first"))
    claim = claimed(ledger)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    acknowledged = 0
    try:
        for number in range(10_000):
            ledger.put(new(f"p{number}", body=b"x" * 10_000))
            acknowledged = number + 1
    except Cannot as error:
        say(error.kind, acknowledged)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert ledger.finish(claim, done(Happening.REJECT)) is not None
    say("went on", len(ledger.jobs(limit=20_000)), ledger.integrity())


if __name__ == "__main__":
    roles = {role.__name__: role for role in (churn, work, putter, opener, waiter, limited)}
    roles[sys.argv[1]](*sys.argv[2:])
