"""What the tests of the Git room share: land a change as the pipeline does, and ask git what it thinks."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ghostd.model.tree import Change, File, Mode
from ghostd.repo import commit, worktree
from ghostd.repo.git import Repository
from ghostd.repo.objects import GitTree, tree_of, write_tree

WORK = "ghost/work"


def git(where: Path, *arguments: str, stdin: bytes = b"") -> str:
    """What git printed, stripped; a failure fails the test with git's own words."""
    done = subprocess.run(["git", *arguments], cwd=where, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8", "surrogateescape").strip()


def change(tree: GitTree, path: bytes, data: bytes | None, mode: Mode = Mode.FILE) -> Change:
    """One path written, or deleted with None."""
    return Change(path=path, before=tree.entry(path), after=None if data is None else File(mode=mode, data=data))


def changes(tree: GitTree, files: dict[bytes, bytes | None]) -> list[Change]:
    return [change(tree, path, data) for path, data in files.items()]


def seal_in(repo: Repository, id: str, files: dict[bytes, bytes | None], branch: str = WORK, **more) -> str:
    """Land a patch on the branch, files on disk not yet brought along; the new commit."""
    head = commit.base(repo, branch)
    tree = tree_of(repo, head)
    new = write_tree(repo, tree, changes(tree, files))
    return put(repo, id, new, branch, **more)


def put(repo: Repository, id: str, tree: str, branch: str = WORK, **more) -> str:
    """Land a tree on the branch under an id."""
    head = commit.base(repo, branch)
    text = commit.message(
        commit.subject(id, "a change"),
        "",
        commit.trailers(id=id, digest="d" * 64, lane="MAIN", proof="e" * 64, **more),
    )
    spec = commit.CommitSpec(tree=tree, parents=(head,) if head else (), message=text, author="gpt", when=1_753_770_600)
    worktree.remember_worktree(repo, branch)
    new = commit.write_commit(repo, spec)
    assert commit.move(repo, branch, new, commit.tip(repo, branch), why=id)
    return new


def land(repo: Repository, id: str, files: dict[bytes, bytes | None], branch: str = WORK, **more) -> str:
    """Land a patch and bring the files along."""
    new = seal_in(repo, id, files, branch, **more)
    assert worktree.materialise(repo, branch) in ("current", "none")
    return new


def clean(where: Path) -> bool:
    """What `git status` says, after it was made to look at every file."""
    return git(where, "status", "--porcelain", "--untracked-files=all") == ""


def sound(where: Path) -> bool:
    """`git fsck --strict` finds nothing at all."""
    done = subprocess.run(["git", "fsck", "--strict", "--no-dangling"], cwd=where, capture_output=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if not line.startswith(b"notice: HEAD points to an unborn")]
    assert (done.returncode, complaints) == (0, []), (done.stdout, done.stderr)
    return True
