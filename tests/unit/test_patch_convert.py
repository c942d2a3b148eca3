"""Conversion between the formats: what goes there and comes back means the same, and what has no place is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ghostd.base.errors import Cannot
from ghostd.model.patch import Format
from ghostd.patches.convert import convert, dump
from ghostd.patches.read import from_canonical, read_patch

TEXT = st.text(st.sampled_from("aé✅ \n\r\t'\"\\:#-|>&*!%@`{}[],?~\x00\x7f\x85\u2028\ufeff0"), max_size=12) | st.text(
    max_size=5
)
WORD = TEXT.filter(bool)
PATH = st.sampled_from(["a.py", "d/b.txt", "é/ü", "x y"])
ID = st.sampled_from(["p", "patch-v1.2.3(P1.2)_x", "A.b-c+d"])
NUMBER = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9)
NESTED = st.sampled_from([[], {}, [1, {"a": None}], {"a": {"b": [True, "c\n"]}}])
ANY = st.none() | st.booleans() | NUMBER | TEXT | NESTED
COMMANDS = st.lists(WORD, max_size=2)
FLAGS = ["enforceValidationGate", "blockCommitOnError", "runDryCheck", "strictRuntimeAudit"]


def some(required, optional):
    """A mapping with all required keys and any of the optional ones."""
    return st.fixed_dictionaries(required, optional=optional)


MODE = st.sampled_from(["0644", "0755"])
WRITE = some({"path": PATH, "contents": TEXT}, {"mode": MODE})
OPS = st.one_of(
    WRITE,
    WRITE.map(lambda each: {"op": "write", **each}),
    some({"op": st.just("write"), "path_b64": st.just("/w=="), "contents_b64": st.just("AP8=")}, {}),
    some({"op": st.just("delete"), "path": PATH}, {}),
    some({"op": st.just("rename"), "path": PATH, "to": PATH}, {}),
    some({"op": st.just("mode"), "path": PATH, "mode": MODE}, {}),
    some({"op": st.just("symlink"), "path": PATH, "target": WORD}, {}),
    some({"op": st.just("replace"), "path": PATH, "search": WORD, "replace": TEXT}, {"count": st.integers(1, 9)}),
    some({"op": st.just("regex"), "path": PATH, "pattern": st.sampled_from([".*", "a+"]), "replacement": TEXT}, {}),
    some({"op": st.just("insert"), "path": PATH, "contents": TEXT, "after": WORD}, {}),
    some({"op": st.just("insert"), "path": PATH, "contents": TEXT, "line": st.integers(1, 9)}, {}),
    some({"op": st.just("diff"), "diff": WORD}, {"path": PATH}),
    some({"op": st.just("shell"), "run": WORD}, {}),
)
TYPED = {"author", "description", "phase", "session"}
KEY = st.sampled_from(["x", "tags", "webhook", "executor", "sourceFormat"]) | TEXT.filter(lambda key: key not in TYPED)
METADATA = st.dictionaries(KEY, ANY, max_size=3)
EXECUTION = some(
    {},
    {
        "priority": st.sampled_from(["low", "high"]),
        "maxRetries": st.integers(0, 9),
        "timeout": st.integers(1, 10**6),
        "dependsOn": st.lists(ID, max_size=2),
        "approve": st.booleans(),
        "retryCount": ANY,
    },
)
UNIFIED = some(
    {
        "id": ID,
        "type": st.just("unified"),
        "content": some(
            {"mutations": st.lists(OPS, max_size=3)}, {"allowEmpty": st.booleans(), "type": st.just("multi_mutation")}
        ),
    },
    {
        "metadata": METADATA,
        "target": some({}, {"lane": TEXT, "role": TEXT}),
        "validation": some(
            {},
            {
                "gates": COMMANDS,
                **dict.fromkeys(["shell", "preCommit", "preMutationValidation", "postMutationBuild"], COMMANDS),
                **dict.fromkeys(FLAGS, st.booleans()),
            },
        ),
        "execution": EXECUTION,
    },
)
STAGE = some({"shell": COMMANDS | WORD}, {})
FLAT = {
    "role": ANY,
    "description": ANY,
    "phase": ANY | ID,
    "version": ANY,
    "timestamp": ANY,
    "priority": ANY | st.sampled_from(["low", "critical"]),
    "target": ANY | WORD,
    "notes": ANY,
    "metadata": METADATA | st.dictionaries(st.sampled_from([*sorted(TYPED), "metadata"]), ANY | ID, max_size=3),
    "preCommit": some({"shell": COMMANDS}, {"backup": ANY, "notes": ANY}),
    "preMutationValidation": STAGE,
    "validate": STAGE,
    "postMutationBuild": STAGE,
    "execution": st.tuples(EXECUTION, some({}, {"autoReleaseTimeoutMs": ANY, "onReloadHang": ANY})).map(
        lambda two: {**two[0], **two[1]}
    ),
}
WEBHOOK = some(
    {
        "id": ID,
        "target_file": PATH,
        "patch": TEXT
        | some({"pattern": st.just("a.*"), "replacement": TEXT}, {})
        | some({"mutations": st.lists(OPS, max_size=3)}, {}),
    },
    FLAT,
)
INSERTS = st.one_of(
    some({"path": PATH, "contents": TEXT, "insertAfter": WORD}, {"mode": MODE}),
    some({"op": st.just("upsert"), "path": PATH, "contents": TEXT, "insertBefore": WORD}, {}),
    some({"path": PATH, "contents": TEXT, "insertAt": st.integers(1, 9)}, {}),
)
EXECUTOR = some(
    {"mutations": st.lists(WRITE | INSERTS | OPS, max_size=3), "id": ID},
    {
        **FLAT,
        "blockId": ID,
        "final": some({}, {"git": ANY, "summary": ANY, "summaryFile": ANY}),
        "git": ANY,
        **dict.fromkeys(FLAGS, st.booleans()),
    },
)
FORMATS = {Format.UNIFIED: UNIFIED, Format.WEBHOOK: WEBHOOK, Format.EXECUTOR: EXECUTOR}


@pytest.mark.parametrize("style", ["json", "yaml"])
@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=400, deadline=None)
@given(st.data())
def test_there_and_back_keeps_the_digest(form, style, data):
    """Any format, turned into unified and back into itself, through text, is the same patch to the byte."""
    first = read_patch(json.dumps(data.draw(FORMATS[form])).encode())
    assert first.format is form
    unified = read_patch(dump(convert(first, Format.UNIFIED), style=style))
    assert (unified.format, unified.digest) == (Format.UNIFIED, first.digest)
    back = read_patch(dump(convert(unified, form), style=style))
    assert (back.format, back.digest, back.mutations) == (form, first.digest, first.mutations)


@settings(max_examples=40, deadline=None)
@given(UNIFIED, st.sampled_from([Format.WEBHOOK, Format.EXECUTOR]))
def test_a_conversion_keeps_the_meaning_or_is_refused(mapping, to):
    """No field of the patch is lost on the way into a narrower format."""
    patch = read_patch(json.dumps(mapping).encode())
    try:
        other = read_patch(dump(convert(patch, to), style="json"))
    except Cannot as refused:
        assert refused.kind == "not-representable"  # noqa: PT017 - either outcome is right
        return
    for name in ("id", "mutations", "lane", "role", "description", "validation", "execution", "allow_empty"):
        assert getattr(other, name) == getattr(patch, name)


@settings(max_examples=40, deadline=None)
@given(st.one_of(*FORMATS.values()))
def test_the_canonical_bytes_hold_the_whole_patch(mapping):
    """A job's body gives back an equal patch, but for its format and warnings."""
    patch = read_patch(json.dumps(mapping).encode())
    again = from_canonical(patch.canonical)
    for name in set(type(patch).__slots__) - {"format", "warnings"}:
        assert getattr(again, name) == getattr(patch, name), name


