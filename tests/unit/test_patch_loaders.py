"""Reading bytes strictly: whatever two readers could take differently is refused with its line and key path."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostd.patches import strict_json, strict_yaml
from ghostd.patches.convert import dump
from ghostd.patches.documents import documents
from ghostd.patches.read import Malformed, Recognition, inspect, read_patch, recognised

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [*{a},*{a},*{a},*{a}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
)

# text, words of the message, line, key path
REFUSED = {
    "nothing": (b"", "nothing in it", None, ""),
    "blanks only": (b" \n\n", "nothing in it", None, ""),
    "an empty list": (b"[]", "nothing in it", None, ""),
    "a text": (b"just words", "this is a text", 1, ""),
    "a list in a list": (b"[1]", "a mapping", 1, ""),
    "not UTF-8": (b'{"id":\n "\xff"}', "not UTF-8", 2, ""),
    "UTF-16": ("id: x".encode("utf-16"), "not UTF-8", 1, ""),
    "two BOMs": (b"\xef\xbb\xbf\xef\xbb\xbf{}", "", 1, ""),
    "JSON duplicate key": (b'{"a": {\n"b": 1,\n"b": 2}}', "stands twice", 3, "a.b"),
    "JSON NaN": (b'{"a": [1,\nNaN]}', "NaN", 2, "a[1]"),
    "JSON Infinity": (b'{"a": -Infinity}', "-Infinity", 1, "a"),
    "JSON overflow": (b'{"a": 1e999}', "not a finite", 1, "a"),
    "JSON huge integer": (b'{"a": 1' + b"0" * 5000 + b"}", "finite", 1, "a"),
    "JSON integer that a double rounds": (b'{"a": 9007199254740993}', "2^53", 1, "a"),
    "JSON half a surrogate": (rb'{"a": "\ud83d"}', "surrogate", 1, "a"),
    "JSON half a surrogate in a key": (rb'{"\udc00": 1}', "surrogate", 1, ""),
    "JSON deep list": (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", "deeper", 1, None),
    "JSON very deep": (b'{"a":' * 100_000, "deeper", 1, None),
    "JSON raw line end in a text": (b'{"id": "x",\n "contents": "one\ntwo"}', "\\n", 2, "contents"),
    "JSON trailing comma": (b'{"id": "x",\n}', "key in double quotes", 2, ""),
    "JSON single quotes": (b"{\"id\": 'x'}", "value is missing", 1, "id"),
    "JSON cut off": (b'{"id": "x", "content": {"mut', "Unterminated", 1, "content"),
    "JSON and more": (b'{"id": "x"}\n{"id": "y"}', "after the end", 2, ""),
    "YAML anchor": (b"a:\n  b: &x 1", "anchors", 2, "a.b"),
    "YAML alias": (b"a: *x", "aliases", 1, "a"),
    "YAML bomb": (BOMB.encode(), "anchors", 1, "a"),
    "YAML merge key": (b"a:\n  <<: {b: 1}", "merge", 2, "a"),
    "YAML tag": (b"a:\n - !!python/name:os.system x", "tags", 2, "a[0]"),
    "YAML plain tag": (b"a: ! x", "tags", 1, "a"),
    "YAML tag directive": (b"%TAG ! tag:x,2000:\n---\na: 1", "%TAG", None, ""),
    "YAML duplicate key": (b"a: 1\nb: 2\na: 3", "stands twice", 3, "a"),
    "YAML key that is a number": (b"1: x", "text", 1, ""),
    "YAML key that is null": (b"~: x", "text", 1, ""),
    "YAML key that is a list": (b"? [a]\n: x", "text", 1, ""),
    "YAML infinity": (b"a:\n  - .inf", "finite", 2, "a[0]"),
    "YAML hexadecimal bomb": (b"a: 0x" + b"f" * 100_000, "finite", 1, "a"),
    "YAML big integer": (b"a: 9007199254740993", "2^53", 1, "a"),
    "YAML deep": (b"a: " + b"[" * 2000, "deeper", 1, None),
    "YAML many nodes": (b"a: [" + b"x," * 20_000 + b"]", "more than 10000", 1, None),
    "YAML tab": (b"a:\n\tb: 1", "", 2, None),
    "YAML control": (b"a: x\nb: \x07", "", 2, ""),
    "YAML next line": ("a: |\n  x\x85y".encode(), "escape", 2, ""),
    "YAML lone CR": (b"a: |\n  x\ry", "escape", 2, ""),
    "YAML half a surrogate": (rb'a: "\ud83d"', "", 1, None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_line_and_key(name):
    """Each trap of the two languages, with the place to mend."""
    text, words, line, path = REFUSED[name]
    with pytest.raises(Malformed) as caught:
        documents(text)
    assert words in caught.value.problem
    assert caught.value.kind == "malformed"
    assert line is None or caught.value.line == line
    assert path is None or caught.value.details["path"] == path


def test_a_text_over_the_limit_is_not_even_decoded():
    """The limit is the text's, in bytes."""
    assert documents(b"a: 1", max_bytes=4)
    with pytest.raises(Malformed, match="5 bytes, and 4 are allowed"):
        documents(b"a: 12", max_bytes=4)


