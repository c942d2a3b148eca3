"""Times, sizes, shares and rates as people write them."""

from __future__ import annotations

import pytest

from ghostd.config import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("100ms", 0.1),
        ("30s", 30),
        ("1.5s", 1.5),
        ("5m", 300),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1d", 86400),
        ("1s500ms", 1.5),
        ("", None),
        ("30", None),
        ("s", None),
        ("-1s", None),
        ("1 s", None),
        ("1s ", None),
        ("1S", None),
        ("1e3s", None),
        ("١s", None),
        ("nan", None),
        ("9" * 20 + "s", None),
    ],
)
def test_a_time(text, seconds):
    assert durations.duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("4096", 4096),
        ("64K", 65536),
        ("512KiB", 524288),
        ("512M", 536870912),
        ("1G", 1 << 30),
        ("2TiB", 2 << 40),
        ("512KB", None),
        ("1.5G", None),
        ("-1", None),
        ("iB", None),
        ("4iB", None),
        ("", None),
        ("4 K", None),
    ],
)
def test_a_size(text, count):
    assert durations.size(text) == count


@pytest.mark.parametrize(
    ("text", "share"), [("50%", 0.5), ("150%", 1.5), ("12.5%", 0.125), ("50", None), ("-5%", None)]
)
def test_a_share(text, share):
    assert durations.share(text) == share


@pytest.mark.parametrize(
    ("text", "rate"),
    [("60/minute", (60, 60)), ("1/second", (1, 1)), ("60/min", None), ("/minute", None), ("-1/day", None)],
)
def test_a_rate(text, rate):
    assert durations.rate(text) == rate


@pytest.mark.parametrize("text", ["0s", "100ms", "1s", "90s", "10m", "1h", "7d"])
def test_a_time_that_is_shown_reads_back_as_itself(text):
    assert durations.show_duration(durations.duration(text)) == text


@pytest.mark.parametrize("text", ["0", "100", "4K", "512M", "4G", "1T", "1025"])
def test_a_size_that_is_shown_reads_back_as_itself(text):
    assert durations.show_size(durations.size(text)) == text
