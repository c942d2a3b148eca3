"""Marks on history: annotated tags, and the refs under refs/ghost/, which are ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from ghostd.base.errors import Cannot
from ghostd.repo import ref_list, refs, sign
from ghostd.repo.commit import person
from ghostd.repo.git import Repository
from ghostd.repo.message import clean

OURS = "refs/ghost/"


#: Git takes the last line of this kind for the beginning of a signature.
_SIGNATURE = "-----BEGIN "


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """An annotated tag, without `refs/tags/`."""

    name: str
    oid: str
    commit: str
    #: Without the signature.
    message: str
    when: int
    #: The armoured signature; None for a tag that has none. `verify_tag` tells what it is worth.
    signature: str | None = None


def tag(
    repo: Repository, name: str, commit: str, message: str, when: int, *, key: Path | None = None
) -> tuple[str, bool]:
    """Make an annotated tag, signed where there is a `key`; its id, and whether it was made.

    One that exists is left alone, whatever it names. A kill leaves at most an object that nothing names. Raises Cannot
    of kind bad-tag or signing-failed.
    """
    ref = _tag_ref(name)
    existing = refs.read(repo, ref)
    if existing is not None:
        return existing, False
    text = _tag_text(name, commit, message, when)
    signature = sign.sign(text, sign.GIT, key).encode() if key else b""
    oid = str(repo.store(ObjectType.TAG, text + signature))
    return (oid, True) if refs.swap(repo, ref, oid, None) else tag(repo, name, commit, message, when, key=key)


def _tag_text(name: str, commit: str, message: str, when: int) -> bytes:
    """A tag object up to its signature, which is what the signature is of."""
    lines = message.replace("\0", "").splitlines()
    told = "".join(f"> {line}\n" if line.startswith(_SIGNATURE) else f"{line}\n" for line in lines)
    head = f"object {commit}\ntype commit\ntag {name}\ntagger {person('')} {when} +0000\n\n"
    return (head + told).encode("utf-8", "replace")


def verify_tag(repo: Repository, name: str, key: Path) -> bool:
    """Whether the tag exists and bears this key's signature. `key`: the public key's file, or the private one's."""
    found = read_tag(repo, name)
    if found is None or found.signature is None:
        return False
    data = repo.read_object(found.oid)[1]
    signed = data[: data.rfind(b"\n" + _SIGNATURE.encode()) + 1]
    return sign.verify(signed, found.signature, sign.GIT, key)


def tag_patch(repo: Repository, id: str, commit: str, message: str, when: int, key: Path | None = None) -> bool:
    """Tag a patch's commit with its id; True where a tag was made now.

    False where one of that name exists, whosever it is, and where Git would not take the id as a name. It comes after
    the commit point; calling it again is how one that a kill prevented is made. Raises Cannot as `tag` does.
    """
    try:
        return tag(repo, id, commit, message, when, key=key)[1]
    except Cannot as error:
        if error.kind in ("bad-tag", "bad-branch"):
            return False
        raise


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
    message, signature = _parted(found.raw_message.decode("utf-8", "replace"))
    return Tag(name=name, oid=oid, commit=str(found.target), message=message, when=when, signature=signature)


def _parted(text: str) -> tuple[str, str | None]:
    """A tag's message and its signature; only one at the beginning of a line is one."""
    start = text.rfind(f"\n{_SIGNATURE}") + 1
    return (text[:start], text[start:]) if text.startswith(_SIGNATURE, start) else (text, None)


def tags(repo: Repository, pattern: str = "phase/*") -> list[Tag]:
    """All annotated tags whose name fits a shell-like pattern, by name."""
    plainly = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    found = (read_tag(repo, name) for name in tag_names(repo, plainly) if fnmatchcase(name, pattern))
    return [each for each in found if each is not None]


def tag_names(repo: Repository, prefix: str) -> list[str]:
    """The names of all tags that begin like this, annotated or not, in order; others cost nothing."""
    return [ref.removeprefix("refs/tags/") for ref in ref_list.beginning(repo, f"refs/tags/{prefix}")]


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
