"""Matching against a slow and plain oracle, on random files and edits: level, place, result, cap, and work done."""

from __future__ import annotations

import difflib
import tracemalloc
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from memory_tree import MemoryTree

from ghostd.model.patch import ApplyPatch, Blocks, Diff, Format, Match, Patch, Replace
from ghostd.patches import levels, rows
from ghostd.patches.align import aligned, as_script
from ghostd.patches.apply import Refusal, apply
from ghostd.patches.match import ORDER, Source, allowed, splice

BODIES = ["x", "y()", 'say("a")', "say(“a”)", "", "it's", "it’s", "a - b", "a – b"]
MARGINS = ["", "  ", "    ", "\t", "\t\t", " \t"]
ENDS = ["\n", "\n", "\n", "\r\n", " \n", "\t\r\n", "\r"]

LINE = st.builds(lambda a, b, c: (a + b + c).encode(), *(st.sampled_from(each) for each in (MARGINS, BODIES, ENDS)))
FEW_LINES = st.lists(LINE, max_size=8)
TAGGED = st.tuples(st.sampled_from([" ", "-", "+"]), LINE.filter(lambda line: line.count(b"\r") == line.count(b"\r\n")))
SCRIPTS = st.lists(TAGGED, min_size=1, max_size=5).filter(lambda s: any(tag != "+" for tag, _ in s))


def trimmed(line: bytes) -> bytes:
    return line.rstrip(b" \t\r\n")


def plain(line: bytes) -> bytes:
    text = trimmed(line).decode()
    return text.replace("“", '"').replace("”", '"').replace("’", "'").replace("–", "-").encode()


def margin(line: bytes) -> bytes:
    return line[: len(line) - len(line.lstrip(b" \t"))]


def replaced(script) -> list[bool]:
    """For each old line whether others come in its run of changes."""
    flags, run = [], []
    for tag, _ in [*script, (" ", b"")]:
        if tag != " ":
            run.append(tag)
            continue
        flags += ["+" in run] * run.count("-")
        run = []
        flags.append(False)
    return flags[:-1]


def fits(level: str, there: list[bytes], old: list[bytes], script) -> bytes | tuple | None:
    """Whether a block fits a place at a level: the shift as (prefix, removed), None where it does not."""
    if level == "exact":
        return (b"", False) if there == old else None
    if level == "whitespace":
        return (b"", False) if [*map(trimmed, there)] == [*map(trimmed, old)] else None
    if level == "unicode":
        strict = replaced(script)
        pairs = zip(there, old, strict, strict=True)
        same = all(trimmed(a) == trimmed(b) if hard else plain(a) == plain(b) for a, b, hard in pairs)
        return (b"", False) if same else None
    come = [margin(line) for tag, line in script if tag == "+" and line.strip()]
    for prefix in [char * times for char in (b" ", b"\t") for times in range(1, 9)]:
        for removed in (False, True):
            wanted = there if removed else old
            other = old if removed else there
            moved = [prefix + trimmed(line) if line.strip() else b"" for line in wanted]
            if moved != [*map(trimmed, other)] or not any(line.strip() for line in old):
                continue
            chars = set(b"".join([*map(margin, filter(trimmed, [*there, *old])), *come]))
            if chars == set(prefix) and not (removed and any(not each.startswith(prefix) for each in come)):
                return prefix, removed
    return None


def oracle(data: bytes, script, cap: str, path: bytes = b"a.txt"):
    """The first level that finds any place, and each place as (first line, shift): every line at every level tried."""
    lines = data.splitlines(keepends=True)
    old = [line for tag, line in script if tag != "+"]
    for level in allowed(path, cap):
        found = []
        for n in range(len(lines) - len(old) + 1):
            shift = fits(level, lines[n : n + len(old)], old, script)
            after_line = n == 0 or lines[n - 1].endswith(b"\n")
            if shift is not None and (level != "exact" or after_line):
                found.append((n, shift))
        if found:
            return level, found
    return "exact", []


