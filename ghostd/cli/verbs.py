"""A click group whose commands are imported when they are called, and the error policy around both programs."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ghostd.base.errors import Cannot, of_os_error
from ghostd.cli import output

DONE, FAILED, USAGE, BUG, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Where a command lives, and its line in `--help`."""

    module: str
    summary: str


class Verbs(click.Group):
    """Commands by table: listing them imports none of them."""

    def __init__(self, *, verbs: Mapping[str, Verb], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = self.verbs.get(cmd_name)
        if verb is None:
            return None
        command: click.Command = importlib.import_module(verb.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in self.verbs.items()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What every command is asked beside its own options."""

    json: bool
    workspace: Path | None
    #: -1 quiet, 0 usual, 1 and more verbose.
    verbosity: int


def common(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json, --workspace, -q and -v; the command gets them as `asked`."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout; talk goes to stderr.")
    @click.option(
        "--workspace",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="GHOST_HOME",
        help="Folder with conf/ghost.toml and state/ [default: found upward from here].",
    )
    @click.option("-q", "--quiet", is_flag=True, help="Only errors.")
    @click.option("-v", "--verbose", count=True, help="More about what happens.")
    @functools.wraps(function)
    def wrapped(*, as_json: bool, workspace: Path | None, quiet: bool, verbose: int, **options: Any) -> Any:
        asked = Asked(json=as_json, workspace=workspace, verbosity=-1 if quiet else verbose)
        return function(asked=asked, **options)

    return wrapped


def run(group: click.Group, program: str) -> int:
    """Run a program and turn every way in which it can end into an exit status.

    0 done, 1 an expected failure, 2 wrong usage, 3 a bug (with a report file), 130 interrupted.
    """
    try:
        status = group.main(prog_name=program, standalone_mode=False)
    except Cannot as error:
        output.failure(error.as_json(), f"{program}: {error}")
        return FAILED
    except click.exceptions.NoArgsIsHelpError as error:
        # Called bare: the help is the answer, in its own shape.
        output.talk(error.format_message())
        return USAGE
    except click.UsageError as error:
        hint = f"see {program} --help" if error.ctx is None else f"see {error.ctx.command_path} --help"
        message = error.format_message()
        output.failure({"kind": "usage", "message": message, "hint": hint}, f"{program}: {message}; {hint}")
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        output.talk(f"{program}: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our stdout has gone (`ghost log | head`): nothing is wrong, and nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        told = of_os_error(error)
        output.failure(told.as_json(), f"{program}: {told}")
        return FAILED
    except Exception as error:  # noqa: BLE001 - the outermost door: a bug becomes a report
        report = _report(program)
        message = f"{program}: this is a bug: {type(error).__name__}; the report is in {report}"
        output.failure({"kind": "bug", "message": message, "hint": "please send the report", "report": report}, message)
        return BUG
    return status if isinstance(status, int) else DONE


def _report(program: str) -> str:
    # Imported where a bug is told, because every other call would pay for it.
    import tempfile
    import traceback

    fd, path = tempfile.mkstemp(prefix=f"{program}-bug-", suffix=".txt")
    with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{' '.join(sys.argv)}\npython {sys.version}\n\n{traceback.format_exc()}")
    return path
