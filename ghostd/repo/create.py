"""Make a small repository with one commit, for demonstrations and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pygit2

from ghostd.model.tree import Change, File, Mode
from ghostd.repo import commit, refs, seal
from ghostd.repo.git import open_repository
from ghostd.repo.objects import tree_of, write_tree


def create_repository(path: Path, files: Mapping[str, bytes], *, when: int = 0, branch: str = "main") -> None:
    """A repository at `path` with `files` committed on `branch` at `when` (UTC seconds) and checked out, clean."""
    seal.seal_libgit2("process")
    pygit2.init_repository(str(path), initial_head=branch)
    for name, data in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    with open_repository(path, durability="process") as repo:
        changes = [
            Change(path=name.encode(), before=None, after=File(mode=Mode.FILE, data=data))
            for name, data in files.items()
        ]
        tree = write_tree(repo, tree_of(repo, None), changes)
        spec = commit.CommitSpec(tree=tree, parents=(), message="The beginning\n", author="", when=when)
        refs.swap(repo, refs.branch_ref(branch), commit.write_commit(repo, spec), None, why="the beginning")
        index = repo.handle.index
        index.read_tree(tree)
        index.write()
