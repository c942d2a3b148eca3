"""How often a client may ask: a leaky bucket for each, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict

#: Clients that are remembered; the one that was quiet for longest is forgotten first.
REMEMBERED = 4096


class Limiter:
    """At most `limit` requests in `window` seconds for each client, all at once or spread.

    Kept as one number for each client: the time at which its bucket will be empty again.
    """

    def __init__(self, limit: int, window: float) -> None:
        self._step = window / limit
        self._room = window - self._step
        self._empty_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, client: str, now: float) -> float:
        """0.0 where the request may pass (it is counted), else the seconds until one may. `now` is monotonic."""
        empty_at = max(self._empty_at.get(client, now), now)
        late = empty_at - now - self._room
        # A hair of tolerance, so that the sum of many steps does not refuse the last request that fits.
        if late > self._step * 1e-6:
            return late
        self._empty_at[client] = empty_at + self._step
        self._empty_at.move_to_end(client)
        if len(self._empty_at) > REMEMBERED:
            self._empty_at.popitem(last=False)
        return 0.0
