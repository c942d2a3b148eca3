"""The three formats: what each key means, which mistakes are told where, and which digest comes out."""

from __future__ import annotations

import hashlib
import json

import pytest
import rfc8785

from ghostd.model.patch import (
    Chmod,
    Delete,
    Diff,
    Format,
    Insert,
    JsonPatch,
    Priority,
    Regex,
    Rename,
    Replace,
    Symlink,
    Write,
)
from ghostd.model.tree import Mode
from ghostd.patches.convert import dump
from ghostd.patches.read import Malformed, documents, from_canonical, inspect, read_document, read_patch


def unified(*mutations, **more):
    return {"id": "p", "type": "unified", "content": {"mutations": list(mutations)}, **more}


def read(mapping, **options):
    return read_patch(json.dumps(mapping, indent=1).encode(), **options)


A = {"path": "a", "contents": "x"}

MUTATIONS = [
    ({"op": "write", **A, "mode": "0755"}, Write(path=b"a", data=b"x", mode=Mode.EXECUTABLE)),
    ({"op": "upsert", **A}, Write(path=b"a", data=b"x")),
    (A, Write(path=b"a", data=b"x")),
    ({"op": "write", "path_b64": "/w==", "contents_b64": "AP8="}, Write(path=b"\xff", data=b"\0\xff")),
    ({"op": "symlink", "path": "l", "target": "a/b"}, Symlink(path=b"l", target=b"a/b")),
    ({"op": "delete", "path": "é"}, Delete(path="é".encode())),
    ({"op": "rename", "path": "a", "to_b64": "/w=="}, Rename(path=b"a", to=b"\xff")),
    ({"op": "mode", "path": "a", "mode": "0644"}, Chmod(path=b"a", mode=Mode.FILE)),
    ({"op": "replace", "path": "a", "search": "s", "replace": ""}, Replace(path=b"a", search=b"s", replace=b"")),
    (
        {"op": "regex", "path": "a", "pattern": "s+", "replacement": "r", "count": 2},
        Regex(path=b"a", pattern="s+", replacement="r", count=2),
    ),
    ({"op": "insert", **A, "after": "s"}, Insert(path=b"a", data=b"x", after=b"s")),
    ({"op": "insert", **A, "before": "s"}, Insert(path=b"a", data=b"x", before=b"s")),
    ({"op": "insert", **A, "line": 3}, Insert(path=b"a", data=b"x", line=3)),
    ({"op": "diff", "path": "a", "diff": "@@"}, Diff(diff=b"@@", path=b"a")),
    ({"op": "diff", "diff_b64": "QEA="}, Diff(diff=b"@@")),
    (
        {"op": "json", "path": "a", "patch": [{"op": "move", "from": "/a", "path": "/b~1"}]},
        JsonPatch(path=b"a", operations=({"op": "move", "from": "/a", "path": "/b~1"},)),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("mapping", "mutation"), MUTATIONS)
def test_every_op_becomes_its_mutation(mapping, mutation):
    assert read(unified(mapping)).mutations == (mutation,)


def J(step):  # noqa: N802 - a constant's kind of name, for the table
    return {"op": "json", "path": "a", "patch": [step]}


G = {"id": "p", "execution": []}
M, P = "content.mutations[0]", "patch.mutations[0]"
# what is wrong, key path, words
MISTAKES = [
    ({"id": "p", "type": "unified", "contents": {}}, "contents", "did you mean `content`?"),
    (unified(A, mutations=[]), "mutations", "did you mean `content.mutations`?"),
    (unified(A, description="x"), "description", "metadata.description"),
    (unified(A, validation={"runDryChecks": True}), "validation.runDryChecks", "did you mean `runDryCheck`?"),
    (unified({**A, "content": "y"}), M + ".content", "did you mean `contents`?"),
    (unified({"op": "wrote", **A}), M + ".op", "op wrote is unknown"),
    (unified({"op": "apply_patch", "patch": "x"}), M + ".patch", "is no V4A patch"),
    (unified({"op": "blocks", "text": "x"}), M + ".text", "has no usable blocks"),
    (unified({"op": "json", "path": "a", "patch": {}}), M + ".patch", "has to be a list"),
    (unified({"op": "json", "path": "a", "patch": []}), M + ".patch", "must not be empty"),
    (unified({"op": "json", "path": "a", "patch": [{"path": "/a"}]}), M + ".patch[0]", "`op` is missing"),
    (unified(J({"op": "put", "path": "/a"})), M + ".patch[0].op", "one of add, remove, replace, move, copy, test"),
    (unified(J({"op": "add", "path": "/a"})), M + ".patch[0]", "`value` is missing"),
    (unified(J({"op": "move", "path": "/a"})), M + ".patch[0]", "`from` is missing"),
    (unified(J({"op": "remove", "path": "/a", "value": 1})), M + ".patch[0].value", "unknown key"),
    (unified(J({"op": "remove", "path": "a"})), M + ".patch[0].path", "no JSON pointer"),
    (unified(J({"op": "copy", "from": "/~2", "path": "/a"})), M + ".patch[0].from", "~0 or ~1"),
    (unified(J({"op": "remove", "path": "/a" * 65})), M + ".patch[0].path", "more than 64 parts"),
    (unified(A, {"path": "a"}), "content.mutations[1]", "`contents` is missing"),
    (unified("x"), M, "has to be a mapping"),
    (unified({**A, "mode": 420}), M + ".mode", "has to be a text"),
    (unified({**A, "mode": "0777"}), M + ".mode", "one of 0644, 0755"),
    (unified({"path": "a", "contents": {"pattern": "x"}}), M + ".contents", "has to be a text, and is a mapping"),
    (unified({**A, "contents_b64": "AA=="}), M + ".contents_b64", "beside"),
    (unified({"path": "a", "contents_b64": "A*"}), M + ".contents_b64", "not base64"),
    (unified({"path": "/tmp/x", "contents": ""}), M + ".path", "absolute"),
    (unified({"path_b64": "L2V0Yw==", "contents": ""}), M + ".path_b64", "absolute"),
    (unified({"op": "replace", "path": "a", "search": "", "replace": ""}), M + ".search", "empty"),
    (unified({"op": "replace", "path": "a", "search": "s", "replace": "", "count": 0}), M + ".count", "between"),
    (unified({"op": "replace", "path": "a", "search": "s", "replace": "", "count": True}), M + ".count", "whole"),
    (unified({"op": "regex", "path": "a", "pattern": "(", "replacement": ""}), M + ".pattern", "not a regular"),
    (unified({"op": "regex", "path": "a", "pattern": "a" * 10_001, "replacement": ""}), M + ".pattern", "longer"),
    (unified({"op": "insert", **A}), M, "exactly one"),
    (unified({"op": "insert", **A, "line": 1, "after": "x"}), M, "exactly one"),
    (unified({"op": "insert", **A, "line": 0}), M + ".line", "between"),
    (unified(A, target={"files": ["b"]}), "target.files", "names other files"),
    (unified(A, target="MAIN"), "target", "has to be a mapping"),
    (unified(A, metadata={"phase": "a b"}), "metadata.phase", "is no phase"),
    (unified(A, metadata={"author": 5}), "metadata.author", "has to be a text"),
    (unified(A, validation={"runDryCheck": "yes"}), "validation.runDryCheck", "true or false"),
    (unified(A, validation={"gates": ["ok", ""]}), "validation.gates[1]", "not empty"),
    (unified(A, execution={"priority": "urgent"}), "execution.priority", "low, normal, high, critical"),
    (unified(A, execution={"timeout": 0}), "execution.timeout", "between"),
    (unified(A, execution={"timeout": 1.5}), "execution.timeout", "whole number"),
    (unified(A, execution={"dependsOn": ["../x"]}), "execution.dependsOn[0]", "is no id"),
    ({"id": "p", "type": "unified"}, "content", "`mutations` is missing"),
    ({"id": "p", "type": "unify", "content": {"mutations": []}}, "type", "has to be unified"),
    ({"id": "p", "content": {"type": "file_modification", "data": {}}, "target": {"file": "a"}}, "content.data", "map"),
    ({"id": "p", "content": {"type": "file_modification", "data": "x"}}, "target", "`file` is missing"),
    ({"id": "p", "content": {"mutations": []}, "patch": 1}, "patch", "unknown key"),
    ({"id": "p", "target_file": "a"}, "", "`patch` is missing"),
    ({"id": "p", "target_file": "a", "patch": 1}, "patch", "has to be a text"),
    ({"id": "p", "patch": "x"}, "", "`target_file` is missing"),
    ({"id": "p", "target_file": "a", "patch": {"pattern": "x"}}, "patch", "`replacement` is missing"),
    ({"id": "p", "target_file": "/etc/x", "patch": "x"}, "target_file", "absolute"),
    ({"id": "p", "target_file": "a", "patch": "x", "targetfile": "a"}, "targetfile", "did you mean `target_file`?"),
    ({"id": "p", "target_file": "a", "patch": {"mutations": [{"op": "mode", "mode": "x"}]}}, P + ".mode", "one of"),
    ({"id": "p", "mutations": [{**A, "insertAt": "1"}]}, "mutations[0].insertAt", "whole number"),
    ({"id": "p", "mutations": [], "validate": {"shell": [1]}}, "validate.shell[0]", "has to be a text"),
    ({"id": "p", "mutations": [], "validate": {"backup": True}}, "validate.backup", "unknown key"),
    ({"id": "p", "mutations": [], "final": {"tag": "x"}}, "final.tag", "unknown key"),
    ({"id": "p", "mutations": [], "runDryCheck": 1}, "runDryCheck", "true or false"),
    ({"blockId": "a b", "mutations": []}, "blockId", "is no id"),
    ({"blockId": "p"}, "", "`mutations` is missing"),
    ({"patch": {"kind": "test", "execution": []}}, "", "`id` is missing"),
    ({"patch": {"id": "p", "kind": "test"}}, "patch", "`execution` is missing"),
    ({"patch": {"id": "p", "kind": "test", "execution": [1]}}, "patch.execution[0]", "has to be a mapping"),
    ({"patch": {"id": "p", "kind": "test", "execution": [""]}}, "patch.execution[0]", "empty"),
    ({"patch": {"id": "p", "kind": "test", "execution": 1}}, "patch.execution", "has to be a list"),
    ({"patch": {"id": "p", "kind": "test", "preflight": 1}}, "patch.preflight", "has to be a list"),
    ({"patch": {**G, "kind": 1}}, "patch.kind", "has to be a text"),
    ({"patch": {"id": "p", "kind": "test", "command": []}}, "patch.command", "unknown key"),
    ({"patch": {"id": "p", "kind": "test"}, "id": "p"}, "id", "did you mean `patch.id`?"),
    ({"patch": {**G, "options": {"dryRun": True}}}, "patch.options.dryRun", "apply --dry-run"),
    ({"patch": {**G, "options": {"timeoutMs": "5"}}}, "patch.options.timeoutMs", "whole number"),
    ({"patch": {**G, "options": {"timeout": 5}}}, "patch.options.timeout", "did you mean `timeoutMs`?"),
    ({"id": "p", "something": "else"}, "", "no known patch format"),
]  # fmt: skip


@pytest.mark.parametrize(("mapping", "path", "words"), MISTAKES)
def test_a_mistake_is_told_with_its_key(mapping, path, words):
    """Also in the formats that are turned into another one: the path is the text's own."""
    with pytest.raises(Malformed) as caught:
        read(mapping)
    assert caught.value.details["path"] == path
    assert words in str(caught.value)
    assert caught.value.line is not None


def test_all_mistakes_are_told_at_once():
    """The details list every one with its line."""
    with pytest.raises(Malformed) as caught:
        read({"id": "", "type": "unified", "content": {"mutations": [{"op": "x"}, {"op": "delete"}]}, "x": 1})
    problems = caught.value.details["problems"]
    assert [each["path"] for each in problems] == ["x", "id", M + ".op", "content.mutations[1]"]
    assert [each["line"] for each in problems] == [14, 2, 7, 9]


IDS = {
    True: ["p", "a" * 200, "patch-v3.3.31(P8.13.23)_flask-health", "a.b", "A+b", "_x", "(x)"],
    False: ["", "a" * 201, "-x", ".x", "a..b", "a.", "a.lock", "a b", "a/b", "a:b", "é", "a\n", "a~1", "{x}", "a@{1}"],
}


@pytest.mark.parametrize(("good", "name"), [(good, name) for good, names in IDS.items() for name in names])
def test_the_grammar_of_an_id(good, name):
    """An id is safe as a file name, a tag and a line of a commit message."""
    if good:
        assert read(unified(A) | {"id": name}).id == name
        return
    with pytest.raises(Malformed, match="is no id"):
        read(unified(A) | {"id": name})


def test_every_key_of_the_native_format_arrives():
    patch = read(
        unified(
            A,
            metadata={"description": "d", "author": "gpt", "phase": "P1", "session": "s", "version": "v1", "tags": [1]},
            target={"lane": "BRAUN", "role": "backend", "files": ["a"]},
            validation={"gates": ["lint"], "strictRuntimeAudit": True, "enforceValidationGate": False},
            execution={"priority": "high", "maxRetries": 1, "timeout": 5, "dependsOn": ["q"], "approve": True},
        )
    )
    assert (patch.lane, patch.role, patch.author, patch.phase, patch.session) == ("BRAUN", "backend", "gpt", "P1", "s")
    assert (patch.description, patch.metadata["tags"], patch.warnings) == ("d", [1], ())
    assert patch.validation.gates == ("lint",)
    assert (patch.validation.strict_runtime_audit, patch.validation.enforce_validation_gate) == (True, False)
    execution = patch.execution
    assert (execution.priority, execution.max_retries, execution.timeout_ms) == (Priority.HIGH, 1, 5)
    assert (execution.depends_on, execution.approve) == (("q",), True)


def test_what_means_nothing_is_a_warning():
    """Known keys of the older formats change nothing and are told; retries are counted by ghost."""
    executor = {"id": "p", "mutations": [A], "autoExecute": True, "execution": {"onReloadHang": 1, "retryCount": 2}}
    mapping = {
        **executor,
        "preCommit": {"backup": True},
        "metadata": {"anything": {"deep": 1}},
        "final": {"summary": "x"},
    }
    (report,) = inspect(json.dumps(mapping, indent=1).encode())
    told = {warning.path: warning.line for warning in report.patch.warnings}
    assert [warning.path for warning in read(mapping).warnings] == list(told)
    assert told.keys() == {
        "autoExecute",
        "execution.onReloadHang",
        "execution.retryCount",
        "preCommit.backup",
        "metadata",
        "final",
    }
    assert None not in told.values()


def test_the_lane_of_an_older_format_is_its_target():
    patch = read({"blockId": "p", "target": "CYOPS", "role": "r", "phase": "P 1", "priority": "soon", "mutations": [A]})
    assert (patch.lane, patch.role, patch.phase, patch.execution.priority) == ("CYOPS", "r", None, Priority.NORMAL)


PREFIX = ["/Users/me/repo/", "/Users/me/repo/sub"]


def test_absolute_paths_under_a_prefix_become_relative():
    """Everywhere a path can stand, and the digest is that of the relative form."""
    target = {"file": "/Users/me/repo/a"}
    absolute = unified({"path": "/Users/me/repo/a", "contents": "x"}, target=target)
    assert read(absolute, prefixes=PREFIX).digest == read(unified(A, target={"file": "a"})).digest
    longest = read(unified({"op": "rename", "path": "/Users/me/repo/sub/a", "to": "/Users/me/repo/b"}), prefixes=PREFIX)
    assert longest.mutations == (Rename(path=b"a", to=b"b"),)
    coded = read(unified({"path_b64": "L1VzZXJzL21lL3JlcG8v/w==", "contents": "x"}), prefixes=PREFIX)
    assert coded.mutations == (Write(path=b"\xff", data=b"x"),)
    for path in ("/Users/me/repository/a", "/Users/me/repo/", "/Users/me"):
        with pytest.raises(Malformed, match="absolute"):
            read(unified({"path": path, "contents": "x"}), prefixes=PREFIX)


def test_the_digest_is_that_of_the_canonical_text():
    """RFC 8785 of the unified mapping as written, without the two keys that tell of a conversion."""
    mapping = unified(A, metadata={"author": "é", "n": 1.0}, execution={"maxRetries": 3})
    fleeting = {**mapping, "metadata": {**mapping["metadata"], "convertedAt": "now", "sourceFormat": "webhook"}}
    patch = read(fleeting)
    assert patch.canonical == rfc8785.dumps(mapping)
    assert patch.digest == hashlib.sha256(rfc8785.dumps(mapping)).hexdigest()
    assert read(unified(A, metadata={"convertedAt": "now"})).canonical == rfc8785.dumps(unified(A))


def test_one_patch_has_one_digest_however_it_is_written():
    """JSON or YAML, any order of keys, webhook or the unified form of it."""
    webhook = {"id": "p", "role": "r", "description": "d", "target_file": "a", "patch": "x"}
    whole = unified({"op": "write", **A}, metadata={"description": "d"}, target={"role": "r"})
    texts = [dump(dict(reversed(each.items())), style=style) for each in (webhook, whole) for style in ("json", "yaml")]
    assert len({read_patch(text).digest for text in texts}) == 1


def test_a_canonical_body_of_deep_metadata_reads_back():
    """What the executor format keeps for the way back does not make its own body unreadable."""
    deep: dict = {}
    for _ in range(25):
        deep = {"x": deep}
    patch = read({"id": "p", "mutations": [A], "git": deep})
    assert from_canonical(patch.canonical).digest == patch.digest


def test_a_file_with_two_patches_is_not_one_patch():
    """Each document reads alone, with the lines of the file."""
    text = b"id: p\nmutations: []\n---\nid: q\nmutations: 5\n"
    with pytest.raises(Malformed, match="2 patches, where one is expected"):
        read_patch(text)
    first, second = documents(text)
    assert read_document(first).format is Format.EXECUTOR
    with pytest.raises(Malformed) as caught:
        read_document(second)
    assert (caught.value.line, caught.value.details["path"]) == (3, "")
