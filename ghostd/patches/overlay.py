"""A tree with changes on top, in memory: later mutations see the earlier ones, and nothing is written anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ghostd.model.tree import Change, Entry, File, Listed, Mode, Tree
from ghostd.patches.paths import checked, forbidden, target_flaw
from ghostd.patches.refusal import Refusal, refuse

#: A file that a patch makes may be this large; more would be a bomb.
MAX_FILE = 64 << 20

_LISTED = b".gitmodules"
_KINDS = {Mode.SYMLINK: "a symlink", Mode.GITLINK: "a submodule"}


class Overlay:
    """The state of a tree in the middle of a patch. `base` is never changed."""

    def __init__(self, base: Tree, *, submodules: bool = False) -> None:
        self.base = base
        #: Whether a patch may set submodules, which fetch and run what others put there.
        self.submodules = submodules
        #: How many regular expressions the patch has, among which their time is shared.
        self.expressions = 1
        #: What stands at each path that was written (File) or removed (None).
        self._now: dict[bytes, File | None] = {}
        #: How many written files lie below each folder.
        self._folders: Counter[bytes] = Counter()

    def mode(self, path: bytes) -> Mode | None:
        """The mode of what stands at a path, None where there is nothing or a folder. Raises Refusal for a bad path."""
        return self._mode(self._checked(path))

    def _mode(self, path: bytes) -> Mode | None:
        if path in self._now:
            file = self._now[path]
            return None if file is None else file.mode
        entry = self.base.entry(path)
        return None if entry is None else entry.mode

    def file(self, path: bytes) -> File:
        """The file or symlink at a path. Raises Refusal where there is none."""
        mode = self.mode(path)
        if mode is None:
            what = "it is a folder" if self.is_folder(path) else "no such file"
            raise refuse("missing-path", path, f"find the file ({what})", hint="name a file that is in the tree")
        if mode is Mode.GITLINK and not self.submodules:
            raise _submodule(path)
        return self._now.get(path) or File(mode=mode, data=self._base_data(path))

    def regular(self, path: bytes) -> File:
        """The regular file at a path. Raises Refusal for a symlink, too: an edit never goes through one."""
        file = self.file(path)
        if file.mode is Mode.SYMLINK:
            raise refuse("missing-path", path, "edit a symlink as a file", hint="edit the file that it points to")
        if file.mode is Mode.GITLINK:
            raise _submodule(path)
        return file

    def untouched(self, path: bytes) -> Entry | None:
        """The entry of the base tree where this patch has not changed it yet."""
        return None if path in self._now else self.base.entry(path)

    def put(self, path: bytes, file: File) -> None:
        """Let a file stand at a path. Raises Refusal where it can not."""
        self._room_for(self._checked(path))
        if file.mode is Mode.GITLINK and not self.submodules:
            raise _submodule(path)
        if file.mode is Mode.SYMLINK and (flaw := target_flaw(path, file.data)):
            raise forbidden(path, flaw)
        if len(file.data) > MAX_FILE:
            raise refuse("too-large", path, f"make a file of more than {MAX_FILE >> 20} MiB")
        self._set(path, file)

    def remove(self, path: bytes) -> None:
        """Let nothing stand at a path."""
        if self.mode(path) is not Mode.GITLINK:
            self.file(path)
        self._set(path, None)

    def is_folder(self, path: bytes) -> bool:
        """True where anything stands below a path."""
        if self._folders[path] > 0:
            return True
        if not self.base.is_folder(path):
            return False
        # Without a look into the folder it counts as full: a file that took its place would swallow what is in it.
        return not isinstance(self.base, Listed) or any(each not in self._now for each in self.base.below(path))

    def changes(self) -> tuple[Change, ...]:
        """What differs from the base tree now, by path; a path that ended as it was is no change."""
        return tuple(self._differing())

    def _checked(self, path: bytes) -> bytes:
        """The path, where a patch may touch it; who moves submodules also writes the file that lists them."""
        return path if self.submodules and path == _LISTED else checked(path)

    def _base_data(self, path: bytes) -> bytes:
        """The bytes of the base tree at a path; of a submodule its commit, as the diffs of Git tell it."""
        entry = self.base.entry(path)
        is_link = entry is not None and entry.mode is Mode.GITLINK
        return entry.oid.encode() if entry is not None and is_link else self.base.read(path)

    def _set(self, path: bytes, file: File | None) -> None:
        step = (file is not None) - (self._now.get(path) is not None)
        for folder in _above(path):
            self._folders[folder] += step
        self._now[path] = file

    def _differing(self) -> Iterator[Change]:
        for path, after in sorted(self._now.items()):
            before = self.base.entry(path)
            same_mode = (before.mode if before else None) == (after.mode if after else None)
            if same_mode and (after is None or self._base_data(path) == after.data):
                continue
            yield Change(path=path, before=before, after=after)

    def _room_for(self, path: bytes) -> None:
        """Nothing but folders above the path, and no folder at it."""
        for above in _above(path):
            mode = self._mode(above)
            if mode in _KINDS:
                raise forbidden(path, f"lies below {_KINDS[mode]}")
            if mode is not None:
                raise refuse("path-exists", path, "write below a file", hint="delete the file in the same patch first")
        if self.is_folder(path):
            raise refuse("path-exists", path, "write over a folder", hint="delete its files in the same patch first")


def _submodule(path: bytes) -> Refusal:
    return refuse("submodule", path, "change a submodule", hint="submodules can only be deleted")


def _above(path: bytes) -> Iterator[bytes]:
    """Every folder that a path lies in."""
    end = path.find(b"/")
    while end >= 0:
        yield path[:end]
        end = path.find(b"/", end + 1)
