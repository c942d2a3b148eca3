"""Phases: a tag that closes a stretch of history for patches, and opens again without losing the tag.

Git alone knows whether a phase is frozen: its newest tag counts, unless `refs/ghost/thawed/…` names that very tag.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind, NewJob, Origin
from ghostd.model.settings import LaneSettings, Settings
from ghostd.pipeline.branch import Branch, branch
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, history
from ghostd.repo.git import Repository

_ID = re.compile(r"(?![-.])(?!.*\.\.)[A-Za-z0-9._()+-]{1,200}(?<!\.)(?<!\.lock)")


def checked_name(phase: str) -> str:
    """A phase has an id's grammar. Raises Cannot(bad-phase)."""
    if not _ID.fullmatch(phase):
        raise Cannot(
            f"use {phase!r} as the name of a phase",
            kind="bad-phase",
            hint="1-200 of A-Z a-z 0-9 . _ ( ) + -, no leading - or ., no .., no trailing . or .lock",
        )
    return phase


def stem(lane: str, phase: str, *, default: bool) -> str:
    """`PHASE` in the default lane, `<LANE>/PHASE` in another: what follows `phase/` and `refs/ghost/thawed/`."""
    return phase if default else f"{lane}/{phase}"


def stem_in(settings: Settings, lane: str, phase: str) -> str:
    """The stem of a lane's phase."""
    return stem(lane, phase, default=lane == settings.default_lane.name)


def tags(repo: Repository, name: str) -> list[history.Tag]:
    """The phase's tags, oldest first; one of another phase that only looks like `PHASE.2` is not among them."""
    return _own(history.tags(repo, f"phase/{name}*"), name)


def _own(every: Iterable[history.Tag], name: str) -> list[history.Tag]:
    pattern = re.compile(re.escape(f"phase/{name}") + r"(?:\.([0-9]+))?")
    phase = name.rpartition("/")[2]
    found = [(match, tag) for tag in every if (match := pattern.fullmatch(tag.name))]
    own = [(int(match[1] or 1), tag) for match, tag in found if _manifest(tag.message).get("phase") == phase]
    return [tag for _, tag in sorted(own, key=lambda pair: pair[0])]


