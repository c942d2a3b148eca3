"""The rules under which a job was judged, in words, for its statement."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from ghostd.model.patch import Validation
from ghostd.model.settings import LaneSettings
from ghostd.pipeline import rules

_FLAGS = {
    "enforceValidationGate": "enforce_validation_gate",
    "blockCommitOnError": "block_commit_on_error",
    "runDryCheck": "run_dry_check",
    "strictRuntimeAudit": "strict_runtime_audit",
    "forceRuntimeTrace": "force_runtime_trace",
    "requireMutationProof": "require_mutation_proof",
    "requireServiceUptime": "require_service_uptime",
}


@functools.lru_cache(maxsize=64)
def in_force(lane: LaneSettings, validation: Validation, *, no_gates: bool = False) -> Mapping[str, Any]:
    """What held for a job, in words, and the digest of these words: the lane's rules and the flags as they took effect.

    `validation` is what the patch asks; a strict lane tightens it.
    """
    wanted = rules.effective(validation, lane)
    said: dict[str, Any] = {
        "lane": lane.name,
        "strict": lane.strict,
        "match": lane.match,
        "allowShell": lane.allow_shell,
        "sandbox": lane.sandbox,
        "gates": [*lane.gates, *wanted.gates],
        "noGates": no_gates,
        "flags": {name: getattr(wanted, attribute) for name, attribute in _FLAGS.items()},
    }
    return {**said, "digest": hashlib.sha256(rfc8785.dumps(said)).hexdigest()}
