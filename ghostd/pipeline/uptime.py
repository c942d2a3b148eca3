"""`requireServiceUptime`: services are well before a patch, and stay so for a while after it, or it is taken back.

The watch is a part of the patch's own job, so nothing else lands on its branch meanwhile. What a kill leaves: before
the end of the watch a running job whose commit bears its proof, so the next attempt finds the commit and watches anew;
after the note of the rollback's id, which comes before the rollback itself, the next attempt only puts that one in.
Where ghostd itself ends, nothing is said against the patch: the watch is begun again when it is back.
"""

from __future__ import annotations

import time
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Happening, Origin, Outcome
from ghostd.model.patch import Validation
from ghostd.pipeline import rollback, rules, wellness
from ghostd.pipeline.attempt import Attempt
from ghostd.pipeline.ending import record
from ghostd.supervise.client import Control

#: Seconds between two looks; the control socket wakes nobody.
_PAUSE = 0.25
#: Services that are being started when a watch begins (ghostd itself has just come back) get so long to be ready.
_GRACE = 60.0
_ASK_WITHIN = 5.0
_UP = "RUNNING"


def before(attempt: Attempt, validation: Validation) -> None:
    """Raises Cannot(service-down) where a service is not well before the patch, or nobody can say so."""
    names = _watched(attempt, validation)
    if not names:
        return
    try:
        rows = _look(attempt)
    except Cannot as error:
        raise _down(attempt, f"its services can not be looked at ({error})", "ghostd start") from error
    restarts = wellness.restarts(rows)
    if why := wellness.unwell(rows, names, restarts):
        raise _down(attempt, why, "ghostd status tells more; mend it, then requeue the patch")
    attempt.restarts = restarts


def watched(attempt: Attempt, outcome: Outcome) -> Outcome:
    """The outcome of a patch once its services stayed well, or once its rollback is in the queue."""
    if outcome.happening is not Happening.APPLY or outcome.result["status"] != "applied":
        return outcome
    names = _watched(attempt, attempt.patch().validation)
    if not names:
        return outcome
    note = f"watch:{attempt.job.id}"
    asked = attempt.shop.ledger.kv_get(note)
    why = "" if asked else _watch(attempt, names)
    if not (asked or why):
        return outcome
    return _taken_back(attempt, outcome, asked or _number(attempt, note), why or "a service did not stay well")


def _watched(attempt: Attempt, validation: Validation) -> tuple[str, ...]:
    """The services that a patch has to leave well; none where it does not ask for it."""
    if not rules.effective(validation, attempt.lane).require_service_uptime:
        return ()
    own = [spec.name for spec in attempt.shop.settings.services.values() if spec.autostart]
    return attempt.lane.services or tuple(own)


def _look(attempt: Attempt) -> list[dict[str, Any]]:
    """The rows of `ghostd status`. Raises Cannot where ghostd does not run, or is about to end."""
    document = Control(attempt.shop.places.control, timeout=_ASK_WITHIN).status()
    if document.get("state") != _UP:
        raise Cannot("look at the services: ghostd is stopping", kind="stopping", hint="ghostd start")
    rows: list[dict[str, Any]] = document["services"]
    return rows


def _watch(attempt: Attempt, names: tuple[str, ...]) -> str:
    """Look again and again for the length of the lane's watch: what was seen to be wrong, empty for nothing."""
    on_tick = attempt.bench().on_tick
    rows = _look(attempt)
    if attempt.restarts is None:
        # An earlier attempt made the commit: ghostd may have just come back, and starts its services.
        settled = time.monotonic() + _GRACE
        while wellness.starting(rows, names) and time.monotonic() < settled:
            time.sleep(_PAUSE)
            on_tick()
            rows = _look(attempt)
    restarts = wellness.restarts(rows) if attempt.restarts is None else attempt.restarts
    end = time.monotonic() + attempt.lane.watch
    while not (why := wellness.unwell(rows, names, restarts)) and (left := end - time.monotonic()) > 0:
        time.sleep(min(_PAUSE, left))
        on_tick()
        rows = _look(attempt)
    return why


def _number(attempt: Attempt, note: str) -> str:
    """The rollback's id, noted before the rollback is made, so that there is never a second one."""
    ledger = attempt.shop.ledger
    id = f"rollback-{ledger.number('rollback')}"
    ledger.kv_set(note, id)
    return id


def _taken_back(attempt: Attempt, outcome: Outcome, by: str, why: str) -> Outcome:
    job, shop = attempt.job, attempt.shop
    origin = Origin(door="watch", source=job.id)
    number = int(by.removeprefix("rollback-"))
    wanted = rollback.Asked(ids=(job.id,), with_dependents=False)
    shop.ledger.put(rollback.request(wanted, attempt.lane, job.repo, number, origin))
    error = Cannot(
        f"keep {job.id}: {why}",
        kind="service-down",
        hint=f"{by} takes it back; mend the patch and send it under a new id",
        rollback=by,
    )
    told = {**outcome.result, "status": "rejected", "error": error.as_json()}
    return record(attempt, Happening.APPLY, told, commit=outcome.commit, events=outcome.events)


def _down(attempt: Attempt, why: str, hint: str) -> Cannot:
    return Cannot(f"apply {attempt.job.id}: {why}", kind="service-down", hint=hint)
