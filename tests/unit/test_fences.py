"""The fence scanner against CommonMark's rules, and its own: what is not closed is not yielded."""

from __future__ import annotations

import time

import pytest

from ghostd.bridges.fences import START, scan, scan_on, survey

ODD = "```\na\u2028```\x0b\x0c\x85```\n```\n".encode()
CASES = {
    "backticks": (b"```json\n{}\n```\n", [("json", b"{}\n")]),
    "tildes": (b"~~~ yaml x\na: 1\n~~~\n", [("yaml x", b"a: 1\n")]),
    "empty block": (b"```\n```\n", [("", b"")]),
    "last line without line end": (b"```\na\n```", [("", b"a\n")]),
    "two are too few": (b"``\na\n``\n", []),
    "closing run may be longer": (b"```\na\n`````\n", [("", b"a\n")]),
    "closing run must not be shorter": (b"````\n```\na\n```\n````\n", [("", b"```\na\n```\n")]),
    "the other character does not close": (b"```\na\n~~~\n```\n", [("", b"a\n~~~\n")]),
    "a closing fence has no info": (b"```\na\n``` x\n```\n", [("", b"a\n``` x\n")]),
    "blanks behind a closing fence": (b"```\na\n``` \t \n", [("", b"a\n")]),
    "backtick in the info of backticks": (b"``` a`b\nx\n```\n", []),
    "backtick in the info of tildes": (b"~~~ a`b\nx\n~~~\n", [("a`b", b"x\n")]),
    "inline code is no fence": (b"say ```x``` and\n```\na\n```\n", [("", b"a\n")]),
    "three blanks of indent are taken away": (b"   ```\n   a\n     b\n c\n   ```\n", [("", b"a\n  b\nc\n")]),
    "four blanks are indented code": (b"    ```\n    a\n    ```\n", []),
    "four blanks do not close": (b"```\na\n    ```\n```\n", [("", b"a\n    ```\n")]),
    "a tab is four columns": (b"\t```\n\ta\n\t```\n", []),
    "line ends stay as they came": (b"```json\r\n{\r\n}\r\n```\r\n", [("json", b"{\r\n}\r\n")]),
    "byte order mark": (b"\xef\xbb\xbf```\na\n```\n", [("", b"a\n")]),
    "a mark in the middle is text": (b"x\n\xef\xbb\xbf```\na\n```\n", []),
    "separators of Unicode end no line": (ODD, [("", ODD[4:-4])]),
    "bytes that are no UTF-8": (b"\xff\n```\n\xfe\n```\n", [("", b"\xfe\n")]),
    "interrupts a paragraph": (b"text\n```\na\n```\ntext\n", [("", b"a\n")]),
    "quoted": (b"> ```\n> a\n> ```\n", []),
    "quoted, lazily": (b">```\na\n>```\n", []),
    "behind a quote": (b"> x\n\n```\na\n```\n", [("", b"a\n")]),
    "a quote in a block is content": (b"```\n> a\n```\n", [("", b"> a\n")]),
    "list item": (b"- do\n\n  ```\n  a: |\n    b\n  ```\n", [("", b"a: |\n  b\n")]),
    "wide list item": (b"10. do\n    ```\n    a\n    ```\n", [("", b"a\n")]),
    "on the line of the marker": (b"- ```\n  a\n  ```\n", [("", b"a\n")]),
    "in a list in a list": (b"1. x\n   - y\n\n     ~~~\n     a\n     ~~~\n", [("", b"a\n")]),
    "tab in a list item": (b"- x\n\n\t```\n\ta\n\t```\n", [("", b"a\n")]),
    "quoted in a list item": (b"- > ```\n  > a\n  > ```\n", []),
    "the end of an item is no closing fence": (b"- ```\n  a\nb\n```\nc\n```\n", [("", b"c\n")]),
    "after the list": (b"- x\n\ny\n\n```\na\n```\n", [("", b"a\n")]),
    "a date is no list": (b"1234567890. x\n    ```\n    a\n    ```\n", []),
    "emphasis is no list": (b"*x* y\n   ```\na\n   ```\n", [("", b"a\n")]),
    "unclosed": (b"```json\n{}\n", []),
    "unclosed after a closed one": (b"```\na\n```\n```\nb\n", [("", b"a\n")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", CASES)
def test_finds_what_commonmark_closes(name):
    text, expected = CASES[name]
    assert [(block.info, block.text) for block in scan(text)] == expected


def test_tells_where_a_block_stands():
    found = scan(b"x\n```\na\n```\n\n~~~\nb\n~~~\n")
    assert [(block.index, block.line) for block in found] == [(1, 2), (2, 6)]


def test_only_a_survey_shows_the_unclosed_block():
    found = survey(b"```\na\n```\n```yaml\nb\n")
    assert [(block.index, block.closed, block.text) for block in found] == [(1, True, b"a\n"), (2, False, b"b\n")]


TEXT = b"intro\n- item\n\n  ```json\n  {}\n  ```\n\nnext\n~~~~\na\n~~~\n~~~~\n> ```\n\n```\nb\n```\nend\n"


@pytest.mark.parametrize("step", [1, 2, 3, 7, 20])
def test_a_text_that_grows_gives_the_same_blocks(step):
    """Read again from the last mark after each piece, each block is seen, with its number, line and text."""
    mark, seen = START, {}
    for end in range(0, len(TEXT) + step, step):
        found, mark = scan_on(TEXT[mark.offset : end], mark)
        seen.update({block.index: block for block in found})
    assert tuple(seen.values()) == scan(TEXT)
    assert mark.offset == len(TEXT)


def test_a_mark_never_stands_inside_a_fence_or_a_list():
    assert scan_on(b"a\n```\nb\n")[1].offset == 2
    assert scan_on(b"a\n- b\n\n")[1].offset == 2


def test_a_half_written_last_line_is_not_looked_at():
    """Three backticks may be the beginning of a line that goes on."""
    assert scan_on(b"```\na\n```")[0] == ()
    found, mark = scan_on(b"```\na\n```", ended=True)
    assert [block.text for block in found] == [b"a\n"]
    assert mark == START


def test_a_hundred_thousand_lines_take_less_than_two_seconds():
    piece = b"some words of a chat\n- an item\n\n```yaml\nid: x\ncontents: |\n  text\n```\n\nmore\n"
    text = piece * 10_000
    begun = time.process_time()
    assert len(scan(text)) == 10_000
    assert time.process_time() - begun < 2.0


@pytest.mark.parametrize("text", [b"- " * 500_000, b"`" * 500_000, b" " * 500_000, b"```\n" * 50_001, b"1. " * 500_000])
def test_hostile_text_takes_no_longer(text):
    begun = time.process_time()
    scan(text + b"\n")
    assert time.process_time() - begun < 2.0
