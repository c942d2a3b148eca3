"""Patches that wait together are committed together, and to the outside it is as if each had come alone."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from acceptance_tools import git, patch_text, replace_op, write_op
from proof_kit import HERE, WORK, opened, repository, work

from ghostd.base.errors import Cannot
from ghostd.config.init import set_up_state
from ghostd.model.job import Claim, Happening, State
from ghostd.model.submission import Submission
from ghostd.pipeline import land, proof, worker
from ghostd.pipeline.intake import Intake
from ghostd.pipeline.recover import recover, void
from ghostd.pipeline.worker import Worker
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import commit, history, objects, ref_file
from ghostd.repo import git as door


def queue(shop: Workshop, *texts: str) -> list[str]:
    """Patches that wait."""
    intake = Intake(shop)
    return [intake.submit(Submission(data=text.encode(), origin=HERE)).id for text in texts]


def writes(n: int, **more) -> str:
    """Writes a file of its own, and one that all of them write."""
    return patch_text(f"p{n}", write_op(f"own/{n}", f"{n}\n"), write_op("shared", f"{n}\n"), **more)


def states(shop: Workshop, ids: list[str]) -> list[str]:
    return [shop.ledger.get(id).state.value for id in ids]


def events(shop: Workshop) -> list[tuple[str, str]]:
    return [(event.type.removeprefix("ghost.patch."), event.subject) for event in shop.ledger.events(limit=1000)]


@pytest.fixture
def moves(monkeypatch) -> list[str]:
    """Every compare-and-swap of the working branch, as its word for the reflog."""
    real, seen = commit.move, []

    def move(*args, why: str = "", **more):
        seen.append(why)
        return real(*args, why=why, **more)

    monkeypatch.setattr(land.commit, "move", move)
    return seen


@pytest.fixture
def unhurried(monkeypatch) -> None:
    """On a busy machine a group would end early, by the clock."""
    monkeypatch.setattr(worker, "WHILE", 60.0)


@pytest.fixture
def here(repo: Path, workspace: Path, unhurried) -> Path:
    """The working branch is checked out and has one patch."""
    git(repo, "checkout", "-q", "-b", WORK)
    with opened(workspace) as shop:
        queue(shop, writes(0))
        work(shop)
    return repo


def test_what_waits_is_landed_by_one_move_and_every_patch_is_a_commit_of_its_own(here, workspace, moves):
    with opened(workspace) as shop:
        ids = queue(shop, *(writes(n) for n in range(1, 6)))
        work(shop)
        assert moves == ["5 patches: p1 … p5"]
        assert states(shop, ids) == ["applied"] * 5
        landed = history.landed_since(repository(shop), WORK, None).landed
        assert [each.id for each in landed] == ["p0", *ids]
        for id, each in zip(["p0", *ids], landed, strict=True):
            job = shop.ledger.get(id)
            assert job.result["commit"] == each.commit
            assert job.result["stat"]["files"] == 2
            assert git(here, "show", f"{each.commit}:shared") == id[1:]
            assert Path(job.result["summary"]).read_text() == job.summary
            assert job.result["worktree"] == "current"
        assert [kind for kind, id in events(shop) if id == "p3"] == ["received", "queued", "claimed", "applied"]
        assert [id for kind, id in events(shop) if kind == "applied"] == ["p0", *ids]
    assert git(here, "status", "--porcelain") == ""
    assert (here / "shared").read_text() == "5\n"
    assert git(here, "log", "--format=%P", "-1", "HEAD~3") == git(here, "rev-parse", "HEAD~4")
    git(here, "fsck", "--strict")


def test_a_group_says_of_each_patch_what_is_said_of_it_alone(repo, workspace, unhurried, monkeypatch):
    """The same patches, one by one and together: trees, results and events do not differ."""
    texts = [*(writes(n) for n in range(4)), patch_text("bad", replace_op("app.py", "no such text", "x")), writes(5)]
    told = []
    for most in (64, 1):
        monkeypatch.setattr(worker, "MOST", most)
        where = workspace if most == 64 else _another(repo, workspace)
        with opened(where) as shop:
            ids = queue(shop, *texts)
            work(shop)
            results = [dict(shop.ledger.get(id).result) for id in ids]
            trees = [result["tree"] for result in results]
            for result in results:
                for key in ("commit", "duration_ms", "summary"):
                    result.pop(key)
            told.append((results, trees, [(k, i) for k, i in events(shop) if k in ("applied", "rejected")]))
    assert told[0] == told[1]


def _another(repo: Path, workspace: Path) -> Path:
    """A second workspace on a branch of its own in the same repository."""
    where = repo / ".ghost2"
    (where / "conf").mkdir(parents=True)
    text = (workspace / "conf" / "ghost.toml").read_text()
    (where / "conf" / "ghost.toml").write_text(text)
    set_up_state(where)
    git(repo, "update-ref", "-d", "refs/heads/ghost/work")
    for ref in git(repo, "for-each-ref", "--format=%(refname)", "refs/ghost").split():
        git(repo, "update-ref", "-d", ref)
    return where


def test_a_refusal_in_the_middle_is_its_own_and_the_others_go_on(here, workspace, moves):
    with opened(workspace) as shop:
        bad = patch_text("bad", replace_op("shared", "nothing like it", "x"))
        leans = patch_text("leans", replace_op("own/1", "1\n", "one\n"))
        ids = queue(shop, writes(1), bad, leans)
        work(shop)
        assert states(shop, ids) == ["applied", "rejected", "applied"]
        refused = shop.ledger.get("bad")
        assert refused.result["error"]["kind"] == "no-match"
        # Its proof names the state that it was judged on, which is the commit of the one before it.
        assert json.loads(refused.statement)["predicate"]["base"]["commit"] == shop.ledger.get("p1").result["commit"]
        assert (here / "own" / "1").read_text() == "one\n"
        assert len(moves) == 1


def test_nothing_of_a_refused_patch_is_written(here, workspace, monkeypatch):
    """Its blobs and trees were in memory; what was made before and after it is on the disk."""
    real = land.prove.of_change

    def fails(attempt, change):
        if attempt.job.id == "p2":
            raise Cannot("seal p2: planted", kind="frozen")
        return real(attempt, change)

    monkeypatch.setattr(land.prove, "of_change", fails)
    with opened(workspace) as shop:
        ids = queue(shop, writes(1), writes(2), writes(3))
        work(shop)
        assert states(shop, ids) == ["applied", "rejected", "applied"]
    left = git(here, "fsck", "--unreachable", "--no-reflogs").split()
    assert [oid for oid in left[2::3] if oid != objects.EMPTY_TREE] == []


def test_a_patch_that_needs_gates_ends_the_group_and_is_done_alone_in_its_turn(here, workspace, moves):
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text() + '\n[gate.g]\nrun = ["true"]\nrequired = false\n')
    with opened(workspace) as shop:
        gated = writes(3, validation={"gates": ["g"]})
        ids = queue(shop, writes(1), writes(2), gated, writes(4), writes(5))
        assert Worker(shop, shop.settings.default_lane).run_one() == "p1"
        # Nothing is claimed that could not join.
        assert states(shop, ids) == ["applied", "applied", "queued", "queued", "queued"]
        work(shop)
        assert moves == ["2 patches: p1 … p2", "p3", "2 patches: p4 … p5"]
        assert [gate["status"] for gate in shop.ledger.get("p3").result["gates"]] == ["passed"]


def test_a_job_that_depends_on_one_of_the_group_is_not_passed_by(here, workspace, moves):
    with opened(workspace) as shop:
        after = writes(2, execution={"dependsOn": ["p1"]})
        ids = queue(shop, writes(1), after, writes(3))
        work(shop)
        assert states(shop, ids) == ["applied"] * 3
        assert [each.id for each in shop.ledger.branch_commits(repository(shop).identity, WORK)][1:] == ids


def test_a_lane_with_a_pause_between_patches_has_no_groups(here, workspace, moves):
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text().replace("[lane.MAIN]", '[lane.MAIN]\ncooldown = "1s"'))
    with opened(workspace) as shop:
        queue(shop, writes(1), writes(2))
        work(shop)
        assert moves == ["p1", "p2"]


def test_a_group_is_bounded(here, workspace, moves, monkeypatch):
    monkeypatch.setattr(worker, "MOST", 3)
    with opened(workspace) as shop:
        queue(shop, *(writes(n) for n in range(1, 8)))
        work(shop)
        assert moves == ["3 patches: p1 … p3", "3 patches: p4 … p6", "p7"]


def test_what_was_claimed_and_had_no_time_to_join_begins_the_next_group(here, workspace, moves, monkeypatch):
    monkeypatch.setattr(worker, "WHILE", 0.0)
    monkeypatch.setattr(worker, "AT_ONCE", 3)
    real, seen = worker.Worker._another, []

    def another(self, first):
        # The clock lets one join, and no more.
        monkeypatch.setattr(worker, "WHILE", 0.0 if len(seen) % 2 else 60.0)
        seen.append(first.job.id)
        return real(self, first)

    monkeypatch.setattr(worker.Worker, "_another", another)
    with opened(workspace) as shop:
        ids = queue(shop, *(writes(n) for n in range(1, 6)))
        assert Worker(shop, shop.settings.default_lane).run_one() == "p1"
        assert moves == ["2 patches: p1 … p2", "2 patches: p3 … p4"]
        work(shop)
        assert states(shop, ids) == ["applied"] * 5
        assert [shop.ledger.get(id).attempts for id in ids] == [1] * 5


def test_a_branch_that_somebody_moves_is_caught_up_with_by_the_whole_group(here, workspace, monkeypatch):
    """The refusal of the first round was on top of a commit that never was: it is judged anew as well."""
    real, rounds = commit.move, []

    def move(repo, branch, new, expect, **more):
        if not rounds:
            tree = git(here, "rev-parse", "HEAD^{tree}")
            theirs = git(here, "commit-tree", tree, "-p", "HEAD", "-m", "a person's")
            git(here, "update-ref", f"refs/heads/{WORK}", theirs)
        rounds.append(expect)
        return real(repo, branch, new, expect, **more)

    monkeypatch.setattr(land.commit, "move", move)
    with opened(workspace) as shop:
        ids = queue(shop, writes(1), patch_text("bad", replace_op("shared", "0\n", "x\n")), writes(2))
        work(shop)
        assert len(rounds) == 2
        assert states(shop, ids) == ["applied", "rejected", "applied"]
        assert git(here, "log", "--format=%s", "-4").splitlines()[2] == "a person's"
        assert shop.ledger.get("p1").attempts == 1


def test_a_branch_that_moved_though_the_disk_said_no_has_moved_for_our_own_commits(here, workspace, monkeypatch):
    real, failed = ref_file.move, []

    def move(common, name, *args, **more):
        done = real(common, name, *args, **more)
        if done and name == f"refs/heads/{WORK}" and not failed:
            failed.append(name)
            raise OSError(errno.EIO, "Input/output error")
        return done

    with opened(workspace) as shop:
        ids = queue(shop, *(writes(n) for n in range(1, 4)))
        monkeypatch.setattr(ref_file, "move", move)
        work(shop)
        jobs = [shop.ledger.get(id) for id in ids]
        assert failed
        assert [job.result["status"] for job in jobs] == ["applied"] * 3
        landed = [shop.ledger.landed(job.repo, WORK, job.id) for job in jobs]
        assert [proof.digest(job.statement) for job in jobs] == [found.proof for found in landed]


def test_a_full_disk_ends_no_patch_and_a_refusal_on_what_never_came_is_judged_anew(here, workspace, monkeypatch):
    real, calls = door.Repository.flush, []

    def flush(self):
        if len(self.pending) and not calls:
            calls.append(len(self.pending))
            raise Cannot("write: the disk is full", kind="disk-full")
        real(self)

    monkeypatch.setattr(door.Repository, "flush", flush)
    with opened(workspace) as shop:
        # Refused on top of p1, which does not come to be the first time; alone on the tip it would fit.
        once = patch_text("once", replace_op("shared", "0\n", "x\n"))
        ids = queue(shop, writes(1), once, writes(2))
        worker_ = Worker(shop, shop.settings.default_lane)
        worker_.run_one()
        assert calls
        assert states(shop, ids) == ["queued"] * 3
        assert shop.ledger.get("p1").not_before > shop.clock.wall() - 5
        while shop.ledger.next_due_job("MAIN") is not None or worker_.run_one() is not None:
            pass
        assert shop.ledger.get("p1").state is State.APPLIED
        assert shop.ledger.get("p2").state is State.APPLIED
        assert shop.ledger.get("once").state.terminal
    assert git(here, "status", "--porcelain") == ""


def test_a_claim_that_is_lost_stops_the_group_before_anything_is_seen(here, workspace, monkeypatch):
    before = git(here, "rev-parse", WORK)
    with opened(workspace) as shop, opened(workspace) as other:
        real = shop.ledger.seal_all

        def late(statements, lease):
            # Another worker looks, and finds p2's lease at its end.
            shop.ledger._db.all("renew_lease", **_held(statements[1][0]), now=shop.clock.monotonic() - 100, lease=1.0)
            other.ledger.void({})
            return real(statements, lease)

        monkeypatch.setattr(shop.ledger, "seal_all", late)
        ids = queue(shop, writes(1), writes(2), writes(3))
        Worker(shop, shop.settings.default_lane).run_one()
        assert git(here, "rev-parse", WORK) == before
        assert states(shop, ids) == ["queued"] * 3
        assert shop.ledger.get("p1").statement == b""
        monkeypatch.setattr(shop.ledger, "seal_all", real)
        work(shop)
        assert states(shop, ids) == ["applied"] * 3


def _held(claim: Claim) -> dict[str, object]:
    return {"seq": claim.job.seq, "fence": claim.fence, "owner": claim.owner}


def test_an_interrupt_gives_everything_back_at_once(here, workspace, monkeypatch):
    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    with opened(workspace) as shop:
        ids = queue(shop, writes(1), writes(2))
        with monkeypatch.context() as patched:
            patched.setattr(land.worktree, "materialise", interrupted)
            with pytest.raises(KeyboardInterrupt):
                work(shop)
        # The commits stand; the next attempt finds and records them.
        assert states(shop, ids) == ["queued", "queued"]
        work(shop)
        assert states(shop, ids) == ["applied", "applied"]
        assert [shop.ledger.get(id).result["status"] for id in ids] == ["applied", "applied"]
        assert git(here, "rev-list", "--count", "main..HEAD") == "3"
    assert git(here, "status", "--porcelain") == ""


# Killed ---------------------------------------------------------------------------------------------------------

#: Where the group's process dies: the steps that all its patches share, and single claims.
STEPS = [
    ("ghostd.store.jobs", "Movement.claim_more", 1),
    ("ghostd.store.jobs", "Movement.claim_more", 2),
    ("ghostd.store.jobs", "Movement._save", 3),
    ("ghostd.repo.commit", "write_commit", 2),
    ("ghostd.repo.git", "Repository.flush", 1),
    ("ghostd.repo.pack", "OwnPacks._placed", 1),
    ("ghostd.store.jobs", "Movement.seal_all", 1),
    ("ghostd.store.jobs", "Movement._seal", 2),
    ("ghostd.repo.commit", "move", 1),
    ("ghostd.repo.ref_file", "_tell", 1),
    ("ghostd.repo.worktree", "materialise", 1),
    ("ghostd.pipeline.summary", "write", 2),
    ("ghostd.store.jobs", "Movement.finish_all", 1),
    ("ghostd.store.jobs", "Movement._finished", 2),
]

CHILD = """
import importlib, os, pathlib, signal, sys
where, module, name, nth, moment = sys.argv[1:6]
from ghostd.config.load import load
from ghostd.pipeline import worker
from ghostd.pipeline.recover import recover
from ghostd.services.executor import build
worker.WHILE = 60.0
shop = build(load(pathlib.Path(where)).settings)
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
real, calls = getattr(owner, last), 0

