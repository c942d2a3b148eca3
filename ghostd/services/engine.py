"""The engine's process: which services a workspace has, in supervise.engine's hands.

It never reaches a ledger, a Git library, or another way to wait for processes than the keeper.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ghostd.base.clock import SystemClock
from ghostd.base.errors import Cannot
from ghostd.base.files import make_dir
from ghostd.base.log import log_to_stderr, one_line
from ghostd.base.notify import notify
from ghostd.config.load import load
from ghostd.model.service import Ready, RestartWhen, ServiceSpec
from ghostd.model.settings import Places, Settings
from ghostd.security.secrets import VARIABLES
from ghostd.supervise.engine import Engine
from ghostd.supervise.logs import LogFile, LogHandler

#: The engine writes a line for each change of a service; this holds months of them.
_LOG_SIZE, _LOG_BACKUPS = 10 * 1024 * 1024, 3
#: Enough for a cold start of a Python process on a busy machine.
_READY_TIMEOUT = 30.0


def specs(settings: Settings, environ: Mapping[str, str]) -> dict[str, ServiceSpec]:
    """Every service of the workspace: our own, then the user's."""
    own = {name: _own(settings, name, arguments, environ) for name, arguments in _own_modules(settings).items()}
    clash = sorted(own.keys() & settings.services.keys())
    if clash:
        raise Cannot(f"run two services named {clash[0]}", kind="bad-config", hint="give yours another name")
    return {**own, **settings.services}


def _own_modules(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Service → its module and further arguments."""
    gateway = {"gateway": ("gateway",)} if settings.listen.gateway or settings.listen.runner else {}
    return {
        "bridge": ("bridge",),
        **gateway,
        **{f"executor-{lane}": ("executor", "--lane", lane) for lane in settings.lanes},
        "status-api": ("status_api",),
        "monitor": ("monitor",),
        "alerter": ("alerter",),
    }


def _own(settings: Settings, name: str, arguments: Sequence[str], environ: Mapping[str, str]) -> ServiceSpec:
    module, *more = arguments
    secret = {key for variable in VARIABLES.values() for key in (variable, f"{variable}_FILE")}
    return ServiceSpec(
        name=name,
        # -P: the workspace is a stranger's folder, and no place to import from.
        command=(
            sys.executable,
            "-P",
            "-m",
            f"ghostd.services.{module}",
            "--workspace",
            str(settings.workspace),
            *more,
        ),
        own=True,
        restart=RestartWhen.ALWAYS,
        ready=Ready(notify=True, timeout=_READY_TIMEOUT),
        limits=settings.own_limits,
        # The executor writes people's files and Git's, which others may read as usual; ours have modes of their own.
        umask=0o022 if module == "executor" else 0o077,
        env={key: environ[key] for key in sorted(secret & environ.keys())},
        cwd=str(settings.workspace),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Supervise until told to stop; 1 when it could not begin, told on stderr and to whoever started us."""
    parser = argparse.ArgumentParser(prog="ghostd-engine", description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--foreground", action="store_true", help="log to stderr as well")
    parser.add_argument("--stop", action="store_true", help="take over what an engine has left running, and stop it")
    asked = parser.parse_args(argv)
    try:
        return _run(asked.workspace, foreground=asked.foreground, only_stop=asked.stop)
    except Cannot as error:
        return _tell(error)
    except OSError as error:
        return _tell(Cannot(f"start ghostd: {error}", kind="start-failed", hint="look at the disk and its permissions"))


def _tell(error: Cannot) -> int:
    sys.stderr.write(f"ghostd: {one_line(str(error), 2000)}\n")
    notify(f"X_GHOST_ERROR={json.dumps(error.as_json(), default=str)}")
    return 1


def _run(workspace: Path, *, foreground: bool, only_stop: bool) -> int:
    settings = load(workspace).settings
    places = Places(workspace=settings.workspace)
    os.umask(0o077)
    _log_to(make_dir(places.log) / "ghostd.log", foreground=foreground)
    engine = Engine(
        places,
        specs(settings, os.environ),
        clock=SystemClock(),
        dice=random.Random(),  # noqa: S311 - jitter, not a secret
        environ=os.environ,
    )
    return engine.run(only_stop=only_stop)


def _log_to(file: Path, *, foreground: bool) -> None:
    """Log into a file that is rotated, in the format of all logs; in the foreground to stderr too."""
    log_to_stderr()
    root = logging.getLogger()
    (stderr,) = root.handlers
    handler = LogHandler(LogFile(file, max_size=_LOG_SIZE, backups=_LOG_BACKUPS))
    handler.setFormatter(stderr.formatter)
    root.addHandler(handler)
    if not foreground:
        root.removeHandler(stderr)


if __name__ == "__main__":
    sys.exit(main())
