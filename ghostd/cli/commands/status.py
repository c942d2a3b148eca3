"""`ghost status`: how things stand, in one screen."""

from __future__ import annotations

from typing import Any

import click

from ghostd.base.errors import Cannot
from ghostd.cli import output
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import daemon, open_shop
from ghostd.model.job import State
from ghostd.model.settings import LaneSettings
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, worktree


@click.command(name="status")
@common
def command(*, asked: Asked) -> None:
    """The daemon, the lanes with their branches and queues, open alerts, and the latest patches.

    \b
    Example:
      ghost status
    """
    with open_shop(asked) as shop:
        document = {
            "workspace": str(shop.settings.workspace),
            "name": shop.settings.ghost.name,
            "ghostd": _ghostd(shop),
            "lanes": [_lane(shop, lane) for lane in shop.settings.lanes.values()],
            "alerts": [
                {"id": alert.id, "severity": alert.severity.value, "state": alert.state.value, "title": alert.title}
                for alert in shop.ledger.alerts(open_only=True)
            ],
            "latest": [_latest(job) for job in shop.ledger.jobs(limit=10)],
        }
    if asked.json:
        output.emit(document)
    else:
        _show(document)


def _ghostd(shop: Workshop) -> dict[str, Any]:
    control = daemon(shop)
    if control is None:
        return {"running": False}
    status = control.status()
    down = [service["name"] for service in status["services"] if service["state"] != "RUNNING"]
    return {"running": True, "pid": status["pid"], "services": len(status["services"]), "not_running": down}


def _lane(shop: Workshop, lane: LaneSettings) -> dict[str, Any]:
    row: dict[str, Any] = {"name": lane.name, "branch": lane.branch, "repo": str(lane.repo), "tip": None, "files": None}
    try:
        repo = shop.repositories.of(lane)
        where = worktree.checked_out_at(repo, lane.branch)
        row |= {"tip": commit.tip(repo, lane.branch), "files": str(where) if where else None, "error": None}
    except Cannot as error:
        row["error"] = error.as_json()
    counts = shop.ledger.counts()
    row["paused"] = shop.ledger.paused(lane.name)
    return row | {"jobs": {state.value: counts.get((lane.name, state), 0) for state in State}}


def _latest(job: Any) -> dict[str, Any]:
    return {
        "id": job.id,
        "lane": job.lane,
        "state": job.state.value,
        "status": (job.result or {}).get("status", job.state.value),
        "commit": (job.result or {}).get("commit"),
    }


def _show(told: dict[str, Any]) -> None:
    ghostd = told["ghostd"]
    if ghostd["running"]:
        down = ghostd["not_running"]
        output.say(
            f"ghostd runs (pid {ghostd['pid']}), {ghostd['services']} services"
            + (f", not running: {', '.join(down)}" if down else "")
        )
    else:
        output.say("ghostd does not run; patches are applied by the commands themselves (ghostd start)")
    output.say("")
    output.table(
        ("LANE", "BRANCH", "TIP", "WAITING", "APPLIED", "REJECTED", "FAILED", ""),
        [
            (
                lane["name"],
                lane["branch"],
                (lane["tip"] or "none yet")[:10],
                sum(lane["jobs"][state] for state in ("queued", "held", "running")),
                *(lane["jobs"][state] for state in ("applied", "rejected", "failed")),
                (lane["error"] or {}).get("message", "") or ("paused" if lane["paused"] else ""),
            )
            for lane in told["lanes"]
        ],
    )
    if told["alerts"]:
        output.say("")
        output.table(("ALERT", "SEVERITY", "STATE", "TITLE"), [tuple(alert.values()) for alert in told["alerts"]])
    if told["latest"]:
        output.say("")
        output.table(
            ("LATEST", "LANE", "STATUS", "COMMIT"),
            [(job["id"], job["lane"], job["status"], (job["commit"] or "")[:10]) for job in told["latest"]],
        )