def rebuilt(data: bytes, script, level: str, start: int, shift) -> bytes:
    """The whole file after a script at one place."""
    lines = data.splitlines(keepends=True)
    size = sum(tag != "+" for tag, _ in script)
    ends = Counter({b"\n": data.replace(b"\r\n", b"").count(b"\n"), b"\r\n": data.count(b"\r\n")})
    ends[b"\r"] = data.replace(b"\r\n", b"").count(b"\r")
    usual = ends.most_common(1)[0][0]
    kept, middle = iter(lines[start : start + size]), []
    for tag, line in script:
        own = None if tag == "+" else next(kept)
        if tag == " ":
            middle.append(own)
        elif tag == "+":
            middle.append(line if level == "exact" else shifted(line, shift).rstrip(b"\r\n") + usual)
    if level != "exact":
        middle[:-1] = [line if line.endswith((b"\n", b"\r")) else line + usual for line in middle[:-1]]
        if middle and start + size == len(lines):
            open_end = not lines[-1].endswith((b"\n", b"\r"))
            end = b"" if open_end else b"" if middle[-1].endswith((b"\n", b"\r")) else usual
            middle[-1] = (middle[-1].rstrip(b"\r\n") if open_end else middle[-1]) + end
    return b"".join([*lines[:start], *middle, *lines[start + size :]])


def shifted(line: bytes, shift) -> bytes:
    prefix, removed = shift
    if not line.strip():
        return line
    return line.removeprefix(prefix) if removed else prefix + line


CHANGES = {
    "same": lambda line: line,
    "trimmed": lambda line: trimmed(line) + b"\n",
    "plain": lambda line: plain(line) + b"\n",
    "shifted": lambda line: b"  " + line if line.strip() else line,
    "tabbed": lambda line: b"\t" + line if line.strip() else line,
}


@settings(max_examples=800, deadline=None)
@given(st.data(), st.lists(LINE, max_size=6), SCRIPTS, st.sampled_from(ORDER), st.sampled_from([0, 1000]))
def test_a_block_is_found_where_a_plain_search_finds_it(data, around, script, cap, many):
    """At the same level, at the same places, by the index and without; and the new file is the same to the byte."""
    change = CHANGES[data.draw(st.sampled_from(sorted(CHANGES)))]
    at = data.draw(st.integers(0, len(around)))
    block = [change(line) for tag, line in script if tag != "+"]
    text = b"".join([*around[:at], *block, *around[at:]])
    text = text.rstrip(b"\r\n") if data.draw(st.booleans()) else text
    level, places = oracle(text, script, cap)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rows, "MANY", many)
        found = Source(text, path=b"a.txt", cap=cap).block(script)
    assert found.level == level
    size = len(block)
    if any(b - a < size for (a, _), (b, _) in pairwise(places)):
        # It stops at the second of two that overlap, which is enough to refuse.
        assert len(found.edits) > 1
    else:
        assert len(found.edits) == len(places)
    for (start, shift), edit in zip(places, found.edits, strict=False):
        assert splice(text, [edit]) == rebuilt(text, script, level, start, shift)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINE, max_size=6), SCRIPTS, st.sampled_from(ORDER), st.sampled_from([b"a.py", b"a.yml", b"Makefile"]))
def test_a_block_is_never_shifted_where_indentation_is_meaning(around, script, cap, path):
    text = b"".join([*(CHANGES["shifted"](line) for tag, line in script if tag != "+"), *around])
    found = Source(text, path=path, cap=cap).block(script)
    assert found.level in allowed(path, cap)
    assert found.level != "indent"
    assert bool(found.edits) == bool(oracle(text, script, cap, path)[1])