def dying(*args, **kwargs):
    global calls
    calls += 1
    if calls == int(nth) and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*args, **kwargs)
    if calls == int(nth):
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, last, dying)
lane = shop.settings.default_lane
while worker.Worker(shop, lane).run_one() is not None:
    pass
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("module", "name", "nth"), STEPS, ids=[f"{name}-{nth}" for _, name, nth in STEPS])
def test_a_group_whose_process_is_killed_is_landed_once(here, workspace, module, name, nth, moment):
    bad = patch_text("bad", replace_op("shared", "nothing like it", "x"))
    with opened(workspace) as shop:
        # Many enough for a pack.
        ids = queue(shop, writes(1), writes(2), bad, writes(3), writes(4))
    argv = [sys.executable, "-c", CHILD, str(workspace), module, name, str(nth), moment]
    killed = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -9, f"the step was never reached: {killed.stderr}"
    landed = git(here, "rev-list", "--count", "main..HEAD")
    assert landed in ("1", "5"), "all of the group or nothing"
    with opened(workspace) as shop:
        recover(shop, [shop.settings.default_lane])
        work(shop)
        assert states(shop, ids) == ["applied", "applied", "rejected", "applied", "applied"]
        applied = [id for kind, id in events(shop) if kind == "applied"]
        assert sorted(applied) == ["p0", "p1", "p2", "p3", "p4"]
        for id in ids:
            assert Path(shop.ledger.get(id).result["summary"]).read_text() == shop.ledger.get(id).summary
        assert void(shop) == []
        assert shop.ledger.integrity() == []
    assert git(here, "log", "--reverse", "--format=%s", "main..HEAD").split() == [
        word for n in range(5) for word in ("[PATCH", f"p{n}]", "what", f"p{n}", "does")
    ]
    assert git(here, "status", "--porcelain") == ""
    assert not list((here / ".git").rglob("*.lock"))
    git(here, "fsck", "--strict")


def test_a_worker_that_gives_back_is_not_told_of_an_end(here, workspace):
    """A retry is no end: no summary, no statement, no record of it."""
    with opened(workspace) as shop:
        (id,) = queue(shop, writes(1))
        claim = shop.ledger.claim("MAIN", shop.owner, 60.0)
        one = Worker(shop, shop.settings.default_lane)
        one._claims = [claim]
        one._give_back()
        job = shop.ledger.get(id)
        assert (job.state, job.result, job.summary) == (State.QUEUED, None, "")
        assert [kind for kind, subject in events(shop) if subject == id][-1] == Happening.RETRY.value
