"""The kinds of channel: how one delivery is sent. One more kind is one more class and one more row of the table."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ghostd.alerts.rules import LOG
from ghostd.base.clock import Clock, rfc3339
from ghostd.base.errors import Cannot
from ghostd.base.files import PRIVATE_FILE, make_dir, sync_dir
from ghostd.model.alert import Delivery
from ghostd.model.settings import ChannelSettings

#: Seconds for a webhook to take an alert.
TIMEOUT = 5.0
#: So much of the end of the log is searched for a delivery that was written just before a crash.
_TAIL = 64 * 1024
_SUCCESS = range(200, 300)


class Undelivered(Cannot):
    """A send that failed: the message says to whom and why."""

    def __init__(self, channel: str, why: str) -> None:
        super().__init__(f"deliver to {channel}: {why}", kind="undelivered", channel=channel)


class Channel(Protocol):
    """Where deliveries go."""

    def send(self, delivery: Delivery) -> None:
        """Send once, to the end. Raises Undelivered."""
        ...

    def close(self) -> None: ...


class LogChannel:
    """Appends one JSON line for each delivery to a file, durable when `send` returns."""

    def __init__(self, name: str, path: Path, clock: Clock) -> None:
        self._name = name
        self._path = path
        self._clock = clock

    def send(self, delivery: Delivery) -> None:
        told = {"time": rfc3339(self._clock.wall()), "key": delivery.key, **delivery.payload}
        try:
            self._append(delivery.key, json.dumps(told).encode() + b"\n")
        except OSError as error:
            raise Undelivered(self._name, str(error)) from error

    def close(self) -> None:
        """Nothing is kept open."""

    def _append(self, key: str, line: bytes) -> None:
        new = not self._path.exists()
        fd = os.open(make_dir(self._path.parent) / self._path.name, _FLAGS, PRIVATE_FILE)
        with os.fdopen(fd, "r+b", buffering=0) as file:
            tail = _tail(fd)
            if json.dumps(key).encode() in tail:
                return
            # A line that a crash or a full disk cut is ended, so that it spoils no other.
            file.write(line if not tail or tail.endswith(b"\n") else b"\n" + line)
            os.fsync(fd)
        if new:
            sync_dir(self._path.parent)


_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def _tail(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    return os.pread(fd, _TAIL, max(0, size - _TAIL))


class WebhookChannel:
    """POSTs JSON to an address of the configuration. The key travels with it, so that a receiver can drop repeats."""

    def __init__(self, settings: ChannelSettings) -> None:
        # Only those who have a webhook pay for the library's memory.
        import httpx

        self._errors = (httpx.HTTPError, httpx.InvalidURL)
        self._name = settings.name
        self._url = settings.url
        # No redirect and no proxy of the environment: the alert goes where the configuration says, or nowhere.
        self._client = httpx.Client(timeout=TIMEOUT, follow_redirects=False, trust_env=False)

    def send(self, delivery: Delivery) -> None:
        body: dict[str, Any] = {**delivery.payload, "key": delivery.key}
        try:
            with self._client.stream("POST", self._url, json=body, headers={"Idempotency-Key": delivery.key}) as answer:
                status = answer.status_code
        except self._errors as error:
            raise Undelivered(self._name, f"{type(error).__name__}: {error}") from error
        if status not in _SUCCESS:
            raise Undelivered(self._name, f"it answered {status}")

    def close(self) -> None:
        self._client.close()


#: How a channel of each type is made, of its settings, the log file and the clock.
TYPES: Mapping[str, Callable[[ChannelSettings, Path, Clock], Channel]] = {
    "log": lambda settings, log, clock: LogChannel(settings.name, log, clock),
    "webhook": lambda settings, _log, _clock: WebhookChannel(settings),
}


def build(channels: Mapping[str, ChannelSettings], log: Path, clock: Clock) -> dict[str, Channel]:
    """All channels by name; the log is always among them."""
    wanted = {LOG: ChannelSettings(name=LOG), **channels}
    return {name: TYPES[settings.type](settings, log, clock) for name, settings in wanted.items()}
