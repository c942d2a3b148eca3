"""`ghost demo`: see everything work, in a workspace of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click

from ghostd.base.errors import Cannot
from ghostd.cli import output
from ghostd.cli.demo import doors, scene
from ghostd.cli.demo.stage import Stage, ghostd, stage
from ghostd.cli.demo.table import Board
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import Finisher, open_shop
from ghostd.model.job import Job, Kind, Origin
from ghostd.pipeline import ask, result
from ghostd.pipeline.verify import verify
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import history
from ghostd.store.wake import listen

#: Long enough for a machine that is busy with other things; a usual run needs a fraction.
_PATIENCE = 60.0

_YOURS = """
On your own repository:
  cd your-repository
  ghostd init && ghostd start
  ghost apply fix.yaml
  ghost rollback fix-1"""


@click.command(name="demo")
@click.option("--keep", is_flag=True, help="Leave it running and print where everything is.")
@common
def command(*, asked: Asked, keep: bool) -> int:
    """Start ghostd in a temporary workspace and send five patches through five doors.

    One of them fails its gate and one does not match. Then one is rolled back, the phase is frozen, and all is
    verified.

    \b
    Example:
      ghost demo --keep
    """
    begun = time.monotonic()
    talk = output.talk if asked.verbosity >= 0 else lambda _: None
    talk("starting ghostd in a workspace of its own …")
    with stage(keep=keep) as its:
        here = Asked(json=asked.json, workspace=its.workspace, verbosity=asked.verbosity)
        listeners = ghostd(its, "status")["listen"]
        with open_shop(here) as shop:
            told = _play(shop, its, listeners, talk=talk, board=Board(live=not asked.json and sys.stdout.isatty()))
        told |= {"seconds": round(time.monotonic() - begun, 1), "kept": keep, "workspace": str(its.workspace)}
        told |= {"repository": str(its.repo), "listen": listeners}
        if asked.json:
            output.emit(told)
        else:
            _show(told)
    return 0 if told["ok"] else 1


def _play(shop: Workshop, its: Stage, listeners: Mapping[str, str], *, talk: Any, board: Board) -> dict[str, Any]:
    talk("sending five patches through five doors …")
    for act in scene.ACTS:
        doors.send(act, shop, its.transcript, listeners)
    jobs = _ended(shop, board)
    talk("rolling demo-health back, freezing phase P1, verifying …")
    finisher = Finisher(shop, quiet=True)
    origin = Origin(door="command", source="demo")
    taken_back = finisher.finish(ask.for_rollback(shop, ["demo-health"], origin, with_dependents=False).id)
    lane = shop.settings.default_lane
    frozen = finisher.finish(ask.for_phase(shop, Kind.FREEZE, scene.PHASE, lane, origin).id)
    verified = verify(shop)
    results = [result.of_job(job, shop.places) for job in jobs]
    as_told = all(
        one["status"] == act.status and (one["error"] or {}).get("kind", "") == act.kind
        for one, act in zip(results, scene.ACTS, strict=True)
    )
    rollback, phase = dict(taken_back.result or {}), dict(frozen.result or {})
    return {
        "ok": as_told and rollback["status"] == "reverted" and phase["status"] == "frozen" and verified["ok"],
        "patches": results,
        "rollback": {key: rollback.get(key) for key in ("id", "status", "commit", "reverted")},
        "freeze": {key: phase.get(key) for key in ("phase", "tag", "commit", "patches")},
        "verify": verified,
        "log": history.plain(shop.repositories.of(lane), lane.branch, 10),
    }


def _ended(shop: Workshop, board: Board) -> list[Job]:
    """Wait until all five are terminal, showing how they go."""
    waiter = listen(shop.places.wake)
    give_up = time.monotonic() + _PATIENCE
    try:
        with board:
            while True:
                jobs = [shop.ledger.get(act.id) for act in scene.ACTS]
                board.show([(act, job) for act, job in zip(scene.ACTS, jobs, strict=True)])
                done = [job for job in jobs if job is not None and job.state.terminal]
                if len(done) == len(scene.ACTS):
                    return done
                if time.monotonic() > give_up:
                    missing = [act.id for act, job in zip(scene.ACTS, jobs, strict=True) if job not in done]
                    raise Cannot(
                        f"see the end of {', '.join(missing)} within {_PATIENCE:g} s",
                        kind="demo-failed",
                        hint="ghost demo --keep leaves it open to look at",
                    )
                waiter.wait(1.0)
    finally:
        waiter.close()


def _show(told: Mapping[str, Any]) -> None:
    output.say(f"\n$ git log --oneline {told['patches'][0]['branch']}\n{told['log']}")
    output.say(f"rolled back  {' '.join(told['rollback']['reverted'])} by {told['rollback']['id']}")
    output.say(f"frozen       {told['freeze']['phase']} as the tag {told['freeze']['tag']}")
    verdict = "all as it should be" if told["verify"]["ok"] else "they differ"
    output.say(f"verified     {told['verify']['patches']} commits, {verdict}")
    for problem in told["verify"]["problems"]:
        output.say(f"  {problem}")
    output.say(f"\nIt took {told['seconds']} s.")
    if told["kept"]:
        output.say(f"repository   {told['repository']}\nworkspace    {told['workspace']}")
        output.say(f"live page    http://{told['listen']['status']}/")
        output.say(f"stop it      ghostd stop --workspace {told['workspace']}")
    output.say(_YOURS)