SAME = ("no", "on", "yes", "y", "2025-07-29", "012", "1:30", "0644", "1_000", "0b1", "1.2.3", "nan", "=", "v3.3.31")
SCALARS = {
    **{text: text for text in SAME},
    "true": True, "False": False, "null": None, "~": None, "'12'": "12", '"true"': "true",
    "12": 12, "-3": -3, "+4": 4, "0": 0, "0x1F": 31, "0o17": 15, "1.5": 1.5, ".5": 0.5, "1e3": 1000.0, "-0.0": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_follow_the_core_schema(text):
    """Words and numbers of old YAML stay what they look like, also after another round."""
    value = documents(f"a: {text}".encode())[0].value["a"]
    assert (value, type(value)) == (SCALARS[text], type(SCALARS[text]))
    assert documents(dump({"a": value}, style="yaml"))[0].value == {"a": value}


def test_one_file_may_hold_several_documents():
    """Each keeps its own text, which reads alone to the same, and its lines in the file."""
    yaml = documents(b"# first\n---\na: 1\n---\n\n---\nb:\n  - 2\n...\n")
    assert [doc.value for doc in yaml] == [{"a": 1}, {"b": [2]}]
    assert [documents(doc.source)[0].value for doc in yaml] == [{"a": 1}, {"b": [2]}]
    assert yaml[1].lines(("b", 0)) == 8
    listed = documents(b'[{"a": 1},\n {"b":\n [2]}]')
    assert [doc.source for doc in listed] == [b'{"a": 1}', b'{"b":\n [2]}']
    assert (listed[1].lines(("b",)), listed[1].lines(("b", 0)), listed[1].lines(("c",))) == (2, 3, 2)


def test_a_single_document_is_the_file_itself():
    """Its source is byte for byte what came, a BOM included."""
    data = b'\xef\xbb\xbf{"a": 1}\r\n'
    assert documents(data)[0].source == data


def test_flow_yaml_is_yaml_and_quoted_keys_are_json():
    """A text with a quoted first key is held to JSON: as YAML a raw line end would quietly become a blank."""
    assert documents(b"{id: x, 'a': no}")[0].value == {"id": "x", "a": "no"}
    with pytest.raises(Malformed):
        documents(b'{"id": x}')


def test_both_yaml_readers_give_the_same(monkeypatch):
    """Where libyaml is missing, the slow reader is as strict."""
    import yaml

    for loader in {yaml.Loader, strict_yaml.LOADER}:
        monkeypatch.setattr(strict_yaml, "LOADER", loader)
        for name, (text, words, line, _path) in REFUSED.items():
            if name.startswith("YAML"):
                with pytest.raises(Malformed) as caught:
                    documents(text)
                assert words in caught.value.problem, name
                assert line is None or caught.value.line == line, name


JSONISH = st.text(st.sampled_from('{}[]":,\\u d83ntrue1e9-.N&*!|>\n\tx'))
YAMLISH = st.text(st.sampled_from("ab:- \n{}[],&*!|>'\"#%?<~0.\t\r"))
PIECES = [
    '{"id": "p"', "id: p\n", '"content":', "content:", "mutations", "- op: write", '"patch": ', "target_file: a",
    "{", "}", "[", "]", "\n", " ", ":", ",", "1",
]  # fmt: skip
WORDS = st.lists(st.sampled_from(PIECES)).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | JSONISH.map(str.encode) | YAMLISH.map(str.encode) | WORDS.map(str.encode))
def test_no_bytes_raise_anything_but_malformed(data):
    """Every text is read, refused with an error that can be told as JSON, or reported on."""
    try:
        read_patch(data)
    except Malformed as error:
        json.dumps(error.as_json())
    assert len(inspect(data)) > 0
    assert recognised(data) in Recognition


VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2.0**52), 2.0**52)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
BLOCKS = st.text(st.sampled_from("ab \t\n\r:#-'\"|\x85\u2028\ufeff\x7f😀"), max_size=20)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUE | BLOCKS, max_size=4))
def test_what_is_written_reads_back(value):
    """JSON and YAML of ours give the same values again, to the last line end."""
    assert strict_yaml.loads(dump(value, style="yaml").decode())[0].value == value
    assert strict_json.loads(dump(value, style="json").decode()) == value


def test_written_text_can_not_move_a_terminal():
    """Controls and bidirectional overrides leave as escapes."""
    for style in ("json", "yaml"):
        text = dump({"a": "\x1b[2J\x9b\u202e\x7f"}, style=style).decode()
        assert text.isascii()
        assert "\x1b" not in text


def test_texts_of_several_lines_are_readable_yaml():
    """A file's text is a literal block, whatever its last line end."""
    text = dump({"a": "one\n  two\n", "b": "x\ny", "c": " x\ny\n\n"}, style="yaml").decode()
    assert text == "a: |\n  one\n    two\nb: |-\n  x\n  y\nc: |2+\n   x\n  y\n\n"
