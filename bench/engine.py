"""The path of a patch side by side with Git's own commands and libraries, on the same patches in the same run.

    python bench/engine.py [--repo CLONE] [--files 100,20000] [--history N] [--count 200] [--runs 5] [--dir /dev/shm]

Each way begins with a fresh copy of the same repository, with `ghost/work` checked out, and makes one commit for each
of `--count` patches; each patch changes a line in two files. The ways take turns within a run, in an order that changes
from run to run, and all have to end with the same tree as the first one.

Inside the figures of ghost: the claim, reading and applying the patch, the sealed proof, objects, the ref, the files,
the index, the summary, events and record, with `durability = "power"`, as the running executor does it. Not inside: the
start of the process, and taking the patch in (its text is in the ledger when the clock starts), for which the others
have no counterpart either; and what the executor does in a quiet moment (proof log, maintenance). `single` sends the
next patch when the one before is recorded; `run` finds all of them waiting. The Git commands and the libraries run as
they do by themselves, without any sync of objects, refs or files; `synced` is the same with `core.fsync=all`, which
makes git's commits (not its files) survive a power cut.
"""

from __future__ import annotations

import argparse
import difflib
import gc
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import git as gitpython
import pygit2

from ghostd.config.init import init
from ghostd.config.load import load
from ghostd.model.job import Origin, State
from ghostd.model.submission import Submission
from ghostd.pipeline.intake import Intake
from ghostd.pipeline.worker import Worker
from ghostd.repo.sync import has_ordered_journal
from ghostd.services.executor import build

BRANCH = "ghost/work"
ENV = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
}  # fmt: skip
BASE = "git apply --index && git commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One change of two files, in all the forms that the ways need."""

    number: int
    diff: str
    #: Path and whole new content.
    files: tuple[tuple[str, bytes], ...]

    @property
    def message(self) -> str:
        return f"bench-{self.number}"


