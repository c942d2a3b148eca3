"""What a branch has been through: landed patches, its log for people, and merges that take patches back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import SortMode

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.model.job import Landed
from ghostd.repo import refs
from ghostd.repo.commit import tip
from ghostd.repo.git import Repository, failed
from ghostd.repo.marks import Tag, delete_ref, list_refs, read_ref, read_tag, set_ref, tag, tags
from ghostd.repo.message import is_corrupt, parse_trailers
from ghostd.repo.objects import tree_of

if TYPE_CHECKING:
    # GitPython costs 0.1 s to import: only `log`, which is for people, pays for it.
    import git

__all__ = [
    "Commit",
    "LogEntry",
    "Reverted",
    "Scan",
    "Tag",
    "commit_of",
    "delete_ref",
    "is_ancestor",
    "landed_since",
    "list_refs",
    "log",
    "parents",
    "plain",
    "read_ref",
    "read_tag",
    "revert",
    "set_ref",
    "tag",
    "tags",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit as it is."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    message: str
    #: `Name <mail>`
    author: str
    #: Committer date, seconds since 1970.
    when: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a branch has gained since it was last read."""

    #: Our commits, oldest first.
    landed: tuple[Landed, ...]
    tip: str | None
    #: The known commit is no longer part of the branch: `landed` is all of its history, read anew.
    rewound: bool
    #: Commits that look like ours and whose trailers can not be read.
    corrupt: tuple[str, ...] = ()


def landed_since(repo: Repository, branch: str, known: str | None) -> Scan:
    """Our commits of the branch that are not in the history of `known` (None: all). People's commits are left out."""
    now = tip(repo, branch)
    if now is None:
        return Scan(landed=(), tip=None, rewound=known is not None)
    line = _straight(repo, known, now) if known is not None else None
    rewound = known is not None and line is None and not is_ancestor(repo, known, now)
    commits = list(_walk(repo, None if rewound else known, now)) if line is None else line
    found = ((commit, parse_trailers(commit.message, commit.oid)) for commit in commits)
    return Scan(
        landed=tuple(landed for _, landed in found if landed is not None),
        tip=now,
        rewound=rewound,
        corrupt=tuple(commit.oid for commit in commits if is_corrupt(commit.message)),
    )


def _straight(repo: Repository, known: str, now: str) -> list[Commit] | None:
    """The commits after `known` up to `now`, oldest first; None where the line between them is not a straight one."""
    line: list[Commit] = []
    at = now
    while at != known:
        commit = commit_of(repo, at)
        if len(commit.parents) != 1:
            return None
        line.append(commit)
        at = commit.parents[0]
    return line[::-1]


def _walk(repo: Repository, known: str | None, now: str) -> Iterator[Commit]:
    """All that `now` has and `known` has not, oldest first, whatever merges are among it."""
    walker = repo.handle.walk(pygit2.Oid(hex=now), SortMode.TOPOLOGICAL | SortMode.REVERSE)
    if known is not None:
        walker.hide(pygit2.Oid(hex=known))
    return (_commit(found) for found in walker)


def commit_of(repo: Repository, revision: str) -> Commit:
    """The commit that an object id or a full ref name leads to. Raises Cannot of kind unknown-commit."""
    try:
        found = (
            repo.handle[revision] if len(revision) == len(refs.ZERO) else repo.handle.lookup_reference(revision).peel()
        )
        return _commit(found.peel(pygit2.Commit))
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise Cannot(f"find commit {one_line(revision, 80)}", kind="unknown-commit", hint="see `ghost log`") from error


def _commit(found: pygit2.Commit) -> Commit:
    author = found.author
    return Commit(
        oid=str(found.id),
        tree=str(found.tree_id),
        parents=tuple(str(parent) for parent in found.parent_ids),
        message=_text(found.raw_message),
        author=f"{_text(author.raw_name)} <{_text(author.raw_email)}>",
        when=found.commit_time,
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def parents(repo: Repository, commit: str) -> tuple[str, ...]:
    """The parents of a commit."""
    return commit_of(repo, commit).parents


def is_ancestor(repo: Repository, ancestor: str, of: str) -> bool:
    """True where `ancestor` is `of` or in its history; False as well where it is nowhere."""
    if ancestor == of:
        return True
    try:
        return repo.handle.descendant_of(of, ancestor)
    except (KeyError, ValueError, pygit2.GitError):
        return False


# --- for people -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of `ghost log`; `landed` is None for a commit of a person."""

    commit: str
    subject: str
    author: str
    when: int
    landed: Landed | None


def log(repo: Repository, branch: str, limit: int) -> list[LogEntry]:
    """The newest commits of a branch, newest first; none where there is no branch."""
    if tip(repo, branch) is None:
        return []
    import git

    with git.Repo(repo.identity) as reader:
        reader.git.update_environment(**repo.sealed_environment())
        commits = reader.iter_commits(refs.branch_ref(branch), max_count=limit, first_parent=True)
        return [_entry(commit) for commit in commits]


def _entry(commit: git.Commit) -> LogEntry:
    message = commit.message if isinstance(commit.message, str) else commit.message.decode("utf-8", "replace")
    return LogEntry(
        commit=commit.hexsha,
        subject=message.partition("\n")[0],
        author=commit.author.name or "",
        when=commit.committed_date,
        landed=parse_trailers(message, commit.hexsha),
    )


def plain(repo: Repository, branch: str, limit: int) -> str:
    """What `git log --oneline` prints of a branch: the history needs nothing of ours to be read."""
    done = repo.git("log", "--oneline", f"--max-count={limit}", refs.branch_ref(branch), "--")
    if done.status != 0:
        raise failed(f"read the log of {branch}", done)
    return done.stdout.decode("utf-8", "replace").rstrip()


# --- taking back ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverted:
    """A tree without what some commits did, or the paths at which that can not be had."""

    tree: str | None
    conflicts: tuple[bytes, ...] = ()


def revert(repo: Repository, head: str, commits: Sequence[str]) -> Reverted:
    """Take commits back from `head`, newest first, in memory: for each the three-way merge that `git revert` makes."""
    ours = tree_of(repo, head).oid
    for oid in commits:
        commit = commit_of(repo, oid)
        before = tree_of(repo, commit.parents[0] if commit.parents else None).oid
        merged = repo.objects.merge_trees(ancestor=commit.tree, ours=ours, theirs=before)
        if merged.conflicts is not None:
            return Reverted(tree=None, conflicts=_conflicts(merged.conflicts))
        ours = str(merged.write_tree(repo.objects))
    return Reverted(tree=ours)


def _conflicts(found: pygit2.index.ConflictCollection) -> tuple[bytes, ...]:
    paths = {str(side.path).encode("utf-8", "surrogateescape") for sides in found for side in sides if side is not None}
    return tuple(sorted(paths))
