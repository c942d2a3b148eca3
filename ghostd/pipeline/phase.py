"""Phases: a tag that closes a stretch of history for patches, and opens again without losing the tag.

Git alone knows whether a phase is frozen: its newest tag counts, unless `refs/ghost/thawed/…` names that very tag.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind, NewJob, Origin
from ghostd.model.settings import LaneSettings
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


def tags(repo: Repository, name: str) -> list[history.Tag]:
    """The phase's tags, oldest first; one of another phase that only looks like `PHASE.2` is not among them."""
    pattern = re.compile(re.escape(f"phase/{name}") + r"(?:\.([0-9]+))?")
    phase = name.rpartition("/")[2]
    found = [(match, tag) for tag in history.tags(repo, "phase/*") if (match := pattern.fullmatch(tag.name))]
    own = [(int(match[1] or 1), tag) for match, tag in found if _manifest(tag.message).get("phase") == phase]
    return [tag for _, tag in sorted(own, key=lambda pair: pair[0])]


def frozen_by(repo: Repository, name: str) -> str | None:
    """The tag that closes the phase; None where it is open."""
    existing = tags(repo, name)
    if not existing or history.read_ref(repo, _thawed(name)) == existing[-1].oid:
        return None
    return existing[-1].name


def request(kind: Kind, phase: str, lane: LaneSettings, repo: str, number: int, origin: Origin) -> NewJob:
    """A freeze or thaw as a job, so that it takes its turn among the patches."""
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
        phase=phase,
        title=f"{kind.value} {phase}",
    )


def freeze(shop: Workshop, repo: Repository, job: Job) -> dict[str, Any]:
    """Tag the tip as the phase. The tag is one compare-and-swap: a kill leaves it made or not made."""
    phase = str(json.loads(job.body)["phase"])
    name = stem(job.lane, phase, default=job.lane == shop.settings.default_lane.name)
    tip = commit.tip(repo, job.branch)
    if tip is None:
        raise Cannot(
            f"freeze {phase}: branch {job.branch} has no commit yet", kind="no-commits", hint="apply a patch first"
        )
    patches = standing(shop, job, phase)
    existing = tags(repo, name)
    if existing and existing[-1].commit == tip:
        _note_thawed(repo, name, None)
        return _told(phase, existing[-1].name, tip, patches, "already")
    manifest = _render(phase=phase, lane=job.lane, branch=job.branch, commit=tip, patches=patches)
    tag = _free_name(repo, name, len(existing))
    history.tag(repo, tag, tip, manifest, job.received_at)
    return _told(phase, tag, tip, patches, "frozen")


def thaw(shop: Workshop, repo: Repository, job: Job) -> dict[str, Any]:
    """Open the phase again; its tag stays."""
    phase = str(json.loads(job.body)["phase"])
    name = stem(job.lane, phase, default=job.lane == shop.settings.default_lane.name)
    existing = tags(repo, name)
    if not existing:
        raise Cannot(f"thaw {phase}: it was never frozen", kind="unknown-phase", hint="git tag -l 'phase/*' lists them")
    status = "thawed" if frozen_by(repo, name) else "already"
    _note_thawed(repo, name, existing[-1].oid)
    return _told(phase, existing[-1].name, existing[-1].commit, standing(shop, job, phase), status)


def standing(shop: Workshop, job: Job, phase: str) -> list[str]:
    """Ids of the phase's patches on the branch that were not taken back, oldest first."""
    landed = shop.ledger.branch_commits(job.repo, job.branch)
    ids = dict.fromkeys(commit.id for commit in landed if commit.phase == phase and not commit.reverts)
    return [id for id in ids if shop.ledger.taken_back(job.repo, job.branch, id) is None]


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
    taken = {tag.name for tag in history.tags(repo, "phase/*")}
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


def _told(phase: str, tag: str, tip: str, patches: list[str], status: str) -> dict[str, Any]:
    return {"phase": phase, "tag": tag, "commit": tip, "patches": patches, "status": status}
