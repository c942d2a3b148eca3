"""The service side of sd_notify: one datagram of `KEY=value` lines to $NOTIFY_SOCKET.

Protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket


def notify(*assignments: str, patience: float = 1.0) -> bool:
    """Send `READY=1`, `STATUS=…`, `WATCHDOG=1`, … to the supervisor; False where there is none.

    A supervisor whose ear is full is waited for, `patience` seconds at most.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        # A supervisor that hangs does not read; whoever waits for it for ever hangs as well.
        sock.settimeout(patience)
        try:
            sock.sendto("\n".join(assignments).encode(), name)
        except OSError:
            # The supervisor may be away for a moment (it is being replaced); a service never dies of that.
            return False
    return True


def watchdog_interval() -> float | None:
    """Seconds between two `WATCHDOG=1` that keep us alive (half of $WATCHDOG_USEC), None where none is asked for."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) / 2_000_000 if usec.isdigit() and int(usec) > 0 else None
