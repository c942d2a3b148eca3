"""What the stories of scenarios/apply do not tell: levels, blobs, limits, trees without a listing, many files."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tree import MemoryTree, blob_id

from ghostd.model.patch import (
    Delete,
    Diff,
    Format,
    Insert,
    Match,
    Patch,
    Regex,
    Rename,
    Replace,
    Shell,
    Validation,
    Write,
)
from ghostd.model.tree import File, Mode
from ghostd.patches import edits, overlay
from ghostd.patches.apply import Refusal, apply, apply_mutations, split_at_shell
from ghostd.patches.diff import BadDiffError, parse
from ghostd.patches.explain import visible
from ghostd.patches.match import Source, split_lines


def patch(*mutations, **more) -> Patch:
    return Patch(id="p", format=Format.UNIFIED, mutations=mutations, canonical=b"", digest="", **more)


def refused(tree, *mutations) -> Refusal:
    with pytest.raises(Refusal) as caught:
        apply(tree, patch(*mutations))
    json.dumps(caught.value.as_json())
    return caught.value


def test_changes_are_minimal_and_carry_what_was_there():
    """A path once, in order, with the base's entry; what ends as it was is left out."""
    tree = MemoryTree({b"b": b"old", b"c": b"same", b"d": b"gone"})
    mutations = [Write(path=b"c", data=b"other"), Write(path=b"b", data=b"new"), Write(path=b"a", data=b"")]
    changes = apply(tree, patch(*mutations, Delete(path=b"d"), Write(path=b"c", data=b"same"))).changes
    assert [change.path for change in changes] == [b"a", b"b", b"d"]
    assert [change.before and change.before.oid for change in changes] == [None, blob_id(b"old"), blob_id(b"gone")]
    assert [change.after and change.after.data for change in changes] == [b"", b"new", None]


def test_the_level_of_every_match_is_told():
    tree = MemoryTree({b"a": b"one\ntwo\n", b"b": b"x"})
    hunk = Diff(diff=b"@@ -1,2 +1,2 @@\n one\n-TWO\n+2\n", path=b"a")
    found = apply(
        tree, patch(Replace(path=b"a", search=b"two", replace=b"TWO"), hunk, Write(path=b"c", data=b""))
    ).matches
    assert found == (Match(path=b"a", level="exact"),)


def test_a_refusal_names_the_blob_it_looked_at():
    """Of a file that this patch has not changed before; of another there is no blob yet."""
    tree = MemoryTree({b"a": b"text"})
    assert refused(tree, Replace(path=b"a", search=b"q", replace=b"")).details["blob"] == blob_id(b"text")
    edit = Replace(path=b"a", search=b"text", replace=b"new")
    assert "blob" not in refused(tree, edit, Replace(path=b"a", search=b"q", replace=b"")).details


def test_current_bytes_that_are_no_text_come_as_base64():
    assert (
        refused(MemoryTree({b"a": b"\xff\n"}), Replace(path=b"a", search=b"x", replace=b"")).details["current_b64"]
        == "/wo="
    )


def test_what_a_refusal_quotes_is_bounded():
    tree = MemoryTree({b"a": b"x" * 1_000_000, b"b": b"line\n" * 100_000})
    for path in (b"a", b"b"):
        assert len(str(refused(tree, Replace(path=path, search=b"y", replace=b"")).as_json())) < 6000


def test_a_folder_is_full_where_it_can_not_be_looked_into():
    """Better a refusal than a file that swallows a folder."""

    class Bare:
        def __init__(self, tree):
            self.entry, self.is_folder, self.read = tree.entry, tree.is_folder, tree.read

    tree = MemoryTree({b"d/a": b"x"})
    swap = [Delete(path=b"d/a"), Write(path=b"d", data=b"file")]
    assert refused(Bare(tree), *swap).kind == "path-exists"
    assert tree.after(apply(tree, patch(*swap)).changes).files == MemoryTree({b"d": b"file"}).files


def test_a_submodule_can_be_deleted_and_nothing_else():
    tree = MemoryTree({b"m": File(mode=Mode.GITLINK, data=b"")})
    (change,) = apply(tree, patch(Delete(path=b"m"))).changes
    assert (change.before.mode, change.after) == (Mode.GITLINK, None)
    assert refused(tree, Rename(path=b"m", to=b"n")).kind == "submodule"
    assert refused(tree, Replace(path=b"m", search=b"x", replace=b"")).kind == "submodule"
    assert refused(tree, Write(path=b"m/x", data=b"")).kind == "forbidden-path"


