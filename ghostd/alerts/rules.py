"""Which channels an alert goes to, and when a delivery that failed is tried again."""

from __future__ import annotations

from collections.abc import Mapping

from ghostd.model.alert import Severity
from ghostd.model.settings import AlertSettings

#: Where alerts go when nobody has said where: a file that is always there.
LOG = "log"
_ORDER = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)
#: The pause after the first failure, what it grows by, and where it stops growing (seconds).
_FIRST, _FACTOR, _LONGEST = 1.0, 2.0, 300.0
#: Deliveries that failed together shall not come back together.
_JITTER = 0.2


def channels_for(severity: Severity, settings: AlertSettings) -> tuple[str, ...]:
    """The channels of the first route that takes alerts of this severity; none where no route does."""
    if not settings.routes:
        return (LOG,)
    for route in settings.routes.values():
        if _ORDER.index(severity) >= _ORDER.index(Severity(route.severity)):
            return tuple(dict.fromkeys(route.channels))
    return ()


def targets(settings: AlertSettings) -> Mapping[str, tuple[str, ...]]:
    """The channels for each severity, as the ledger wants them for its outbox."""
    return {severity.value: channels_for(severity, settings) for severity in Severity}


def next_try(attempts: int, *, now: float, most: int, chance: float) -> float | None:
    """Wall time of the next try after `attempts` of them, None after the last. `chance` is between 0 and 1."""
    if attempts >= most:
        return None
    pause = min(_LONGEST, _FIRST * _FACTOR ** min(attempts - 1, 30))
    return now + pause * (1 + _JITTER * (2 * chance - 1))
