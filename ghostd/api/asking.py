"""Answers to those who want something done: patches, webhooks, reported events, pausing a lane."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from ghostd.api import answers, bodies
from ghostd.api.front import Ask
from ghostd.api.take import Delivery, deliver
from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.model.job import Origin
from ghostd.model.submission import Submission
from ghostd.security.signature import verify

_log = logging.getLogger("ghost.api")
_SUBJECT = re.compile(r"[A-Za-z0-9._()+-]{1,200}", re.ASCII)
ACCEPTED = 202


async def submit(ask: Ask) -> Response:
    """Take a patch in whatever format; 202 and its receipt when it is on disk."""
    front, body = ask.front, await _body(ask)
    submission = Submission(data=body, origin=Origin(door="api", source=ask.principal.subject))
    receipt = await front.desk.ask(lambda ledger: front.taker.take(ledger, submission))
    return answers.plain(receipt, status=ACCEPTED)


async def webhook(ask: Ask) -> Response:
    """Take a signed patch; 202 and its receipt when it is on disk, 200 and the first receipt for a repeat."""
    front = ask.front
    try:
        delivery = await _signed(ask)
        answer = await front.desk.ask(lambda ledger: deliver(ledger, front.taker, delivery))
    except Cannot as error:
        front.count(error.kind)
        _log.warning("webhook from %s refused: %s", one_line(_peer(ask), 60), one_line(str(error)))
        raise
    repeated = "duplicate" in answer
    front.count("duplicate" if repeated else "accepted")
    return answers.plain(answer, status=200 if repeated else ACCEPTED)


async def _signed(ask: Ask) -> Delivery:
    """The delivery, its signature checked over the bytes as they came, before anything looks into them."""
    front, body = ask.front, await _body(ask)
    if not front.webhook_secrets:
        # The same answer as for a wrong signature: a stranger learns nothing of our configuration.
        _log.error("a webhook came, but no webhook secret is configured; set GHOST_WEBHOOK_SECRET or run ghostd init")
    signed = verify(dict(ask.request.headers), body, front.webhook_secrets, now=ask.now)
    return Delivery(id=signed.delivery_id, body=body)


def _peer(ask: Ask) -> str:
    return ask.request.client.host if ask.request.client else "the workspace's socket"


async def _body(ask: Ask) -> bytes:
    security = ask.front.settings.security
    return await bodies.read(ask.request, limit=security.max_body, seconds=security.request_timeout)


async def patch_event(ask: Ask) -> Response:
    """Record and stream an event that a client reports of its own. No patch is changed."""
    told = bodies.as_object(await _body(ask))
    subject = str(told.get("patch_id") or told.get("id") or told.get("subject") or "outside")
    if not _SUBJECT.fullmatch(subject):
        raise Cannot("record the event: its patch id is no id", kind="bad-request", hint='send {"patch_id": "…"}')
    data = {"reported_by": ask.principal.subject, "report": told}
    seq = await ask.front.desk.ask(lambda ledger: ledger.append("ghost.patch.outside", subject, data))
    return answers.enveloped(ask, {"seq": seq, "type": "ghost.patch.outside", "subject": subject})


async def pause(ask: Ask) -> Response:
    """Stop a lane, or all of them, from beginning patches; the one in work is finished."""
    return await _set_paused(ask, paused=True)


async def resume(ask: Ask) -> Response:
    """Let a lane, or all of them, go on."""
    return await _set_paused(ask, paused=False)


async def _set_paused(ask: Ask, *, paused: bool) -> Response:
    lanes = _lanes(ask)

    def write(ledger: Any) -> Mapping[str, bool]:
        for lane in lanes:
            ledger.pause(lane, paused=paused)
        return {lane: ledger.paused(lane) for lane in lanes}

    return answers.enveloped(ask, {"paused": await ask.front.desk.ask(write)})


def _lanes(ask: Ask) -> tuple[str, ...]:
    known, named = ask.front.settings.lanes, ask.request.path_params.get("lane")
    if named is None:
        return tuple(known)
    found = tuple(name for name, lane in known.items() if named == name or named in lane.aliases)
    if not found:
        raise Cannot(f"find the lane {named[:100]}", kind="not-found", hint=f"there are {', '.join(known)}")
    return found
