"""YAML without its traps, read from libyaml's event stream: what is not plain data is refused before anything is built.

No anchors, aliases, merge keys, tags, duplicate keys or keys that are not texts. Scalars follow the core schema, and
a number with a leading zero is a text: `no`, `on`, dates, `012` and `1:30` stay what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml
from yaml import events

from ghostd.patches.refusal import KeyPath, Malformed
from ghostd.patches.strict_json import MAX_DEPTH, number_flaw

MAX_NODES = 10_000

#: libyaml where PyYAML was built with it; the pure-Python reader is ten times slower and as strict.
NATIVE = bool(yaml.__with_libyaml__)
LOADER: Any = yaml.CLoader if NATIVE else yaml.Loader

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
# Any other first character makes a plain scalar a text.
_TYPED = frozenset("-+.0123456789tTfFnN~")
# YAML 1.1 takes these for line ends and would turn some of them into \n.
_FOREIGN_LINE_END = re.compile("\r(?!\n)|[\x85\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One document of a stream: its value, where its text begins, and on which line each key path stands."""

    value: Any
    start: int
    line: int
    lines: dict[KeyPath, int] = field(default_factory=dict)


def loads(text: str, *, locate: bool = False) -> list[Loaded]:
    """All documents of a YAML text; `locate` fills in the lines. Raises Malformed with line and key path."""
    foreign = _FOREIGN_LINE_END.search(text)
    if foreign:
        line = text.count("\n", 0, foreign.start()) + 1
        raise Malformed(f"the line end {foreign[0]!r} has to be written as an escape", line=line, form="yaml")
    reader = _Reader(locate)
    try:
        return list(reader.documents(yaml.parse(text, Loader=LOADER)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # At the end of a text the library counts a line that is not there.
        reader.stop(str(error.problem or "not readable as YAML"), min(mark.line, text.count("\n")) if mark else None)
    except yaml.YAMLError as error:
        # The reader's own: a control character. It tells the position only.
        position = getattr(error, "position", None)
        reader.stop(getattr(error, "reason", "") or "not readable as YAML", text.count("\n", 0, position))


def scalar(text: str) -> Any:
    """The value of a plain scalar by the core schema; ValueError for a number that can not be kept."""
    if text and text[0] not in _TYPED:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("is not a finite number")
    value: float
    if _INT.fullmatch(text):
        value = int(text, 0) if len(text) < 32 else float("inf")  # noqa: PLR2004 - longer than any number we keep
    elif _FLOAT.fullmatch(text):
        value = float(text)
    else:
        return text
    problem = number_flaw(value)
    if problem:
        raise ValueError(problem)
    return value


@dataclass(slots=True)
class _Frame:
    """An open mapping or list; `key` is the mapping's key that waits for its value."""

    value: Any
    key: str | None = None

    @property
    def step(self) -> str | int:
        return len(self.value) if isinstance(self.value, list) else (self.key or "")


class _Reader:
    def __init__(self, locate: bool) -> None:  # noqa: FBT001 - private
        self.locate = locate
        self.stack: list[_Frame] = []
        self.lines: dict[KeyPath, int] = {}
        self.nodes = 0

    def stop(self, problem: str, line: int | None, *more: str) -> NoReturn:
        path = (*(f.step for f in self.stack if isinstance(f.value, list) or f.key is not None), *more)
        raise Malformed(problem, line=None if line is None else line + 1, path=path, form="yaml")

    def documents(self, stream: Iterator[Any]) -> Iterator[Loaded]:
        start = line = 0
        for event in stream:
            mark = event.start_mark
            if isinstance(event, events.DocumentStartEvent):
                if event.tags:
                    self.stop("%TAG directives are not allowed", mark.line)
                start, line, self.lines = mark.index, mark.line, {}
            elif isinstance(event, events.NodeEvent):
                yield Loaded(value=self.tree(event, stream), start=start, line=line + 1, lines=self.lines)

    def tree(self, root: Any, stream: Iterator[Any]) -> Any:
        """Build one document from its root event on, without recursion."""
        done = self.node(root)
        while self.stack:
            event = next(stream)
            if isinstance(event, events.CollectionEndEvent):
                done = self.stack.pop().value
                if self.stack:
                    self.put(done)
            else:
                done = self.node(event)
        return done

    def node(self, event: Any) -> Any:
        self.check(event)
        if isinstance(event, events.ScalarEvent):
            value = self.scalar(event)
            if self.stack:
                self.put(value)
            return value
        if self.stack and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None:
            self.stop("a key has to be a text", event.start_mark.line)
        if len(self.stack) == MAX_DEPTH:
            self.stop(f"nested deeper than {MAX_DEPTH} levels", event.start_mark.line)
        self.mark(event)
        self.stack.append(_Frame({} if isinstance(event, events.MappingStartEvent) else []))
        return None

    def check(self, event: Any) -> None:
        """Refuse whatever is more than plain data, at sight."""
        line = event.start_mark.line
        if isinstance(event, events.AliasEvent):
            self.stop(f"aliases are not allowed: *{event.anchor}", line)
        if event.anchor is not None:
            self.stop(f"anchors are not allowed: &{event.anchor}", line)
        if event.tag is not None:
            self.stop(f"tags are not allowed: {event.tag}", line)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.stop(f"more than {MAX_NODES} values", line)

    def scalar(self, event: Any) -> Any:
        """A scalar's value: a key is checked and remembered, an element or value is typed."""
        frame = self.stack[-1] if self.stack else None
        is_key = frame is not None and isinstance(frame.value, dict) and frame.key is None
        text, plain, line = event.value, event.implicit[0], event.start_mark.line
        if is_key and plain and text == "<<":
            self.stop("merge keys are not allowed", line)
        try:
            value = scalar(text) if plain else text
        except ValueError as error:
            self.stop(str(error), line)
        if is_key and frame is not None:
            if not isinstance(value, str):
                self.stop(f"a key has to be a text: put {text!r} in quotes", line)
            if value in frame.value:
                self.stop("this key stands twice", line, value)
            if self.locate:
                self.lines[*(f.step for f in self.stack[:-1]), value] = line + 1
        else:
            self.mark(event)
        return value

    def mark(self, event: Any) -> None:
        if self.locate and self.stack and isinstance(self.stack[-1].value, list):
            self.lines[tuple(f.step for f in self.stack)] = event.start_mark.line + 1

    def put(self, value: Any) -> None:
        """Add a finished value to the open collection, as a key, a key's value, or an element."""
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is None:
            frame.key = value
        else:
            frame.value[frame.key] = value
            frame.key = None
