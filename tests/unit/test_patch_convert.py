"""Conversion between the formats: what goes there and comes back means the same, and what has no place is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patch_strategies import FORMATS, PATCHES, UNIFIED

from ghostd.base.errors import Cannot
from ghostd.model.patch import Format, Shell
from ghostd.patches.convert import convert, dump
from ghostd.patches.read import from_canonical, read_patch


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
@given(UNIFIED, st.sampled_from([Format.WEBHOOK, Format.EXECUTOR, Format.G2O]))
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
@given(PATCHES)
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


def test_the_original_s_own_example_of_g2o():
    """Commands before, as and after the change, each in its stage, and back to the same text."""
    mapping = {
        "patch": {
            "id": "patch-v1.0.0(P1.0.0)_smoke",
            "kind": "operational_smoke",
            "preflight": ["test -f app.py"],
            "execution": ["make gen", "make docs"],
            "validation": ["pytest -q"],
            "options": {"dryRun": False, "timeoutMs": 30000},
        }
    }
    patch = read_patch(json.dumps(mapping).encode())
    assert (patch.format, patch.mutations) == (Format.G2O, (Shell(run="make gen"), Shell(run="make docs")))
    assert (patch.validation.shell_before, patch.validation.shell) == (("test -f app.py",), ("pytest -q",))
    assert (patch.execution.timeout_ms, patch.allow_empty) == (30_000, True)
    assert convert(read_patch(dump(convert(patch, Format.UNIFIED), style="yaml")), Format.G2O) == mapping


def test_the_message_for_the_commit_is_the_description_of_a_patch_without_one():
    """The executor's final.git.commit is no note where nothing else tells what the patch does."""
    mapping = {"id": "p", "mutations": [], "final": {"git": {"commit": "feat: all of it", "tag": "v1"}}}
    patch = read_patch(json.dumps(mapping).encode())
    assert patch.description == "feat: all of it"
    assert read_patch(json.dumps({**mapping, "description": "mine"}).encode()).description == "mine"
    assert convert(read_patch(dump(convert(patch, Format.UNIFIED), style="json")), Format.EXECUTOR)["final"] == {
        "git": {"commit": "feat: all of it", "tag": "v1"}
    }


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
