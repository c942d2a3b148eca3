"""Bring a frozen phase back: one commit whose tree is exactly that of the phase's newest tag. History only grows.

Its trailers say what this means for each id: what stands now and did not stand at the tag is taken back, what stood at
the tag and was taken back since is brought back. So an id's state is told as after any rollback, and rolling back
`restore-<n>` undoes all of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Landed
from ghostd.pipeline import phase
from ghostd.pipeline.branch import Branch, standing
from ghostd.repo import commit, history
from ghostd.repo.objects import changed_entries, diff_stat, tree_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a restore would do, on top of `head`."""

    phase: str
    tag: str
    #: The commit that the tag is on.
    commit: str
    head: str
    tree: str
    #: The tree has to change; where it is the tag's already, there is nothing to do.
    needed: bool
    reverted: tuple[str, ...]
    reapplied: tuple[str, ...]

    @property
    def status(self) -> str:
        return "would-restore" if self.needed else "already"


def asked(job: Job) -> str:
    """The phase that a restore's job asks for."""
    return str(json.loads(job.body)["phase"])


def plan(branch: Branch, wanted: str, name: str) -> Plan:
    """What restoring the phase would do; `name` is its stem among the tags. Nothing is written.

    Raises Cannot: unknown-phase for one that was never frozen, off-branch where the tagged commit is not in the branch.
    """
    tags = phase.tags(branch.repo, name)
    head = commit.tip(branch.repo, branch.name)
    if not tags or head is None:
        raise _unknown(wanted)
    tag = tags[-1]
    then, now = _stood(branch, wanted, tag), branch.standing
    tree = tree_of(branch.repo, tag.commit).oid
    return Plan(
        phase=wanted,
        tag=tag.name,
        commit=tag.commit,
        head=head,
        tree=tree,
        needed=tree != tree_of(branch.repo, head).oid,
        reverted=_in_order(branch, now - then, newest_first=True),
        reapplied=_in_order(branch, then - now),
    )


def _stood(branch: Branch, wanted: str, tag: history.Tag) -> frozenset[str]:
    """The ids that stood at the tag."""
    since = history.landed_since(branch.repo, branch.name, tag.commit)
    if since.rewound:
        raise Cannot(
            f"restore {wanted}: its tag {tag.name} is not in the history of {branch.name}",
            kind="off-branch",
            hint="see where it is: git branch --contains " + tag.name,
        )
    later = {found.commit for found in since.landed}
    return standing(found for found in branch.landed if found.commit not in later)


def _in_order(branch: Branch, ids: frozenset[str], *, newest_first: bool = False) -> tuple[str, ...]:
    known = (found.id for found in (reversed(branch.landed) if newest_first else branch.landed) if found.id in ids)
    return tuple(dict.fromkeys(known))


def _unknown(wanted: str) -> Cannot:
    return Cannot(f"restore {wanted}: it was never frozen", kind="unknown-phase", hint="ghost phases lists them")


def undone(job: Job, landed: Landed) -> dict[str, object]:
    """What a rollback's or restore's RESULT tells beside the usual."""
    told: dict[str, object] = {"reverted": list(landed.reverts), "reapplied": list(landed.reapplies)}
    return told if landed.restores is None else told | {"phase": asked(job), "tag": landed.restores}


def events(job: Job, landed: Landed) -> list[tuple[str, Mapping[str, object]]]:
    """One event for each id that was taken back or brought back, and one for a phase that was restored."""
    told: list[tuple[str, Mapping[str, object]]] = []
    told += [("ghost.patch.reverted", {"id": id, "by": job.id}) for id in landed.reverts]
    told += [("ghost.patch.reapplied", {"id": id, "by": job.id}) for id in landed.reapplies]
    if landed.restores is not None:
        told.append(("ghost.phase.restored", {"phase": asked(job), "tag": landed.restores, "commit": landed.commit}))
    return told


def preview(branch: Branch, found: Plan) -> dict[str, object]:
    """`files` and `stat`: what the commit would change."""
    before = tree_of(branch.repo, found.head).oid
    paths = sorted(changed_entries(branch.repo, before, found.tree))
    return {
        "files": [path.decode(errors="backslashreplace") for path in paths],
        "stat": diff_stat(branch.repo, before, found.tree),
    }
