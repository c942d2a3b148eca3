"""Every decision on a change's way: data and `now` in, a value out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Happening, Job, Landed, State
from ghostd.model.patch import Validation
from ghostd.model.settings import GateSettings, LaneSettings, Settings

#: Pauses before the attempts after one that could not come to a verdict (disk, tool): short, a person may be waiting.
RETRY_PAUSES = (0.2, 1.0, 5.0)


# Which lane -----------------------------------------------------------------------------------------------------


def lane_for(settings: Settings, wanted: str | None) -> tuple[LaneSettings, str]:
    """The lane of a name or alias, and a warning where it is unknown and the default lane stands in."""
    if wanted is None:
        return settings.default_lane, ""
    for lane in settings.lanes.values():
        if wanted == lane.name or wanted in lane.aliases:
            return lane, ""
    fallback = settings.default_lane
    return fallback, f"lane {wanted} is unknown; {fallback.name} is used"


# The same id again ----------------------------------------------------------------------------------------------


class Repeat(StrEnum):
    """What a submission of a known id means."""

    WAIT = "wait"
    ALREADY = "already"
    EARLIER = "earlier"
    REVERTED = "reverted"
    REUSED = "id-reused"
    REWOUND = "rewound"


def repeat(job: Job, digest: str, *, stands: bool, taken_back: str | None) -> Repeat:
    """Meaning of submitting `digest` under the id of `job`; `stands`: its commit is in the tip's history."""
    if job.digest != digest:
        return Repeat.REUSED
    if not job.state.terminal:
        return Repeat.WAIT
    if job.state is not State.APPLIED:
        return Repeat.EARLIER
    if taken_back:
        return Repeat.REVERTED
    return Repeat.ALREADY if stands else Repeat.REWOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What Git already holds of a claimed job's id."""

    landed: Landed | None
    taken_back: str | None


class Before(StrEnum):
    """What a worker does with a claimed job in view of Git."""

    WORK = "work"
    RECORD = "record"
    ALREADY = "already"
    REUSED = "id-reused"
    REVERTED = "reverted"


def before_work(job: Job, traces: Traces, proof: str) -> Before:
    """`proof` is the digest of the statement in the job's row: the commit that bears it is this job's own."""
    if traces.landed is None:
        return Before.WORK
    if proof and traces.landed.proof == proof:
        return Before.RECORD
    if traces.landed.digest != job.digest:
        return Before.REUSED
    return Before.REVERTED if traces.taken_back else Before.ALREADY


# Gates ----------------------------------------------------------------------------------------------------------


