"""The sealed statement of what was committed and why: an in-toto Statement, canonical JSON, not signed yet.

Its SHA-256 is the commit's `Ghost-Proof:` trailer, so the statement can not be changed afterwards without the commit
telling. Format: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, bytes by RFC 8785.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785

from ghostd.model.job import Job
from ghostd.model.patch import Match
from ghostd.pipeline.rules import Verdict

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:ghostd:mutation-proof:v1"


def seal(
    job: Job,
    *,
    base: str | None,
    base_tree: str,
    tree: str,
    matches: Sequence[Match] = (),
    verdicts: Sequence[Verdict] = (),
    left_out: Sequence[str] = (),
) -> bytes:
    """The statement's bytes: which patch, on which commit, checked by which gates, gave which tree."""
    predicate: dict[str, Any] = {
        "job": {"id": job.id, "kind": job.kind.value, "digest": job.digest, "lane": job.lane},
        "base": {"commit": base, "tree": base_tree},
        "matches": [{"path": match.path.decode(errors="backslashreplace"), "level": match.level} for match in matches],
        "gates": [_gate(verdict) for verdict in verdicts],
        "gatesLeftOut": list(left_out),
        "origin": {"door": job.origin.door, "source": job.origin.source},
        "attempt": job.attempts,
    }
    return rfc8785.dumps(
        {
            "_type": STATEMENT,
            "subject": [{"name": f"refs/heads/{job.branch}", "digest": {"gitTree": tree}}],
            "predicateType": PREDICATE,
            "predicate": predicate,
        }
    )


def _gate(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.name,
        "status": verdict.said.value,
        "exit": verdict.status,
        "required": verdict.required,
        "runs": verdict.runs,
        "durationMs": verdict.duration_ms,
        "outputSha256": hashlib.sha256(verdict.output.encode(errors="surrogateescape")).hexdigest(),
    }


def digest(statement: bytes) -> str:
    """What the trailer holds; empty for a job that was never sealed."""
    return hashlib.sha256(statement).hexdigest() if statement else ""


def gates(statement: bytes) -> list[dict[str, Any]]:
    """The `gates` rows of a RESULT, read back from a statement."""
    predicate = json.loads(statement)["predicate"] if statement else {"gates": [], "gatesLeftOut": []}
    ran = [{"name": g["name"], "status": g["status"], "duration_ms": g["durationMs"]} for g in predicate["gates"]]
    return ran + [{"name": name, "status": "skipped", "duration_ms": 0} for name in predicate["gatesLeftOut"]]


def matches(statement: bytes) -> list[dict[str, str]]:
    """The `matches` rows of a RESULT, read back from a statement."""
    found: list[dict[str, str]] = json.loads(statement)["predicate"]["matches"] if statement else []
    return found


def contradictions(statement: bytes, *, job: Job, tree: str, parent: str | None) -> list[str]:
    """In which points a statement does not tell of this job and commit."""
    told: Mapping[str, Any] = json.loads(statement)
    predicate = told["predicate"]
    facts = (
        ("id", predicate["job"]["id"], job.id),
        ("digest", predicate["job"]["digest"], job.digest),
        ("tree", told["subject"][0]["digest"]["gitTree"], tree),
        ("base", predicate["base"]["commit"], parent),
    )
    return [f"its proof says {name} {said}, Git says {real}" for name, said, real in facts if said != real]
