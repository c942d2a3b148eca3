"""Trees and blobs as objects: read lazily, written only where they change. No index, no work tree, no filter.

Tree objects are read and written as bytes: names need not be UTF-8, and entries that a change does not touch are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pygit2
from pygit2.enums import ObjectType

from ghostd.base.errors import Cannot
from ghostd.model.tree import Change, Entry, File, Mode
from ghostd.repo.git import Repository

FOLDER = 0o040000
_KIND = 0o170000
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@dataclass(frozen=True, slots=True)
class Slot:
    """One line of a tree object."""

    mode: int
    oid: bytes

    @property
    def is_folder(self) -> bool:
        return self.mode & _KIND == FOLDER

    def entry(self) -> Entry:
        return Entry(mode=_canonical(self.mode), oid=self.oid.hex())


Folder = Mapping[bytes, Slot]


def _canonical(mode: int) -> Mode:
    """Git's four kinds; old repositories hold modes like 100664."""
    kind = mode & _KIND
    if kind in (Mode.SYMLINK, Mode.GITLINK):
        return Mode(kind)
    return Mode.EXECUTABLE if mode & 0o100 else Mode.FILE


def _parse(data: bytes) -> dict[bytes, Slot]:
    slots = {}
    at = 0
    while at < len(data):
        space = data.index(b" ", at)
        end = data.index(b"\0", space)
        slots[data[space + 1 : end]] = Slot(int(data[at:space], 8), data[end + 1 : end + 21])
        at = end + 21
    return slots


def _serialise(folder: Folder) -> bytes:
    """Git orders a folder as if its name ended in a slash."""
    ordered = sorted(folder.items(), key=lambda item: item[0] + b"/" if item[1].is_folder else item[0])
    return b"".join(b"%o %s\0%s" % (slot.mode, name, slot.oid) for name, slot in ordered)


class GitTree:
    """A tree of the repository as `model.tree.Tree`."""

    __slots__ = ("_folders", "_repo", "oid")

    def __init__(self, repo: Repository, oid: str) -> None:
        self._repo = repo
        self.oid = oid
        self._folders: dict[bytes, Folder | None] = {}

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
        slot = self._slot(path)
        return None if slot is None or slot.is_folder else slot.entry()

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
    try:
        return GitTree(repo, str(repo.handle[commit].peel(pygit2.Tree).id))
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise _missing(commit) from error


def load_folder(repo: Repository, oid: str) -> Folder:
    """The lines of one tree object. Raises Cannot where the repository lost it."""
    try:
        return _parse(repo.handle.odb.read(oid)[1])
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise _missing(oid) from error


def read_blob(repo: Repository, oid: str) -> bytes:
    """The exact bytes of a blob. Raises Cannot where the repository lost it."""
    try:
        return repo.handle.odb.read(oid)[1]
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise _missing(oid) from error


def blob_size(repo: Repository, oid: str) -> int | None:
    """The size of a blob; None where the repository has none of that id."""
    found = repo.handle.get(oid)
    return found.size if isinstance(found, pygit2.Blob) else None


def _missing(oid: str) -> Cannot:
    return Cannot(f"read object {oid}: missing or broken", kind="repo-invalid", hint="try `git fsck` there", object=oid)


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
    folder = _rebuilt(repo, base.folder(b"") or {}, top)
    return str(repo.store(ObjectType.TREE, _serialise(folder)))


def _node(top: dict[bytes, _Node], path: bytes) -> _Node:
    *folders, name = path.split(b"/")
    level = top
    for each in folders:
        level = level.setdefault(each, _Node()).below
    return level.setdefault(name, _Node())


def _rebuilt(repo: Repository, old: Folder, nodes: Mapping[bytes, _Node]) -> Folder:
    slots = dict(old)
    for name, node in nodes.items():
        slot = _replaced(repo, slots.pop(name, None), name, node)
        if slot is not None:
            slots[name] = slot
    return slots


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
    folder = _rebuilt(repo, load_folder(repo, old.oid.hex()) if old else {}, node.below)
    # Git knows no empty folder.
    return Slot(FOLDER, repo.store(ObjectType.TREE, _serialise(folder)).raw) if folder else None


def _written(repo: Repository, file: File) -> Slot:
    if file.mode == Mode.GITLINK:
        raise ValueError("a submodule has no bytes to write")
    return Slot(int(file.mode), repo.store(ObjectType.BLOB, file.data).raw)


# --- comparing --------------------------------------------------------------------------------------------------


def diff_text(repo: Repository, old_tree: str, new_tree: str) -> str:
    """The unified diff of two trees; no program and no attribute has a say in it. What is not UTF-8 is replaced."""
    patches = _diff(repo, old_tree, new_tree)
    return b"".join(patch.data for patch in patches if patch is not None).decode("utf-8", "replace")


def diff_stat(repo: Repository, old_tree: str, new_tree: str) -> dict[str, int]:
    """How many files, inserted and deleted lines lie between two trees."""
    stats = _diff(repo, old_tree, new_tree).stats
    return {"files": stats.files_changed, "insertions": stats.insertions, "deletions": stats.deletions}


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


def _patch(before: GitTree, change: Change) -> pygit2.Patch:
    gone = change.before is None or change.before.mode == Mode.GITLINK
    old = b"" if gone else before.read(change.path)
    return pygit2.Patch.create_from(old, change.after.data if change.after else b"")


def _compare(
    repo: Repository, above: bytes, old: Folder, new: Folder, found: dict[bytes, tuple[Entry | None, Entry | None]]
) -> None:
    for name in old.keys() | new.keys():
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        path = above + name
        files = tuple(slot.entry() if slot is not None and not slot.is_folder else None for slot in (was, now))
        if files != (None, None):
            found[path] = (files[0], files[1])
        if (was and was.is_folder) or (now and now.is_folder):
            _compare(repo, path + b"/", _inside(repo, was), _inside(repo, now), found)


def _inside(repo: Repository, slot: Slot | None) -> Folder:
    return load_folder(repo, slot.oid.hex()) if slot is not None and slot.is_folder else {}


def _diff(repo: Repository, old_tree: str, new_tree: str) -> pygit2.Diff:
    old, new = (repo.objects[oid].peel(pygit2.Tree) for oid in (old_tree, new_tree))
    return old.diff_to_tree(new)
