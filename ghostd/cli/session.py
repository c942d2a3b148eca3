"""How a verb comes to its workspace: find it, read its configuration, say why it can not."""

from __future__ import annotations

from pathlib import Path

from ghostd.base.errors import Cannot
from ghostd.cli import output
from ghostd.cli.verbs import Asked
from ghostd.config.init import Made, init, repository_above, set_up_state
from ghostd.config.load import INSIDE_REPOSITORY, Loaded, find_workspace, load
from ghostd.model.settings import Places


def find(asked: Asked, repo: Path | None = None) -> Path | None:
    """The workspace that is meant here, or in `repo`, without reading it."""
    return find_workspace(repo or Path.cwd(), asked.workspace)


def open_workspace(asked: Asked, *, must_exist: bool = True, repo: Path | None = None) -> Loaded:
    """The configuration of the workspace that is meant here.

    Without `must_exist`, `.ghost/` is made in `repo` (or the repository that we are in) where there is none, and told
    in one line on stderr. With `-v`, warnings are told as well.
    """
    workspace = find(asked, repo)
    if workspace is None or not Places(workspace=workspace).conf.is_file():
        if must_exist:
            raise _none(workspace)
        workspace = make(asked, repo).workspace
        output.talk(f"ghost: made the workspace {workspace}")
    loaded = load(workspace)
    set_up_state(workspace)
    for problem in loaded.warnings if asked.verbosity > 0 else ():
        output.talk(f"warning: {problem}")
    return loaded


def make(asked: Asked, repo: Path | None) -> Made:
    """Make the workspace that is meant here: the named one, else `.ghost/` in the repository."""
    served = repository_above(repo or Path.cwd())
    if served is None:
        raise Cannot(
            f"find a Git repository in {repo or Path.cwd()} or above",
            kind="repo-missing",
            hint="name one with --repo, or make one with git init",
        )
    return init(asked.workspace or served / INSIDE_REPOSITORY, repo=served)


def _none(named: Path | None) -> Cannot:
    if named is None:
        return Cannot("find a workspace here or above", kind="no-workspace", hint="run ghostd init")
    return Cannot(
        f"use {named} as a workspace: it has no conf/ghost.toml",
        kind="no-workspace",
        hint=f"run ghostd init --workspace {named}",
    )
