"""The proof log of a branch as Git keeps it: `refs/ghost/proofs/<branch>`, a chain of commits that only ever add files.

What the files mean is not this room's business. A kill before the compare-and-swap leaves loose objects that nothing
names, and the log as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ghostd.model.tree import Change, File, Mode
from ghostd.repo import refs
from ghostd.repo.commit import CommitSpec, write_commit
from ghostd.repo.git import Repository
from ghostd.repo.history import commit_of
from ghostd.repo.objects import GitTree, tree_of, write_tree

PREFIX = "refs/ghost/proofs/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The log after one of its commits; `commit` is None before the first."""

    commit: str | None
    tree: GitTree

    def read(self, path: str) -> bytes | None:
        """The bytes of a file; None where there is none."""
        try:
            return self.tree.read(path.encode())
        except KeyError:
            return None

    def files(self) -> Iterator[str]:
        """Every path, in order; one that is not UTF-8 is nothing of ours, and shows as such."""
        return (path.decode("utf-8", "backslashreplace") for path in self.tree.below(b""))


def position(repo: Repository, branch: str) -> str | None:
    """The newest commit of a branch's log; None where there is no log."""
    return refs.read(repo, PREFIX + branch)


def open_log(repo: Repository, branch: str) -> Log:
    """The newest state of a branch's log."""
    return at(repo, position(repo, branch))


def at(repo: Repository, commit: str | None) -> Log:
    """The log as one of its commits has it. Raises Cannot(repo-invalid) where objects are lost."""
    return Log(commit=commit, tree=tree_of(repo, commit))


def earlier(repo: Repository, log: Log) -> Iterator[Log]:
    """The states before this one, newest first, along first parents."""
    commit = log.commit
    while commit is not None and (parents := commit_of(repo, commit).parents):
        commit = parents[0]
        yield at(repo, commit)


def extend(repo: Repository, branch: str, log: Log, files: Mapping[str, bytes], *, message: str, when: int) -> bool:
    """Put files on top of `log` as one commit; False where the log has moved on since, and nothing was changed."""
    changes = [_change(log.tree, path.encode(), data) for path, data in sorted(files.items())]
    spec = CommitSpec(
        tree=write_tree(repo, log.tree, changes),
        parents=(log.commit,) if log.commit else (),
        message=message,
        author="",
        when=when,
    )
    return refs.swap(repo, PREFIX + branch, write_commit(repo, spec), log.commit, why="ghost: proofs")


def branches(repo: Repository) -> list[str]:
    """The branches that have a log."""
    return sorted(name.removeprefix(PREFIX) for name in repo.handle.references if name.startswith(PREFIX))


def _change(tree: GitTree, path: bytes, data: bytes) -> Change:
    return Change(path=path, before=tree.entry(path), after=File(mode=Mode.FILE, data=data))
