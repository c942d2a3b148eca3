"""The native format: a unified mapping becomes a Patch with its canonical bytes and digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ghostd.model.patch import Execution, Format, Mutation, Patch, Priority, Rename, Shell, Validation, Write
from ghostd.patches import canonical
from ghostd.patches.fields import Findings, Section
from ghostd.patches.formats.mutations import read_mutation
from ghostd.patches.formats.relative import relative

_ID = re.compile(r"(?![-.])(?!.*\.\.)[A-Za-z0-9._()+-]{1,200}(?<!\.)(?<!\.lock)")
ID_RULE = "1 to 200 of A-Z a-z 0-9 . _ ( ) + -, no - or . in front, no .. inside, no . or .lock at the end"

#: What the digest leaves out: how and when the patch was converted is no part of what it does.
FLEETING = frozenset({"convertedAt", "sourceFormat"})

#: Flag by flag: the key of the text and the field of Validation.
FLAGS: Mapping[str, str] = {
    "enforceValidationGate": "enforce_validation_gate",
    "blockCommitOnError": "block_commit_on_error",
    "runDryCheck": "run_dry_check",
    "strictRuntimeAudit": "strict_runtime_audit",
    "forceRuntimeTrace": "force_runtime_trace",
    "requireMutationProof": "require_mutation_proof",
    "requireServiceUptime": "require_service_uptime",
}
#: The stages of shell commands, in the order in which they would run: before the mutations, after them, as gates.
#: The executor format's own names, so that a patch converted there and back keeps each command in its stage.
STAGES = ("preCommit", "preMutationValidation", "postMutationBuild", "shell")
PRIORITIES: Mapping[str, Priority] = {priority.name.lower(): priority for priority in Priority}
TYPES = ("multi_mutation", "file_modification")

TOP = frozenset({"id", "type", "metadata", "target", "content", "validation", "execution"})
#: Where a key belongs that people put at the top.
PLACES: Mapping[str, str] = {
    **dict.fromkeys(("description", "author", "phase", "version", "session"), "metadata"),
    **dict.fromkeys(("role", "lane", "file", "files"), "target"),
    **dict.fromkeys(("mutations", "data", "allowEmpty"), "content"),
    **dict.fromkeys(("gates", "shell", *FLAGS), "validation"),
    **dict.fromkeys(("priority", "maxRetries", "timeout", "dependsOn", "approve"), "execution"),
}
DAY_MS = 24 * 3600 * 1000


def is_id(text: str) -> bool:
    """True where a text has the grammar of a patch id, which is also that of a phase."""
    return _ID.fullmatch(text) is not None


def detect(mapping: Mapping[str, Any]) -> bool:
    """True where a mapping is meant as a unified patch: it says so, or its content is one of the unified kinds."""
    content = mapping.get("content")
    inside = isinstance(content, dict) and (isinstance(content.get("mutations"), list) or content.get("type") in TYPES)
    return mapping.get("type") == "unified" or inside


def read(mapping: Mapping[str, Any], found: Findings, form: Format, prefixes: Sequence[str] = ()) -> Patch | None:
    """The patch that a unified mapping means; None where errors were noted."""
    whole = canonical_mapping(relative(mapping, prefixes, found))
    top = Section(whole, (), found)
    top.only(TOP, {key: f"{place}.{key}" for key, place in PLACES.items()})
    if top.text("type") not in (None, "unified"):
        top.error("type", "has to be unified")
    name = _id(top)
    metadata, target, content = top.section("metadata"), top.section("target"), top.section("content")
    phase = _phase(metadata)
    mutations = _mutations(content, target)
    _check_target(target, mutations)
    validation, execution = _validation(top.section("validation")), _execution(top.section("execution"))
    told = {key: metadata.text(key) or "" for key in ("description", "author", "session")}
    body = b"" if found.errors else canonical.dumps(whole)
    return (
        None
        if found.errors
        else Patch(
            id=name,
            format=form,
            mutations=mutations,
            canonical=body,
            digest=hashlib.sha256(body).hexdigest(),
            lane=target.text("lane") or None,
            role=target.text("role"),
            description=told["description"],
            author=told["author"],
            phase=phase,
            session=told["session"] or None,
            allow_empty=content.flag("allowEmpty", False),
            validation=validation,
            execution=execution,
            metadata=metadata.value,
        )
    )


def canonical_mapping(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A unified mapping without what the digest leaves out."""
    metadata = mapping.get("metadata")
    if not isinstance(metadata, dict):
        return dict(mapping)
    kept = {key: value for key, value in metadata.items() if key not in FLEETING}
    return {
        **{key: value for key, value in mapping.items() if key != "metadata"},
        **({"metadata": kept} if kept else {}),
    }


