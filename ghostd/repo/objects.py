"""Trees and blobs as objects: read lazily, written only where they change. No index, no work tree, no filter.

Tree objects are read and written as bytes: names need not be UTF-8, and entries that a change does not touch are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pygit2
from pygit2.enums import ObjectType

from ghostd.model.tree import Change, Entry, File, Mode
from ghostd.repo.git import Repository, lost

FOLDER = 0o040000
_KIND = 0o170000
_ID_BYTES = 20
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class Slot(NamedTuple):
    """One line of a tree object."""

    mode: int
    oid: bytes

    @property
    def is_folder(self) -> bool:
        return self.mode & _KIND == FOLDER

    def entry(self) -> Entry:
        return Entry(mode=_USUAL.get(self.mode) or _canonical(self.mode), oid=self.oid.hex())


Folder = Mapping[bytes, Slot]
_LINE = re.compile(rb"([0-7]{5,6}) ([^\0]*)\0(.{20})", re.DOTALL)
_MODES = {b"100644": 0o100644, b"100755": 0o100755, b"40000": FOLDER, b"120000": 0o120000}


#: What nearly every file is, without a look at its bits.
_USUAL = {int(mode): mode for mode in Mode}


def _canonical(mode: int) -> Mode:
    """Git's four kinds; old repositories hold modes like 100664."""
    kind = mode & _KIND
    if kind in (Mode.SYMLINK, Mode.GITLINK):
        return Mode(kind)
    return Mode.EXECUTABLE if mode & 0o100 else Mode.FILE


def _parse(data: bytes) -> dict[bytes, Slot]:
    slots, at = {}, 0
    for line in _LINE.finditer(data):
        mode, name, oid = line.groups()
        slots[name] = Slot(_MODES.get(mode) or int(mode, 8), oid)
        if line.start() != at:
            break
        at = line.end()
    if at != len(data):
        raise ValueError("no tree")
    return slots


def _serialise(folder: Folder) -> bytes:
    """Git orders a folder as if its name ended in a slash."""
    ordered = sorted(folder.items(), key=lambda item: item[0] + b"/" if item[1].is_folder else item[0])
    return b"".join(_line(name, slot) for name, slot in ordered)


def _line(name: bytes, slot: Slot) -> bytes:
    return b"%o %s\0%s" % (slot.mode, name, slot.oid)


class GitTree:
    """A tree of the repository as `model.tree.Tree`."""

    __slots__ = ("_entries", "_folders", "_repo", "oid")

    def __init__(self, repo: Repository, oid: str) -> None:
        self._repo = repo
        self.oid = oid
        self._folders: dict[bytes, Folder | None] = {}
        #: What was asked for: a path of a patch is looked at again and again.
        self._entries: dict[bytes, Entry | None] = {}

    def folder(self, path: bytes) -> Folder | None:
        """What stands in a folder (b"" is the top); None where there is no such folder."""
        if path not in self._folders:
            self._folders[path] = self._load(path)
        return self._folders[path]

    def _load(self, path: bytes) -> Folder | None:
        if not path:
            return load_folder(self._repo, self.oid)
        slot = self._slot(path)
        return load_folder(self._repo, slot.oid.hex()) if slot is not None and slot.is_folder else None

    def _slot(self, path: bytes) -> Slot | None:
        above, _, name = path.rpartition(b"/")
        folder = self.folder(above)
        return folder.get(name) if folder else None

    def entry(self, path: bytes) -> Entry | None:
        if path not in self._entries:
            slot = self._slot(path)
            self._entries[path] = None if slot is None or slot.is_folder else slot.entry()
        return self._entries[path]

    def is_folder(self, path: bytes) -> bool:
        return self.folder(path) is not None

    def below(self, folder: bytes) -> Iterator[bytes]:
        """Every file, symlink and submodule under a folder, as whole paths."""
        for name, slot in sorted((self.folder(folder) or {}).items()):
            path = folder + b"/" + name if folder else name
            if slot.is_folder:
                yield from self.below(path)
            else:
                yield path

    def read(self, path: bytes) -> bytes:
        entry = self.entry(path)
        if entry is None or entry.mode == Mode.GITLINK:
            raise KeyError(path)
        return read_blob(self._repo, entry.oid)


def tree_of(repo: Repository, commit: str | None) -> GitTree:
    """The tree of a commit, of an annotated tag, or a tree itself; None gives the empty tree."""
    if commit is None:
        return GitTree(repo, str(repo.store(ObjectType.TREE, b"")))
    oid = commit
    while True:
        kind, data = repo.read_object(oid)
        match kind:
            case ObjectType.TREE:
                return GitTree(repo, oid)
            case ObjectType.COMMIT | ObjectType.TAG:
                oid = _named_first(data)
            case _:
                raise lost(commit)


def _named_first(data: bytes) -> str:
    """A commit's first line names its tree, a tag's what it is on."""
    return data[: data.index(b"\n")].rpartition(b" ")[2].decode("ascii")


