"""`ghost convert`: turn a patch into another format."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ghostd.base.errors import Cannot
from ghostd.base.files import write_atomic
from ghostd.cli import output
from ghostd.cli.commands.lint import rules_of
from ghostd.cli.sources import pieces
from ghostd.cli.verbs import Asked, common
from ghostd.model.patch import Format
from ghostd.patches.convert import convert, dump
from ghostd.patches.read import read_patch


@click.command(name="convert")
@click.argument("file")
@click.option("--to", "target", required=True, type=click.Choice([format.value for format in Format]))
@click.option("--yaml", "style", flag_value="yaml", help="Write YAML.")
@click.option("--as-json", "style", flag_value="json", default="json", help="Write JSON (the default).")
@click.option("-o", "--output", "path", type=click.Path(path_type=Path), help="Write to a file, not to stdout.")
@common
def command(*, asked: Asked, file: str, target: str, style: str, path: Path | None) -> None:
    """Turn the patch in FILE (or - for stdin) into another format, without losing any of its meaning.

    \b
    Example:
      ghost convert fix.json --to unified --yaml -o fix.yaml
    """
    lane, store = rules_of(asked)
    found = list(pieces([file], max_bytes=store.max_patch))
    if len(found) != 1:
        raise Cannot(f"convert {file}: it holds {len(found)} patches", kind="several", hint="give one patch at a time")
    patch = read_patch(found[0].data, max_bytes=store.max_patch, prefixes=lane.path_prefixes if lane else ())
    text = dump(convert(patch, Format(target)), style="yaml" if style == "yaml" and not asked.json else "json")
    if path is None:
        sys.stdout.buffer.write(text)
        return
    write_atomic(path, text, mode=0o644)
    if asked.json:
        output.emit({"id": patch.id, "format": target, "file": str(path)})
    else:
        output.talk(f"ghost: wrote {path}")
