"""Transcripts: whose words count, which shape a file has, and how a file that changes is read on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ghostd.bridges import rules
from ghostd.bridges.fences import START, Mark
from ghostd.bridges.rules import Course, Look, Position, Ripeness, Seen, Shelf, Watched
from ghostd.bridges.transcripts import HEAD, Shape, detect, read
from ghostd.model.job import State

BLOCK = "```json\n{}\n```"


def record(role="assistant", content=BLOCK, **more):
    return json.dumps({"role": role, "content": content, **more}).encode() + b"\n"


SHAPES = {
    "markdown": (b"# Chat\n\n```json\n{}\n```\n", Shape.PLAIN),
    "records": (record(), Shape.JSONL),
    "a head without a role": (b'{"type": "meta"}\n' + record(), Shape.JSONL),
    "byte order mark": (b"\xef\xbb\xbf" + record(), Shape.JSONL),
    "blank lines first": (b"\n\n" + record(), Shape.JSONL),
    "line ends of Windows": (record().replace(b"\n", b"\r\n"), Shape.JSONL),
    "half a record": (record()[:-1], Shape.PLAIN),
    "objects of something else": (b'{"id": 1}\n{"id": 2}\n', Shape.PLAIN),
    "a patch as a file": (b'{\n  "id": "x"\n}\n', Shape.PLAIN),
    "records later": (b"said:\n" + record(), Shape.PLAIN),
    "a list": (b"[1]\n", Shape.PLAIN),
    "too deep": (b"[" * 100_000 + b"\n", Shape.PLAIN),
    "nothing": (b"", Shape.PLAIN),
}


@pytest.mark.parametrize("name", SHAPES)
def test_content_tells_the_shape(name):
    head, shape = SHAPES[name]
    assert detect(head) is shape


def found(data, **more):
    reading = read(data, detect(data), **{"roles": ("assistant",), **more})
    return [(passage.place, passage.line, passage.text) for passage in reading.passages]


def test_everything_in_plain_text_counts_as_the_assistants():
    assert found(b"x\n```\na\n```\n") == [("1", 2, b"a\n")]
    assert found(b"x\n```\na\n```\n", roles=("user",)) == []


def test_only_the_configured_speakers_count():
    data = record("user") + record() + record("tool") + record("system")
    assert found(data) == [("2.1", 2, b"{}\n")]
    assert [place for place, *_ in found(data, roles=("user", "tool"))] == ["1.1", "3.1"]


def test_a_message_may_have_parts():
    parts = [{"type": "text", "text": "first"}, {"type": "image", "text": BLOCK}, {"type": "text", "text": BLOCK}, 7]
    assert found(record(content=parts)) == [("1.1", 1, b"{}\n")]


@pytest.mark.parametrize("content", [None, 5, {}, [], [None], True])
def test_content_that_is_no_text_holds_nothing(content):
    assert found(record(content=content)) == []


def test_half_a_surrogate_pair_does_not_stop_the_reading():
    assert found(b'{"role": "assistant", "content": "\\ud800"}\n' + record())[0][0] == "2.1"


def test_fences_inside_the_text_of_a_record_are_not_seen_as_lines():
    """The block is inside a JSON string inside a block: one patch, not two."""
    inner = json.dumps({"id": "x", "contents": BLOCK})
    assert found(record(content=f"```json\n{inner}\n```")) == [("1.1", 1, inner.encode() + b"\n")]


def test_a_record_without_its_line_end_is_never_complete():
    data = record() + record()[:-1]
    reading = read(data, Shape.JSONL, roles=("assistant",), ended=True)
    assert [passage.place for passage in reading.passages] == ["1.1"]
    assert reading.mark == Mark(offset=len(record()), line=1)


def test_reading_on_keeps_the_numbers_of_records():
    data = record() + record("user") + record()
    first = read(data[: len(record()) + 5], Shape.JSONL, roles=("assistant",))
    rest = read(data[first.mark.offset :], Shape.JSONL, roles=("assistant",), start=first.mark)
    assert [passage.place for passage in first.passages + rest.passages] == ["1.1", "3.1"]
    assert rest.mark == Mark(offset=len(data), line=3)


def test_a_record_that_cannot_be_read_is_told_and_the_next_one_is_read():
    reading = read(record() + b"{oops\n\n" + record(), Shape.JSONL, roles=("assistant",))
    assert [unread.line for unread in reading.unread] == [2]
    assert [passage.line for passage in reading.passages] == [1, 4]


# Positions ------------------------------------------------------------------------------------------------------

FILE = b"0123456789" * 300


def look(data=FILE, *, position=None, **more):
    end = position.mark.offset if position else 0
    size = position.tail_size if position else 0
    known = {"device": 1, "inode": 2, "size": len(data), "head": data[:HEAD], "before": data[end - size : end]}
    return Look(**{**known, "shape": Shape.PLAIN, **more})


def at(offset, data=FILE):
    return rules.moved_to(look(data), Mark(offset=offset), data[max(0, offset - rules.SAMPLE) : offset])


CHANGES = {
    "the same": (FILE, {}, Course.ON),
    "grown": (FILE + b"more", {}, Course.ON),
    "cut behind the mark": (FILE[:2500], {}, Course.ON),
    "cut before the mark": (FILE[:100], {}, Course.TRUNCATED),
    "emptied": (b"", {}, Course.TRUNCATED),
    "another file": (FILE, {"inode": 3}, Course.REPLACED),
    "another disk": (FILE, {"device": 3}, Course.REPLACED),
    "another beginning": (b"x" + FILE[1:], {}, Course.REWRITTEN),
    "another text before the mark": (FILE[:1999] + b"x" + FILE[2000:], {}, Course.REWRITTEN),
    "another shape": (FILE, {"shape": Shape.JSONL}, Course.REWRITTEN),
}


@pytest.mark.parametrize("name", CHANGES)
def test_only_a_file_that_grew_is_read_on(name):
    data, more, expected = CHANGES[name]
    position = at(2000)
    assert rules.course(position, look(data, position=position, **more)) is expected


def test_an_unknown_file_is_read_from_the_start():
    assert rules.course(None, look()) is Course.FIRST
    assert rules.first_position(look()).mark == START


def test_a_short_file_that_grows_is_still_the_same():
    """Its sample was shorter than it could be now."""
    position = at(10, b"0123456789")
    assert rules.course(position, look(position=position)) is Course.ON


def test_a_position_survives_the_ledger():
    assert Position.from_text(at(2000).as_text()) == at(2000)


# Drop folders ---------------------------------------------------------------------------------------------------

SEEN = Seen(name="a.yaml", device=1, inode=2, size=3, modified_ns=4, regular=True)
RIPENESS = [
    ("a.yaml", True, 0.2, Ripeness.TAKE),
    ("a.yaml", True, 0.19, Ripeness.WAIT),
    ("a.JSON", True, 1.0, Ripeness.TAKE),
    ("b.c.yml", True, 1.0, Ripeness.TAKE),
    (".a.yaml", True, 1.0, Ripeness.IGNORE),
    (".failed", False, 1.0, Ripeness.IGNORE),
    ("a.txt", True, 1.0, Ripeness.FOREIGN),
    ("yaml", True, 1.0, Ripeness.FOREIGN),
    ("a.yaml", False, 1.0, Ripeness.FOREIGN),
    ("a.yaml.result.json", True, 1.0, Ripeness.FOREIGN),
    ("a.yaml~", True, 1.0, Ripeness.FOREIGN),
]


@pytest.mark.parametrize(("name", "regular", "rest", "expected"), RIPENESS)
def test_a_dropped_file_is_taken_when_it_rested_and_bears_the_name_of_a_patch(name, regular, rest, expected):
    watched = Watched(seen=replace(SEEN, name=name, regular=regular), since=0.0)
    assert rules.ripeness(watched, rest) is expected


def test_any_change_of_a_file_starts_its_rest_anew():
    first = rules.look_again(None, SEEN, 1.0)
    assert rules.look_again(first, SEEN, 2.0).since == 1.0
    assert rules.look_again(first, replace(SEEN, modified_ns=5), 2.0).since == 2.0


SHELVES = [
    ([State.APPLIED], Shelf.COMPLETED),
    ([State.APPLIED, State.APPLIED], Shelf.COMPLETED),
    ([State.APPLIED, State.REJECTED], Shelf.FAILED),
    ([State.CANCELLED], Shelf.FAILED),
    ([State.FAILED], Shelf.FAILED),
    ([None], Shelf.FAILED),
    ([], Shelf.FAILED),
    ([None, State.RUNNING], None),
    ([State.QUEUED], None),
    ([State.HELD], None),
]


@pytest.mark.parametrize(("states", "expected"), SHELVES)
def test_a_file_is_put_away_when_all_of_its_patches_have_ended(states, expected):
    assert rules.shelf(states) is expected


NAMES = [
    ("a.yaml", [], "a.yaml"),
    ("a.yaml", ["a.yaml"], "a.2.yaml"),
    ("a.yaml", ["a.yaml", "a.2.yaml"], "a.3.yaml"),
    ("é" * 150 + ".json", [], "é" * 100 + ".json"),
    ("é" * 150 + ".json", ["é" * 100 + ".json"], "é" * 100 + ".2.json"),
]


@pytest.mark.parametrize(("name", "taken", "expected"), NAMES)
def test_a_name_that_is_taken_gets_a_number(name, taken, expected):
    assert rules.free_name(name, taken) == expected


def test_pauses_grow_and_end():
    assert [rules.pause(n) for n in (1, 2, 3, 20)] == [0.5, 1.0, 2.0, 30.0]