def sh(folder: Path, *argv: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(argv, cwd=folder, env=ENV, input=stdin, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


# Repositories ---------------------------------------------------------------------------------------------------


def generated(folder: Path, files: int) -> None:
    """So many files of 50 lines, 200 in a folder at most."""
    folder.mkdir()
    sh(folder, "git", "init", "-q", "-b", "main")
    each = min(200, max(10, files // 10))
    sh(folder, "git", "fast-import", "--quiet", stdin=b"".join(_beginning(files, each)))
    sh(folder, "git", "reset", "-q", "--hard", "main")


def _beginning(files: int, each: int) -> Iterator[bytes]:
    yield b"commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 0\n"
    for n in range(files):
        text = b"".join(b"value_%d_%d = %d\n" % (n, line, line) for line in range(50))
        yield b"M 644 inline src/pkg%03d/mod%05d.py\ndata %d\n%s\n" % (n // each, n, len(text), text)


def grown(folder: Path, history: int) -> None:
    """So many commits more, each of a small file of its own kind."""
    if not history:
        return
    sh(folder, "git", "fast-import", "--quiet", "--force", stdin=b"".join(_history(folder, history)))
    sh(folder, "git", "reset", "-q", "--hard", "main")


def _history(folder: Path, history: int) -> Iterator[bytes]:
    start = sh(folder, "git", "rev-parse", "HEAD").strip()
    for n in range(history):
        yield b"commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata 7\nhistory\n" % (1700000001 + n)
        yield b"from %s\n" % start if n == 0 else b""
        yield b"M 644 inline history/h%d\ndata %d\n%d\n\n" % (n % 50, len(b"%d\n" % n), n)


def cloned(folder: Path, source: Path) -> None:
    """A copy of a real repository, on a branch `main` at its HEAD."""
    sh(source, "git", "clone", "-q", "--no-hardlinks", str(source), str(folder))
    sh(folder, "git", "checkout", "-q", "-B", "main")


def patches(folder: Path, count: int) -> list[Patch]:
    """Patches that each change a line in two text files, always the next two."""
    listed = sh(folder, "git", "ls-files", "-s", "-z").decode(errors="replace").split("\0")
    names = [line.split("\t", 1)[1] for line in listed if line.startswith("100644")]
    texts = {name: text for name in names if name.isascii() and (text := _text(folder / name)) is not None}
    order = sorted(texts)
    random.Random(7).shuffle(order)
    made = []
    for n in range(count):
        pair = (order[2 * n % len(order)], order[(2 * n + 1) % len(order)])
        diff, files = "", []
        for name in pair:
            old, new = texts[name], _changed(texts[name], n)
            lines = difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{name}", f"b/{name}")
            diff += f"diff --git a/{name} b/{name}\n" + "".join(lines)
            texts[name] = new
            files.append((name, new.encode()))
        made.append(Patch(number=n, diff=diff, files=tuple(files)))
    return made


_SMALL = 50_000


def _text(path: Path) -> str | None:
    """The text of a small ordinary file that ends with a line's end."""
    if path.is_symlink() or not path.is_file() or not 0 < path.stat().st_size < _SMALL:
        return None
    data = path.read_bytes()
    plain = data.isascii() and data.endswith(b"\n") and b"\0" not in data and b"\r" not in data and b"\x0c" not in data
    return data.decode() if plain else None


def _changed(text: str, n: int) -> str:
    lines = text.splitlines(True)
    lines[n % len(lines)] = f"changed by patch {n}\n"
    return "".join(lines)


# Ways -----------------------------------------------------------------------------------------------------------


def apply_and_commit(folder: Path, todo: Sequence[Patch], *config: str) -> float:
    begun = time.perf_counter()
    for patch in todo:
        sh(folder, "git", *config, "apply", "--index", "-", stdin=patch.diff.encode())
        sh(folder, "git", *config, "commit", "-q", "-m", patch.message)
    return time.perf_counter() - begun


def synced(folder: Path, todo: Sequence[Patch]) -> float:
    return apply_and_commit(folder, todo, "-c", "core.fsync=all")


def mailbox(folder: Path, todo: Sequence[Patch]) -> float:
    mails = (
        f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: a <a@b>\nDate: Tue, 29 Jul 2025 06:30:00 +0000\n"
        f"Subject: {patch.message}\n\n---\n\n{patch.diff}--\n\n"
        for patch in todo
    )
    text = "".join(mails).encode()
    begun = time.perf_counter()
    sh(folder, "git", "am", "-q", stdin=text)
    return time.perf_counter() - begun


def through_gitpython(folder: Path, todo: Sequence[Patch]) -> float:
    with gitpython.Repo(folder) as repo:
        actor = gitpython.Actor("a", "a@b")
        begun = time.perf_counter()
        for patch in todo:
            for name, data in patch.files:
                (folder / name).write_bytes(data)
            repo.index.add([name for name, _ in patch.files])
            repo.index.commit(patch.message, author=actor, committer=actor, skip_hooks=True)
        return time.perf_counter() - begun


def through_pygit2(folder: Path, todo: Sequence[Patch]) -> float:
    repo = pygit2.Repository(str(folder))
    who = pygit2.Signature("a", "a@b")
    begun = time.perf_counter()
    for patch in todo:
        for name, data in patch.files:
            (folder / name).write_bytes(data)
            repo.index.add(name)
        repo.index.write()
        repo.create_commit("HEAD", who, who, patch.message, repo.index.write_tree(), [repo.head.target])
    taken = time.perf_counter() - begun
    repo.free()
    return taken


def ghost(folder: Path, todo: Sequence[Patch], *, waiting: bool) -> float:
    """Seconds from the first claim to the last record; with `waiting`, all patches are in the queue before."""
    where = folder.parent / f"{folder.name}-ghost"
    init(where, repo=folder)
    shop = build(load(where).settings)
    lane = shop.settings.default_lane
    intake, worker = Intake(shop), Worker(shop, lane)
    taken = 0.0
    try:
        _send(intake, "warm-up", "")
        worker.run_one()
        gc.freeze()
        for patch in todo:
            _send(intake, patch.message, patch.diff)
            if not waiting:
                taken += _timed(worker)
        if waiting:
            taken = _timed(worker)
        odd = [job.id for job in shop.ledger.jobs(limit=len(todo) + 1) if job.state is not State.APPLIED]
        if odd != ["warm-up"]:
            sys.exit(f"not applied: {odd[:5]}")
    finally:
        shop.close()
        gc.unfreeze()
    return taken


def _send(intake: Intake, id: str, diff: str) -> None:
    text = json.dumps({"id": id, "content": {"mutations": [{"op": "diff", "diff": diff}] if diff else [_NOTHING]}})
    intake.submit(Submission(data=text.encode(), origin=Origin(door="command", source="bench")))


#: A patch that is refused: what the first patch of a process alone pays for (imports, opening) is paid before.
_NOTHING = {"op": "delete", "path": "there/is/no/such/file"}


def _timed(worker: Worker) -> float:
    begun = time.perf_counter()
    while worker.run_one() is not None:
        pass
    return time.perf_counter() - begun


def single(folder: Path, todo: Sequence[Patch]) -> float:
    return ghost(folder, todo, waiting=False)


def run(folder: Path, todo: Sequence[Patch]) -> float:
    return ghost(folder, todo, waiting=True)


def run_aside(folder: Path, todo: Sequence[Patch]) -> float:
    """The working branch is checked out nowhere."""
    sh(folder, "git", "checkout", "-q", "--detach")
    return ghost(folder, todo, waiting=True)


WAYS: dict[str, Callable[[Path, Sequence[Patch]], float]] = {
    BASE: apply_and_commit,
    "the same, synced": synced,
    "git am, one mailbox": mailbox,
    "GitPython's index": through_gitpython,
    "pygit2's index": through_pygit2,
    "ghost, single": single,
    "ghost, run": run,
    "ghost, run, not checked out": run_aside,
}


# Measuring ------------------------------------------------------------------------------------------------------


def measure(name: str, make: Callable[[Path], None], asked: argparse.Namespace) -> None:
    rows: dict[str, list[float]] = {way: [] for way in WAYS if asked.only in way}
    with tempfile.TemporaryDirectory(dir=asked.dir, prefix="bench-") as top:
        model = Path(top, "model")
        make(model)
        grown(model, asked.history)
        sh(model, "git", "checkout", "-q", "-b", BRANCH)
        sh(model, "git", "repack", "-adq")
        todo = patches(model, asked.count)
        trees = set()
        for number in range(asked.runs):
            ways = list(rows)
            random.Random(number).shuffle(ways)
            for way in ways:
                trees.add(_once(model, way, todo, rows))
        if len(trees) != 1:
            sys.exit(f"{name}: the ways do not agree: {trees}")
    _print(name, rows, asked)


def _once(model: Path, way: str, todo: Sequence[Patch], rows: dict[str, list[float]]) -> str:
    folder = model.with_name("copy")
    # As Git made them: what is clean in the one is clean in the other.
    sh(model.parent, "cp", "-a", str(model), str(folder))
    sh(folder, "git", "status", "--porcelain")
    os.sync()
    rows[way].append(WAYS[way](folder, todo) / len(todo) * 1000)
    tree = sh(folder, "git", "rev-parse", f"{BRANCH}^{{tree}}").decode().strip()
    if dirty := sh(folder, "git", "status", "--porcelain", "--untracked-files=no"):
        sys.exit(f"{way}: not clean afterwards: {dirty[:200]!r}")
    for left in (folder, folder.parent / "copy-ghost"):
        shutil.rmtree(left, ignore_errors=True)
    return tree


def _print(name: str, rows: dict[str, list[float]], asked: argparse.Namespace) -> None:
    print(f"\n{name}, {asked.history} commits more, {asked.count} patches, {asked.runs} runs, in {asked.dir}")
    print(f"| {'ms for each patch':<31} |    min | median |    max | patches/s | times as fast |")
    print(f"|{'-' * 33}|-------:|-------:|-------:|----------:|--------------:|")
    base = statistics.median(rows[BASE]) if BASE in rows else None
    for way, taken in rows.items():
        middle = statistics.median(taken)
        ratio = f"{base / middle:.1f}" if base else ""
        figures = f"{min(taken):>6.2f} | {middle:>6.2f} | {max(taken):>6.2f} | {1000 / middle:>9.0f} | {ratio:>13}"
        print(f"| {way:<31} | {figures} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", default="100,20000", help="sizes of the generated repositories, or nothing")
    parser.add_argument("--repo", type=Path, help="a local clone of something real")
    parser.add_argument("--history", type=int, default=0, help="so many commits before the first patch")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="ways whose name has this in it")
    parser.add_argument("--dir", default=tempfile.gettempdir(), help="where the repositories are made: a disk, a tmpfs")
    asked = parser.parse_args()
    version = sh(Path("/"), "git", "--version").decode().strip()
    journal = (
        "one ordered journal" if has_ordered_journal(Path(asked.dir)) else "every file and folder synced by itself"
    )
    print(f"python {sys.version.split()[0]}, {version}, pygit2 {pygit2.__version__}; {asked.dir}: {journal}")
    for files in (int(word) for word in asked.files.split(",") if word):
        measure(f"{files} files", lambda folder, files=files: generated(folder, files), asked)
    if asked.repo is not None:
        measure(asked.repo.name, lambda folder: cloned(folder, asked.repo), asked)


if __name__ == "__main__":
    main()
