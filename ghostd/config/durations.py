"""How people write times, sizes, shares and rates: "30s", "1h30m", "512M", "50%", "60/minute"."""

from __future__ import annotations

import math
import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:\d{1,12}(?:\.\d{1,9})?(?:ms|s|m|h|d))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d{1,15})([KMGT]?)(?:iB)?", re.ASCII)
_SHARE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)%", re.ASCII)
_WINDOWS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
_RATE = re.compile(r"(\d{1,9})/(second|minute|hour|day)", re.ASCII)


def duration(text: str) -> float | None:
    """Seconds of "100ms", "30s", "5m", "1h", "7d" or a row of them ("1h30m"); None for anything else."""
    if not _DURATION.fullmatch(text):
        return None
    # fsum, because 0.1 + 0.2 would show in `ghostd status`.
    return math.fsum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def size(text: str) -> int | None:
    """Bytes of "4096", "512K", "512KiB", "1G"; K is 1024. None for anything else, "512KB" too: nobody agrees on it."""
    match = _SIZE.fullmatch(text)
    if match is None or (text.endswith("iB") and not match[2]):
        return None
    return int(match[1]) * _BYTES[match[2]]


def share(text: str) -> float | None:
    """0.5 for "50%"; None for anything else."""
    match = _SHARE.fullmatch(text)
    return float(match[1]) / 100 if match else None


def rate(text: str) -> tuple[int, float] | None:
    """(60, 60.0) for "60/minute": how many in how many seconds; None for anything else."""
    match = _RATE.fullmatch(text)
    return (int(match[1]), _WINDOWS[match[2]]) if match else None


def show_duration(seconds: float) -> str:
    """The shortest way to write a duration: "1h", "90s", "100ms"."""
    for unit, factor in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= factor and seconds % factor == 0:
            return f"{int(seconds // factor)}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def show_size(count: int) -> str:
    """The shortest way to write a size: "4G", "512K", "100"."""
    for unit in ("T", "G", "M", "K"):
        if count and count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit}"
    return str(count)
