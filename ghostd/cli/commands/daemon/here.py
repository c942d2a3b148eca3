"""What the verbs of `ghostd` share: the bare workspace, the engine's command line, rows of services."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.cli import output, session
from ghostd.cli.verbs import Asked
from ghostd.model.settings import Places
from ghostd.supervise.link import attach
from ghostd.supervise.lock import holder


def places(asked: Asked) -> Places:
    """The workspace that is meant here, its configuration unread: a broken one must not keep anybody from a stop."""
    workspace = session.find(asked)
    if workspace is None or not Places(workspace=workspace).conf.is_file():
        where = "here or above" if workspace is None else f"in {workspace}"
        raise Cannot(f"find a workspace {where}", kind="no-workspace", hint="run ghostd init")
    return Places(workspace=workspace)


def engine_command(where: Places, *flags: str) -> list[str]:
    """The engine as a process of its own."""
    return [sys.executable, "-P", "-m", "ghostd.services.engine", "--workspace", str(where.workspace), *flags]


def keeper_lives(where: Places) -> bool:
    """Whether services live on although their engine may be gone."""
    link = attach(where.run)
    if link is not None:
        link.abandon()
    return link is not None


def not_running(where: Places) -> Cannot:
    """The error of a verb that needs a daemon."""
    running = holder(where.run)
    if running is not None:
        hint = "it is starting or stopping: try again in a moment"
        return Cannot(f"reach ghostd: pid {running} does not answer", kind="daemon-silent", hint=hint, pid=running)
    if keeper_lives(where):
        hint = "its services live on without it: ghostd start takes them over, ghostd stop ends them"
        return Cannot("reach ghostd: it does not run here", kind="no-daemon", hint=hint)
    return Cannot("reach ghostd: it does not run here", kind="no-daemon", hint="run ghostd start")


def down(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The services that should be ready and are not. One that has done its work and ended well is no failure."""
    return [row for row in rows if row["autostart"] and not row["ready"] and not _done(row)]


def _done(row: Mapping[str, Any]) -> bool:
    return bool(row["state"] == "EXITED" and row["exit"] == 0)


def why(row: Mapping[str, Any]) -> str:
    """The cause of a service's last change; for one that is not up, also what it said last."""
    return f"{row['why']}: {row['said']}" if row["said"] and not row["pid"] else str(row["why"])


def tell(rows: Iterable[Mapping[str, Any]]) -> None:
    """Services with what became of them."""
    output.table(("SERVICE", "STATE", "WHY"), [(row["name"], row["state"], why(row)) for row in rows])
