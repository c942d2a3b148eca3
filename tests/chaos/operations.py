"""The operations that are stopped at every point, and what has to be true once they were tried again."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ghostd.base.errors import Cannot
from ghostd.cli.ghost import ghost
from ghostd.config.init import init
from ghostd.config.load import load
from ghostd.pipeline.recover import recover
from ghostd.pipeline.worker import Worker
from ghostd.repo.create import create_repository
from ghostd.services import executor

BRANCH = "ghost/work"
FILES = {f"src/part{n}/file{n}.txt": f"one {n}\ntwo {n}\nthree {n}\n".encode() for n in range(6)}
WAITING = 4


@dataclass(frozen=True, slots=True)
class Operation:
    """`prepare` makes a folder ready, `act` is what is stopped, `again` what a user or a start does next.

    `stands` tells what has to be true of the folder at the end, a sentence for each thing that is not.
    """

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Path], int]
    again: Callable[[Path], int]
    stands: Callable[[Path], Iterator[str]]


def problems(operation: Operation, folder: Path) -> list[str]:
    """Do it again, then everything that is wrong: in Git, in the files, in the ledger, in the proofs."""
    status = operation.again(folder)
    found = [f"doing it again ended with status {status}: {_command(folder, 'queue', 'ls', '--all')}"] if status else []
    return found + list(operation.stands(folder)) + list(_always(folder))


def _always(folder: Path) -> Iterator[str]:
    if dirty := _git(folder, "status", "--porcelain", "--untracked-files=all"):
        yield f"the files are not clean: {dirty}"
    if broken := _git(folder, "fsck", "--strict", "--no-dangling"):
        yield f"git fsck: {broken}"
    yield from (f"{lock} is left" for lock in (folder / ".git").rglob("*.lock"))
    status, told = _command(folder, "verify")
    if status:
        yield f"ghost verify: {told}"
    _, told = _command(folder, "queue")
    waiting = [job for job in told.get("jobs", ()) if job["state"] in ("queued", "running", "held")]
    yield from (f"{job['id']} is still {job['state']}" for job in waiting)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip() if arguments[0] != "fsck" or done.returncode else done.stdout.strip()


def _command(folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """One `ghost` command in this process, and its JSON."""
    os.chdir(folder)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            status = ghost.main([*arguments, "--json"], standalone_mode=False)
        except Cannot as error:
            return 1, {"error": error.as_json()}
    text = out.getvalue()
    return status if isinstance(status, int) else 0, json.loads(text) if text.strip() else {}


def _does(*arguments: str) -> Callable[[Path], int]:
    return lambda folder: _command(folder, *arguments)[0]


def _patch(number: int, phase: str | None = None) -> dict[str, Any]:
    mutations: list[dict[str, Any]] = [
        {"op": "replace", "path": f"src/part{number}/file{number}.txt", "search": f"two {number}", "replace": "2"},
        {"op": "write", "path": f"new/made{number}.txt", "contents": f"made {number}\n"},
        {"op": "rename", "path": f"src/part{number}/file{number}.txt", "to": f"moved/file{number}.txt"},
    ]
    metadata = {"metadata": {"phase": phase}} if phase else {}
    return {"id": f"p{number}", **metadata, "content": {"mutations": mutations}}


def _prepared(*before: Sequence[str], phase: str | None = None) -> Callable[[Path], None]:
    """A repository whose working branch is checked out, its workspace, and what was done in it before."""

    def prepare(folder: Path) -> None:
        create_repository(folder, FILES, branch=BRANCH)
        init(folder / ".ghost", repo=folder)
        patches = folder.parent / f"{folder.name}-patches"
        patches.mkdir(exist_ok=True)
        for number in range(len(FILES)):
            (patches / f"{number}.json").write_text(json.dumps(_patch(number, phase)))
        for arguments in before:
            status, told = _command(folder, *(word.format(p=f"../{patches.name}") for word in arguments))
            if status:
                raise RuntimeError(f"{arguments}: {told}")

    return prepare


def _apply(folder: Path) -> int:
    return _command(folder, "apply", f"../{folder.name}-patches/0.json")[0]


def _work_off(folder: Path) -> int:
    """What a start of the executor does: recover, then one job after the other."""
    settings = load(folder / ".ghost").settings
    shop = executor.build(settings)
    try:
        recover(shop, [settings.default_lane])
        worker = Worker(shop, settings.default_lane)
        # A job that is tried again waits for its time.
        while worker.run_one() is not None or shop.ledger.next_due_job(settings.default_lane.name) is not None:
            time.sleep(0.01)
    finally:
        shop.close()
    return 0


def _insisting(act: Callable[[Path], int]) -> Callable[[Path], int]:
    """What a user does: the same again, and where a patch had failed for want of disk, what the hint says."""

    def again(folder: Path) -> int:
        status = act(folder)
        jobs = _command(folder, "queue", "ls", "--all")[1].get("jobs", ())
        failed = [job["id"] for job in jobs if job["state"] == "failed"]
        for id in (id for id in failed if id.startswith("p")):
            status = _command(folder, "queue", "requeue", id)[0] or _work_off(folder)
        return status

    return again


def _ids(folder: Path) -> list[str]:
    """The ids of all commits of ours, oldest first."""
    return _git(
        folder, "log", "--reverse", "--format=%(trailers:key=Ghost-Patch-Id,valueonly,separator=)", BRANCH
    ).split()


def _has(*ids: str) -> Callable[[Path], Iterator[str]]:
    def stands(folder: Path) -> Iterator[str]:
        # One that was tried again later comes later.
        if sorted(found := _ids(folder)) != sorted(ids):
            yield f"the branch has {found}, and not {list(ids)}"
        for id in ids:
            if not list((folder / ".ghost/state/summaries").rglob(f"summary-{id}.md")):
                yield f"{id} has no summary"

    return stands


def _taken_back(folder: Path) -> Iterator[str]:
    *before, last = _ids(folder) or [""]
    if before != ["p0", "p1"] or not last.startswith("rollback-"):
        yield f"the branch has {_ids(folder)}"
    if _git(folder, "diff", "--name-only", f"{BRANCH}~2", BRANCH):
        yield "the files are not those from before the patch"


def _frozen(folder: Path) -> Iterator[str]:
    if _git(folder, "for-each-ref", "--format=%(refname)", "refs/tags/").split() != ["refs/tags/phase/P1"]:
        yield f"the tags are {_git(folder, 'tag')}"
    if _git(folder, "rev-parse", "phase/P1^{commit}") != _git(folder, "rev-parse", BRANCH):
        yield "the tag is not at the tip"


def _restored(folder: Path) -> Iterator[str]:
    ids = _ids(folder)
    if ids[:2] != ["p0", "p1"] or len(ids) != 3 or not ids[2].startswith("restore-"):
        yield f"the branch has {ids}"
    if _git(folder, "rev-parse", "phase/P1^{tree}") != _git(folder, "rev-parse", f"{BRANCH}^{{tree}}"):
        yield "the tree is not the tag's"


_FIRST, _SECOND = ("apply", "{p}/0.json"), ("apply", "{p}/1.json")
OPERATIONS = {
    each.name: each
    for each in (
        Operation("apply", _prepared(), _apply, _insisting(_apply), _has("p0")),
        Operation(
            "run",
            _prepared(*(("apply", "--no-wait", f"{{p}}/{number}.json") for number in range(WAITING))),
            _work_off,
            _insisting(_work_off),
            _has(*(f"p{number}" for number in range(WAITING))),
        ),
        Operation(
            "rollback", _prepared(_FIRST, _SECOND), _does("rollback", "p1"), _does("rollback", "p1"), _taken_back
        ),
        Operation(
            "freeze", _prepared(_FIRST, phase="P1"), _does("freeze", "P1"), _does("freeze", "P1"), _frozen
        ),
        Operation(
            "restore",
            _prepared(_FIRST, ("freeze", "P1"), _SECOND),
            _does("restore", "P1"),
            _does("restore", "P1"),
            _restored,
        ),
    )
}  # fmt: skip