@settings(max_examples=300, deadline=None)
@given(st.data(), FEW_LINES, FEW_LINES)
def test_a_search_text_and_its_replacement_make_a_script_that_is_about_just_them(data, search, replacement):
    """Its old lines are the search text, its new lines the replacement, and no line is given up that both end with."""
    old, new = b"".join(search), b"".join(replacement)
    assume(old.endswith(b"\n") == new.endswith(b"\n") or not new)
    assume(old)
    script = as_script(old, new)
    tail = b"" if old.endswith(b"\n") else b"\n"
    assert b"".join(line for tag, line in script if tag != "+") == old + tail
    assert b"".join(line for tag, line in script if tag != "-") == new + tail
    prefix = data.draw(st.lists(LINE.filter(lambda line: line.endswith(b"\n")), max_size=3))
    both = as_script(b"".join(prefix) + old, b"".join(prefix) + new)
    head = b"".join(prefix).split(b"\n")
    assert [tag for tag, _ in both[: len(head) - 1]] == [" "] * (len(head) - 1)


WHOLE = st.lists(st.sampled_from([b"a\n", b"b\n", b"\n", b"c d\n", b"\tx\n", b"\xff\n", b"e\r\n"]), max_size=30)


@settings(max_examples=200, deadline=None)
@given(WHOLE, WHOLE, st.integers(0, 3))
def test_an_exact_diff_makes_the_other_file(old, new, around):
    """Whatever difflib writes about two files, with any number of context lines, applying it makes the second."""
    assume(old != new)
    head, tail = difflib.diff_bytes(difflib.unified_diff, old, new, b"f", b"f", n=around), b""
    diff = b"".join(head) + tail
    assume(b"@@" in diff)
    before, after = b"".join(old), b"".join(new)
    applied = apply(MemoryTree({b"f": before}), patch(Diff(diff=diff, path=b"f")), match="exact")
    assert [change.after.data for change in applied.changes] == ([after] if before != after else [])
    assert applied.matches == (Match(path=b"f", level="exact"),)


def patch(*mutations) -> Patch:
    return Patch(id="p", format=Format.UNIFIED, mutations=mutations, canonical=b"", digest="", allow_empty=True)


MANY = 256 << 10


def counting(monkeypatch) -> Counter[str]:
    """How many lines are compared, and by what."""
    count: Counter[str] = Counter()

    def counted(level):
        def key(line):
            count["key"] += 1
            return level.key(line)

        def fit(lines, block):
            count["fits"] += len(lines)
            return level.fits(lines, block)

        return replace(level, key=key, fits=fit)

    monkeypatch.setattr(levels, "LEVELS", {name: counted(level) for name, level in levels.LEVELS.items()})
    return count