def effective(validation: Validation, lane: LaneSettings) -> Validation:
    """A patch may tighten what its lane asks, never loosen it: a strict lane sets all seven flags."""
    if not lane.strict:
        return validation
    return replace(
        validation,
        enforce_validation_gate=True,
        block_commit_on_error=True,
        run_dry_check=True,
        strict_runtime_audit=True,
        force_runtime_trace=True,
        require_mutation_proof=True,
        require_service_uptime=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Gates to run, in order, and the names of those that the owner's --no-gates left out."""

    run: tuple[GateSettings, ...]
    left_out: tuple[str, ...] = ()


def select_gates(
    gates: Mapping[str, GateSettings],
    lane: LaneSettings,
    asked: Sequence[str],
    paths: Iterable[bytes],
    *,
    no_gates: bool = False,
) -> Selection:
    """The lane's gates, then the patch's own wishes, each once. Raises Cannot(unknown-gate) for a name nobody knows."""
    names = tuple(dict.fromkeys((*lane.gates, *asked)))
    unknown = [name for name in names if name not in gates]
    if unknown:
        raise Cannot(
            f"run gate {unknown[0]}: it is not configured",
            kind="unknown-gate",
            hint=f"known gates: {', '.join(sorted(gates)) or 'none'}",
            gate=unknown[0],
        )
    touched = [path.decode(errors="surrogateescape") for path in paths]
    fitting = [gates[name] for name in names if concerns(gates[name], touched)]
    left_out = tuple(gate.name for gate in fitting if no_gates and not gate.required)
    return Selection(run=tuple(gate for gate in fitting if gate.name not in left_out), left_out=left_out)


def concerns(gate: GateSettings, paths: Sequence[str]) -> bool:
    """`**/` in a glob also fits no folder at all, as people expect of `**/*.py`."""
    globs = {variant for glob in gate.paths for variant in (glob, glob.removeprefix("**/"))}
    return not globs or any(fnmatchcase(path, glob) for path in paths for glob in globs)


#: No configured gate can have a name that begins like this.
_OWN = "shell:"
#: However a lane shuts in its gates, a stranger's command gets every layer or does not run.
OWN_POLICY = "required"


def own_gates(wanted: Validation) -> tuple[GateSettings, ...]:
    """The patch's own gate commands as gates; whether one of them blocks is for the patch's flags to say."""
    return tuple(own_gate(str(number), run, required=False) for number, run in enumerate(wanted.shell, 1))


def own_gate(name: str, command: str, *, required: bool) -> GateSettings:
    """A command of the patch's own, with the limits of any gate. Only in the sandbox may /bin/sh have such a text."""
    return GateSettings(name=f"{_OWN}{name}", run=("/bin/sh", "-c", command), required=required)


def is_own(gate: GateSettings) -> bool:
    """Whether a gate is a command of a patch's own."""
    return gate.name.startswith(_OWN)


class Said(StrEnum):
    """What a gate said."""

    PASSED = "passed"
    FAILED = "failed"
    #: It could not be run, or ran out of time: no verdict.
    ERROR = "error"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One gate's answer after its last run."""

    name: str
    said: Said
    required: bool
    duration_ms: int
    runs: int = 1
    #: Exit status, or minus a signal; None where it could not be started.
    status: int | None = None
    #: The end of what it printed.
    output: str = ""
    #: SHA-256 in hex of all that was kept of it; empty where it was not run.
    digest: str = ""
    error: str = ""
    #: It was not run: the same gate passed on the same files with the same tool before.
    cached: bool = False
    #: It failed first and passed then.
    flake: bool = False
    #: The tree that it looked at.
    tree: str | None = None
    #: Where the patch or its lane asks for it: the gate's inputs, tool, limits, layers and what each run used.
    audit: Mapping[str, Any] | None = None

    @property
    def ended(self) -> str:
        """How its command ended, in words."""
        status = self.status or 0
        return self.error or (f"exit status {status}" if status >= 0 else f"killed by signal {-status}")

    def as_json(self) -> dict[str, object]:
        """The gate's row of a RESULT."""
        row: dict[str, object] = {"name": self.name, "status": self.said.value, "duration_ms": self.duration_ms}
        marks = {"flake": self.flake, "cached": self.cached}
        return row | {name: True for name, so in marks.items() if so}


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """All that has to hold holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A verdict on the patch."""

    gate: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class NoVerdict:
    """A gate that has to speak could not."""

    gate: Verdict


def decide(verdicts: Iterable[Verdict], validation: Validation) -> Commit | Reject | NoVerdict:
    """A required gate always blocks; the others as the patch's flags say."""
    for verdict in verdicts:
        if verdict.said is Said.FAILED and (verdict.required or validation.enforce_validation_gate):
            return Reject(gate=verdict)
        if verdict.said in (Said.ERROR, Said.TIMEOUT) and (verdict.required or validation.block_commit_on_error):
            return NoVerdict(gate=verdict)
    return Commit()


# Trying again ---------------------------------------------------------------------------------------------------

#: What may be gone at the next attempt by itself.
TRANSIENT = frozenset(
    {"disk-full", "os-error", "ledger-busy", "gate-error", "gate-timeout", "branch-contended", "pool-full"}
)
#: No verdict either, but a person has to act first: trying again would only repeat the wait.
STUCK = frozenset(
    {
        "git-locked",
        "git-failed",
        "git-missing",
        "repo-missing",
        "repo-invalid",
        "repo-unsupported",
        "repo-foreign",
        "bad-branch",
        "unsafe-tree",
        "sandbox-missing",
        "ledger-damaged",
        "ledger-too-new",
        "ledger-unreachable",
        "bug",
    }
)


def after_failure(kind: str, attempts: int, max_retries: int, now: float) -> float | Happening:
    """Wall time of the next attempt after `attempts` of them, or FAIL, or REJECT where the kind is a verdict."""
    if kind in STUCK or (kind in TRANSIENT and attempts > max_retries):
        return Happening.FAIL
    if kind in TRANSIENT:
        return now + pause(attempts)
    return Happening.REJECT


def pause(attempts: int) -> float:
    """Seconds before the attempt after so many."""
    return RETRY_PAUSES[min(attempts, len(RETRY_PAUSES)) - 1]


def dependencies(states: Mapping[str, State | None], stands: Mapping[str, bool]) -> str:
    """Why a patch must not run in view of what it depends on; empty where it may."""
    for name, state in states.items():
        if state is None:
            return f"it depends on {name}, which is unknown"
        if state is not State.APPLIED:
            return f"it depends on {name}, which is {state}"
        if not stands[name]:
            return f"it depends on {name}, which was taken back"
    return ""
