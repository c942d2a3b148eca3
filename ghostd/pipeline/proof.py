"""The sealed statement of what became of a job and why: an in-toto Statement in canonical JSON, without a signature.

Its SHA-256 is the commit's `Ghost-Proof:` trailer, so the statement can not be changed afterwards without the commit
telling. It also names the head of the branch's proof log as it was then, so that each commit vouches for every entry
before it, those of refused patches too. Signatures are put around it later (`dsse.py`); they change nothing in it.
Format: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, bytes by RFC 8785.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

from ghostd.model.job import Job
from ghostd.model.patch import Match
from ghostd.pipeline.rules import Verdict

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:ghostd:mutation-proof:v1"
APPLIED = "applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The head of a proof log: how many entries it has, and the root of its Merkle tree in hex."""

    size: int
    root: str


def seal(
    job: Job,
    *,
    base: str | None,
    base_tree: str,
    tree: str,
    matches: Sequence[Match] = (),
    verdicts: Sequence[Verdict] = (),
    left_out: Sequence[str] = (),
    on_base: Collection[str] = (),
    policy: Mapping[str, Any] | None = None,
    log: Anchor | None = None,
    **more: Any,
) -> bytes:
    """The statement of a change: which patch, on which commit, under which policy, by which gates, gave which tree.

    `on_base` names the gates that looked at the base and not at the result. `more` are further JSON-able facts of the
    predicate, such as the commits that a rollback undoes.
    """
    predicate = {
        "outcome": APPLIED,
        "matches": [{"path": match.path.decode(errors="backslashreplace"), "level": match.level} for match in matches],
        "gates": [_gate(verdict, base_tree if verdict.name in on_base else tree) for verdict in verdicts],
        "gatesLeftOut": list(left_out),
        **more,
    }
    return _statement(job, base=base, base_tree=base_tree, tree=tree, policy=policy, log=log, predicate=predicate)


def seal_end(
    job: Job,
    told: Mapping[str, Any],
    *,
    base: str | None,
    base_tree: str,
    verdicts: Sequence[Verdict] = (),
    policy: Mapping[str, Any] | None = None,
    log: Anchor | None = None,
) -> bytes:
    """The statement of an end that changed no file: a refusal, a failure, a freeze, a thaw. `told` is the RESULT."""
    predicate: dict[str, Any] = {
        "outcome": told["status"],
        "matches": [],
        "gates": [_gate(verdict) for verdict in verdicts],
        "gatesLeftOut": [],
        **{key: told[key] for key in ("phase", "tag", "patches") if told.get(key)},
    }
    if told.get("error"):
        predicate["error"] = _error(told["error"])
    return _statement(job, base=base, base_tree=base_tree, tree=base_tree, policy=policy, log=log, predicate=predicate)


def _statement(
    job: Job,
    *,
    base: str | None,
    base_tree: str,
    tree: str,
    policy: Mapping[str, Any] | None,
    log: Anchor | None,
    predicate: Mapping[str, Any],
) -> bytes:
    shared = {
        "job": {"id": job.id, "kind": job.kind.value, "digest": job.digest, "lane": job.lane, "phase": job.phase},
        "base": {"commit": base, "tree": base_tree},
        "origin": {"door": job.origin.door, "source": job.origin.source},
        "received": job.received_at,
        "attempt": job.attempts,
        # Given once for each claim on the branch, so that two ends of one job have two statements.
        "claim": job.fence,
        "policy": dict(policy or {}),
        "log": {"size": log.size, "root": log.root} if log else None,
    }
    told = {
        "_type": STATEMENT,
        "subject": [{"name": f"refs/heads/{job.branch}", "digest": {"gitTree": tree}}],
        "predicateType": PREDICATE,
        "predicate": {**predicate, **shared},
    }
    return canonical(told)


def canonical(value: Any) -> bytes:
    """The bytes of RFC 8785. Python's own encoder gives the same ones, many times as fast, for all that is simple."""
    if _is_simple(value):
        try:
            return _ENCODER.encode(value).encode()
        except UnicodeEncodeError:
            # A lone surrogate somewhere.
            pass
    return rfc8785.dumps(_plain(value))


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _is_simple(value: Any) -> bool:
    """No number whose spelling could differ, and no name whose place could: RFC 8785 sorts by UTF-16."""
    kind = type(value)
    if kind is dict:
        for key, each in value.items():
            if type(key) is not str or not key.isascii():
                return False
            # Most are text, and a call for each would be most of the work.
            if type(each) is not str and not _is_simple(each):
                return False
        return True
    if kind is list or kind is tuple:
        return all(map(_is_simple, value))
    return kind is str or value is None or kind is bool or (kind is int and abs(value) <= _SAFE_INTEGER)


def _gate(verdict: Verdict, tree: str | None = None) -> dict[str, Any]:
    """A gate by what went in and what came out; its output, which may be long, by its digest."""
    row: dict[str, Any] = {
        "name": verdict.name,
        "status": verdict.said.value,
        "exit": verdict.status,
        "required": verdict.required,
        "runs": verdict.runs,
        "flake": verdict.flake,
        "cached": verdict.cached,
        "inputTree": verdict.tree or tree,
        "durationMs": verdict.duration_ms,
        "outputSha256": verdict.digest,
    }
    return row if verdict.audit is None else {**row, "audit": dict(verdict.audit)}


def _error(error: Mapping[str, Any]) -> dict[str, Any]:
    """A refusal by its words; its evidence, which may be long, by the digest of the whole."""
    whole = json.dumps(_plain(error), sort_keys=True, separators=(",", ":"), default=str)
    short = {key: error[key] for key in ("kind", "message", "path", "line", "gate") if key in error}
    return {**short, "sha256": hashlib.sha256(whole.encode()).hexdigest()}


def _plain(value: Any) -> Any:
    """The value without what canonical JSON can not hold: lone surrogates in a stranger's text, huge whole numbers."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {_plain(str(key)): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case int() if abs(value) > _SAFE_INTEGER:
            return str(value)
        case _:
            return value


#: Beyond it RFC 8785 refuses a whole number, because a double can not hold it.
_SAFE_INTEGER = 2**53 - 1


def digest(statement: bytes) -> str:
    """What the trailer holds; empty for a job that was never sealed."""
    return hashlib.sha256(statement).hexdigest() if statement else ""


def gates(statement: bytes) -> list[dict[str, Any]]:
    """The `gates` rows of a RESULT, read back from a statement."""
    predicate = json.loads(statement)["predicate"] if statement else {"gates": [], "gatesLeftOut": []}
    return [_row(gate) for gate in predicate["gates"]] + [
        {"name": name, "status": "skipped", "duration_ms": 0} for name in predicate["gatesLeftOut"]
    ]


def _row(gate: Mapping[str, Any]) -> dict[str, Any]:
    row = {"name": gate["name"], "status": gate["status"], "duration_ms": gate["durationMs"]}
    return row | {mark: True for mark in ("flake", "cached") if gate.get(mark)}


def matches(statement: bytes) -> list[dict[str, str]]:
    """The `matches` rows of a RESULT, read back from a statement."""
    found: list[dict[str, str]] = json.loads(statement)["predicate"]["matches"] if statement else []
    return found
