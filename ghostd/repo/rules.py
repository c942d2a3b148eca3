"""What to do with one path of a work tree that lags behind its branch. Pure."""

from __future__ import annotations

from enum import Enum

from ghostd.model.tree import Entry


class Step(Enum):
    #: The index has it already, so whoever moved the index has seen to the file as well.
    DONE = "done"
    #: The file is there, only the index does not know.
    STAGE = "stage"
    #: The file still has what the branch had before.
    WRITE = "write"
    #: A person has been here; nothing is touched.
    FOREIGN = "foreign"


def step(
    *, was: Entry | None, shall: Entry | None, staged: Entry | None, disk_is_was: bool, disk_is_shall: bool
) -> Step:
    """Files are written before the index, so the index tells how far an earlier attempt came."""
    if staged == shall:
        return Step.DONE
    if staged != was:
        return Step.FOREIGN
    if disk_is_shall:
        return Step.STAGE
    return Step.WRITE if disk_is_was else Step.FOREIGN