def test_names_that_are_no_text_work():
    tree = MemoryTree({b"\xff": b"x"})
    changes = apply(tree, patch(Rename(path=b"\xff", to=b"\xfe/\xff"))).changes
    assert tree.after(changes).files.keys() == {b"\xfe/\xff"}
    assert refused(tree, Delete(path=b"\xfe")).details["path"] == "\\xfe"


@pytest.mark.parametrize(
    "mutation",
    [
        Replace(path=b"a", search=b"x", replace=b"y" * 2000, count=1000),
        Regex(path=b"a", pattern="", replacement="y" * 2000),
        Write(path=b"a", data=b"y" * 1_000_001),
        Insert(path=b"a", data=b"y" * 1_000_000, line=1),
    ],
)
def test_no_edit_grows_a_file_beyond_all_bounds(monkeypatch, mutation):
    """A small patch can not fill the memory."""
    for module in (overlay, edits):
        monkeypatch.setattr(module, "MAX_FILE", 1_000_000)
    assert refused(MemoryTree({b"a": b"x" * 1000}), mutation).kind == "too-large"


def test_an_unlucky_expression_is_stopped(monkeypatch):
    monkeypatch.setattr(edits, "REGEX_TIME", 0.05)
    error = refused(MemoryTree({b"a": b"a" * 60 + b"!"}), Regex(path=b"a", pattern="(?:a|a)+$", replacement=""))
    assert (error.kind, error.hint) == ("no-match", "write a simpler pattern")


def test_many_files_take_no_quadratic_time():
    """Two thousand files in one folder and a diff of as many hunks are done at once."""
    writes = [Write(path=b"d/%d" % n, data=b"x") for n in range(2000)]
    hunks = b"".join(b"@@ -%d,1 +%d,1 @@\n-line %d\n+LINE %d\n" % (n, n, n, n) for n in range(1, 2001))
    text = b"".join(b"line %d\n" % n for n in range(1, 2001))
    tree = MemoryTree({b"a": text})
    changes = apply(tree, patch(*writes, Diff(diff=hunks, path=b"a"))).changes
    assert len(changes) == 2001
    assert changes[0].after.data == text.replace(b"line", b"LINE")


LINES = [
    (b"a\nb\n", [b"b\n"], ((1, 2),)),
    (b"ab\nb\n", [b"b\n"], ((1, 2),)),
    (b"a\nb", [b"b"], ((1, 2),)),
    (b"a\nb\n", [b"b"], ()),
    (b"a\nb", [b"b\n"], ()),
    (b"x\nx\nx\n", [b"x\n", b"x\n"], ((0, 2), (1, 3))),
    (b"\n\n", [b"\n"], ((0, 1), (1, 2))),
    (b"", [b"x\n"], ()),
]


@pytest.mark.parametrize(("data", "wanted", "places"), LINES)
def test_lines_are_found_as_whole_lines(data, wanted, places):
    """Edits are at bytes; here they are counted in lines."""
    edits = Source(data, cap="exact").block([("-", line) for line in wanted]).edits
    assert tuple((data.count(b"\n", 0, e.start), data.count(b"\n", 0, e.start) + len(wanted)) for e in edits) == places


@given(st.binary())
def test_splitting_into_lines_loses_nothing(data):
    lines = split_lines(data)
    assert b"".join(lines) == data
    assert all(line.endswith(b"\n") for line in lines[:-1])
    assert b"" not in lines


def test_whitespace_is_made_visible():
    assert visible(b"\tif x: \xc2\xa0\r\n") == "→if x:·⍽␍␊"
    assert visible(b"\xff  ") == "\\xff··"


def test_hostile_needles_take_linear_time():
    """A text that overlaps itself everywhere is refused at the second place."""
    tree = MemoryTree({b"a": b"a" * 1_000_000})
    assert refused(tree, Replace(path=b"a", search=b"a" * 400_000, replace=b"")).kind == "ambiguous"