NO_PLACE = [
    ({"content": {"mutations": [], "allowEmpty": True}}, "executor", "content.allowEmpty"),
    ({"validation": {"gates": ["lint"]}}, "executor", "validation.gates"),
    ({"validation": {"gates": ["lint"]}}, "webhook", "validation.gates"),
    ({"validation": {"strictRuntimeAudit": True}}, "webhook", "validation.strictRuntimeAudit"),
    ({"metadata": {"webhook": "a text of the user's own"}}, "webhook", "a part of it"),
]


@pytest.mark.parametrize(("more", "to", "what"), NO_PLACE)
def test_what_has_no_place_is_named(more, to, what):
    """The refusal says which key is in the way."""
    base = {"id": "p", "type": "unified", "content": {"mutations": [{"path": "a", "contents": "x"}]}}
    patch = read_patch(json.dumps({**base, **more}).encode())
    with pytest.raises(Cannot) as caught:
        convert(patch, Format(to))
    assert (caught.value.kind, caught.value.details["what"]) == ("not-representable", what)


def test_flags_at_their_default_are_no_obstacle():
    """A webhook patch has no flags, so those that change nothing are left out."""
    validation = {"enforceValidationGate": True, "requireServiceUptime": False, "gates": []}
    mapping = {"id": "p", "validation": validation, "content": {"mutations": [{"path": "a", "contents": "x"}]}}
    assert convert(read_patch(json.dumps(mapping).encode()), Format.WEBHOOK) == {
        "id": "p",
        "target_file": "a",
        "patch": "x",
    }


def test_a_converted_patch_tells_its_source():
    """`metadata.sourceFormat` names the format, and the digest does not hear of it."""
    patch = read_patch(b'{"id": "p", "target_file": "a", "patch": "x"}')
    unified = convert(patch, Format.UNIFIED)
    assert unified["metadata"] == {"sourceFormat": "webhook"}
    assert read_patch(dump(unified, style="yaml")).digest == patch.digest


def test_shell_commands_stay_in_their_stages():
    """Four stages there, four stages back."""
    stages = {
        name: {"shell": [name]} for name in ("preCommit", "preMutationValidation", "validate", "postMutationBuild")
    }
    patch = read_patch(json.dumps({"id": "p", "mutations": [], **stages}).encode())
    assert patch.validation.shell_before == ("preCommit", "preMutationValidation")
    assert (patch.validation.shell, patch.validation.shell_build) == (("validate",), ("postMutationBuild",))
    back = convert(read_patch(dump(convert(patch, Format.UNIFIED), style="json")), Format.EXECUTOR)
    assert {name: back[name] for name in stages} == stages
