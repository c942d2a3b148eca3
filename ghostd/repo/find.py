"""From any path to the repository that it lies in, by our own eyes: no variable and no configuration has a say."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ghostd.base import process
from ghostd.base.errors import Cannot


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A repository's common Git folder, and the work tree that the search passed through (None where it met none)."""

    common: Path
    work_tree: Path | None


def locate(path: Path) -> Located:
    """Find the repository of a Git folder, a work tree, or any folder inside of one. Raises Cannot."""
    try:
        here = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise Cannot(
            f"open the repository {path}: no such folder",
            kind="repo-missing",
            hint="check the path, or make it with `git init`",
            path=str(path),
        ) from error
    found = _at(here) or next((hit for folder in (here, *here.parents) if (hit := _dot_git(folder))), None)
    if found is None:
        raise _invalid(path, "no Git repository there")
    return found


def _at(here: Path) -> Located | None:
    """The path itself is a Git folder, or the `.git` file of a linked work tree."""
    if is_git_dir(here):
        return Located(common=common_of(here), work_tree=None)
    return _dot_git(here.parent) if here.name == ".git" and here.is_file() else None


def _dot_git(folder: Path) -> Located | None:
    dot = folder / ".git"
    if dot.is_file():
        return Located(common=common_of(follow(dot)), work_tree=folder)
    return Located(common=common_of(dot.resolve()), work_tree=folder) if is_git_dir(dot) else None


def is_git_dir(folder: Path) -> bool:
    """What Git itself looks for: HEAD, and objects and refs of its own or a pointer to those."""
    if not os.path.lexists(folder / "HEAD"):
        return False
    return (folder / "commondir").is_file() or ((folder / "objects").is_dir() and (folder / "refs").is_dir())


def follow(dot_git: Path) -> Path:
    """The Git folder that a `.git` file points at. Raises Cannot."""
    text = dot_git.read_bytes()[:8192]
    folder = pointed(dot_git.parent, text.removeprefix(b"gitdir:"))
    if not text.startswith(b"gitdir:") or folder is None or not is_git_dir(folder):
        raise _invalid(dot_git, "it points to no Git folder", hint="try `git worktree repair`")
    return folder


def common_of(git_dir: Path) -> Path:
    """The folder with objects and branches; a linked work tree's own Git folder names it in `commondir`."""
    pointer = git_dir / "commondir"
    if not pointer.is_file():
        return git_dir
    common = pointed(git_dir, pointer.read_bytes())
    if common is None or not is_git_dir(common):
        raise _invalid(git_dir, "its main repository is gone", hint="try `git worktree repair`")
    return common


def pointed(folder: Path, text: bytes) -> Path | None:
    """The real path that a pointer file in `folder` names; None for what can be no path."""
    try:
        return (folder / os.fsdecode(text.strip())).resolve()
    except (ValueError, RuntimeError, OSError):
        return None


def _invalid(path: Path, why: str, hint: str = "name a repository, or make one with `git init`") -> Cannot:
    return Cannot(f"open the repository {path}: {why}", kind="repo-invalid", hint=hint, path=str(path))


def check_owner(located: Located) -> None:
    """Refuse another user's repository, as Git does: its links and alternates could lead our writes astray."""
    owner = located.common.stat().st_uid
    if owner in _trusted_users() or _marked_safe(located):
        return
    place = located.work_tree or located.common
    raise Cannot(
        f"open the repository {place}: it belongs to user {owner}",
        kind="repo-foreign",
        hint=f"run as its owner, or trust it: git config --global --add safe.directory {place}",
        path=str(place),
    )


def _trusted_users() -> set[int]:
    sudo = os.environ.get("SUDO_UID", "")
    return {os.geteuid(), int(sudo)} if os.geteuid() == 0 and sudo.isdigit() else {os.geteuid()}


def _marked_safe(located: Located) -> bool:
    """The user's own `safe.directory` list: the one thing that is ever read from the user's configuration."""
    env = {key: os.environ[key] for key in ("PATH", "HOME", "XDG_CONFIG_HOME") if key in os.environ}
    listed = process.run(
        [git_binary(), "config", "--get-all", "-z", "safe.directory"], env=env, cwd=Path("/"), timeout=10
    )
    entries = {os.fsdecode(entry).rstrip("/") for entry in listed.stdout.split(b"\0") if entry}
    places = {str(place) for place in (located.common, located.work_tree) if place}
    return "*" in entries or bool(entries & places)


def git_binary() -> str:
    """The path of Git. Raises Cannot where there is none."""
    found = shutil.which("git")
    if found is None:
        raise Cannot("run git: no such program", kind="git-missing", hint="install Git 2.36 or newer")
    return found