def load_folder(repo: Repository, oid: str) -> Folder:
    """The lines of one tree object. Raises Cannot where the repository lost it."""
    if (known := repo.folders.get(oid)) is not None:
        return known[0]
    kind, data = repo.read_object(oid)
    if kind != ObjectType.TREE:
        raise lost(oid)
    try:
        folder = _parse(data)
    except ValueError as error:
        raise lost(oid) from error
    repo.folders.add(oid, (folder, None), len(data))
    return folder


def read_blob(repo: Repository, oid: str) -> bytes:
    """The exact bytes of a blob. Raises Cannot where the repository lost it."""
    return repo.read_object(oid)[1]


def blob_size(repo: Repository, oid: str) -> int | None:
    """The size of a blob; None where the repository has none of that id."""
    made = repo.pending.get(oid)
    if made is not None:
        return len(made[1])
    found = repo.handle.get(oid)
    return found.size if isinstance(found, pygit2.Blob) else None


# --- writing ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    """What shall happen to one name of a folder: go, hold a new file, and changes below it."""

    goes: bool = False
    file: File | None = None
    below: dict[bytes, _Node] = field(default_factory=dict)


def write_tree(repo: Repository, base: GitTree, changes: Iterable[Change]) -> str:
    """Write the tree that `changes` make of `base`; only folders that change are read and written. Returns its id.

    Raises ValueError for changes that do not fit the tree, which is a bug of whoever made them.
    """
    top: dict[bytes, _Node] = {}
    for change in changes:
        node = _node(top, change.path)
        node.goes, node.file = change.after is None, change.after
    return _stored(repo, *_rebuilt(repo, base.oid, top)).hex()


def _node(top: dict[bytes, _Node], path: bytes) -> _Node:
    *folders, name = path.split(b"/")
    level = top
    for each in folders:
        level = level.setdefault(each, _Node()).below
    return level.setdefault(name, _Node())


def _rebuilt(repo: Repository, oid: str | None, nodes: Mapping[bytes, _Node]) -> tuple[Folder, bytes]:
    """What a folder becomes, and its bytes."""
    old = load_folder(repo, oid) if oid is not None else {}
    slots = dict(old)
    for name, node in nodes.items():
        slot = _replaced(repo, slots.pop(name, None), name, node)
        if slot is not None:
            slots[name] = slot
    return slots, _spliced(repo, oid, [(name, old.get(name), slots.get(name)) for name in nodes]) or _serialise(slots)


def _spliced(repo: Repository, oid: str | None, changes: Iterable[tuple[bytes, Slot | None, Slot | None]]) -> bytes:
    """The bytes of a folder in which lines are replaced and none moves; nothing where it can not be had this way.

    Only for folders whose bytes we made: others may have been written in an older fashion, which is not kept.
    """
    known = repo.folders.get(oid) if oid is not None else None
    if known is None or known[1] is None:
        return b""
    data = known[1]
    for name, was, now in changes:
        if was is None or now is None or was.is_folder != now.is_folder:
            return b""
        line = _line(name, was)
        # It is there; where it is there twice, one may be a part of another line.
        if data.count(line) != 1:
            return b""
        data = data.replace(line, _line(name, now))
    return data


def _replaced(repo: Repository, old: Slot | None, name: bytes, node: _Node) -> Slot | None:
    """What stands at a name afterwards: a file goes before a folder comes, a folder empties before a file comes."""
    if name in (b"", b".", b"..", b".git") or b"\0" in name:
        raise ValueError(f"no name for Git: {name!r}")
    if node.goes and (old is None or not old.is_folder):
        old = None
    if node.below:
        old = _below(repo, old, name, node)
    if node.file is None:
        return old
    if old is not None and old.is_folder:
        raise ValueError(f"a file at {name!r}, where a folder still has files")
    return _written(repo, node.file)


def _below(repo: Repository, old: Slot | None, name: bytes, node: _Node) -> Slot | None:
    if old is not None and not old.is_folder:
        raise ValueError(f"a file below {name!r}, which is no folder")
    folder, data = _rebuilt(repo, old.oid.hex() if old else None, node.below)
    # Git knows no empty folder.
    return Slot(FOLDER, _stored(repo, folder, data)) if folder else None


def _stored(repo: Repository, folder: Folder, data: bytes) -> bytes:
    oid = repo.pending.add(ObjectType.TREE, data)
    # Whoever builds on it has it at hand.
    repo.folders.add(oid, (folder, data), 2 * len(data))
    return bytes.fromhex(oid)


def _written(repo: Repository, file: File) -> Slot:
    if file.mode == Mode.GITLINK:
        # A submodule has no bytes here: its data names a commit of another repository.
        oid = bytes.fromhex(file.data.decode("ascii"))
        if len(oid) != _ID_BYTES:
            raise ValueError(f"no id of a submodule's commit: {file.data!r}")
        return Slot(int(file.mode), oid)
    return Slot(int(file.mode), bytes.fromhex(repo.pending.add(ObjectType.BLOB, file.data)))


# --- comparing --------------------------------------------------------------------------------------------------


