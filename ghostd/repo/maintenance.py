"""Keeping a repository quick: loose objects and small packs are put together, off the path of a patch.

What is put together and nothing else: no object goes, whether anything names it or not. It is git that does it, under
its own locks, so people's git and other processes go on; one that holds an old pack open keeps it, and looks again for
what it does not find (git and libgit2 both do). A kill leaves temporary files, which `mend` removes when they are old.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

from ghostd.base.files import sync_dir
from ghostd.repo.git import Repository, failed
from ghostd.repo.pack import PREFIX

#: The folder that is counted: object ids are evenly spread over 256.
_SAMPLE = "17"
_OBJECT = re.compile(r"[0-9a-f]{38}")
#: More loose refs below one of these than this are packed: each costs a file to whoever lists them.
_MANY_REFS = 256
#: What git says where another has put a pack together with others in the meantime.
_MOVED = b"could not find pack"
_TRIES = 5
#: A half-made file that is older belongs to nobody: no pack takes that long.
_LEFT_AFTER = 24 * 3600.0
_HALF_MADE = ("tmp_obj_*", "tmp_pack_*", "tmp_idx_*", "tmp_rev_*", f"{PREFIX}*", ".tmp-*")


def due(repo: Repository, max_loose: int, max_packs: int) -> bool:
    """Whether there are more loose objects or packs than these. Cheap: one folder in 256 is counted, as git gc does."""
    objects = Path(repo.identity) / "objects"
    loose = sum(1 for name in _names(objects / _SAMPLE) if _OBJECT.fullmatch(name))
    # Rounded up, so that a small limit is one too.
    return loose > (max_loose + 255) // 256 or _packs(objects) > max_packs


def run(repo: Repository) -> str:
    """Put them together; what was done, in words. Raises Cannot of kind git-failed.

    It takes seconds where much is loose, and never longer than any command of ours; then a kill ends it, and what is
    done by then stays.
    """
    objects = Path(repo.identity) / "objects"
    before = _loose(objects), _packs(objects)
    # Packs whose sizes grow by a factor of two stay, so that a large one is hardly ever written again. A bitmap needs
    # one pack of everything, and a person's setting for it would end the command.
    words = ("repack", "--geometric=2", "-d", "--quiet", "--no-write-bitmap-index")
    _git(repo, "put objects together", *words, again=_TRIES)
    if _many_loose_refs(Path(repo.identity)):
        _git(repo, "put refs together", "pack-refs", "--all")
    made = _make_folders(objects)
    if made and repo.durable:
        sync_dir(objects)
    return f"{before[0]} loose objects and {before[1]} packs became {_loose(objects)} and {_packs(objects)}"


def _git(repo: Repository, what: str, *words: str, again: int = 0) -> None:
    done = repo.git(*words)
    if done.status and again and _MOVED in done.stderr:
        _git(repo, what, *words, again=again - 1)
    elif done.status:
        raise failed(f"{what} in {repo.identity}", done)


def half_made(repo: Repository) -> Iterator[Path]:
    """Remove and name what a killed git, or we, left half made among the objects, long enough ago."""
    objects = Path(repo.identity) / "objects"
    for pattern in _HALF_MADE:
        for path in [*objects.glob(pattern), *objects.glob(f"??/{pattern}"), *objects.glob(f"pack/{pattern}")]:
            with contextlib.suppress(FileNotFoundError):
                if _writer_is_gone(path.name) or time.time() - path.stat().st_mtime > _LEFT_AFTER:
                    path.unlink()
                    yield path


def _writer_is_gone(name: str) -> bool:
    """Ours bear the number of their process; that of another program may be at work still."""
    number = name.removeprefix(PREFIX).partition("_")[0]
    return name.startswith(PREFIX) and number.isdigit() and not Path(f"/proc/{number}").exists()


def _make_folders(objects: Path) -> int:
    """Make the folders of loose objects that git has taken away as they became empty: the next patches need them."""
    missing = [path for number in range(256) if not (path := objects / f"{number:02x}").is_dir()]
    for path in missing:
        path.mkdir(exist_ok=True)
    return len(missing)


def _loose(objects: Path) -> int:
    return sum(len(_names(objects / f"{number:02x}")) for number in range(256))


def _packs(objects: Path) -> int:
    """Packs that may be put together: one with a `.keep` is let alone."""
    names = set(_names(objects / "pack"))
    return sum(1 for name in names if name.endswith(".pack") and f"{name.removesuffix('.pack')}.keep" not in names)


def _many_loose_refs(common: Path) -> bool:
    return any(len(_names(common / "refs" / kind)) > _MANY_REFS for kind in ("tags", "heads"))


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
