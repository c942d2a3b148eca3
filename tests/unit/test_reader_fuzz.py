"""Every reader on good texts gone bad: it reads them, or says no in its own words, within bounds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_tree import MemoryTree

from ghostd.base.errors import Cannot
from ghostd.bridges import fences
from ghostd.model.patch import Format
from ghostd.patches import blocks, v4a
from ghostd.patches.apply import apply
from ghostd.patches.convert import convert, dump
from ghostd.patches.diff import BadDiffError, parse
from ghostd.patches.json_edit import edit_json
from ghostd.patches.read import from_canonical, inspect, read_patch, recognised

DIFF = (
    'diff --git "a/caf\\303\\251" b/new name\nsimilarity index 50%\nrename from "caf\\303\\251"\nrename to new name\n'
    'index 1111111..2222222 100755\n--- "a/caf\\303\\251"\n+++ b/new name\t\n@@ -1,2 +1,2 @@ head\n one\n-two\n+2\n'
    "\\ No newline at end of file\ndiff --git a/m b/m\nnew file mode 160000\n--- /dev/null\n+++ b/m\n@@ -0,0 +1 @@\n"
    "+Subproject commit 1234567890123456789012345678901234567890\ndiff --git a/b b/b\n"
    "index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644\n"
    "GIT binary patch\nliteral 6\nNcmZ?wbhEHbRA5j51^@sR\n\ndelta 14\nVcmZo@U}ng8W&i*p@c;k-{{R2~M1TMQ\n\n"
)
V4A = (
    "*** Begin Patch\n*** Add File: new\n+one\n*** Update File: a.py\n*** Move to: b.py\n@@ def f():\n-    one\n"
    "+    two\n*** End of File\n*** Delete File: c\n*** End Patch\n"
)
BLOCKS = (
    "a.py\n```python\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n```\n"
    "new\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n"
)
STEPS = [
    {"op": "test", "path": "/a", "value": 1.5},
    {"op": "add", "path": "/l/-", "value": {"k": [None]}},
    {"op": "move", "from": "/l", "path": "/m~1"},
]
OPS = [
    {"path": "a.py", "contents": "x\n", "mode": "0755"},
    {"op": "symlink", "path": "link", "target": "a.py"},
    {"op": "rename", "path": "a.py", "to_b64": "/w=="},
    {"op": "regex", "path": "a.py", "pattern": "(o)ne", "replacement": "\\1", "count": 1},
    {"op": "insert", "path": "a.py", "after": "one", "contents": "é"},
    {"op": "replace", "path": "a.py", "search": "one", "replace": ""},
    {"op": "json", "path": "j.json", "patch": STEPS},
    {"op": "diff", "diff": DIFF},
    {"op": "apply_patch", "patch": V4A},
    {"op": "blocks", "text": BLOCKS},
    {"op": "shell", "run": "make"},
]
UNIFIED = {
    "id": "patch-v1.2.3(P1.2)_x",
    "type": "unified",
    "metadata": {"author": "gpt", "phase": "P1", "n": 1.5},
    "target": {"lane": "MAIN", "role": "r"},
    "content": {"mutations": OPS, "allowEmpty": True},
    "validation": {"gates": ["lint"], "shell": ["pytest"], "runDryCheck": False},
    "execution": {"priority": "high", "maxRetries": 1, "timeout": 5, "dependsOn": ["q"]},
}
STAGES = {"preCommit": {"shell": "a", "backup": True}, "validate": {"shell": ["b"]}, "final": {"git": {"commit": "c"}}}
EXECUTOR = {"blockId": "p", "mutations": [{**OPS[0], "insertAt": 1}], **STAGES, "strictRuntimeAudit": True}
WEBHOOK = {"id": "p", "target_file": "a.py", "patch": {"pattern": "o+", "replacement": "x"}, "timestamp": "now"}
G2O = {"patch": {"id": "p", "kind": "feature", "execution": ["make"], "options": {"timeoutMs": 1}}}
PATCHES = [UNIFIED, EXECUTOR, WEBHOOK, G2O, [WEBHOOK, G2O]]
TEXTS = [
    *(json.dumps(each, indent=1).encode() for each in PATCHES),
    *(dump(each, style="yaml") for each in PATCHES if isinstance(each, dict)),
    b"---\nid: p\nmutations: []\n---\nid: q\nmutations:\n- {path: a, contents: |-\n   x}\n",
]
TOKENS = [
    *(word.encode() for word in "{}[]:,-|#+~"),
    *(b'"', b"\\", b"@@", b"&a", b"*a", b"<<:", b"!!x", b"/dev/null", b"../", b"0", b"null", b"160000", b"a/", b"```"),
    *(
        b"\n",
        b"\r\n",
        b"\t",
        b"\0",
        b"---\n",
        b"*** ",
        b"<<<<<<< SEARCH\n",
        b"=======\n",
        b"\xe2\x80\xa8",
        b"\xef\xbb\xbf",
    ),
    *(b"\xff", b"\\ud800", b"9" * 30, b"1e999", b"GIT binary patch\n"),
]
JSON_FILES = [
    b'\xef\xbb\xbf{\n\t"a": 1.5e0,\r\n "l" : [ [], {"k": null}\n] , "m": "\\u0041\\/"}\n',
    b'{"a":1.5,"l":[]}',
    b" [1] ",
]


@st.composite
def spoilt(draw, texts: list[bytes]) -> bytes:
    """A good text with a few accidents: parts gone, doubled, from another text, or odd bytes put in."""
    data = bytearray(draw(st.sampled_from(texts)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from([0, 0, 1, 2, 10, 100])))
        other = draw(st.sampled_from(texts))
        cut = draw(st.integers(0, len(other)))
        found = [other[cut : cut + 40], bytes(data[at:end]) * 2, b""]
        data[at:end] = draw(st.sampled_from(TOKENS) | st.binary(max_size=3) | st.sampled_from(found))
    return bytes(data)


def tree() -> MemoryTree:
    files = {"a.py": b"def f():\n    one\n", "j.json": b'{"a": 1.5, "l": []}\n', "c": b"", "caf\xe9": b"one\ntwo\n"}
    return MemoryTree({name.encode(): data for name, data in files.items()})


@settings(max_examples=600, deadline=None)
@given(spoilt(TEXTS))
def test_a_spoilt_patch_is_read_or_refused(data):
    """A report always comes; what reads also reads back from its canonical bytes, and converts and applies or not."""
    recognised(data)
    for report in inspect(data, prefixes=["/work"], allow_shell=True):
        for problem in report.problems:
            assert problem.message
            assert problem.line is None or 1 <= problem.line <= data.count(b"\n") + 1
        assert (report.patch is None) <= (not report.ok)
        if report.patch is not None:
            _used(report.patch)
    try:
        read_patch(data)
    except Cannot as error:
        json.dumps(error.as_json())


def _used(patch) -> None:
    assert from_canonical(patch.canonical).digest == patch.digest
    for to in Format:
        try:
            dump(convert(patch, to), style="yaml")
        except Cannot as error:
            assert error.kind == "not-representable"  # noqa: PT017 - either end is right
    before = tree()
    try:
        applied = apply(before, patch)
    except Cannot as error:
        json.dumps(error.as_json())
    else:
        before.after(applied.changes)


@settings(max_examples=400, deadline=None)
@given(spoilt([DIFF.encode()]))
def test_a_spoilt_diff_is_read_or_refused(data):
    try:
        files = parse(data)
    except BadDiffError as error:
        assert error.line >= 1  # noqa: PT017 - either end is right
    else:
        assert files


@settings(max_examples=400, deadline=None)
@given(spoilt([V4A.encode(), BLOCKS.encode()]))
def test_spoilt_parts_and_blocks_are_read_or_told(data):
    for check in (v4a.check, blocks.check):
        problem = check(data)
        assert problem is None or problem
    if v4a.check(data) is None:
        v4a.paths(data)
    if blocks.check(data) is None:
        blocks.paths(data)


@settings(max_examples=400, deadline=None)
@given(spoilt(JSON_FILES))
def test_a_spoilt_json_file_is_edited_or_refused(data):
    """And what comes out is JSON again wherever something comes out."""
    patch = read_patch(json.dumps({**UNIFIED, "content": {"mutations": [OPS[6]]}}).encode())
    try:
        after = edit_json(data, patch.mutations[0], None)
    except Cannot as error:
        json.dumps(error.as_json())
    else:
        json.loads(after.decode().removeprefix("\ufeff"))


@settings(max_examples=300, deadline=None)
@given(spoilt([b"text\n```json\n" + each + b"\n```\n> ~~~~\n> a\n> ~~~~\n- ```\n  b\n  ```\n" for each in TEXTS[:4]]))
def test_a_spoilt_transcript_gives_blocks_or_none(data):
    for block in fences.survey(data):
        recognised(block.text)


@pytest.fixture(scope="module")
def costs() -> dict[str, dict]:
    """What each of the bombs cost, in a process of their own that may not take more than 200 MB."""
    program = Path(__file__).parents[1] / "reader_bombs.py"
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr[-2000:]
    return {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}


def test_no_text_is_dear_to_read(costs):
    """One CPU second for 256 KB is the promise (an expression has its own two); asserted loosely, machines differ."""
    slow = {name: each["seconds"] for name, each in costs.items() if each["seconds"] > 5}
    assert not slow
    assert len(costs) > 50
