"""The examples of the guide to the formats are patches, and what is said about them is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from ghostd.base.errors import Cannot
from ghostd.bridges import fences
from ghostd.model.patch import Format
from ghostd.patches.convert import convert, dump
from ghostd.patches.formats.mutations import OPS
from ghostd.patches.read import inspect, read_patch

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "formats.md").read_bytes()
BLOCKS = [block for block in fences.scan(GUIDE) if block.info in ("yaml", "json")]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"line {block.line}")
def test_an_example_is_a_patch(block):
    """It lints without an error where commands are allowed, and survives the way to unified and back."""
    (report,) = inspect(block.text, allow_shell=True)
    assert report.ok, report.problems
    back = read_patch(dump(convert(report.patch, report.format), style="yaml"))
    assert (back.format, back.digest) == (report.format, report.patch.digest)


def test_every_format_and_op_is_told():
    assert {inspect(block.text, allow_shell=True)[0].format for block in BLOCKS} == set(Format)
    for name in OPS:
        assert f"`{name}`".encode() in GUIDE


def test_the_last_example_is_refused_as_told():
    with pytest.raises(Cannot, match=r"it has no place for validation\.gates"):
        convert(read_patch(BLOCKS[-1].text), Format.WEBHOOK)