def diff_text(repo: Repository, old_tree: str, new_tree: str) -> str:
    """The unified diff of two trees; no program and no attribute has a say in it. What is not UTF-8 is replaced."""
    patches = _diff(repo, old_tree, new_tree)
    return b"".join(patch.data for patch in patches if patch is not None).decode("utf-8", "replace")


def diff_stat(repo: Repository, old_tree: str, new_tree: str) -> dict[str, int]:
    """How many files, inserted and deleted lines lie between two trees."""
    stats = _diff(repo, old_tree, new_tree).stats
    return {"files": stats.files_changed, "insertions": stats.insertions, "deletions": stats.deletions}


def stat(repo: Repository, old_tree: str, new_tree: str) -> dict[str, int]:
    """As `diff_stat`; where only plain files differ without asking libgit2 to compare whole trees."""
    found = changed_entries(repo, old_tree, new_tree)
    entries = [entry for pair in found.values() for entry in pair if entry is not None]
    if any(entry.mode in (Mode.SYMLINK, Mode.GITLINK) for entry in entries):
        return diff_stat(repo, old_tree, new_tree)
    patches = [pygit2.Patch.create_from(_data(repo, was), _data(repo, now)) for was, now in found.values()]
    lines = [patch.line_stats for patch in patches]
    return {"files": len(found), "insertions": sum(n[1] for n in lines), "deletions": sum(n[2] for n in lines)}


def _data(repo: Repository, entry: Entry | None) -> bytes:
    return b"" if entry is None else read_blob(repo, entry.oid)


def changed_entries(repo: Repository, old_tree: str, new_tree: str) -> dict[bytes, tuple[Entry | None, Entry | None]]:
    """Every path that differs, with what stood there and what stands there now."""
    found: dict[bytes, tuple[Entry | None, Entry | None]] = {}
    _compare(repo, b"", load_folder(repo, old_tree), load_folder(repo, new_tree), found)
    return found


def changed_paths(repo: Repository, commit: str) -> frozenset[bytes]:
    """The paths that a commit changed against its first parent."""
    found = repo.handle[commit].peel(pygit2.Commit)
    before = tree_of(repo, str(found.parent_ids[0]) if found.parent_ids else None)
    return frozenset(changed_entries(repo, before.oid, str(found.tree_id)))


def changes(repo: Repository, old_tree: str, new_tree: str) -> tuple[Change, ...]:
    """The difference of two trees as changes, by path. A submodule is carried by its id and has no bytes."""
    return tuple(
        Change(path=path, before=was, after=None if now is None else File(mode=now.mode, data=_bytes(repo, now)))
        for path, (was, now) in sorted(changed_entries(repo, old_tree, new_tree).items())
    )


def _bytes(repo: Repository, entry: Entry) -> bytes:
    return b"" if entry.mode == Mode.GITLINK else read_blob(repo, entry.oid)


def stat_of_changes(before: GitTree, changes: Iterable[Change]) -> dict[str, int]:
    """What `diff_stat` would say once the changes are a tree, without writing any object."""
    found = [_patch(before, change) for change in changes]
    lines = [patch.line_stats for patch in found]
    return {"files": len(found), "insertions": sum(n[1] for n in lines), "deletions": sum(n[2] for n in lines)}


def plain_stat(before: GitTree, changes: Sequence[Change]) -> dict[str, int] | None:
    """What `stat` would say once the changes are a tree; None where more than plain files change."""
    entries = [entry for change in changes for entry in (change.before, change.after) if entry is not None]
    plain = all(entry.mode in (Mode.FILE, Mode.EXECUTABLE) for entry in entries)
    return stat_of_changes(before, changes) if plain else None


def _patch(before: GitTree, change: Change) -> pygit2.Patch:
    gone = change.before is None or change.before.mode == Mode.GITLINK
    old = b"" if gone else before.read(change.path)
    return pygit2.Patch.create_from(old, change.after.data if change.after else b"")


def _compare(
    repo: Repository, above: bytes, old: Folder, new: Folder, found: dict[bytes, tuple[Entry | None, Entry | None]]
) -> None:
    for name in {name for name, _ in old.items() ^ new.items()}:
        was, now = old.get(name), new.get(name)
        path = above + name
        files = tuple(slot.entry() if slot is not None and not slot.is_folder else None for slot in (was, now))
        if files != (None, None):
            found[path] = (files[0], files[1])
        if (was and was.is_folder) or (now and now.is_folder):
            _compare(repo, path + b"/", _inside(repo, was), _inside(repo, now), found)


def _inside(repo: Repository, slot: Slot | None) -> Folder:
    return load_folder(repo, slot.oid.hex()) if slot is not None and slot.is_folder else {}


def _diff(repo: Repository, old_tree: str, new_tree: str) -> pygit2.Diff:
    # libgit2 sees the disk only.
    repo.flush()
    old, new = (repo.objects[oid].peel(pygit2.Tree) for oid in (old_tree, new_tree))
    return old.diff_to_tree(new)
