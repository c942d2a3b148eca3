"""The op json against an oracle on plain values, and what it leaves alone: every byte that no operation is about."""

from __future__ import annotations

import copy
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tree import blob_id

from ghostd.model.patch import JsonPatch
from ghostd.model.tree import Entry, Mode
from ghostd.patches import json_edit, json_text
from ghostd.patches.refusal import Refusal


def edited(text: str | bytes, *operations: dict) -> str:
    data = text.encode() if isinstance(text, str) else text
    entry = Entry(mode=Mode.FILE, oid=blob_id(data))
    return json_edit.edit_json(data, JsonPatch(path=b"a.json", operations=operations), entry).decode()


def refused(text: str | bytes, *operations: dict) -> Refusal:
    with pytest.raises(Refusal) as caught:
        edited(text, *operations)
    json.dumps(caught.value.as_json())
    return caught.value


KEY = st.sampled_from(["a", "b", "a/b", "m~n", "", "é", '"', "0", "-"])
SCALAR = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([1.5, "x", "é\n", "", "\u2028"])
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3), max_leaves=8
)
LAYOUTS = [
    {"indent": 2}, {"indent": "\t"}, {"indent": 4, "separators": (" ,", " : ")}, {}, {"separators": (",", ":")},
    {"indent": 0}, {"ensure_ascii": False},
]  # fmt: skip


def pointers(value, at: str = "") -> list[str]:
    """Every pointer into a value."""
    found = [at]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += pointers(inner, f"{at}/" + str(key).replace("~", "~0").replace("/", "~1"))
    return found


def split(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def fetch(value, parts):
    for part in parts:
        value = value[int(part) if isinstance(value, list) else part]
    return value


def oracle(value, operation):
    """RFC 6902 on plain values, for pointers that are known to lead somewhere."""
    value = copy.deepcopy(value)
    path = split(operation["path"])
    if operation["op"] == "test":
        return value
    if operation["op"] in ("move", "copy"):
        new = copy.deepcopy(fetch(value, split(operation["from"])))
        if operation["op"] == "move":
            value = oracle(value, {"op": "remove", "path": operation["from"]})
    else:
        new = operation.get("value")
    if not path:
        return new
    above, last = fetch(value, path[:-1]), path[-1]
    if isinstance(above, list):
        place = len(above) if last == "-" else int(last)
        if operation["op"] == "remove":
            del above[place]
        elif operation["op"] == "replace":
            above[place] = new
        else:
            above.insert(place, new)
    elif operation["op"] == "remove":
        del above[last]
    else:
        above[last] = new
    return value


@st.composite
def operation(draw, value):
    """An operation that fits a value."""
    known = pointers(value)
    kind = draw(st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]))
    path = draw(st.sampled_from(known))
    if kind == "test":
        return {"op": kind, "path": path, "value": fetch(value, split(path))}
    if kind == "replace":
        return {"op": kind, "path": path, "value": draw(VALUE)}
    if kind == "remove" or (kind == "move" and path == ""):
        assume_inside = [each for each in known if each]
        if not assume_inside:
            return {"op": "replace", "path": "", "value": draw(VALUE)}
        return {"op": "remove", "path": draw(st.sampled_from(assume_inside))}
    state = oracle(value, {"op": "remove", "path": path}) if kind == "move" else value
    target = draw(st.sampled_from(pointers(state)))
    holder = fetch(state, split(target))
    if isinstance(holder, dict):
        target += "/" + draw(KEY).replace("~", "~0").replace("/", "~1")
    elif isinstance(holder, list):
        target += "/" + draw(st.sampled_from([*map(str, range(len(holder) + 1)), "-"]))
    if kind == "move" and target.startswith(path + "/"):
        return {"op": "remove", "path": path}
    if kind == "add":
        return {"op": kind, "path": target, "value": draw(VALUE)}
    return {"op": kind, "from": path, "path": target}


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_operations_do_what_the_rfc_says(data):
    """In every layout the text ends as a text of the value that plain operations give, and stays laid out the same."""
    value = data.draw(VALUE)
    layout = data.draw(st.sampled_from(LAYOUTS))
    end = data.draw(st.sampled_from(["", "\n"]))
    operations = []
    text = json.dumps(value, **layout) + end
    before = text
    for _ in range(data.draw(st.integers(1, 4))):
        operations.append(data.draw(operation(value)))
        value = oracle(value, operations[-1])
    after = edited(before, *operations)
    assert json.loads(after) == value, (before, operations)
    assert type(json.loads(after)) is type(value)
    assert after.endswith(end)
    assert end or not after.endswith("\n")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_no_operation_is_about_keeps_its_bytes(data):
    """A replaced leaf changes its own span of the text and nothing around it."""
    value = data.draw(st.dictionaries(KEY, VALUE, min_size=1, max_size=3))
    text = json.dumps(value, **data.draw(st.sampled_from(LAYOUTS)))
    text = text.replace(": 1.5", ": 15e-1")
    leaves = [each for each in pointers(value) if not isinstance(fetch(value, split(each)), (dict, list))]
    if not leaves:
        return
    path = data.draw(st.sampled_from(leaves))
    after = edited(text, {"op": "replace", "path": path, "value": "@@@"})
    head, _, tail = after.partition('"@@@"')
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) + len(tail) < len(text)


