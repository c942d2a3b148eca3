"""Which earlier pass may stand for a run of a gate: the same gate, with the same tool, on the same files.

Only a pass at the first run is remembered; a failure is always looked at again. What is not in the key can not be seen:
installed libraries beside the tool, the network, the clock. That is why a gate has to ask for its cache, and why
`version` may be any command that prints what matters.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ghostd.base.files import make_dir
from ghostd.model.service import Limits
from ghostd.model.settings import GateSettings
from ghostd.pipeline import audit, gates, rules
from ghostd.pipeline.gates import Bench
from ghostd.pipeline.rules import Said, Verdict
from ghostd.pipeline.task import Answer, Subject, Task
from ghostd.repo import objects
from ghostd.store.ports import Ledger, Pass

#: Seconds for a tool to tell its version.
VERSION_TIMEOUT = 30.0
#: The version of what a key is made of: another one finds no older pass.
_FORM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a pass is remembered under; `tool` and `files` are what it was made of, for people."""

    key: str
    tool: str
    files: str


def keys(tasks: Sequence[Task], bench: Bench) -> dict[int, Key]:
    """The keys of those tasks whose gates have a cache and whose tool tells what it is, by their index."""
    asked = [index for index, task in enumerate(tasks) if task.gate.cache]
    told = gates.side_by_side([lambda index=index: _tool(tasks[index], bench) for index in asked], bench)  # type: ignore[misc]
    tools = {asked[place]: tool for place, tool in told if tool is not None}
    # Not in the threads: a repository belongs to one at a time.
    return {index: _key(tasks[index], tool) for index, tool in sorted(tools.items())}


def found(ledger: Ledger, key: Key, task: Task) -> Answer | None:
    """The earlier pass as an answer; None where there is none."""
    before = ledger.cached_pass(key.key)
    if before is None:
        return None
    ledger.use_pass(key.key)
    return _answer(before, task)


def remember(ledger: Ledger, key: Key, task: Task, id: str, verdict: Verdict) -> None:
    """Keep a pass, if it is one that may stand for others."""
    if verdict.said is Said.PASSED and verdict.runs == 1 and not verdict.cached:
        ledger.add_pass(key.key, task.gate.name, id, key.tool, key.files, verdict.duration_ms)


def _answer(before: Pass, task: Task) -> Answer:
    verdict = Verdict(
        name=task.gate.name,
        said=Said.PASSED,
        required=task.gate.required,
        duration_ms=0,
        runs=0,
        status=0,
        cached=True,
        tree=task.subject.tree,
    )
    if task.audited:
        verdict = replace(verdict, audit=audit.cached(task.subject.tree, before.key, before.id))
    return Answer(verdict=verdict)


def _key(task: Task, tool: str) -> Key:
    tool = tool or _from_tree(task)
    files = _files(task.gate, task.subject)
    gate = task.gate
    parts: dict[str, Any] = {
        "form": _FORM,
        "gate": gate.name,
        "run": gate.run,
        "when": gate.when,
        "limits": gate.limits.as_json(),
        "timeout": gate.timeout,
        "network": gate.network,
        "sandbox": task.policy,
        "environment": gates.environment(Path()),
        "tool": tool,
        "files": files,
    }
    return Key(key=_digest(json.dumps(parts, sort_keys=True).encode()), tool=tool, files=files)


def _tool(task: Task, bench: Bench) -> str | None:
    """What tells the tool's version: None where nothing does, and then no pass is reused; empty for one in the tree."""
    if task.gate.version:
        return _told(task, bench)
    program = task.gate.run[0]
    if "/" in program and not program.startswith("/"):
        return ""
    path = shutil.which(program)
    return f"sha256:{audit.executable(Path(path))}" if path else None


def _from_tree(task: Task) -> str:
    """A tool that the tree brings along, by its blob: the gate's paths need not name it."""
    name = task.gate.run[0].removeprefix("./")
    entry = objects.GitTree(task.subject.repo, task.subject.tree).entry(name.encode(errors="surrogateescape"))
    return f"blob:{entry.oid}" if entry else "blob:"


def _told(task: Task, bench: Bench) -> str | None:
    """The output of the gate's `version` command, run like the gate itself but in an empty folder."""
    asking = replace(task.gate, run=task.gate.version, timeout=VERSION_TIMEOUT, limits=_limits(task.gate.limits))
    with gates.throw_away(bench) as folder:
        deadline = min(task.deadline, time.monotonic() + VERSION_TIMEOUT)
        asked = replace(task, gate=asking, deadline=deadline, subject=replace(task.subject, facts={}))
        finished = gates.run_in(make_dir(folder / "empty"), asked, bench)
    if finished.status != 0 or finished.timed_out:
        return None
    return " ".join(finished.output.decode(errors="replace").split())[:500]


def _limits(limits: Limits) -> Limits:
    return replace(limits, cpu_time=VERSION_TIMEOUT)


def _files(gate: GateSettings, subject: Subject) -> str:
    """The tree's id; of a gate with `paths` the digest of the files that fit them."""
    if not gate.paths:
        return f"tree:{subject.tree}"
    tree = objects.GitTree(subject.repo, subject.tree)
    digest = hashlib.sha256()
    for path in tree.below(b""):
        if rules.concerns(gate, [path.decode(errors="surrogateescape")]):
            entry = tree.entry(path)
            assert entry is not None
            digest.update(b"%o %s %b\0" % (entry.mode, entry.oid.encode(), path))
    return f"sha256:{digest.hexdigest()}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
