"""`ghost cache`: the passes of gates that may stand for a run, to look at and to forget."""

from __future__ import annotations

import click

from ghostd.base.clock import rfc3339
from ghostd.base.errors import Cannot
from ghostd.cli import output
from ghostd.cli.verbs import Asked, common
from ghostd.cli.waiting import open_shop


@click.group(name="cache", invoke_without_command=True)
@common
@click.pass_context
def command(context: click.Context, *, asked: Asked) -> None:
    """Earlier passes of gates with `cache = true`: the same gate, tool and files are not run again.

    \b
    Example:
      ghost cache ls
      ghost cache clear tests
    """
    if context.invoked_subcommand is None:
        _list(asked, None)


@command.command(name="ls")
@click.argument("gate", required=False)
@common
def ls(*, asked: Asked, gate: str | None) -> None:
    """The passes that are remembered, those that were used last first; only of GATE where it is named.

    \b
    Example:
      ghost cache ls
    """
    _list(asked, gate)


@command.command(name="clear")
@click.argument("gate", required=False)
@common
def clear(*, asked: Asked, gate: str | None) -> None:
    """Forget the passes of GATE, or all of them; the next patch runs the gate again.

    \b
    Example:
      ghost cache clear tests
    """
    with open_shop(asked) as shop:
        known = {*shop.settings.gates, *(one.gate for one in shop.ledger.passes())}
        if gate is not None and gate not in known:
            raise Cannot(
                f"clear the cache of {gate}: there is no such gate", kind="unknown-gate", hint="ghost cache ls"
            )
        cleared = shop.ledger.clear_passes(gate)
    if asked.json:
        output.emit({"gate": gate, "cleared": cleared})
    else:
        output.say(f"forgot {cleared} pass{'' if cleared == 1 else 'es'}")


def _list(asked: Asked, gate: str | None) -> None:
    with open_shop(asked) as shop:
        passes = [one for one in shop.ledger.passes() if gate in (None, one.gate)]
    rows = [
        {
            "gate": one.gate,
            "key": one.key,
            "id": one.id,
            "tool": one.tool,
            "files": one.files,
            "duration_ms": one.duration_ms,
            "made": rfc3339(one.made_at),
            "used": rfc3339(one.used_at),
            "uses": one.uses,
        }
        for one in passes
    ]
    if asked.json:
        output.emit({"passes": rows})
    elif not rows:
        output.talk("ghost: no pass is remembered; a gate with cache = true remembers its own")
    else:
        shown = [(r["gate"], str(r["key"])[:12], r["id"], r["uses"], r["duration_ms"], r["used"]) for r in rows]
        output.table(("GATE", "KEY", "PASSED FOR", "USES", "SAVES MS", "LAST USED"), shown)
