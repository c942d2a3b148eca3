"""Which of the machine's folders a command sees: found on the disk, handed to the launcher as plain rows."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

#: The system, read-only. Where a name is a link (`/bin` → `usr/bin`) the link is made again.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/gnu/store",
           "/sys/devices/system/cpu")  # fmt: skip
#: What in there is nobody's business; the command may run as root where nothing better can be had.
_SECRET = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssh", "/etc/ssl/private",
           "/etc/sudoers", "/etc/sudoers.d", "/etc/krb5.keytab", "/etc/wireguard", "/etc/docker", "/etc/kubernetes",
           "/etc/NetworkManager/system-connections")  # fmt: skip
_RESOLVER = Path("/etc/resolv.conf")
#: A folder with one of these beside its `bin` is a whole installation: its programs need their libraries.
_PREFIX_SIGNS = ("lib", "libexec", "versions", "share")
_PROGRAMS = frozenset({"bin", "sbin", "shims", "scripts"})
_ROOTS_OF_WORK = (".git", ".ghost", "conf/ghost.toml")
#: A folder of PATH with more entries than this is somebody's mistake.
_MOST_ENTRIES = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Rows for the launcher: (kind, source on this machine, place in the view), shallow places first."""

    trees: tuple[tuple[str, str, str], ...]
    #: (target, place) of links in the root.
    links: tuple[tuple[str, str], ...]


def shown(
    *, writable: Iterable[Path], readable: Iterable[Path], hidden: Iterable[Path], path: str, network: bool
) -> Shown:
    """What a command with this PATH sees beside /dev, /proc and empty /tmp and /run."""
    work = [Path(folder) for folder in writable]
    links, system = _system(network=network)
    extra = [*readable, *_without_work(tools(path), work)]
    rows = [
        *(("system", folder, folder) for folder in system),
        *(("readable", os.path.realpath(one), str(one)) for one in dict.fromkeys(extra) if one.exists()),
        *(("hidden", "", str(one)) for one in _hidden([*hidden, *_beside(work, extra)])),
        *(("writable", os.path.realpath(folder), str(folder)) for folder in work),
    ]
    rows = [(_kind(kind, place), source, place) for kind, source, place in rows]
    return Shown(trees=tuple(sorted(rows, key=lambda row: row[2].count("/") if row[2] != "/" else 0)), links=links)


def _kind(kind: str, place: str) -> str:
    """A hidden file is covered by another thing than a hidden folder."""
    return "hidden-folder" if kind == "hidden" and Path(place).is_dir() else "hidden-file" if kind == "hidden" else kind


def _hidden(asked: Iterable[Path]) -> list[Path]:
    return [one for one in dict.fromkeys([*map(Path, _SECRET), *asked]) if one.exists() and not one.is_symlink()]


@functools.cache
def _system(*, network: bool) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    links = tuple((str(Path(name).readlink()), name) for name in _SYSTEM if Path(name).is_symlink())
    folders = [name for name in _SYSTEM if Path(name).is_dir() and not Path(name).is_symlink()]
    resolver = _RESOLVER.resolve()
    if network and resolver.exists() and not any(resolver.is_relative_to(folder) for folder in folders):
        folders.append(str(resolver.parent))
    return links, tuple(folders)


def system() -> tuple[str, ...]:
    """The system's folders on this machine."""
    return _system(network=False)[1]


def public_settings() -> list[str]:
    """What is in /etc without its secrets, for Landlock, which can allow but not take away."""
    return [str(one) for one in Path("/etc").iterdir() if str(one) not in _SECRET]


def _beside(work: Iterable[Path], readable: Iterable[Path]) -> Iterator[Path]:
    """What the view would show by accident: a repository below a system folder, and a `.git` in a readable one."""
    for folder in work:
        above = [
            one for one in reversed(folder.parents) if any(one.is_relative_to(s) and str(one) != s for s in _SYSTEM)
        ]
        yield from [one for one in above if any((one / sign).exists() for sign in _ROOTS_OF_WORK)][:1]
    for folder in readable:
        if (folder / ".git").exists():
            yield folder / ".git"


def _without_work(folders: Iterable[Path], work: Iterable[Path]) -> list[Path]:
    """A PATH that names a folder above the work must not show what lies beside the work."""
    return [folder for folder in folders if not any(one.is_relative_to(folder) for one in work)]


def tools(path: str) -> tuple[Path, ...]:
    """The folders that a PATH's programs need beside the system: installations, virtual environments, their Python."""
    stamps = []
    for word in path.split(os.pathsep):
        if word.startswith("/") and not _in_system(word):
            try:
                stamps.append((word, Path(word).stat().st_mtime_ns))
            except OSError:
                continue
    return _tools(tuple(stamps))


@functools.lru_cache(maxsize=32)
def _tools(stamps: tuple[tuple[str, int], ...]) -> tuple[Path, ...]:
    """By folder and time of change: a tool that is installed while we run is seen."""
    found: dict[Path, None] = {}
    rim = [Path(word) for word, _ in stamps]
    while rim:
        programs = rim.pop(0)
        folder = _prefix(programs)
        if folder not in found and not _in_system(str(folder)) and folder.is_dir():
            found[folder] = None
            rim += _leads_to(programs, folder)
    return tuple(one for one in found if not any(one != other and one.is_relative_to(other) for other in found))


def _prefix(programs: Path) -> Path:
    """The installation that a folder of programs belongs to, or the folder itself where that would show too much."""
    above, home = programs.parent, Path.home()
    if (above / "pyvenv.cfg").is_file():
        return above
    too_much = above in {home, home / ".local", Path("/")} or home.is_relative_to(above)
    whole = programs.name in _PROGRAMS and any((above / sign).is_dir() for sign in _PREFIX_SIGNS)
    return above if whole and not too_much else programs


def _leads_to(programs: Path, folder: Path) -> list[Path]:
    """Folders of programs that links in this one and its pyvenv.cfg point to."""
    targets = set()
    with os.scandir(programs) as entries:
        for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False):
            if entry.is_symlink():
                targets.add(Path(os.path.realpath(entry.path)).parent)
    config = folder / "pyvenv.cfg"
    for line in config.read_text("utf-8", "replace").splitlines() if config.is_file() else ():
        key, _, value = line.partition("=")
        if key.strip() == "home" and value.strip().startswith("/"):
            targets.add(Path(value.strip()))
    return sorted(target for target in targets if not target.is_relative_to(folder))


def _in_system(path: str) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in _SYSTEM)
