"""Marks on history: annotated tags, and the refs under refs/ghost/, which are ours."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import pygit2
from pygit2.enums import ObjectType

from ghostd.base.errors import Cannot
from ghostd.repo import refs
from ghostd.repo.commit import person
from ghostd.repo.git import Repository
from ghostd.repo.message import clean

OURS = "refs/ghost/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """An annotated tag, without `refs/tags/`."""

    name: str
    oid: str
    commit: str
    message: str
    when: int


def tag(repo: Repository, name: str, commit: str, message: str, when: int) -> tuple[str, bool]:
    """Make an annotated tag; its id, and whether it was made. One that exists is left alone, whatever it names."""
    ref = _tag_ref(name)
    existing = refs.read(repo, ref)
    if existing is not None:
        return existing, False
    text = "".join(line + "\n" for line in message.replace("\0", "").splitlines())
    head = f"object {commit}\ntype commit\ntag {name}\ntagger {person('')} {when} +0000\n\n"
    oid = str(repo.store(ObjectType.TAG, (head + text).encode("utf-8", "replace")))
    return (oid, True) if refs.swap(repo, ref, oid, None) else tag(repo, name, commit, message, when)


def _tag_ref(name: str) -> str:
    ref = f"refs/tags/{name}"
    if name.startswith("-") or not pygit2.reference_is_valid_name(ref):
        raise Cannot(
            f"use {clean(name)[:80]!r} as a tag: not a valid name",
            kind="bad-tag",
            hint="see `git help check-ref-format`",
        )
    return ref


def read_tag(repo: Repository, name: str) -> Tag | None:
    """One annotated tag by its name; None where there is none, or only a plain one."""
    oid = refs.read(repo, _tag_ref(name))
    found = repo.handle.get(oid) if oid else None
    if oid is None or not isinstance(found, pygit2.Tag):
        return None
    # A tag on a tag is nothing of ours.
    if repo.handle[found.target].type != ObjectType.COMMIT:
        return None
    tagger: pygit2.Signature | None = found.tagger
    when = tagger.time if tagger is not None else 0
    return Tag(
        name=name, oid=oid, commit=str(found.target), message=found.raw_message.decode("utf-8", "replace"), when=when
    )


def tags(repo: Repository, pattern: str = "phase/*") -> list[Tag]:
    """All annotated tags whose name fits a shell-like pattern, by name."""
    prefix = len("refs/tags/")
    names = sorted(ref[prefix:] for ref in repo.handle.references if ref.startswith("refs/tags/"))
    found = (read_tag(repo, name) for name in names if fnmatchcase(name, pattern))
    return [each for each in found if each is not None]


def read_ref(repo: Repository, name: str) -> str | None:
    """The object that one of our refs names."""
    return refs.read(repo, _ours(name))


def list_refs(repo: Repository, prefix: str = OURS) -> dict[str, str]:
    """Our refs below a prefix, by full name."""
    names = (ref for ref in repo.handle.references if ref.startswith(_ours(prefix)))
    return {name: oid for name in names if (oid := refs.read(repo, name)) is not None}


def set_ref(repo: Repository, name: str, new: str, expect: str | None) -> bool:
    """Move one of our refs from `expect` (None: it does not exist); False where it stands elsewhere."""
    return refs.swap(repo, _ours(name), new, expect)


def delete_ref(repo: Repository, name: str, expect: str) -> bool:
    """Remove one of our refs that stands at `expect`; False where it stands elsewhere."""
    return refs.swap(repo, _ours(name), None, expect)


def _ours(name: str) -> str:
    """Everything outside of refs/ghost/ belongs to people; asking for it here is a bug."""
    if not name.startswith(OURS):
        raise ValueError(f"not a ref of ours: {name}")
    return name
