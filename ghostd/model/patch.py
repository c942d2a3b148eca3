"""A patch as it is after reading: typed, frozen, validated. Nothing behind the border sees the text again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from ghostd.model.tree import Mode


class Format(StrEnum):
    """How a patch was written; every format is turned into `UNIFIED`."""

    UNIFIED = "unified"
    WEBHOOK = "webhook"
    EXECUTOR = "executor"
    G2O = "g2o"


class Priority(IntEnum):
    """Order in a lane's queue; higher runs first."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """Create or replace a file. `mode` None keeps an existing file's mode, else 0644."""

    path: bytes
    data: bytes
    mode: Mode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Symlink:
    path: bytes
    target: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    path: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    path: bytes
    to: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chmod:
    path: bytes
    mode: Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """Replace `search`, which must occur exactly `count` times."""

    path: bytes
    search: bytes
    replace: bytes
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    """Replace what `pattern` matches; `count` 0 is all of at least one. Time-limited."""

    path: bytes
    pattern: str
    replacement: str
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Insert `data` after or before a text that occurs exactly once, or so that it starts at a line (1-based).

    Exactly one of `after`, `before`, `line` is set. `line` may be one past the last line: append.
    """

    path: bytes
    data: bytes
    after: bytes | None = None
    before: bytes | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """A unified diff of one file (`path`), or of several with their own headers (`path` None)."""

    diff: bytes
    path: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyPatch:
    """Several files in the V4A form (`*** Begin Patch` …), which names its paths itself."""

    patch: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Search/replace blocks (`<<<<<<< SEARCH` …), each with its path in front of it."""

    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonPatch:
    """RFC 6902 operations on a JSON file whose layout is kept; `operations` are plain JSON mappings."""

    path: bytes
    operations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A patch's own command; refused unless the lane allows it and a sandbox is there."""

    run: str


_OfFiles = Write | Symlink | Delete | Rename | Chmod
_OfTexts = Replace | Regex | Insert | Diff | ApplyPatch | Blocks | JsonPatch
Mutation = _OfFiles | _OfTexts | Shell


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What has to hold before the commit; the defaults are the contract's."""

    #: More gates than the lane's own, by name.
    gates: tuple[str, ...] = ()
    #: Gate commands of the patch's own.
    shell: tuple[str, ...] = ()
    #: Commands before the mutations and after them (executor's preCommit and postMutationBuild).
    shell_before: tuple[str, ...] = ()
    shell_build: tuple[str, ...] = ()
    enforce_validation_gate: bool = True
    block_commit_on_error: bool = True
    run_dry_check: bool = True
    strict_runtime_audit: bool = False
    force_runtime_trace: bool = False
    require_mutation_proof: bool = False
    require_service_uptime: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    priority: Priority = Priority.NORMAL
    max_retries: int = 3
    #: Milliseconds for the whole patch.
    timeout_ms: int = 300_000
    depends_on: tuple[str, ...] = ()
    approve: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """Something odd that changes nothing: where it stands (JSON-pointer-like path) and what is meant.

    The line is known where the text was read to be reported on.
    """

    path: str
    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One patch in unified form."""

    id: str
    format: Format
    mutations: tuple[Mutation, ...]
    #: RFC 8785 JSON of the unified form without convertedAt and sourceFormat, defaults not filled in.
    canonical: bytes
    #: SHA-256 of `canonical` in hex.
    digest: str
    #: Lane by name or alias as written; None for the default lane.
    lane: str | None = None
    role: str | None = None
    description: str = ""
    author: str = ""
    phase: str | None = None
    session: str | None = None
    allow_empty: bool = False
    validation: Validation = field(default_factory=Validation)
    execution: Execution = field(default_factory=Execution)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[Caution, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """At which level a mutation's text was found: `exact`, `whitespace`, `unicode`, `indent`."""

    path: bytes
    level: str
