"""What a refusal tells: enough to mend a patch in one go, and never so much that it takes long."""

from __future__ import annotations

import json

import pytest
from memory_tree import MemoryTree, blob_id

from ghostd.model.patch import ApplyPatch, Blocks, Diff, Format, Patch, Replace
from ghostd.patches import match, nearest
from ghostd.patches.apply import Refusal, apply
from ghostd.patches.match import Source
from ghostd.patches.nearest import missing


def refused(data: bytes, mutation, *, cap: str = "indent", path: bytes = b"a.txt") -> Refusal:
    patch = Patch(id="p", format=Format.UNIFIED, mutations=(mutation,), canonical=b"", digest="")
    with pytest.raises(Refusal) as caught:
        apply(MemoryTree({path: data}), patch, match=cap)
    assert json.loads(json.dumps(caught.value.as_json()))["blob"] == blob_id(data)
    return caught.value


SAME_EDIT = [
    Replace(path=b"a.txt", search=b"x\ny\n", replace=b"x\nz\n"),
    Diff(diff=b"@@ -1,2 +1,2 @@\n x\n-y\n+z\n", path=b"a.txt"),
    ApplyPatch(patch=b"*** Begin Patch\n*** Update File: a.txt\n@@\n x\n-y\n+z\n*** End Patch\n"),
    Blocks(text=b"a.txt\n<<<<<<< SEARCH\nx\ny\n=======\nx\nz\n>>>>>>> REPLACE\n"),
]


@pytest.mark.parametrize("mutation", SAME_EDIT, ids=lambda each: type(each).__name__)
def test_all_forms_are_refused_alike(mutation):
    """The first difference, the place, the bytes around, and the hint, whatever the edit was written in."""
    details = refused(b"a\nx\ny  z\nb\n", mutation).details
    assert details["line"] == 3
    assert details["first_diff"] == {"expected": "y␊", "actual": "y  z␊"}
    assert details["best"] == {"line": 2, "matched": 1, "of": 2}
    assert details["current"] == "a\nx\ny  z\nb\n"


@pytest.mark.parametrize("mutation", SAME_EDIT, ids=lambda each: type(each).__name__)
def test_no_form_takes_the_first_of_two(mutation):
    """Two places are two places at every level; a diff's own line does not help where the text is not exactly there."""
    error = refused(b"x \ny\n-\nx \ny\n", mutation)
    assert (error.kind, [each["line"] for each in error.details["candidates"]]) == ("ambiguous", [1, 4])


@pytest.mark.parametrize("mutation", SAME_EDIT, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(
    ("data", "level"), [(b"x\r\ny\r\n", "whitespace"), (b"\tx\n\ty\n", "indent"), (b"x\ny\n", "exact")]
)
def test_a_cap_that_is_in_the_way_is_named(data, level, mutation):
    """The level at which it would have fitted; and just that level is enough."""
    if level != "exact":
        error = refused(data, mutation, cap="exact")
        assert error.kind == "no-match"
        assert error.hint == f"it would fit at level `{level}`, the lane allows `exact` at most; quote the file exactly"
    patch = Patch(id="p", format=Format.UNIFIED, mutations=(mutation,), canonical=b"", digest="")
    (found,) = apply(MemoryTree({b"a.txt": data}), patch, match=level).matches
    assert found.level == level


@pytest.mark.parametrize("mutation", SAME_EDIT, ids=lambda each: type(each).__name__)
def test_a_text_that_is_there_already_is_told(mutation):
    assert refused(b"x\nz\n", mutation).hint == "the new text is there already"


def test_what_no_level_takes_has_no_hint_of_one():
    error = refused(b"  x\n\ty\n", SAME_EDIT[0], cap="exact")
    assert "level" not in error.hint


def test_an_anchor_is_held_to_a_cap_of_exact():
    """The lines that lead to a place are no way around it."""
    text = b"*** Begin Patch\n*** Update File: a.txt\n@@ def f():\n-  x\n+  y\n*** End Patch\n"
    data = b"\tdef f():\n  x\n"
    assert refused(data, ApplyPatch(patch=text), cap="exact").details["line"] == 1
    patch = Patch(id="p", format=Format.UNIFIED, mutations=(ApplyPatch(patch=text),), canonical=b"", digest="")
    (change,) = apply(MemoryTree({b"a.txt": data}), patch).changes
    assert change.after.data == b"\tdef f():\n  y\n"


def test_an_anchor_keeps_a_looser_place_below_it_from_losing_to_an_exact_one_elsewhere():
    """What is meant is below the anchor, even if the same text stands exactly somewhere behind."""
    text = b"*** Begin Patch\n*** Update File: a.txt\n@@ f {\n-  x\n+  y\n*** End Patch\n"
    data = b"f {\n  x \n}\ng {\n  x\n}\n"
    patch = Patch(id="p", format=Format.UNIFIED, mutations=(ApplyPatch(patch=text),), canonical=b"", digest="")
    (change,) = apply(MemoryTree({b"a.txt": data}), patch).changes
    assert change.after.data == b"f {\n  y\n}\ng {\n  x\n}\n"


def test_the_place_with_most_of_the_lines_is_shown_not_the_first_that_begins_alike():
    data = b"{\na\nq\n}\n" + b"{\na\nb\nc\nd\ne\n}\n"
    error = refused(data, Diff(diff=b"@@\n {\n a\n-B\n+x\n c\n d\n e\n }\n", path=b"a.txt"))
    assert error.details["line"] == 7


def test_a_long_file_is_matched_exactly_and_no_other_way(monkeypatch):
    """What the looser levels hold in memory is bounded, and the refusal says so."""
    monkeypatch.setattr(match, "MOST_LINES", 100)
    data = b"line\r\n" * 100 + b"x\r\ny\r\n"
    error = refused(data, SAME_EDIT[0])
    assert (error.kind, "first_diff" in error.details) == ("no-match", False)
    twice = refused(data, Replace(path=b"a.txt", search=b"line\r\n", replace=b""))
    assert twice.details["candidates"][:2] == [{"line": 1, "end": 1}, {"line": 2, "end": 2}]


HOSTILE = {
    "the same line": (b"a\n" * 130_000, [("-", b"a \n")] * 60_000 + [("-", b"b\n")]),
    "two in turn": (b"a\nb\n" * 65_000, ([("-", b"a\n"), ("-", b"b\n")] * 20_000) + [("-", b"a\n"), ("-", b"a\n")]),
    "blank lines first": (b"\n" * 100_000 + b"a\n", [("-", b"\n")] * 50_000 + [("-", b"b\n")]),
    "letters in another order": (
        b"".join(b"abcdefghij"[n % 10 :] * 15 + b"abcdefghij"[: n % 10] * 15 + b"\n" for n in range(1700)),
        [("-", b"jihgfedcba" * 15 + b"\n")],
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_explaining_a_hostile_text_costs_work_in_proportion(name, monkeypatch):
    """Counted in lines that are made comparable: a few times those of file and block, however they repeat."""
    count = 0
    plain = nearest.loosest

    def counted(line):
        nonlocal count
        count += 1
        return plain(line)

    monkeypatch.setattr(nearest, "loosest", counted)
    data, script = HOSTILE[name]
    details = missing(Source(data, path=b"a.txt"), script)
    assert len(json.dumps(details)) < 8000
    assert count <= 6 * (data.count(b"\n") + len(script))