def _id(top: Section) -> str:
    name = top.text("id", required=True) or ""
    if top.value.get("id") == name and not is_id(name):
        top.error("id", f"is no id: {ID_RULE}")
    return name


def _phase(metadata: Section) -> str | None:
    phase = metadata.text("phase")
    if phase is not None and not is_id(phase):
        metadata.error("phase", f"is no phase: {ID_RULE}")
    return phase


def _mutations(content: Section, target: Section) -> tuple[Mutation, ...]:
    content.only({"type", "data", "mutations", "allowEmpty"})
    kind = content.text("type")
    if kind is not None and kind not in TYPES:
        content.error("type", f"has to be one of {', '.join(TYPES)}")
    content.flag("allowEmpty", False)
    if kind == "file_modification" or ("data" in content.value and "mutations" not in content.value):
        return _whole_file(content, target)
    if "data" in content.value:
        content.error("data", "stands beside `mutations`; give one of them")
    if "mutations" not in content.value:
        content.found.error(content.path, "`mutations` is missing")
    read = [read_mutation(section) for section in content.sections("mutations")]
    return tuple(each for each in read if each is not None)


def _whole_file(content: Section, target: Section) -> tuple[Mutation, ...]:
    """`type: file_modification`: the data is the text of target.file."""
    if "mutations" in content.value:
        content.error("mutations", "has no place in a file_modification")
    data, path = content.text("data", required=True), target.text("file", required=True, empty=False)
    return () if data is None or path is None else (Write(path=path.encode(), data=data.encode()),)


def _check_target(target: Section, mutations: tuple[Mutation, ...]) -> None:
    """The files that a target names have to be those that the mutations name: the patch would contradict itself."""
    target.only({"lane", "role", "file", "files"})
    target.text("lane")
    target.text("role")
    for key in ("file", "files"):
        if key not in target.value or target.found.errors:
            continue
        named = {target.text(key)} if key == "file" else set(target.texts(key))
        paths = {getattr(each, "path", None) for each in mutations if not isinstance(each, Shell)}
        known = {path.decode("utf-8", "replace") for path in paths if path is not None}
        targets = {each.to.decode("utf-8", "replace") for each in mutations if isinstance(each, Rename)}
        # A diff of several files and a command name their paths elsewhere.
        told = None not in paths and len(paths) > 0
        if not known <= named or (told and not named <= known | targets):
            target.error(key, f"names other files than the mutations: {', '.join(sorted(known | targets))[:300]}")


def _validation(section: Section) -> Validation:
    section.only({"gates", *STAGES, *FLAGS})
    defaults = Validation()
    shell = {stage: section.texts(stage) for stage in STAGES}
    return Validation(
        gates=section.texts("gates"),
        shell=shell["shell"],
        shell_before=shell["preCommit"] + shell["preMutationValidation"],
        shell_build=shell["postMutationBuild"],
        **{name: section.flag(key, getattr(defaults, name)) for key, name in FLAGS.items()},
    )


def _execution(section: Section) -> Execution:
    section.only({"priority", "maxRetries", "timeout", "dependsOn", "approve", "retryCount"})
    if "retryCount" in section.value:
        section.found.warning((*section.path, "retryCount"), "is ignored; ghost counts attempts itself")
    for index, name in enumerate(depends := section.texts("dependsOn")):
        if not is_id(name):
            section.found.error((*section.path, "dependsOn", index), f"is no id: {ID_RULE}")
    return Execution(
        priority=section.choice("priority", PRIORITIES, Priority.NORMAL),
        max_retries=section.number("maxRetries", 3, 0, 100),
        timeout_ms=section.number("timeout", 300_000, 1, DAY_MS),
        depends_on=depends,
        approve=section.flag("approve", False),
    )
