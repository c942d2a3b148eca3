"""`ghostd doctor`: the same look as `ghost doctor`."""

from __future__ import annotations

from ghostd.cli.commands.doctor import command

__all__ = ["command"]
