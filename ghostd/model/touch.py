"""What a commit did to one path, in lines: of this the graph is made that tells which patches build on which."""

from __future__ import annotations

from dataclasses import dataclass

from ghostd.model.tree import Entry, Mode


@dataclass(frozen=True, slots=True)
class Span:
    """The lines from `old` up to `old_end` became those from `new` up to `new_end`; counted from 0, ends left out."""

    old: int
    old_end: int
    new: int
    new_end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """One path of a commit against its first parent. `before` is None where the path is new, `after` where it goes."""

    path: bytes
    before: Entry | None
    after: Entry | None
    #: In order, at least one unchanged line between two; None for what has no lines: binary, a link, made, gone.
    spans: tuple[Span, ...] | None = None

    @property
    def reshaped(self) -> bool:
        """The path came, went, or became another kind of thing."""
        return _kind(self.before) is not _kind(self.after)

    @property
    def new_mode(self) -> bool:
        """A file became executable, or is so no more."""
        return self.before is not None and self.after is not None and self.before.mode != self.after.mode


def _kind(entry: Entry | None) -> Mode | None:
    """Whether a file is executable is no matter of its kind."""
    if entry is None:
        return None
    return Mode.FILE if entry.mode is Mode.EXECUTABLE else entry.mode
