"""Reports on texts, the real patches of the original system, and which blocks of a chat are patches at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ghostd.model.patch import Format
from ghostd.patches import strict_yaml
from ghostd.patches.convert import convert, dump
from ghostd.patches.fields import MOST_TOLD
from ghostd.patches.read import Malformed, Recognition, inspect, read_patch, recognised

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "original"
EXPECTED = json.loads((CORPUS / "expected.json").read_text()) if CORPUS.is_dir() else {}
PREFIXES = ["/Users/sawyer/gitSync/gpt-cursor-runner"]

needs_corpus = pytest.mark.skipif(not EXPECTED, reason="the corpus of original patches is not beside this checkout")


@needs_corpus
@pytest.mark.parametrize("name", sorted(EXPECTED) or ["(absent)"])
def test_an_original_patch_gets_its_verdict(name):
    """Format, id and verdict of each, as people who know them wrote it down."""
    told = EXPECTED[name]
    (report,) = inspect((CORPUS / name).read_bytes(), prefixes=PREFIXES, allow_shell=True)
    assert report.id == told["id"]
    assert report.format in told["format"].split("|")
    reasons = [each.message + each.path for each in report.problems if each.level == "error"]
    if not report.ok:
        assert told["verdict"] in ("refused", "either")
        assert any(re.search(told["reason"], reason) for reason in reasons)
    else:
        assert told["verdict"] in ("ok", "either")
        assert report.patch is not None


@needs_corpus
@pytest.mark.parametrize(
    "name", sorted(name for name in EXPECTED if EXPECTED[name]["verdict"] != "refused") or ["(absent)"]
)
def test_an_original_patch_survives_conversion(name):
    """To the unified format and back: the same id, changes, commands, flags, role and description."""
    first = read_patch((CORPUS / name).read_bytes(), prefixes=PREFIXES)
    unified = read_patch(dump(convert(first, Format.UNIFIED), style="yaml"))
    back = read_patch(dump(convert(unified, first.format), style="json"))
    assert back.digest == unified.digest == first.digest
    for field in ("id", "mutations", "validation", "role", "description", "format"):
        assert getattr(back, field) == getattr(first, field)


def problems(text: bytes, **options) -> list[tuple[str, int | None, str]]:
    (report,) = inspect(text, **options)
    return [(each.level, each.line, each.path) for each in report.problems]


BAD_PATCH = b"""id: p
content:
  mutations:
    - {op: write, path: .git/config, contents: x}
    - {op: rename, path: a, to: ../b}
    - {op: symlink, path: l, target: /etc}
    - {op: diff, diff: "nothing"}
    - op: diff
      diff: |
        --- a/.git/x
        +++ b/.git/x
        @@ -1 +1 @@
        -a
        +b
    - op: apply_patch
      patch: |
        *** Begin Patch
        *** Delete File: ../up
        *** End Patch
    - op: diff
      diff: |
        diff --git a/m b/m
        new file mode 160000
        --- /dev/null
        +++ b/m
        @@ -0,0 +1 @@
        +Subproject commit 1234567890123456789012345678901234567890
    - {op: shell, run: make}
validation:
  shell: [pytest]
