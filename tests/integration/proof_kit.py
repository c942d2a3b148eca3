"""What the tests of proofs share: a workspace worked in this process, and a hand that forges its log."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from acceptance_tools import git

from ghostd.config.load import load
from ghostd.model.job import Job, Kind, Origin
from ghostd.model.submission import Submission
from ghostd.model.tree import Change, File, Mode
from ghostd.pipeline import ask, chain
from ghostd.pipeline.intake import Intake
from ghostd.pipeline.worker import Worker
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import history, objects, proofs
from ghostd.repo.commit import CommitSpec, write_commit
from ghostd.repo.git import Repository
from ghostd.services.executor import build

WORK = "ghost/work"
REF = f"refs/ghost/proofs/{WORK}"
HERE = Origin(door="command", source="test")


@contextmanager
def opened(workspace: Path) -> Iterator[Workshop]:
    shop = build(load(workspace).settings)
    try:
        yield shop
    finally:
        shop.close()


def repository(shop: Workshop) -> Repository:
    return shop.repositories.of(shop.settings.default_lane)


def work(shop: Workshop) -> None:
    """Everything that waits in the default lane."""
    worker = Worker(shop, shop.settings.default_lane)
    while worker.run_one() is not None:
        pass


def send(shop: Workshop, text: str, **options: Any) -> Job:
    """A patch, brought to its end."""
    taken = Intake(shop).submit(Submission(data=text.encode(), origin=HERE, options=options))
    work(shop)
    return job(shop, taken.id)


def freeze(shop: Workshop, phase: str) -> Job:
    asked = ask.for_phase(shop, Kind.FREEZE, phase, shop.settings.default_lane, HERE)
    work(shop)
    return job(shop, asked.id)


def take_back(shop: Workshop, *ids: str) -> Job:
    asked = ask.for_rollback(shop, ids, HERE, with_dependents=False)
    work(shop)
    return job(shop, asked.id)


def job(shop: Workshop, id: str) -> Job:
    found = shop.ledger.get(id)
    assert found is not None
    return found


def catch_up(shop: Workshop) -> int:
    return chain.catch_up(shop, repository(shop), WORK)


def new_key(folder: Path, name: str = "key") -> Path:
    """An SSH key pair; the private half's file."""
    key = folder / name
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
    subprocess.run(argv, check=True, capture_output=True)
    return key


def configure(workspace: Path, text: str) -> None:
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(f"{conf.read_text()}\n{text}\n")


def statement(shop: Workshop, number: int) -> dict[str, Any]:
    """What an entry of the log says."""
    from ghostd.pipeline import dsse

    data = proofs.open_log(repository(shop), WORK).read(chain.place("entries", number, "dsse.json"))
    assert data is not None
    told: dict[str, Any] = json.loads(dsse.unwrap(data).statement)
    return told


# --- forging ----------------------------------------------------------------------------------------------------


def files_of(repo: Repository) -> dict[str, bytes]:
    log = proofs.open_log(repo, WORK)
    return {path: log.read(path) or b"" for path in log.files()}


def put_log(repo: Repository, files: Mapping[str, bytes], *, parents: tuple[str, ...] = ()) -> None:
    """Replace the whole log by these files, as one commit without a past unless `parents` are given."""
    empty = objects.tree_of(repo, None)
    changes = [
        Change(path=path.encode(), before=None, after=File(mode=Mode.FILE, data=data)) for path, data in files.items()
    ]
    tree = objects.write_tree(repo, empty, changes)
    made = write_commit(repo, CommitSpec(tree=tree, parents=parents, message="forged\n", author="", when=1))
    assert history.set_ref(repo, REF, made, history.read_ref(repo, REF))


def forge(
    repo: Repository, forging: Callable[[dict[str, bytes]], dict[str, bytes]], *, keep_past: bool = False
) -> None:
    """Change the files of the log; with `keep_past` its earlier commits stay below the forged one."""
    before = history.read_ref(repo, REF)
    put_log(repo, forging(files_of(repo)), parents=(before,) if keep_past and before else ())


def rehead(files: dict[str, bytes], last: tuple[int, str] | None = None) -> dict[str, bytes]:
    """Give the files the head that their entries call for, as a careful forger does."""
    from ghostd.pipeline import dsse, merkle

    names = sorted(path for path in files if path.endswith(".dsse.json"))
    edge = merkle.Edge().extended(merkle.leaf(dsse.unwrap(files[name]).statement) for name in names)
    kept = chain.load(files["head.json"]).last
    return {**files, "head.json": chain.Head(edge=edge, last=last or kept).dump()}


def entry_files(number: int) -> tuple[str, str]:
    return chain.place("entries", number, "dsse.json"), chain.place("entries", number, "body.json")


def amend(where: Path, message: str, *, tree: str | None = None) -> None:
    """Rewrite the newest commit of the working branch by hand."""
    tip = git(where, "rev-parse", WORK)
    tree = tree or git(where, "rev-parse", f"{WORK}^{{tree}}")
    done = subprocess.run(
        ["git", "commit-tree", tree, "-p", f"{tip}^"],
        cwd=where,
        input=message,
        capture_output=True,
        text=True,
        check=True,
    )
    git(where, "update-ref", f"refs/heads/{WORK}", done.stdout.strip())
