"""`ghost lint`: check patch files without applying them."""

from __future__ import annotations

from typing import Any

import click

from ghostd.base.log import one_line
from ghostd.cli import output
from ghostd.cli.session import find
from ghostd.cli.sources import Piece, pieces
from ghostd.cli.verbs import Asked, common
from ghostd.config.load import load
from ghostd.model.settings import LaneSettings, StoreSettings
from ghostd.patches.read import inspect


@click.command(name="lint")
@click.argument("files", nargs=-1, required=True)
@common
def command(*, asked: Asked, files: tuple[str, ...]) -> int:
    """Read FILES as strictly as apply would, and tell every problem with its line; nothing is changed.

    \b
    Example:
      ghost lint fix.yaml
    """
    lane, store = rules_of(asked)
    reports = [report for piece in pieces(files, max_bytes=store.max_patch) for report in _look(piece, lane, store)]
    if asked.json:
        output.emit({"files": reports})
    else:
        _show(reports)
    return 0 if all(report["ok"] for report in reports) else 1


def rules_of(asked: Asked) -> tuple[LaneSettings | None, StoreSettings]:
    """What the default lane allows; without a workspace the strictest: no prefixes, no shell."""
    workspace = find(asked)
    if workspace is None:
        return None, StoreSettings()
    settings = load(workspace).settings
    return settings.default_lane, settings.store


def _look(piece: Piece, lane: LaneSettings | None, store: StoreSettings) -> list[dict[str, Any]]:
    found = inspect(
        piece.data,
        max_bytes=store.max_patch,
        prefixes=lane.path_prefixes if lane else (),
        allow_shell=lane.allow_shell if lane else False,
    )
    return [
        {
            "file": piece.name,
            "ok": all(problem.level != "error" for problem in report.problems),
            "format": report.format,
            "id": report.id,
            "problems": [
                {"level": problem.level, "line": problem.line, "path": problem.path, "message": problem.message}
                for problem in report.problems
            ],
        }
        for report in found
    ]


def _show(reports: list[dict[str, Any]]) -> None:
    for report in reports:
        for problem in report["problems"]:
            place = ":".join(str(part) for part in (report["file"], problem["line"], problem["path"]) if part)
            output.say(one_line(f"{place}: {problem['level']}: {problem['message']}", 1000))
        if report["ok"]:
            output.say(one_line(f"{report['file']}: ok, {report['format']}, id {report['id']}"))
