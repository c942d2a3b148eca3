"""A JSON file in the middle of its operations: where pointers lead, and how a refusal tells that one does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ghostd.model.patch import JsonPatch
from ghostd.patches import strict_json
from ghostd.patches.explain import visible
from ghostd.patches.json_pointer import joined, split
from ghostd.patches.json_text import Inside, Member, Style, Value
from ghostd.patches.refusal import Malformed, Refusal, refuse

#: A JSON file that is edited, and what one patch may add to it; its text is held several times over.
MAX_JSON = 16 << 20
#: How deep the slow scanner looks for what the C parser found amiss.
_MAX_DEPTH = 200
_SHOWN = 200

_SOUND = json.JSONDecoder(
    object_pairs_hook=strict_json.no_duplicates,
    parse_constant=strict_json.no_constant,
    parse_int=lambda _: 0,
    parse_float=lambda _: 0.0,
)


@dataclass(slots=True)
class Place:
    """Where a pointer leads: the members on the way, and the indent of the line that each begins on."""

    members: list[Member]
    #: One for the root and one for each member.
    indents: list[str]

    @property
    def value(self) -> Value:
        return self.members[-1].value

    @property
    def indent(self) -> str:
        return self.indents[-1]

    @property
    def spread(self) -> bool:
        """True where it begins a line, or is the whole document: then a mapping put there goes over several lines."""
        return len(self.members) == 1 or self.members[-1].indent is not None


class Document:
    """The file of one mutation. Raises Refusal of kind `not-json` where it is no strict JSON."""

    def __init__(self, data: bytes, edit: JsonPatch, blob: str | None) -> None:
        self.edit = edit
        self.blob = blob
        #: Which operation is at work, for messages.
        self.number = 0
        #: What the operations may still write or compare, in characters; copies of copies grow without end.
        self.room = MAX_JSON
        text = self._sound(data)
        self.style = Style.of(text)
        body = text.strip("\ufeff \t\r\n")
        before, _, after = text.partition(body)
        # The document as the only member of nothing: so the root is found and replaced like any other value.
        self.root = Member(lead=before, value=Value(body), trail=after)

    def find(self, pointer: str) -> Place:
        """The place that a pointer leads to. Raises Refusal."""
        parts = split(pointer)
        place = self.walk(parts)
        if len(place.members) <= len(parts):
            self._missing(pointer, parts, place)
        return place

    def walk(self, parts: Sequence[str]) -> Place:
        """As far as the parts lead."""
        members, indents = [self.root], [self.root.lead.rpartition("\n")[2].removeprefix("\ufeff")]
        for part in parts:
            inside = members[-1].value.inside
            member = inside.get(part) if inside else None
            if member is None:
                break
            members.append(member)
            indents.append(indents[-1] if member.indent is None else member.indent)
        return Place(members, indents)

    def parent(self, pointer: str) -> tuple[Place, Inside, str]:
        """The mapping or list that the last part of a pointer is about, and that part."""
        *above, last = split(pointer)
        place = self.find(joined(above))
        inside = place.value.inside
        if inside is None:
            hint = f"{joined(above) or 'the document'} is no mapping and no list"
            self.stop("no-match", pointer, "find a place for a value", hint=hint, **self.near(above, place))
        return place, inside, last

    def read(self, place: Place) -> str:
        text = place.value.text()
        self.spend(len(text))
        return text

    def spend(self, size: int) -> None:
        self.room -= size
        if self.room < 0:
            raise self.too_large()

    # --- refusing ---------------------------------------------------------------------------------------------------

    def _missing(self, pointer: str, parts: Sequence[str], place: Place) -> NoReturn:
        reached = parts[: len(place.members) - 1]
        inside = place.value.inside
        names = list(inside.names)[:20] if inside else []
        what = f"{joined(reached) or 'the document'}"
        if inside is None:
            hint = f"{what} is no mapping and no list"
        elif inside.is_list:
            hint = f"{what} is a list of {len(inside.elements)} elements"
        else:
            hint = f"{what} has: " + ", ".join(names) if names else f"{what} is empty"
        self.stop("no-match", pointer, "find the pointer", hint=short(hint), **self.near(reached, place))

    def near(self, reached: Sequence[str], place: Place) -> dict[str, Any]:
        """The nearest pointer that leads somewhere, with its line and a look at what stands there."""
        current = short("".join(place.value.pieces()))
        return {"nearest": joined(reached), "line": self._line(place), "current": current}

    def _line(self, place: Place) -> int:
        """The line of the document, as the operations before left it, where a place begins."""
        wanted, text = place.members[-1], 0
        for above, member in zip(place.members, place.members[1:], strict=False):
            inside = above.value.inside
            before = inside.members() if inside else []
            for other in before:
                if other is member:
                    break
                text += "".join(other.pieces()).count("\n")
            text += above.lead.count("\n")
        return text + wanted.lead.count("\n") + 1

    def stop(self, kind: str, pointer: str, what: str, *, hint: str, **details: Any) -> NoReturn:
        where = f"{what} {visible(pointer.encode('utf-8', 'surrogatepass'))[:_SHOWN]!r} (operation {self.number})"
        raise refuse(
            kind, self.edit.path, where, hint=hint, blob=self.blob, pointer=pointer, operation=self.number, **details
        )

    def too_large(self) -> Refusal:
        return refuse(
            "too-large", self.edit.path, f"edit JSON of more than {MAX_JSON >> 20} MiB", hint="use op replace"
        )

    def _sound(self, data: bytes) -> str:
        """The file's text, if it is strict JSON. Raises Refusal of kind `not-json`."""
        if len(data) > MAX_JSON:
            raise self.too_large()
        hint = "use op replace, which takes any text"
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise self._not_json("is not UTF-8", line, hint) from None
        body = text.removeprefix("\ufeff")
        try:
            _SOUND.decode(body)
        except (ValueError, RecursionError):
            raise self._unsound(body, hint) from None
        return text

    def _unsound(self, body: str, hint: str) -> Refusal:
        try:
            strict_json.positions(body, max_depth=_MAX_DEPTH, exact=False)
        except Malformed as error:
            return self._not_json(error.problem, error.line, hint)
        return self._not_json("is not readable", None, hint)

    def _not_json(self, problem: str, line: int | None, hint: str) -> Refusal:
        return refuse(
            "not-json",
            self.edit.path,
            f"read the file as strict JSON ({problem})",
            hint=hint,
            line=line,
            blob=self.blob,
        )


def short(text: str) -> str:
    """A text as far as a message shows it."""
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
