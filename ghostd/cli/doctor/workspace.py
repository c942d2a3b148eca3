"""The workspace: its configuration, secrets, ports and daemon."""

from __future__ import annotations

import dataclasses
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.cli.doctor.check import Check, State
from ghostd.config.load import load
from ghostd.model.settings import Places, Settings
from ghostd.supervise.client import Control

_GROUP = "workspace"


def configuration(workspace: Path | None) -> tuple[Settings | None, Check]:
    """The settings, where there are any, and whether they are well."""
    purpose = "says what runs where"
    if workspace is None or not Places(workspace=workspace).conf.is_file():
        get = "run ghostd init in a repository"
        return None, _check("workspace", "none here or above", purpose, State.WARNING, get)
    try:
        return load(workspace).settings, _check("workspace", str(workspace), purpose, State.OK)
    except Cannot as error:
        return None, _check("workspace", error.message, purpose, State.MISSING, "ghostd check lists every problem")


def _check(name: str, found: str, purpose: str, state: State, get: str = "") -> Check:
    return Check(group=_GROUP, name=name, state=state, found=found, purpose=purpose, get=get)


def workspace_checks(settings: Settings) -> Iterator[Check]:
    """Secrets, daemon, ports."""
    where = Places(workspace=settings.workspace)
    yield _secrets(where.secrets)
    running = Control(where.control).alive()
    hint = "ghostd start; without it, commands run the pipeline themselves"
    yield _check("daemon", "running" if running else "not running", "follows chats and webhooks",
                 State.OK if running else State.WARNING, hint)  # fmt: skip
    if not running:
        yield _ports(settings)


def _secrets(folder: Path) -> Check:
    """Files that somebody else may read are no secrets any more."""
    purpose = "webhook and token secrets"
    if not folder.is_dir():
        return _check("secrets", "none yet", purpose, State.OK)
    files = [folder, *folder.iterdir()]
    loose = [one.name for one in files if stat.S_IMODE(one.stat().st_mode) & 0o077]
    if loose:
        get = f"chmod go= {folder} {folder}/*, then make new ones"
        return _check("secrets", f"others may read {', '.join(loose)}", purpose, State.MISSING, get)
    return _check("secrets", f"{len(files) - 1}, private", purpose, State.OK)


def _ports(settings: Settings) -> Check:
    taken = [f"{name} {address}" for name, address in dataclasses.asdict(settings.listen).items() if _taken(address)]
    found = f"taken: {', '.join(taken)}" if taken else "free"
    get = "end who holds them, or change [listen]; ghostd will not get them"
    return _check("ports", found, "doors of the daemon", State.WARNING if taken else State.OK, get)


def _taken(address: str) -> bool:
    """Whether the daemon could not listen there now."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or port == "0":
        return False
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((host.strip("[]"), int(port)))
        except OSError:
            return True
    return False