def test_adding_and_removing_again_gives_the_bytes_back():
    """Also where the only member goes and comes, in every style of blanks."""
    for text in ('{"a" : [ 1 ,2 ],\n\n  "b":{ }}', '{\r\n\t"a": [\r\n\t\t1\r\n\t]\r\n}\r\n', "[1,2]", '{"a":\n1}'):
        path = "/-" if text[0] == "[" else "/new"
        last = "/2" if text[0] == "[" else "/new"
        assert edited(text, {"op": "add", "path": path, "value": {"x": [1]}}, {"op": "remove", "path": last}) == text
    only = '{\n    "a": 1\n}\n'
    back = [{"op": "remove", "path": "/a"}, {"op": "add", "path": "/a", "value": 1}]
    assert edited(only, *back) == only


def test_numbers_and_texts_keep_their_spelling():
    """Numbers that no float holds, escapes that need none, and keys in any order survive beside an edit."""
    text = '{"z": 1.10, "big": 123456789012345678901234567890, "e": "\\u0041\\/", "a": -0.0, "x": "\\ud800"}'
    after = edited(text, {"op": "replace", "path": "/a", "value": 2})
    assert after == text.replace("-0.0", "2")
    assert edited("[" + "9" * 10_000 + ", 1]", {"op": "remove", "path": "/1"}) == "[" + "9" * 10_000 + "]"


def test_a_file_of_escapes_gets_escapes():
    """And one that writes characters as they are gets them so."""
    assert edited('{"a": "\\u00e9"}', {"op": "add", "path": "/b", "value": "é"}) == '{"a": "\\u00e9", "b": "\\u00e9"}'
    assert edited('{"a": "é"}', {"op": "add", "path": "/b", "value": "é"}) == '{"a": "é", "b": "é"}'


def test_what_is_written_does_not_depend_on_the_text_of_the_patch():
    """Order of keys and form of numbers are those of the canonical patch, from which a job is done."""
    one = edited("{}", {"op": "add", "path": "/a", "value": {"b": 1.0, "a": [2]}})
    assert one == edited("{}", {"op": "add", "path": "/a", "value": {"a": [2], "b": 1}})
    assert one == '{\n  "a": {\n    "a": [\n      2\n    ],\n    "b": 1\n  }\n}'


EQUAL = [("1.0", 1), ("1e2", 100), ("[1, {}]", [1, {}]), ('{"a": 1, "b": 2}', {"b": 2, "a": 1}), ("-0", 0)]
OTHER = [("true", 1), ("1", True), ('"1"', 1), ("null", False), ("[1, 2]", [2, 1]), ("{}", []), ("0.1", 0.2)]