HOSTILE = {
    "one line again and again": (b"a\n" * (MANY // 2), [(" ", b"a \n")] * 1000 + [("-", b"b\n")]),
    "nearly everywhere, but for the last line": (b"a\n" * (MANY // 2), [(" ", b"a\t\n")] * 20_000 + [("+", b"b\n")]),
    "alike but for a dash": ("–\n".encode() * (MANY // 4), [(" ", b"-\n")] * 5000 + [("-", b"-\n"), ("+", b"x\n")]),
    "stairs": (b"".join(b" " * (n % 9) + b"a\n" for n in range(MANY // 6)), [(" ", b"a\n")] * 5000 + [("+", b"x\n")]),
    "blank lines": (b"\n" * MANY, [(" ", b" \n")] * 9000 + [("+", b"x\n")]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_cost_work_in_proportion(monkeypatch, name):
    """No level compares more than a few times each line of file and block, and memory stays small."""
    data, script = HOSTILE[name]
    count = counting(monkeypatch)
    tracemalloc.start()
    try:
        found = Source(data, path=b"a.txt").block(script)
        Source(data, path=b"a.txt").beyond(script)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found.edits) != 1
    lines = data.count(b"\n") + len(script)
    assert count["key"] <= 3 * lines
    assert count["fits"] <= 4 * levels.PATIENCE + 4 * lines
    assert peak < 100 << 20


class Counted(bytes):
    """Bytes that count how often they are searched."""

    searches = 0

    def find(self, *arguments):
        type(self).searches += 1
        return super().find(*arguments)


def test_many_hunks_do_not_each_search_the_whole_file():
    """Hunks with wrong line numbers are found by an index after the first few, exactly and at a looser level."""
    numbers = range(0, 4000, 2)
    for end in ("\n", "\r\n"):
        data = Counted("".join(f"line {n}{end}" for n in range(4000)).encode())
        Counted.searches = 0
        source = Source(data, path=b"a.txt")
        for n in numbers:
            script = [(" ", b"line %d\n" % n), ("-", b"line %d\n" % (n + 1)), ("+", b"new\n")]
            assert len(source.block(script).edits) == 1
        assert Counted.searches <= 3 * rows.MANY


def test_what_only_looks_like_a_place_is_never_taken_when_patience_is_out(monkeypatch):
    """A search that is given up finds no single place."""
    monkeypatch.setattr(levels, "PATIENCE", -1_000_000)
    script = [(" ", b"-\n"), ("-", b"-\n"), ("+", b"x\n")]
    assert len(Source("–\n–\n".encode(), path=b"a").block(script).edits) == 2


def test_aligning_takes_no_quadratic_time():
    """Two sides of many equal lines, and of many that are all different, make a script at once."""
    for old in ([b"a\n"] * 50_000, [b"%d\n" % n for n in range(50_000)]):
        script = aligned(old, [b"first\n", *old[:25_000], b"new\n", *old[25_000:]])
        assert [line for tag, line in script if tag != "+"] == old


@settings(max_examples=200, deadline=None)
@given(FEW_LINES, FEW_LINES, FEW_LINES, st.integers(1, 3), st.sampled_from(ORDER))
def test_a_replacement_is_made_once_or_refused(lines, search, replacement, count, cap):
    """At each of exactly so many places, or not at all: never at the first of many."""
    data, wanted, new = (b"".join(each) for each in (lines, search, replacement))
    assume(wanted)
    tree = MemoryTree({b"a": data})
    applied = _outcome(tree, Replace(path=b"a", search=wanted, replace=new, count=count), cap)
    if isinstance(applied, Refusal):
        assert applied.kind in ("no-match", "ambiguous")
        assert not (count == 1 and data.count(wanted) == 1)
        return
    (match,) = applied.matches
    assert ORDER.index(match.level) <= ORDER.index(cap)
    if match.level == "exact":
        result = applied.changes[0].after.data if applied.changes else data
        assert result == data.replace(wanted, new)
        assert data.count(wanted) == count


PIECES = [
    "*** Begin Patch\n", "*** End Patch\n", "*** Add File: b\n", "*** Delete File: a\n", "*** Update File: a\n",
    "*** Move to: c\n", "*** End of File\n", "@@\n", "@@ x\n", " x\n", "-x\n", "+y\n", "\n", "z\n",
    "*** Update File: é\n",
]  # fmt: skip
BLOCKISH = ["a\n", "```\n", "<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n", "x\n", "y\n", "\n", "<<<<< SEARCH\n"]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.booleans())
def test_any_text_in_the_v4a_form_is_applied_or_refused(pieces, framed):
    text = "".join(["*** Begin Patch\n", *pieces, "*** End Patch\n"] if framed else pieces).encode()
    _applied_or_refused(ApplyPatch(patch=text))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(BLOCKISH), max_size=14))
def test_any_text_with_blocks_is_applied_or_refused(pieces):
    _applied_or_refused(Blocks(text="".join(pieces).encode()))


def _applied_or_refused(mutation) -> None:
    tree = MemoryTree({b"a": b"x\nq\nx \n", b"e": b""})
    applied = _outcome(tree, mutation, "indent")
    if isinstance(applied, Refusal):
        assert applied.kind in ("malformed", "no-match", "ambiguous", "missing-path", "path-exists", "forbidden-path")
    else:
        tree.after(applied.changes)


def _outcome(tree, mutation, cap):
    try:
        return apply(tree, patch(mutation), match=cap)
    except Refusal as error:
        return error
