"""From a tree to a commit, and the one step that makes it count: a compare-and-swap of one branch."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import pygit2
from pygit2.enums import ObjectType

from ghostd.base.errors import Cannot
from ghostd.repo import refs, seal
from ghostd.repo.git import Repository
from ghostd.repo.message import clean, is_corrupt, message, parse_trailers, subject, trailers

__all__ = [
    "CommitSpec",
    "base",
    "is_corrupt",
    "message",
    "move",
    "parse_trailers",
    "person",
    "subject",
    "tip",
    "trailers",
    "write_commit",
]

_NAME_LIMIT = 100
_SIGNED = re.compile(r"(?P<name>[^<>]*)<(?P<mail>[^<>\s@]+@[^<>\s@]+)>\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitSpec:
    """Everything that goes into a commit: the same spec gives the same commit, whenever it is written."""

    #: Object id of the tree.
    tree: str
    parents: tuple[str, ...]
    message: str
    #: As the patch gives it: a name, `Name <mail>`, or empty for ghost.
    author: str
    #: Seconds since 1970 UTC: both dates.
    when: int


def tip(repo: Repository, branch: str) -> str | None:
    """The commit a branch stands at; None where there is no such branch yet."""
    return refs.read(repo, refs.branch_ref(branch))


def base(repo: Repository, branch: str) -> str | None:
    """The commit that the branch's next one builds on: its tip, else HEAD's commit, else None (an empty repository)."""
    return tip(repo, branch) or _head(repo, branch)


def _head(repo: Repository, branch: str) -> str | None:
    """HEAD of the main repository, through whatever door it was opened."""
    try:
        return str(repo.handle.revparse_single("HEAD^{commit}").id)
    except KeyError:
        return None
    except (pygit2.GitError, ValueError) as error:
        raise Cannot(f"start {branch} from HEAD: {error}", kind="repo-invalid", hint="try `git fsck` there") from error


def write_commit(repo: Repository, spec: CommitSpec) -> str:
    """Write the commit object, no ref. Returns its id."""
    lines = [f"tree {spec.tree}", *(f"parent {parent}" for parent in spec.parents)]
    lines += [f"author {person(spec.author)} {spec.when} +0000", f"committer {person('')} {spec.when} +0000"]
    text = "\n".join(lines) + "\n\n" + spec.message.replace("\0", "")
    # A lone surrogate can not be written as UTF-8; nothing that went through `message` holds one.
    return str(repo.store(ObjectType.COMMIT, text.encode("utf-8", "replace")))


@functools.lru_cache(maxsize=256)
def person(author: str) -> str:
    """`Name <mail>` as Git stores it, whatever a patch calls its author."""
    signed = _SIGNED.fullmatch(author.strip())
    raw, mail = (signed["name"], signed["mail"]) if signed else (author, seal.MAIL)
    name = clean(re.sub(r"[<>]", "", raw))[:_NAME_LIMIT].strip(" .,:;\"'\\")
    mail = clean(mail)[:_NAME_LIMIT].strip(" .,:;\"'\\")
    return f"{name or seal.NAME} <{mail or seal.MAIL}>"


def move(repo: Repository, branch: str, new: str, expect: str | None, *, why: str = "") -> bool:
    """THE commit point: the branch goes from `expect` (None: no branch) to `new`; False where it stands elsewhere.

    `why` (an id) goes into the reflog. Waits for a foreign lock, then raises Cannot of kind git-locked.
    """
    return refs.swap(repo, refs.branch_ref(branch), new, expect, why=f"ghost: {clean(why)}" if why else "ghost")