@pytest.mark.parametrize(("text", "value", "same"), [(*e, True) for e in EQUAL] + [(*o, False) for o in OTHER])
def test_a_test_compares_values(text, value, same):
    """RFC 6902, section 4.6."""
    document = f'{{"v": {text}}}'
    if same:
        assert edited(document, {"op": "test", "path": "/v", "value": value}) == document
    else:
        assert refused(document, {"op": "test", "path": "/v", "value": value}).details["first_diff"]["actual"] == text


NOWHERE = [
    ("/b", "", "the document has: a, l"),
    ("/a/b/c", "/a/b", "/a/b is no mapping"),
    ("/l/2", "/l", "a list of 2 elements"),
    ("/l/01", "/l", "a list of 2 elements"),
    ("/l/-", "/l", "a list of 2 elements"),
    ("/l/+1", "/l", "a list of 2 elements"),
    ("/l/x/y", "/l", "a list of 2 elements"),
]


@pytest.mark.parametrize(("path", "nearest", "hint"), NOWHERE)
@pytest.mark.parametrize("kind", ["remove", "replace", "test", "copy", "move"])
def test_a_pointer_to_nowhere_tells_the_nearest(kind, path, nearest, hint):
    """The nearest pointer that exists, its line, and what is there; the blob is that of the file."""
    text = '{\n  "a": {"b": 1},\n  "l": [1, 2]\n}\n'
    pointer = {"from": path, "path": "/new"} if kind in ("copy", "move") else {"path": path}
    value = {"value": 0} if kind in ("replace", "test") else {}
    error = refused(text, {"op": kind, **value, **pointer})
    assert (error.kind, error.details["pointer"], error.details["nearest"]) == ("no-match", path, nearest)
    assert hint in error.hint
    assert error.details["line"] == {"": 1, "/a/b": 2, "/l": 3}[nearest]
    assert error.details["blob"] == blob_id(text.encode())


def test_a_value_does_not_move_into_itself_and_the_document_stays():
    text = '{"a": {"b": 1}}'
    assert refused(text, {"op": "move", "from": "/a", "path": "/a/c"}).kind == "no-match"
    assert refused(text, {"op": "remove", "path": ""}).kind == "no-match"
    assert edited(text, {"op": "move", "from": "/a", "path": "/a"}) == text


NOT_JSON = [
    (b"", 1), (b"{\n'a': 1}", 2), (b'{"a": 1,}', 1), (b'{"a": 1\n/* c */}', 2), (b'\n\n{"a": NaN}', 3),
    (b'{"a": "\xff"}', 1),
    (b'{"a": {"b": 1,\n"b": 2}}', 2), (b"[1] x", 1), (b'{"a": "x\ny"}', 1), (b"\xef\xbb\xbf\xef\xbb\xbf{}", 1),
    (b"[" * 100_000, 1), (b'{"a":' * 50_000, 1),
]  # fmt: skip


@pytest.mark.parametrize(("data", "line"), NOT_JSON, ids=range(len(NOT_JSON)))
def test_a_file_that_is_no_strict_json_is_refused_with_its_line(data, line):
    error = refused(data, {"op": "add", "path": "/x", "value": 1})
    assert (error.kind, error.details.get("line")) == ("not-json", line)


def test_copies_of_copies_end():
    """A patch of a few hundred bytes does not make a file without bounds."""
    double = [{"op": "copy", "from": "", "path": "/-"}] * 40
    begun = time.process_time()
    assert refused('["' + "x" * 1000 + '"]', *double).kind == "too-large"
    assert time.process_time() - begun < 30  # seconds; without a bound it would not end


def test_a_long_patch_on_a_large_file_does_not_read_it_again_and_again(monkeypatch):
    """Each part of the text is opened once, however many operations there are."""
    opened = []
    real = json_text._opened
    monkeypatch.setattr(json_text, "_opened", lambda text: opened.append(1) or real(text))
    text = json.dumps({"rows": [{"n": n} for n in range(2000)]}, indent=1)
    edited(text, *({"op": "replace", "path": f"/rows/{n % 2000}/n", "value": n} for n in range(6000)))
    assert len(opened) == 2002
