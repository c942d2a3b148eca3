"""The V4A reader: what is no patch of this form, and on which line; and the same for search/replace blocks."""

from __future__ import annotations

import json

import pytest

from ghostd.patches import blocks, v4a
from ghostd.patches.read import Malformed, read_patch
from ghostd.patches.v4a import Added, Chunk, Deleted, Updated

BEGIN, END = "*** Begin Patch\n", "*** End Patch\n"

BAD = {
    "": (1, "the first line"),
    "\n\n": (1, "the first line"),
    "*** Update File: a\n": (1, "the first line"),
    "*** Begin Patch\n*** Delete File: a\n": (2, "the last line"),
    "*** Begin Patch\n*** End Patch\nmore\n": (3, "the last line"),
    BEGIN + END: (1, "no file"),
    BEGIN + "*** Frobnicate File: a\n" + END: (2, "here a file begins"),
    BEGIN + "*** Add File:\n" + END: (2, "a path is missing"),
    BEGIN + "*** Add File: a\n+x\ny\n" + END: (4, "here a file begins"),
    BEGIN + "*** Delete File: a\n-x\n" + END: (3, "here a file begins"),
    BEGIN + "*** Update File: a\n" + END: (2, "nothing happens"),
    BEGIN + "*** Update File: a\n*** Move to: a\n" + END: (2, "nothing happens"),
    BEGIN + "*** Update File: a\n@@\n" + END: (3, "changes nothing"),
    BEGIN + "*** Update File: a\n@@\n x\n" + END: (3, "changes nothing"),
    BEGIN + "*** Update File: a\n@@ -1,2 +1,2 @@\n-x\n" + END: (3, "no line numbers"),
    BEGIN + "*** Update File: a\n@@\n-x\ny\n" + END: (5, "begins with a blank"),
    BEGIN + "*** Update File: a\nx\n" + END: (3, "begins with a blank"),
    BEGIN + "*** Delete File: a\n*** Delete File: a\n" + END: (3, "see line 2"),
    BEGIN + "*** Add File: a\n*** Add File: a\n" + END: (3, "see line 2"),
    BEGIN + "*** Add File: a\n+x\n*** Delete File: a\n" + END: (4, "see line 2"),
    BEGIN + "*** Delete File: a\n*** Update File: a\n-x\n" + END: (3, "see line 2"),
    BEGIN + "*** Update File: a\n-x\n*** Update File: a\n*** Move to: b\n" + END: (4, "see line 2"),
    BEGIN + "*** Update File: a\n*** Move to: b\n*** Add File: b\n" + END: (4, "see line 2"),
    BEGIN + "*** Update File: a\n*** Move to: b\n*** Update File: b\n-x\n" + END: (4, "see line 2"),
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_patch_is_refused_with_its_line(text):
    """Nothing of an odd text is guessed; the line is that of the patch's own text."""
    line, words = BAD[text]
    with pytest.raises(v4a.BadPatchError, match=words) as caught:
        v4a.parse(text.encode())
    assert caught.value.line == line


GOOD = {
    "*** Delete File: a\n*** Add File: a\n+x\n": (Deleted(at=2, path=b"a"), Added(at=3, path=b"a", data=b"x\n")),
    "  *** Add File:  é \n\n": (Added(at=2, path="é".encode(), data=b""),),
    "*** Update File: a\n*** Move to: b\n": (Updated(at=2, path=b"a", to=b"b", chunks=()),),
    "*** Update File: a\n\n\n-x\n\n y\n\n": (
        Updated(
            at=2,
            path=b"a",
            to=b"a",
            chunks=(Chunk(at=5, anchors=(), lines=(("-", b"x\n"), (" ", b"\n"), (" ", b"y\n"))),),
        ),
    ),
    "*** Update File: a\n@@ class A\n@@   def f\n-*** x\n\n*** End of File\n": (
        Updated(
            at=2,
            path=b"a",
            to=b"a",
            chunks=(Chunk(at=3, anchors=(b"class A", b"  def f"), lines=(("-", b"*** x\n"), (" ", b"\n")), tail=True),),
        ),
    ),
}


@pytest.mark.parametrize("text", GOOD)
def test_a_patch_is_read_as_it_is_meant(text):
    """Blank lines between parts are nobody's, those inside a chunk are the file's."""
    assert v4a.parse((BEGIN + text + END).encode()) == GOOD[text]


def test_every_path_is_named_once():
    text = BEGIN + "*** Update File: a\n*** Move to: b\n*** Update File: b\n*** Move to: a\n*** Add File: c\n" + END
    assert v4a.paths(text.encode()) == (b"a", b"b", b"c")


S, M, E = "<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n"

BAD_BLOCKS = {
    "": (1, "no `<<<<<<< SEARCH`"),
    "talk\n": (1, "no `<<<<<<< SEARCH`"),
    S + "x\n" + M + E: (1, "names its file"),
    "```\n" + S + "x\n" + M + E: (2, "names its file"),
    "a\n" + S + "x\n": (2, "not ended with '======='"),
    "a\n" + S + "x\n" + M + "y\n": (2, "not ended with '>>>>>>> REPLACE'"),
    "a\n" + S + "x\n" + E: (4, "out of turn"),
    "a\n" + S + "x\n" + S: (4, "out of turn"),
    "a\n" + S + "x\n" + M + M + E: (5, "out of turn"),
    "a\n" + S + "x\n" + M + E + E: (6, "outside of a block"),
    "a\n" + S + "x\n" + M + E + M: (6, "outside of a block"),
    "a\n<<<<<<<SEARCH\nx\n": (2, "outside of a block"),
    "a\n<<<<<< SEARCH\nx\n=======\n>>>>>> REPLACE\n": (5, "out of turn"),
}


@pytest.mark.parametrize("text", BAD_BLOCKS)
def test_what_is_no_block_is_refused_with_its_line(text):
    """A mistyped marker must not make a block go unseen."""
    line, words = BAD_BLOCKS[text]
    with pytest.raises(blocks.BadBlockError, match=words) as caught:
        blocks.parse(text.encode())
    assert caught.value.line == line


@pytest.mark.parametrize("name", ["a b.py", "**a b.py**", "`a b.py`:", "### `a b.py`", "a b.py  "])
def test_a_path_may_be_dressed_as_people_dress_it(name):
    for text in (
        f"{name}\n{S}{M}x\n{E}",
        f"talk\n\n{name}\n\n```py\n{S}{M}x\n{E}```\n",
        f"```\n{name}\n{S}{M}x\n{E}```",
    ):
        (block,) = blocks.parse(text.encode())
        assert (block.path, block.search, block.replace) == (b"a b.py", (), (b"x\n",))


@pytest.mark.parametrize(("op", "key"), [("apply_patch", "patch"), ("blocks", "text")])
def test_a_broken_text_is_malformed_at_reading(op, key):
    """With the key and the line, before any tree is looked at."""
    source = {"id": "p", "type": "unified", "content": {"mutations": [{"op": op, key: "nothing"}]}}
    with pytest.raises(Malformed) as caught:
        read_patch(json.dumps(source, indent=1).encode())
    assert caught.value.details["path"] == f"content.mutations[0].{key}"
    assert caught.value.line == 8
    assert "its line 1" in caught.value.problem
