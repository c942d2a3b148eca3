"""Answers to those who only look: patches, services, events, everything at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ghostd.api import answers, health, views
from ghostd.api.front import Ask, Front
from ghostd.base.errors import Cannot
from ghostd.base.log import printable
from ghostd.model.job import Job, State
from ghostd.store.ports import Ledger

LATEST = 20
LATEST_EVENTS = 12
PAGE = 100
#: One patch has a handful of events; more than this is a loop that somebody should see.
EVENTS_OF_ONE = 200


async def patches_status(ask: Ask) -> Response:
    """How many patches stand where, and the latest of them."""
    return answers.enveloped(ask, await ask.front.desk.ask(lambda ledger: _patches(ask.front, ledger)))


def _patches(front: Front, ledger: Ledger) -> dict[str, Any]:
    counts = ledger.counts()
    return {
        "totals": views.totals(counts),
        "lanes": {
            name: {"branch": lane.branch, "paused": ledger.paused(name), "queue": views.queue(counts, name)}
            for name, lane in front.settings.lanes.items()
        },
        "latest": [views.patch_line(job) for job in ledger.jobs(limit=LATEST)],
    }


async def patch_status(ask: Ask) -> Response:
    """Where one patch stands."""
    return answers.enveloped(ask, views.patch_line(await _job(ask)))


async def patch(ask: Ask) -> Response:
    """Everything that is known of one patch, with its events."""
    job = await _job(ask)
    events = await ask.front.desk.ask(lambda ledger: ledger.events(subject=job.id, limit=EVENTS_OF_ONE))
    return answers.enveloped(ask, views.patch(job, ask.front.places, events))


async def patch_summary(ask: Ask) -> Response:
    """The summary of one patch, in Markdown."""
    job = await _job(ask)
    if not job.summary:
        raise Cannot(
            f"show the summary of {job.id}: it is {job.state}",
            kind="not-found",
            hint="it is written when the patch ends",
        )
    return Response(printable(job.summary), media_type="text/markdown; charset=utf-8")


async def _job(ask: Ask) -> Job:
    id: str = ask.request.path_params["id"]
    job = await ask.front.desk.ask(lambda ledger: ledger.get(id))
    if job is None:
        raise Cannot(f"find the patch {id[:200]}", kind="unknown-id", hint="GET /api/patches lists them")
    return job


async def patches(ask: Ask) -> Response:
    """The patches, newest first, in pages: `?lane=&state=&limit=&cursor=`."""
    limit = number(ask.request, "limit", default=50, most=PAGE)
    cursor = number(ask.request, "cursor", default=0)
    lane, states = ask.request.query_params.get("lane"), _states(ask.request)
    found = await ask.front.desk.ask(lambda ledger: _page(ledger, lane, states, limit + 1, cursor))
    shown = found[:limit]
    following = shown[-1].seq if len(found) > limit else None
    return answers.enveloped(ask, {"patches": [views.patch_line(job) for job in shown], "cursor": following})


def _page(ledger: Ledger, lane: str | None, states: Sequence[State], wanted: int, cursor: int) -> Sequence[Job]:
    """The ledger lists from the newest on, so a later page is found by listing further until the cursor was passed."""
    listed = wanted
    while True:
        jobs = ledger.jobs(lane=lane, states=states, limit=listed)
        page = [job for job in jobs if not cursor or job.seq < cursor][:wanted]
        if len(page) == wanted or len(jobs) < listed:
            return page
        listed *= 4


def _states(request: Request) -> tuple[State, ...]:
    named = request.query_params.getlist("state")
    try:
        return tuple(State(name) for name in named)
    except ValueError:
        raise Cannot(
            f"list patches in the state {','.join(named)[:100]}",
            kind="bad-request",
            hint=f"there are {', '.join(State)}",
        ) from None


def number(request: Request, name: str, *, default: int, most: int | None = None) -> int:
    """A whole number of the query string, 0 or more; larger than `most` means `most`."""
    text = request.query_params.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= 18):  # noqa: PLR2004 - what SQLite can hold
        raise Cannot(f"read {name}={text[:40]}", kind="bad-request", hint="it has to be a whole number")
    value = int(text) if text else default
    return value if most is None else min(value, most)


async def services_status(ask: Ask) -> Response:
    """The supervised services, as `ghostd status` tells them."""
    status = await health.daemon(ask.front)
    return answers.enveloped(ask, status)


async def unified_status(ask: Ask) -> Response:
    """Everything at once, for people and for the page."""
    return answers.enveloped(ask, await everything(ask.front))


async def everything(front: Front) -> dict[str, Any]:
    """Health, services, lanes, patches, alerts, and the number of the newest event that they include."""
    form = await front.once_a_second("health", lambda: health.examine(front))
    status = await health.daemon(front)
    told = await front.desk.ask(lambda ledger: _told(front, ledger))
    executors = views.executors(status["services"])
    for name, lane in told["lanes"].items():
        lane["executor"] = {True: "up", False: "down", None: "unknown"}[executors.get(name)]
    return {
        "name": front.settings.ghost.name,
        "environment": front.settings.ghost.environment,
        "overall_status": form["overall_status"],
        "health": form,
        "daemon": {key: value for key, value in status.items() if key not in {"services", "listen"}},
        "listen": status["listen"],
        "services": status["services"],
        **told,
    }


def _told(front: Front, ledger: Ledger) -> dict[str, Any]:
    # The number first: an event that comes in between is seen twice rather than never.
    newest = ledger.newest()
    return {
        "seq": newest,
        "events": [event.as_json() for event in ledger.events(max(0, newest - LATEST_EVENTS), limit=LATEST_EVENTS)],
        **_patches(front, ledger),
        "alerts": [views.alert(row) for row in ledger.alerts(open_only=True, limit=50)],
    }


async def events(ask: Ask) -> Response:
    """Events after `?since=SEQ`, oldest first; `next` is where to go on."""
    since = number(ask.request, "since", default=0)
    limit = max(1, number(ask.request, "limit", default=PAGE, most=500))
    subject = ask.request.query_params.get("subject")
    found, newest = await ask.front.desk.ask(
        lambda ledger: (ledger.events(since, limit=limit, subject=subject), ledger.newest())
    )
    following = found[-1].seq if found else since
    return answers.enveloped(ask, {"events": [event.as_json() for event in found], "next": following, "newest": newest})


async def gateway_status(ask: Ask) -> Response:
    """What the gateway took and refused since its start, and how long its queues are."""
    front = ask.front
    counts = await front.desk.ask(lambda ledger: ledger.counts())
    lanes = {name: views.queue(counts, name) for name in front.settings.lanes}
    uptime = round(front.clock.monotonic() - front.started, 3)
    return answers.enveloped(ask, {"uptime_s": uptime, "deliveries": dict(front.counted), "lanes": lanes})
