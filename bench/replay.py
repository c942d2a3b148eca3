"""Apply a real history once more: each commit of the first-parent line as a patch, from the first to the last.

    python bench/replay.py CLONE [--revision HEAD] [--limit N] [--forms diff,files]

Every commit becomes a patch text in one of the forms, in turn; it is read as any patch is, applied to the tree that the
ones before it made, and the resulting tree must have upstream's id. Nothing of the clone is run or changed: it is only
read, and what is made lies in a repository of its own.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rich.progress

from ghostd.base.errors import Cannot
from ghostd.patches.apply import apply
from ghostd.patches.read import read_patch
from ghostd.repo.git import Repository, open_repository
from ghostd.repo.objects import GitTree, tree_of, write_tree

EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
#: Real commits are larger than patches of an agent may be.
MAX_BYTES = 1 << 30
QUIET = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ATTR_NOSYSTEM": "1", "LC_ALL": "C.UTF-8"}
_PLAIN = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A}

Mutation = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone that is read by plumbing only: no filter, no textconv, no attribute has a say."""

    path: Path

    def git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        argv = ["git", "-c", "core.quotePath=true", "-c", "diff.renames=false", *arguments]
        env = {"PATH": os.environ["PATH"], **QUIET}
        return subprocess.run(argv, cwd=self.path, env=env, input=stdin, capture_output=True, check=True).stdout

    def line(self, revision: str) -> list[str]:
        """The first-parent line up to a revision, oldest first."""
        return self.git("rev-list", "--first-parent", "--reverse", revision, "--").decode().split()

    def tree(self, commit: str) -> str:
        return self.git("rev-parse", "--verify", f"{commit}^{{tree}}").decode().strip()

    def changes(self, old: str, new: str, *how: str) -> bytes:
        return self.git("diff-tree", "--no-ext-diff", "--no-textconv", "--full-index", *how, old, new)

    def blob(self, oid: str) -> bytes:
        return self.git("cat-file", "blob", oid)

    def entries(self, tree: str) -> list[tuple[str, bytes, bytes]]:
        """Every file of a tree: canonical mode, object, path."""
        lines = self.git("ls-tree", "-r", "-z", "--full-tree", tree).split(b"\0")[:-1]
        return [_entry(line) for line in lines]


def _entry(line: bytes) -> tuple[str, bytes, bytes]:
    head, path = line.split(b"\t", 1)
    mode, _, oid = head.split(b" ")
    kinds = {"100664": "100644", "100600": "100644"}
    return kinds.get(mode.decode(), mode.decode()), oid, path


def bytes_as(key: str, data: bytes) -> Mutation:
    """A text as it is where every reader keeps it so, else base64."""
    if all(byte in _PLAIN for byte in data):
        return {key: data.decode()}
    return {f"{key}_b64": base64.b64encode(data).decode()}


# --- forms: how a commit is written as a patch ------------------------------------------------------------------


def as_diff(clone: Clone, old: str, new: str) -> list[Mutation]:
    """One unified diff of all files, with Git's own headers: renames, copies, modes, binary parts."""
    diff = clone.changes(old, new, "-r", "-p", "--binary", "-M", "-C")
    return [{"op": "diff", **bytes_as("diff", diff)}] if diff else []


def as_files(clone: Clone, old: str, new: str) -> list[Mutation]:
    """Whole files: renames first, then deletions, then what is written, linked or changes its mode."""
    raw = clone.changes(old, new, "-r", "-z", "--raw", "-M").split(b"\0")[:-1]
    rows = list(_rows(iter(raw)))
    renames = [{"op": "rename", **bytes_as("path", r.path), **bytes_as("to", r.to)} for r in rows if r.status == "R"]
    deletes = [{"op": "delete", **bytes_as("path", r.path)} for r in rows if r.status == "D"]
    return renames + deletes + [m for row in rows if row.status != "D" for m in _written(clone, row)]


@dataclass(frozen=True, slots=True)
class Row:
    status: str
    old_mode: str
    mode: str
    old: str
    oid: str
    path: bytes
    to: bytes


def _rows(parts: Iterator[bytes]) -> Iterator[Row]:
    for head in parts:
        old_mode, mode, old, oid, status = head.decode().lstrip(":").split(" ")
        path = next(parts)
        to = next(parts) if status[0] in "RC" else path
        yield Row(status[0], old_mode, mode, old, oid, path, to)


