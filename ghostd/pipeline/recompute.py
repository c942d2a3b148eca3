"""Make the tree of a landed change once more, from its parent and what its proof says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ghostd.base.errors import Cannot
from ghostd.model.job import Kind
from ghostd.model.patch import Patch, Shell
from ghostd.patches.apply import apply
from ghostd.patches.read import from_canonical
from ghostd.pipeline.told import Told
from ghostd.repo import history, objects
from ghostd.repo.git import Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The tree that came out; None with `why` where it can not be had, without it where it is not ours to make:
    a patch that runs commands, or a rollback from before proofs told what it undoes."""

    tree: str | None
    why: str = ""


def tree_of(repo: Repository, told: Told, body: bytes) -> Again:
    """The tree that the job of a statement gives on its base. Objects may be written, no ref is."""
    try:
        return _MAKERS[told.kind](repo, told, body) if told.kind in _MAKERS else Again(tree=None)
    except Cannot as error:
        return Again(tree=None, why=f"it can not be made anew: {error.message}")
    except (ValueError, KeyError, TypeError) as error:
        return Again(tree=None, why=f"it can not be made anew: {type(error).__name__}: {error}")


def runs_commands(patch: Patch) -> bool:
    """Whether a patch's files come from commands too, which nobody can run again just to look."""
    return bool(patch.validation.shell_build) or any(isinstance(each, Shell) for each in patch.mutations)


def _patch(repo: Repository, told: Told, body: bytes) -> Again:
    patch = from_canonical(body)
    if runs_commands(patch):
        return Again(tree=None)
    before = objects.tree_of(repo, told.base)
    # Commands that only looked at the files have no part in the tree, and nothing is run here.
    applied = apply(before, patch, shell=True)  # noqa: S604 - see above
    return Again(tree=objects.write_tree(repo, before, applied.changes))


def _rollback(repo: Repository, told: Told, _body: bytes) -> Again:
    undone = told.predicate.get("undone")
    if undone is None or told.base is None:
        return Again(tree=None)
    made = history.revert(repo, told.base, [str(commit) for commit in undone])
    return Again(tree=made.tree, why="" if made.tree else f"taking back {len(undone)} commits now gives conflicts")


def _restore(repo: Repository, told: Told, _body: bytes) -> Again:
    name = str(told.predicate["restores"])
    tag = history.read_tag(repo, name)
    if tag is None:
        return Again(tree=None, why=f"the tag {name}, which it restores, is gone")
    return Again(tree=objects.tree_of(repo, tag.commit).oid)


_MAKERS: Mapping[str, Callable[[Repository, Told, bytes], Again]] = {
    Kind.PATCH: _patch,
    Kind.ROLLBACK: _rollback,
    Kind.RESTORE: _restore,
}