"""


def test_a_report_foresees_what_applying_would_refuse():
    """Paths, symlinks, diffs and commands are looked at without any tree, each with its line."""
    where = "content.mutations"
    assert problems(BAD_PATCH) == [
        ("error", 4, f"{where}[0].path"),
        ("error", 5, f"{where}[1].to"),
        ("error", 6, f"{where}[2].target"),
        ("error", 7, f"{where}[3].diff"),
        ("error", 9, f"{where}[4].diff"),
        ("error", 16, f"{where}[5].patch"),
        ("error", 21, f"{where}[6].diff"),
        ("error", 28, f"{where}[7].run"),
        ("error", 30, "validation.shell"),
    ]


def test_commands_are_a_warning_where_the_lane_allows_them():
    """They are still told, for where no sandbox is there nothing runs them."""
    text = b'{"id": "p", "mutations": [], "validate": {"shell": "pytest"}}'
    assert problems(text) == [("error", 1, "validate.shell")]
    assert problems(text, allow_shell=True) == [("warning", 1, "validate.shell")]


def test_a_report_of_an_unreadable_patch_still_names_it():
    """The id is told even where the rest is wrong; an id that is none is not."""
    (report,) = inspect(b"id: p\ncontent: {mutation: []}\n")
    assert (report.id, report.format, report.ok, report.patch) == ("p", Format.UNIFIED, False, None)
    (report,) = inspect(b"id: ../p\ncontent: {mutation: []}\n")
    assert report.id is None
    (report,) = inspect(b"\xff")
    assert (report.id, report.format, report.ok) == (None, None, False)


def test_each_document_has_its_report():
    first, second = inspect(b"id: p\nmutations: []\n---\nid: q\nmutations: []\nx: 1\n")
    assert (first.id, first.ok, second.id, second.ok) == ("p", True, "q", False)
    assert second.problems[0].line == 6


PATCH, BROKEN, OTHER = Recognition.PATCH, Recognition.BROKEN, Recognition.OTHER
BLOCKS = [
    ('{"id": "p", "target_file": "a", "patch": "x"}', PATCH),
    ('{"role": "command_patch", "anything": 1}', PATCH),
    ("role: command_patch\n", PATCH),
    ("id: p\ncontent:\n  mutations:\n    - {path: a, contents: x}\n", PATCH),
    ("id: p\ntype: unified\n", PATCH),
    ('{"mutations": [{"path": "a"}]}', PATCH),
    ('{"blockId": "p"}', PATCH),
    ('[{"id": "p", "patch": {"pattern": "a", "replacement": "b"}}]', PATCH),
    ('{"patch": {"id": "p", "kind": "x", "execution": {}}}', PATCH),
    ('{"id": "p", "mutations": [{"path": "a", "contents": "x\n"}]}', BROKEN),
    ('{"id": "p", "target_file": "a", "patch": "x",}', BROKEN),
    ("{'role': 'command_patch', x}}", BROKEN),
    ("id: p\ntype: unified\ncontent:\n\tmutations: []\n", BROKEN),
    ("id: p\nmutations:\n  - path: a\n  contents: x\n - b", BROKEN),
    ("id: p\nid: q\nblockId: r\n", BROKEN),
    ("\ufeff{'blockId': 'p', ", BROKEN),
    ('{"name": "app", "version": "1.0", "scripts": {"patch": "x"}}', OTHER),
    ('{"role": "user", "content": "apply this patch"}', OTHER),
    ('{"id": 7, "content": {"rendered": "about patch sets"}}', OTHER),
    ("export default { mutations: { set(state) {} } }", OTHER),
    ("const q = gql`mutation { a }`; mutations: [1", OTHER),
    ("version: 3\nservices:\n  web: {image: x}\n", OTHER),
    ("def patch(target_file):\n    return {'x': 1}\n", OTHER),
    ("Please set target_file: to the patch.", OTHER),
    ("", OTHER),
    ("\x00\xff patch", OTHER),
]


@pytest.mark.parametrize(("text", "expected"), BLOCKS)
def test_which_blocks_are_patches(text, expected):
    """What detection takes, or what was meant so and can not be parsed; nothing else."""
    assert recognised(text.encode()) is expected


def test_a_block_over_the_limit_is_still_seen():
    """It is answered as malformed, not passed over."""
    assert recognised(b'{"target_file": "a", "patch": "' + b"x" * 2_000_000 + b'"}') is BROKEN


def test_a_stage_is_told_by_the_name_that_the_text_has_for_it():
    """In each format, the key that holds the commands, with its line."""
    assert problems(b'{"id": "p", "mutations": [],\n "preMutationValidation": {"shell": "a"}}') == [
        ("error", 2, "preMutationValidation.shell")
    ]
    g2o = b'{"patch": {"id": "p",\n "preflight": ["a"],\n "execution": ["b"],\n "validation": ["c"]}}'
    assert problems(g2o) == [
        ("error", 3, "patch.execution[0]"),
        ("error", 2, "patch.preflight"),
        ("error", 4, "patch.validation"),
    ]


def test_a_slow_yaml_reader_is_told(monkeypatch):
    """Where PyYAML has no libyaml everything works, and lint says why it is slow; JSON is not concerned."""
    assert problems(b"id: p\nmutations: []\n") == []
    monkeypatch.setattr(strict_yaml, "NATIVE", False)
    assert problems(b"id: p\nmutations: []\n") == [("warning", 1, "")]
    assert problems(b'{"id": "p", "mutations": []}') == []


def test_only_so_many_problems_are_told():
    """A text of thousands of mistakes was never meant so, and its report stays readable."""
    (report,) = inspect(json.dumps({"id": "p", "mutations": [{"op": "x"}] * 5000}).encode())
    assert len(report.problems) == MOST_TOLD + 1
    assert report.problems[-1].message.startswith("no more than")
    with pytest.raises(Malformed, match="and 4999 more"):
        read_patch(json.dumps({"id": "p", "mutations": [{"op": "x"}] * 5000}).encode())
