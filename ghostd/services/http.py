"""What the two HTTP services share as processes: their command line, and how they tell why they can not work."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.base.log import log_to_stderr, one_line
from ghostd.base.notify import notify
from ghostd.config.load import load
from ghostd.model.settings import Settings


def run_service(
    name: str, run: Callable[[Settings], Coroutine[Any, Any, None]], argv: Sequence[str] | None = None
) -> int:
    """Run until SIGTERM; 1 where it can not work, which the log and `ghostd status` tell."""
    parser = argparse.ArgumentParser(prog=f"ghostd-{name}")
    parser.add_argument("--workspace", type=Path, required=True)
    asked = parser.parse_args(argv)
    log_to_stderr()
    try:
        asyncio.run(run(load(asked.workspace).settings))
    except Cannot as error:
        logging.getLogger(name).error("%s", error)  # noqa: TRY400 - an expected failure, no traceback
        notify(f"STATUS={one_line(str(error))}")
        return 1
    return 0
