"""Make a workspace: configuration, state, secrets. A second run mends what a kill left half made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import tomli_w

from ghostd.base.errors import Cannot
from ghostd.base.files import create_exclusive, make_dir
from ghostd.config.load import INSIDE_REPOSITORY, home
from ghostd.model.settings import Places
from ghostd.security import secrets

PUBLIC_FILE = 0o644
_EXCLUDE = f"{INSIDE_REPOSITORY}/"
# The template's line for a lane's repository, commented out because `.ghost/` needs none.
_REPO_LINE = re.compile(r'^# repo = "\.\.".*$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What `init` made, in order; empty where all of it was there already."""

    workspace: Path
    repo: Path
    made: tuple[str, ...]


def init(workspace: Path, *, repo: Path | None) -> Made:
    """Make a workspace for a repository (without one: for the folder that the workspace serves)."""
    workspace = workspace.absolute()
    places = Places(workspace=workspace)
    served = (repo or home(workspace)).absolute()
    made = [*_configuration(places, served), *set_up_state(workspace), *_excluded(workspace)]
    # Last: a folder counts as a workspace when all of it is there.
    if create_exclusive(places.marker, b"Made by ghostd init.\n"):
        made.append(str(places.marker))
    return Made(workspace=workspace, repo=served, made=tuple(made))


def set_up_state(workspace: Path) -> tuple[str, ...]:
    """Make the folders of `state/` and the secrets that are missing; costs a few look-ups where nothing is."""
    places = Places(workspace=workspace)
    folders = [
        places.state,
        places.log,
        places.run,
        places.wake,
        places.secrets,
        places.summaries,
        places.heartbeat,
        places.state / "lanes",
        places.worktrees,
        places.dumps,
    ]
    wanted = [*folders, *(places.secrets / name for name in secrets.MADE)]
    missing = [path for path in wanted if not path.exists()]
    for folder in folders:
        make_dir(folder)
    secrets.create(places.secrets)
    # Keeps a workspace that is kept in Git from adding its own ledger and secrets to a commit.
    if create_exclusive(places.state / ".gitignore", b"*\n!.gitignore\n", mode=PUBLIC_FILE):
        missing.append(places.state / ".gitignore")
    return tuple(str(path) for path in missing)


def template() -> str:
    """The commented default configuration, as the wheel or the checkout brings it."""
    packaged = resources.files("ghostd.config") / "ghost.toml"
    if packaged.is_file():
        return packaged.read_text("utf-8")
    return (Path(__file__).parents[2] / "conf" / "ghost.toml").read_text("utf-8")


def repository_above(start: Path) -> Path | None:
    """The work tree that `start` is in, or the bare repository that it is; None elsewhere."""
    start = start.absolute()
    for folder in (start, *start.parents):
        if git_dir(folder) is not None:
            return folder
    return None


def git_dir(folder: Path) -> Path | None:
    """The Git folder of a work tree's top or of a bare repository, told from its files alone.

    A linked work tree and a submodule have a `.git` file that names it.
    """
    dot_git = folder / ".git"
    if _is_git_dir(dot_git):
        return dot_git
    if os.path.isfile(dot_git):  # noqa: PTH113 - never raises
        named = _first_line(dot_git)
        target = folder / named.removeprefix("gitdir:").strip()
        return target if named.startswith("gitdir:") and target.is_dir() else None
    return folder if _is_git_dir(folder) else None


def _is_git_dir(path: Path) -> bool:
    return os.path.isfile(path / "HEAD") and all(os.path.isdir(path / name) for name in ("objects", "refs"))  # noqa: PTH112, PTH113 - never raise


def _configuration(places: Places, served: Path) -> Iterator[str]:
    if places.conf.exists():
        return
    text = template()
    if served.resolve() != home(places.workspace).resolve() or places.workspace.name != INSIDE_REPOSITORY:
        text = _REPO_LINE.sub(lambda _: _repo_line(served), text)
    make_dir(places.conf.parent)
    if create_exclusive(places.conf, text.encode(), mode=PUBLIC_FILE):
        yield str(places.conf)


def _repo_line(repo: Path) -> str:
    try:
        str(repo).encode("utf-8")
    except UnicodeEncodeError:
        raise Cannot(
            f"write the path {os.fsencode(repo)!r} into a configuration: it is not UTF-8",
            kind="path-not-utf8",
            hint=f"make the workspace inside the repository, as {INSIDE_REPOSITORY}",
        ) from None
    return tomli_w.dumps({"repo": str(repo)}).strip()


def _excluded(workspace: Path) -> Iterator[str]:
    """Add `.ghost/` to the repository's private ignore list, where the workspace is inside of one."""
    above = repository_above(workspace.parent)
    if workspace.name != INSIDE_REPOSITORY or above is None:
        return
    found = git_dir(above)
    if found is None or found == above:
        return
    exclude = _common_dir(found) / "info" / "exclude"
    before = exclude.read_bytes() if exclude.exists() else b""
    if _EXCLUDE.encode() in before.splitlines():
        return
    exclude.parent.mkdir(exist_ok=True)
    with exclude.open("ab") as file:
        # One write, so that a kill leaves all of the line or nothing of it.
        file.write((b"\n" if before and not before.endswith(b"\n") else b"") + _EXCLUDE.encode() + b"\n")
    yield f"{exclude} ({_EXCLUDE})"


def _common_dir(git: Path) -> Path:
    """Linked work trees share the ignore list of their main repository."""
    link = git / "commondir"
    return git / _first_line(link) if link.is_file() else git


def _first_line(path: Path) -> str:
    with path.open("rb") as file:
        return os.fsdecode(file.readline(4096)).strip()
