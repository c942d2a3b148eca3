"""What a notify datagram says, whoever wrote it."""

from __future__ import annotations

import pytest

from ghostd.supervise.probes import Told, understand


@pytest.mark.parametrize(
    ("datagram", "told"),
    [
        (b"READY=1", Told(ready=True)),
        (b"READY=1\nSTATUS=up", Told(ready=True, status="up")),
        (b"READY=0\nWATCHDOG=1\n", Told(watchdog=True)),
        (b"STATUS=", Told(status="")),
        (b"STATUS=a\x1b[2Jb\xff", Told(status="a\\x1b[2Jb�")),
        (
            b"X_GHOST_LISTEN=status=127.0.0.1:1\nX_GHOST_LISTEN=api=[::1]:2",
            Told(listen={"status": "127.0.0.1:1", "api": "[::1]:2"}),
        ),
        (b"X_GHOST_LISTEN=nonsense", Told()),
        (b"BARRIER=1", Told()),
        (b"", Told()),
        (b"\x00\xff\xfe=READY\n=\n==", Told()),
    ],
)
def test_known_assignments_are_read_and_all_others_passed_over(datagram, told):
    assert understand(datagram) == told


def test_a_long_status_is_cut():
    assert len(understand(b"STATUS=" + b"x" * 4000).status or "") == 200
