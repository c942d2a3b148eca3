"""What a branch has been through: landed patches, its log for people, and merges that take patches back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pygit2
from pygit2.enums import ObjectType, SortMode

from ghostd.base.errors import Cannot
from ghostd.base.log import one_line
from ghostd.model.job import Landed
from ghostd.repo import refs
from ghostd.repo.commit import tip
from ghostd.repo.git import Repository, failed
from ghostd.repo.marks import Tag, delete_ref, list_refs, read_ref, read_tag, set_ref, tag, tag_names, tags
from ghostd.repo.message import PREFIX, is_corrupt, parse_trailers
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
    "left_by_hand",
    "list_refs",
    "log",
    "parents",
    "plain",
    "read_ref",
    "read_tag",
    "revert",
    "set_ref",
    "since",
    "tag",
    "tag_names",
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
    commits = _walk(repo, None if rewound else known, now) if line is None else line
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


def _walk(repo: Repository, known: str | None, now: str) -> list[Commit]:
    """What may be ours of all that `now` has and `known` has not, oldest first, whatever merges are among it."""
    walker = repo.handle.walk(pygit2.Oid(hex=now), SortMode.TOPOLOGICAL | SortMode.REVERSE)
    if known is not None:
        walker.hide(pygit2.Oid(hex=known))
    # A long history of people's commits is only looked at.
    return [commit_of(repo, str(found.id)) for found in walker if PREFIX.encode() in found.raw_message]


def since(repo: Repository, commit: str, head: str) -> tuple[str, ...]:
    """Every commit that `head` has and `commit` has not, whosever it is, newest first."""
    walker = repo.handle.walk(pygit2.Oid(hex=head), SortMode.TOPOLOGICAL)
    walker.hide(pygit2.Oid(hex=commit))
    return tuple(str(found.id) for found in walker)


def commit_of(repo: Repository, revision: str) -> Commit:
    """The commit that an object id or a full ref name leads to. Raises Cannot of kind unknown-commit."""
    try:
        named = len(revision) != len(refs.ZERO)
        oid = str(repo.handle.lookup_reference(revision).resolve().target) if named else revision
        kind, data = repo.read_object(oid)
        while kind == ObjectType.TAG:
            oid = data[len(b"object ") : data.index(b"\n")].decode("ascii")
            kind, data = repo.read_object(oid)
        return _parsed(oid, data)
    except (KeyError, ValueError, pygit2.GitError, Cannot) as error:
        raise Cannot(f"find commit {one_line(revision, 80)}", kind="unknown-commit", hint="see `ghost log`") from error


def _parsed(oid: str, data: bytes) -> Commit:
    """A commit object: header lines, a blank line, the message. Raises ValueError for what is none.

    Format: https://git-scm.com/docs/gitdatamodel
    """
    head, _, text = data.partition(b"\n\n")
    # A line that begins with a blank goes on with the one before: a signature, a merged tag.
    lines = [line.partition(b" ")[::2] for line in head.split(b"\n") if not line.startswith(b" ")]
    header = dict(reversed(lines))
    if not data.startswith(b"tree ") or b"committer" not in header:
        raise ValueError(oid)
    return Commit(
        oid=oid,
        tree=header[b"tree"].decode("ascii"),
        parents=tuple(value.decode("ascii") for key, value in lines if key == b"parent"),
        message=_text(text),
        author=_text(header.get(b"author", b"").rpartition(b">")[0] + b">"),
        when=_date(header[b"committer"]),
    )


def _date(person: bytes) -> int:
    """`Name <mail> seconds zone`; old commits hold odd ones."""
    words = person.rpartition(b">")[2].split()
    return int(words[0]) if words and words[0].lstrip(b"-").isdigit() else 0


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


def left_by_hand(repo: Repository, branch: str, commit: str) -> bool:
    """Whether somebody moved the branch away from a commit, by its reflog; True as well where it has none."""
    log = Path(repo.identity) / "logs" / refs.branch_ref(branch)
    try:
        lines = log.read_bytes().splitlines()
    except OSError:
        return True
    return any(line.startswith(commit.encode()) for line in lines)


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
    #: The commit that could not be taken back; None where all could.
    at: str | None = None


def revert(repo: Repository, head: str, commits: Sequence[str]) -> Reverted:
    """Take commits back from `head`, newest first, in memory: for each the three-way merge that `git revert` makes.

    Where nothing is left of what came after a commit, its parent's tree is the answer: no merge is needed to know it.
    """
    ours = tree_of(repo, head).oid
    for oid in commits:
        commit = commit_of(repo, oid)
        before = tree_of(repo, commit.parents[0] if commit.parents else None).oid
        if ours == commit.tree:
            ours = before
            continue
        merged = repo.objects.merge_trees(ancestor=commit.tree, ours=ours, theirs=before)
        if merged.conflicts is not None:
            return Reverted(tree=None, conflicts=_conflicts(merged.conflicts), at=oid)
        ours = str(merged.write_tree(repo.objects))
    return Reverted(tree=ours)


def _conflicts(found: pygit2.index.ConflictCollection) -> tuple[bytes, ...]:
    paths = {str(side.path).encode("utf-8", "surrogateescape") for sides in found for side in sides if side is not None}
    return tuple(sorted(paths))
