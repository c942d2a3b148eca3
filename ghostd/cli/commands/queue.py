"""`ghost queue`: look at the queue and act on what waits in it."""

from __future__ import annotations

import click

from ghostd.base.clock import rfc3339
from ghostd.cli import output
from ghostd.cli.lanes import chosen
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import open_shop
from ghostd.model.job import State

_WAITING = (State.QUEUED, State.HELD, State.RUNNING)


@click.group(name="queue", invoke_without_command=True)
@common
@click.pass_context
def command(context: click.Context, *, asked: Asked) -> None:
    """Look at the queue, and hold, release, requeue or cancel jobs in it; pause and resume lanes.

    \b
    Example:
      ghost queue ls
      ghost queue requeue fix-1
    """
    context.obj = asked
    if context.invoked_subcommand is None:
        _list(asked, None, everything=False)


@command.command(name="ls")
@click.option("--lane", help="Only this lane.")
@click.option("--all", "everything", is_flag=True, help="Also what is finished.")
@click.option("--session", help="Only the patches of this session.")
@common
def ls(*, asked: Asked, lane: str | None, everything: bool, session: str | None) -> None:
    """What waits, in the order of arrival.

    \b
    Example:
      ghost queue ls --all
    """
    _list(asked, lane, everything=everything, session=session)


def _list(asked: Asked, lane: str | None, *, everything: bool, session: str | None = None) -> None:
    with open_shop(asked) as shop:
        its = chosen(shop.settings, lane).name if lane else None
        states = () if everything else _WAITING
        jobs = shop.ledger.jobs(lane=its, states=states, session=session, newest_first=False)
        paused = [name for name in shop.settings.lanes if shop.ledger.paused(name)]
    rows = [
        {
            "id": job.id,
            "kind": job.kind.value,
            "state": job.state.value,
            "lane": job.lane,
            "branch": job.branch,
            "priority": job.priority,
            "attempts": job.attempts,
            "received": rfc3339(job.received_at),
            "not_before": rfc3339(job.not_before) if job.not_before else None,
            "phase": job.phase,
            "session": job.session,
            "title": job.title,
        }
        for job in jobs
    ]
    if asked.json:
        output.emit({"jobs": rows, "paused": paused})
        return
    for name in paused:
        output.talk(f"ghost: lane {name} is paused; ghost queue resume {name} opens it")
    if not rows:
        output.talk("ghost: nothing waits")
        return
    output.table(
        ("ID", "STATE", "LANE", "PRIORITY", "ATTEMPTS", "RECEIVED", "TITLE"),
        [(r["id"], r["state"], r["lane"], r["priority"], r["attempts"], r["received"], r["title"]) for r in rows],
    )


def _verb(happening: str, summary: str) -> None:
    """Add `ghost queue <happening> ID…`."""

    @command.command(name=happening, help=f"{summary}\n\n\b\nExample:\n  ghost queue {happening} fix-1")
    @click.argument("ids", nargs=-1, required=True, metavar="ID...")
    @common
    def act(*, asked: Asked, ids: tuple[str, ...]) -> None:
        with open_shop(asked) as shop:
            jobs = [shop.ledger.act(id, happening) for id in ids]
        if asked.json:
            output.emit({"jobs": [{"id": job.id, "state": job.state.value} for job in jobs]})
        else:
            output.table(("ID", "STATE"), [(job.id, job.state) for job in jobs])


_verb("hold", "Keep a waiting job from being run.")
_verb("release", "Let a held job run.")
_verb("requeue", "Try a rejected, failed or cancelled job again.")
_verb("cancel", "Take a waiting job out of the queue.")


def _lane_verb(name: str, summary: str, *, paused: bool) -> None:
    """Add `ghost queue pause|resume [LANE]`."""

    @command.command(name=name, help=f"{summary} All lanes without LANE.\n\n\b\nExample:\n  ghost queue {name} MAIN")
    @click.argument("lane", required=False)
    @common
    def act(*, asked: Asked, lane: str | None) -> None:
        with open_shop(asked) as shop:
            lanes = [chosen(shop.settings, lane).name] if lane else list(shop.settings.lanes)
            for one in lanes:
                shop.ledger.pause(one, paused=paused)
        if asked.json:
            output.emit({"lanes": lanes, "paused": paused})
        else:
            output.say(f"{'paused' if paused else 'open'}: {', '.join(lanes)}")


_lane_verb("pause", "Take no more jobs in a lane; what runs is finished.", paused=True)
_lane_verb("resume", "Take jobs in a lane again.", paused=False)