def frozen_by(repo: Repository, name: str) -> str | None:
    """The tag that closes the phase; None where it is open."""
    existing = tags(repo, name)
    if not existing or history.read_ref(repo, _thawed(name)) == existing[-1].oid:
        return None
    return existing[-1].name


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase of a lane, for people."""

    name: str
    lane: str
    branch: str
    #: frozen, thawed, or open where it was never frozen.
    state: str
    #: The newest one; None where it was never frozen.
    tag: history.Tag | None
    tags: tuple[str, ...]
    #: Its patches that stand on the branch, oldest first.
    patches: tuple[str, ...]


def listed(branch: Branch, settings: Settings, lane: str) -> list[Phase]:
    """The phases of a lane: those that have a tag, by name, then those that only have patches, in their order."""
    every = history.tags(branch.repo, "phase/*")
    stems = {phase: stem_in(settings, lane, phase) for tag in every if (phase := _manifest(tag.message).get("phase"))}
    frozen = {phase: own for phase in sorted(stems) if (own := _own(every, stems[phase]))}
    worked_on = (found.phase for found in branch.landed if found.phase and found.lane == lane)
    names = dict.fromkeys((*frozen, *worked_on))
    return [_phase(branch, name, lane, frozen.get(name, []), stem_in(settings, lane, name)) for name in names]


def _phase(branch: Branch, name: str, lane: str, own: Sequence[history.Tag], stem: str) -> Phase:
    thawed = bool(own) and history.read_ref(branch.repo, _thawed(stem)) == own[-1].oid
    return Phase(
        name=name,
        lane=lane,
        branch=branch.name,
        state="open" if not own else "thawed" if thawed else "frozen",
        tag=own[-1] if own else None,
        tags=tuple(tag.name for tag in own),
        patches=patches(branch, name),
    )


def request(kind: Kind, phase: str, lane: LaneSettings, repo: str, number: int, origin: Origin) -> NewJob:
    """A freeze, thaw or restore as a job, so that it takes its turn among the patches."""
    body = json.dumps({"phase": checked_name(phase)}, separators=(",", ":")).encode()
    return NewJob(
        id=f"{kind.value}-{number}",
        kind=kind,
        lane=lane.name,
        repo=repo,
        branch=lane.branch,
        digest=hashlib.sha256(body).hexdigest(),
        body=body,
        origin=origin,
        priority=3,
        # A restore makes a commit, which is no patch of the phase.
        phase=None if kind is Kind.RESTORE else phase,
        title=f"{kind.value} {phase}",
    )


def freeze(shop: Workshop, repo: Repository, job: Job) -> dict[str, Any]:
    """Tag the tip as the phase. The tag is one compare-and-swap: a kill leaves it made or not made."""
    phase = str(json.loads(job.body)["phase"])
    name = stem_in(shop.settings, job.lane, phase)
    tip = commit.tip(repo, job.branch)
    if tip is None:
        raise Cannot(
            f"freeze {phase}: branch {job.branch} has no commit yet", kind="no-commits", hint="apply a patch first"
        )
    its = patches(branch(shop, repo, job.branch), phase)
    existing = tags(repo, name)
    if existing and existing[-1].commit == tip:
        _note_thawed(repo, name, None)
        return _told(phase, existing[-1].name, tip, its, "already")
    manifest = _render(phase=phase, lane=job.lane, branch=job.branch, commit=tip, patches=its)
    tag = _free_name(repo, name, len(existing))
    history.tag(repo, tag, tip, manifest, job.received_at, key=shop.settings.git.signing_key)
    return _told(phase, tag, tip, its, "frozen")


def thaw(shop: Workshop, repo: Repository, job: Job) -> dict[str, Any]:
    """Open the phase again; its tag stays."""
    phase = str(json.loads(job.body)["phase"])
    name = stem_in(shop.settings, job.lane, phase)
    existing = tags(repo, name)
    if not existing:
        raise Cannot(f"thaw {phase}: it was never frozen", kind="unknown-phase", hint="ghost phases lists them")
    status = "thawed" if frozen_by(repo, name) else "already"
    _note_thawed(repo, name, existing[-1].oid)
    its = patches(branch(shop, repo, job.branch), phase)
    return _told(phase, existing[-1].name, existing[-1].commit, its, status)


def patches(branch: Branch, phase: str) -> tuple[str, ...]:
    """Ids of the phase's patches on the branch that were not taken back, oldest first."""
    ids = dict.fromkeys(found.id for found in branch.landed if found.phase == phase and not found.reverts)
    return tuple(id for id in ids if id in branch.standing)


def _thawed(name: str) -> str:
    return f"refs/ghost/thawed/{name}"


def _note_thawed(repo: Repository, name: str, tag: str | None) -> None:
    """Set or remove the ref that opens the phase. Only a worker that holds the branch's lease moves it."""
    before = history.read_ref(repo, _thawed(name))
    if tag is not None:
        history.set_ref(repo, _thawed(name), tag, before)
    elif before is not None:
        history.delete_ref(repo, _thawed(name), before)


def _free_name(repo: Repository, name: str, count: int) -> str:
    taken = frozenset(history.tag_names(repo, f"phase/{name}"))
    candidates = (f"phase/{name}" if n == 1 else f"phase/{name}.{n}" for n in range(count + 1, count + 10_000))
    return next(candidate for candidate in candidates if candidate not in taken)


def _render(*, phase: str, lane: str, branch: str, commit: str, patches: Sequence[str]) -> str:
    """The manifest as YAML whose values are JSON, so that no name can break out of its line."""
    facts: Mapping[str, Any] = {"phase": phase, "lane": lane, "branch": branch, "commit": commit}
    lines = [f"{key}: {json.dumps(value)}" for key, value in facts.items()]
    return "\n".join([*lines, "patches:" if patches else "patches: []", *(f"  - {json.dumps(id)}" for id in patches)])


def _manifest(message: str) -> dict[str, str]:
    """The one-line facts of a manifest; a tag that somebody else wrote has none."""
    pairs = re.findall(r'^([a-z]+): ("(?:[^"\\]|\\.)*")$', message, flags=re.MULTILINE)
    return {key: json.loads(value) for key, value in pairs}


def _told(phase: str, tag: str, tip: str, patches: Sequence[str], status: str) -> dict[str, Any]:
    return {"phase": phase, "tag": tag, "commit": tip, "patches": list(patches), "status": status}