BAD_DIFFS = {
    "": "no hunk",
    "words": "no hunk",
    "@@ -x +y @@\n-a\n": "not the head",
    "@@ -1 +1 @@\n": "changes nothing",
    "@@ -1 +1 @@\n a\n": "changes nothing",
    "@@ -1 +1 @@\n-a\n+b\nrest\n": "belongs to no hunk",
    "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\nrest\n@@ -3 +3 @@\n-c\n+d\n": "belongs to no hunk",
    "diff --git a/x b/x\nnew file mode 040000\n": "mode 040000",
    "diff --git a/x b/x\nBinary files a/x and b/x differ\n": "git diff --binary",
    "diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 0\nHcmV?d00001\n": "full index line",
    "diff --git a/x b/y\nindex 1..2\n": "can not be told apart",
    "--- a/x\n+++ b/x\n": "nothing happens",
    "--- /dev/null\n+++ /dev/null\n@@ -0,0 +1 @@\n+x\n": "nothing happens",
}


@pytest.mark.parametrize("text", BAD_DIFFS)
def test_a_text_that_is_no_diff_is_refused(text):
    with pytest.raises(BadDiffError, match=BAD_DIFFS[text]):
        parse(text.encode())


PIECES = [
    b"@@ -1,2 +1,2 @@\n", b"@@\n", b" a\n", b"-a\n", b"+b\n", b"\n", b"\\ No newline\n", b"-- \n", b"z",
    b"--- a/x\n", b"+++ b/x\n", b"--- /dev/null\n", b"+++ /dev/null\n", b"diff --git a/x b/x\n",
    b"new file mode 100644\n", b"rename from x\n", b"rename to y\n",
]  # fmt: skip
DIFFISH = st.lists(st.sampled_from(PIECES)).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(DIFFISH, st.booleans())
def test_any_diff_is_applied_or_refused(diff, named):
    """No text crashes the applier, and a refusal leaves the tree as it was."""
    tree = MemoryTree({b"x": b"a\nb\n", b"y": b""})
    try:
        changes = apply(tree, patch(Diff(diff=diff, path=b"x" if named else None))).changes
    except Refusal as error:
        json.dumps(error.as_json())
        return
    assert tree.after(changes).files != tree.files


def test_a_patch_with_commands_is_cut_at_each():
    """Runs of mutations and single commands, in their order; without a command it is one run, or none."""
    one, two, three = (Write(path=name, data=b"") for name in (b"a", b"b", b"c"))
    make, test = Shell(run="make"), Shell(run="test")
    assert split_at_shell(patch(one, two, make, test, three)) == ((one, two), make, test, (three,))
    assert split_at_shell(patch(make)) == (make,)
    assert split_at_shell(patch(one)) == ((one,),)
    assert split_at_shell(patch()) == ()


def test_a_patch_s_commands_are_refused_unless_the_caller_runs_them():
    """A stage is the caller's; a command between mutations can not be applied in one go, and says so as a bug."""
    tree = MemoryTree({b"a": b"x"})
    staged = patch(Write(path=b"b", data=b""), validation=Validation(shell_build=("make",)))
    with pytest.raises(Refusal) as caught:
        apply(tree, staged)
    assert caught.value.kind == "shell-not-allowed"
    assert [change.path for change in apply(tree, staged, shell=True).changes] == [b"b"]
    with pytest.raises(AssertionError):
        apply(tree, patch(Shell(run="make")), shell=True)


def test_mutations_that_change_nothing_are_no_refusal_by_themselves():
    """What a command does afterwards may still change something."""
    tree = MemoryTree({b"a": b"x"})
    assert apply_mutations(tree, [Write(path=b"a", data=b"x")]).changes == ()
    assert apply_mutations(tree, []).changes == ()


def test_the_list_of_submodules_comes_with_them_and_not_without():
    """A replay of real history writes `.gitmodules`; a patch never does."""
    listing = patch(Write(path=b".gitmodules", data=b"[submodule]"))
    assert refused(MemoryTree(), *listing.mutations).kind == "forbidden-path"
    assert [change.path for change in apply(MemoryTree(), listing, submodules=True).changes] == [b".gitmodules"]
    for path in (b".git/config", b"a/.gitmodules", b".GitModules"):
        with pytest.raises(Refusal):
            apply(MemoryTree(), patch(Write(path=path, data=b"")), submodules=True)


def test_many_slow_expressions_share_their_time(monkeypatch):
    """A patch of thousands of them would else hold up its lane for hours; the refusal tells the time that one had."""
    slow = Regex(path=b"a", pattern="(?:a|a)+$", replacement="")
    tree = MemoryTree({b"a": b"a" * 60 + b"!"})
    monkeypatch.setattr(edits, "REGEX_TIME", 0.5)
    assert "within 0.5 s" in refused(tree, slow).message
    assert "within 0.02 s" in refused(tree, *[slow] * 1000).message