def _written(clone: Clone, row: Row) -> Iterator[Mutation]:
    if row.mode == "160000":
        # A submodule is a line of a diff and nothing else.
        yield {"op": "diff", **bytes_as("diff", _submodule(row))}
    elif row.mode == "120000":
        yield {"op": "symlink", **bytes_as("path", row.to), **bytes_as("target", clone.blob(row.oid))}
    elif row.old == row.oid and row.status == "M":
        yield {"op": "mode", **bytes_as("path", row.to), "mode": f"0{row.mode[-3:]}"}
    elif row.old != row.oid or row.old_mode != row.mode:
        mode = "0755" if row.mode == "100755" else "0644"
        yield {"op": "write", **bytes_as("path", row.to), **bytes_as("contents", clone.blob(row.oid)), "mode": mode}


def _submodule(row: Row) -> bytes:
    name = row.to
    head = b"diff --git a/%s b/%s\n" % (name, name)
    new = b"+Subproject commit %s\n" % row.oid.encode()
    if row.old_mode == "160000":
        old = b"-Subproject commit %s\n" % row.old.encode()
        return head + b"--- a/%s\n+++ b/%s\n@@ -1 +1 @@\n" % (name, name) + old + new
    return head + b"new file mode 160000\n--- /dev/null\n+++ b/%s\n@@ -0,0 +1 @@\n" % name + new


FORMS: Mapping[str, Callable[[Clone, str, str], list[Mutation]]] = {"diff": as_diff, "files": as_files}


# --- the replay -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Report:
    """What a replay found."""

    commits: int = 0
    #: Trees with upstream's very id, and those that only differ in how upstream wrote them (old modes).
    equal: int = 0
    equal_canonically: int = 0
    refused: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def replay(
    path: Path, *, revision: str = "HEAD", limit: int = 0, forms: tuple[str, ...] = tuple(FORMS), show: bool = False
) -> Report:
    """Apply the history of a clone again and compare every tree."""
    clone, report = Clone(path), Report()
    commits = clone.line(revision)
    commits = commits[:limit] if limit else commits
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "-q", "--bare", folder], check=True)
        with open_repository(Path(folder), durability="process") as repo:
            tree, upstream = tree_of(repo, None), EMPTY
            for number, commit in enumerate(rich.progress.track(commits, disable=not show, description="replaying")):
                new = clone.tree(commit)
                tree = _one(repo, clone, tree, upstream, new, forms[number % len(forms)], commit, report)
                if tree is None:
                    break
                upstream = new
    return report


def _one(
    repo: Repository, clone: Clone, tree: GitTree, old: str, new: str, form: str, commit: str, report: Report
) -> GitTree | None:
    """One commit; None where it can not go on."""
    report.commits += 1
    mutations = FORMS[form](clone, old, new)
    text = json.dumps({"id": f"replay-{commit}", "content": {"mutations": mutations, "allowEmpty": True}}).encode()
    report.kinds.update(mutation["op"] for mutation in mutations)
    begun = time.perf_counter()
    try:
        patch = read_patch(text, max_bytes=MAX_BYTES)
        made = write_tree(repo, tree, apply(tree, patch, submodules=True).changes)
    except Cannot as error:
        report.refused.append(f"{commit} ({form}): {error}")
        return None
    finally:
        report.seconds += time.perf_counter() - begun
    if made == new:
        report.equal += 1
    elif _same(repo, clone, made, new):
        report.equal_canonically += 1
    else:
        report.refused.append(f"{commit} ({form}): tree {made}, upstream has {new}")
        return None
    return tree_of(repo, made)


def _same(repo: Repository, clone: Clone, made: str, new: str) -> bool:
    """Whether two trees hold the same, though upstream's was written with modes that Git writes no more."""
    repo.flush()
    return Clone(Path(repo.identity)).entries(made) == clone.entries(new)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clone", type=Path)
    parser.add_argument("--revision", default="HEAD")
    parser.add_argument("--limit", type=int, default=0, help="only the first so many commits")
    parser.add_argument("--forms", default=",".join(FORMS), help="taken in turn")
    asked = parser.parse_args()
    report = replay(
        asked.clone, revision=asked.revision, limit=asked.limit, forms=tuple(asked.forms.split(",")), show=True
    )
    print(f"{report.commits} commits: {report.equal} trees equal, {report.equal_canonically} equal but for old modes")
    print(f"{sum(report.kinds.values())} mutations: {dict(report.kinds.most_common())}")
    print(f"{report.seconds / max(report.commits, 1) * 1000:.2f} ms for each to read, apply and write, on average")
    for refused in report.refused:
        print(refused)
    return 1 if report.refused else 0


if __name__ == "__main__":
    sys.exit(main())
