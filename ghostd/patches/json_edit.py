"""RFC 6902 operations on a JSON file by the spans of its text: what they do not touch stays as it is, to the byte.

Pointers are those of RFC 6901. The file has to be strict JSON: a comment, or a key that stands twice, would make it
a guess what an operation means. All operations or none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ghostd.model.patch import JsonPatch
from ghostd.model.tree import Entry
from ghostd.patches.json_document import MAX_JSON, Document, Place, short
from ghostd.patches.json_pointer import split
from ghostd.patches.json_text import Inside, Member, Style, Value, list_index, shifted

_EXACT = json.JSONDecoder(parse_int=Decimal, parse_float=Decimal)


def edit_json(data: bytes, edit: JsonPatch, entry: Entry | None) -> bytes:
    """The file's bytes after the operations; `entry` is what the base tree has there, for the refusal.

    Raises Refusal: `not-json` for a file that is no strict JSON, `no-match` for a pointer that leads nowhere or a
    test that fails, `too-large`.
    """
    return _Editor(data, edit, entry.oid if entry else None).run()


class _Editor(Document):
    def run(self) -> bytes:
        for number, operation in enumerate(self.edit.operations):
            self.number = number
            OPERATIONS[operation["op"]](self, operation)
        data = "".join(self.root.pieces()).encode("utf-8", "surrogatepass")
        if len(data) > MAX_JSON:
            raise self.too_large()
        return data

    def add(self, operation: Mapping[str, Any]) -> None:
        self._put(operation["path"], operation["value"])

    def remove(self, operation: Mapping[str, Any]) -> None:
        self._take(operation["path"])

    def replace(self, operation: Mapping[str, Any]) -> None:
        self._overwrite(self.find(operation["path"]), operation["value"])

    def move(self, operation: Mapping[str, Any]) -> None:
        source, target = operation["from"], operation["path"]
        if target.startswith(source + "/"):
            self.stop("no-match", source, "move a value into itself", hint="copy it, or name another target")
        if source != target:
            self._put(target, self._take(source))
        else:
            self.find(source)

    def copy(self, operation: Mapping[str, Any]) -> None:
        place = self.find(operation["from"])
        self._put(operation["path"], _Moved(text=self.read(place), indent=place.indent))

    def test(self, operation: Mapping[str, Any]) -> None:
        place, wanted = self.find(operation["path"]), operation["value"]
        found = self.read(place)
        if not _equal(_EXACT.decode(found), wanted):
            expected = Style(newline="", unit="", colon=": ", ascii=False).written(wanted, None)
            diff = {"expected": short(expected), "actual": short(found)}
            hint = "look at `first_diff`, and mend the value or the operations"
            self.stop("no-match", operation["path"], "find the tested value", hint=hint, first_diff=diff)

    # --- writing ----------------------------------------------------------------------------------------------------

    def _put(self, pointer: str, value: Any) -> None:
        """Let a value stand at a pointer: a new member, an element in between, or in place of what is there."""
        if pointer == "":
            self._overwrite(self.walk(()), value)
            return
        place, inside, last = self.parent(pointer)
        if not inside.is_list:
            member = inside.names.get(last)
            if member is not None:
                self._overwrite(self.find(pointer), value)
                return
            index = len(inside.names)
        else:
            index = self._index(pointer, inside, last, place)
        self._insert(place, inside, index, last, value)

    def _index(self, pointer: str, inside: Inside, last: str, place: Place) -> int:
        size = len(inside.elements)
        index = size if last == "-" else list_index(last)
        if index is None or index > size:
            hint = f"the list has {size} elements; `-` is the place behind the last"
            self.stop(
                "no-match", pointer, "find the place in the list", hint=hint, **self.near(split(pointer)[:-1], place)
            )
        return index

    def _insert(self, place: Place, inside: Inside, index: int, name: str, value: Any) -> None:
        members = inside.members()
        lead = self._lead(place, inside, members, index)
        indent = lead.rpartition("\n")[2] if "\n" in lead else None
        text = self._text(value, indent, place.indent if indent is None else indent)
        new = Member(lead=lead, value=Value(text))
        if inside.is_list:
            inside.elements.insert(index, new)
            return
        new.key, new.colon = self.style.text(name), members[-1].colon if members else self.style.colon
        inside.names[name] = new

    def _lead(self, place: Place, inside: Inside, members: list[Member], index: int) -> str:
        """The blanks in front of a new member: those of its neighbours. In front of the first the second's are new."""
        if not members:
            return self._first_lead(place, inside)
        first = members[0].lead
        later = self._like(members[1].lead if len(members) > 1 else first if "\n" in first else self.style.gap)
        if index > 0:
            return later if index >= len(members) else self._like(members[index].lead)
        members[0].lead = later
        return first

    def _first_lead(self, place: Place, inside: Inside) -> str:
        """The blanks in front of the only member; an empty one on a line of its own is opened over several lines."""
        if inside.emptied is not None:
            lead, inside.tail = inside.emptied
            return lead
        if not place.spread and "\n" not in inside.tail:
            inside.tail = ""
            return ""
        inside.tail = self.style.newline + place.indent
        return self.style.newline + place.indent + self.style.unit

    def _like(self, lead: str) -> str:
        """A neighbour's blanks without its empty lines."""
        return self.style.newline + lead.rpartition("\n")[2] if "\n" in lead else lead

    def _overwrite(self, place: Place, value: Any) -> None:
        member = place.members[-1]
        lines = place.spread
        if (inside := member.value.inside) and inside.members():
            lines = "\n" in "".join(member.value.pieces())
        member.value = Value(self._text(value, place.indent if lines else None, place.indent))

    def _text(self, value: Any, indent: str | None, line: str) -> str:
        """The text of a new value; of a moved one its own, with its lines brought to the indent of the new place."""
        text = (
            shifted(value.text, value.indent, line) if isinstance(value, _Moved) else self.style.written(value, indent)
        )
        self.spend(len(text))
        return text

    def _take(self, pointer: str) -> _Moved:
        """Remove what a pointer leads to, and give it back."""
        if pointer == "":
            self.stop("no-match", pointer, "remove the whole document", hint="use op delete for the file")
        place = self.find(pointer)
        _, inside, last = self.parent(pointer)
        taken = _Moved(text=self.read(place), indent=place.indent)
        members = inside.members()
        gone = place.members[-1]
        if len(members) == 1:
            inside.emptied, inside.tail = (gone.lead, inside.tail), ""
        elif members[0] is gone:
            members[1].lead = gone.lead
        if inside.is_list:
            del inside.elements[int(last)]
        else:
            del inside.names[last]
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    """The text of a value that comes from elsewhere in the file, and the indent that its lines have."""

    text: str
    indent: str


OPERATIONS: Mapping[str, Callable[[_Editor, Mapping[str, Any]], None]] = {
    "add": _Editor.add,
    "remove": _Editor.remove,
    "replace": _Editor.replace,
    "move": _Editor.move,
    "copy": _Editor.copy,
    "test": _Editor.test,
}
#: The keys that each operation needs beside `op` and `path`.
NEEDS: Mapping[str, str | None] = {
    "add": "value",
    "remove": None,
    "replace": "value",
    "move": "from",
    "copy": "from",
    "test": "value",
}


def _equal(found: Any, wanted: Any) -> bool:
    """Equality of RFC 6902, section 4.6: numbers by value, mappings in any order, true is no number."""
    match found, wanted:
        case Decimal(), int() | float() if not isinstance(wanted, bool):
            return found == (Decimal(wanted) if isinstance(wanted, int) else Decimal(repr(wanted)))
        case dict(), dict():
            return found.keys() == wanted.keys() and all(_equal(found[key], wanted[key]) for key in found)
        case list(), list():
            return len(found) == len(wanted) and all(map(_equal, found, wanted))
        case _:
            return type(found) is type(wanted) and bool(found == wanted)
