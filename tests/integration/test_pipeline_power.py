"""After a power cut: what was recorded is on the branch again, and what people did on purpose stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from acceptance_tools import git, patch_text, replace_op, write_op
from proof_kit import HERE, WORK, opened, repository, send, take_back, work

from ghostd.model.submission import Submission
from ghostd.pipeline import duties, redo
from ghostd.pipeline.duties import Duties
from ghostd.pipeline.intake import Intake
from ghostd.pipeline.recover import recover
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import proofs


@pytest.fixture
def boots(tmp_path, monkeypatch) -> Path:
    """The word by which the kernel tells one run of the machine from another."""
    path = tmp_path / "boot_id"
    path.write_text("first\n")
    monkeypatch.setattr(redo, "_BOOT", path)
    return path


@pytest.fixture
def landed(repo: Path, workspace: Path, boots: Path) -> list[str]:
    """Three patches and a rollback on a checked-out branch, oldest first."""
    git(repo, "checkout", "-q", "-b", WORK)
    with opened(workspace) as shop:
        recover(shop, [shop.settings.default_lane])
        for n in range(3):
            send(shop, patch_text(f"p{n}", write_op("shared", f"{n}\n"), write_op(f"own/{n}", f"{n}\n"), phase="P1"))
        take_back(shop, "p2")
    return git(repo, "rev-list", "--reverse", f"main..{WORK}").split()


def cut(repo: Path, tip: str) -> None:
    """The branch's file, and the line in its log, as they were before the power went; the objects are not there."""
    (repo / ".git" / "refs" / "heads" / WORK).write_text(f"{tip}\n")
    (repo / ".git" / "refs" / "ghost" / "worktree" / WORK).write_text(f"{tip}\n")
    log = repo / ".git" / "logs" / "refs" / "heads" / WORK
    lines = log.read_text().splitlines(keepends=True)
    kept = next(n for n, line in enumerate(lines) if line.split()[1] == tip)
    log.write_text("".join(lines[: kept + 1]))
    git(repo, "reset", "-q", "--hard", tip)
    # `reset` tells of itself in the log of HEAD only.
    git(repo, "reflog", "expire", "--expire=all", "HEAD")
    git(repo, "-c", "gc.reflogExpire=now", "gc", "-q", "--prune=now")


def recovered(workspace: Path) -> list[str]:
    with opened(workspace) as shop:
        return recover(shop, [shop.settings.default_lane])


def test_lost_commits_come_again_under_their_ids(repo, workspace, boots, landed):
    cut(repo, landed[0])
    assert git(repo, "rev-list", "--count", f"main..{WORK}") == "1"
    boots.write_text("second\n")
    told = recovered(workspace)
    assert [line for line in told if "made anew" in line] == [
        f"{WORK}: the commit of {id} was made anew" for id in ("p1", "p2", "rollback-1")
    ]
    assert git(repo, "rev-list", "--reverse", f"main..{WORK}").split() == landed
    assert git(repo, "status", "--porcelain") == ""
    assert (repo / "shared").read_text() == "1\n"
    assert recovered(workspace) == []
    git(repo, "fsck", "--strict")


def test_without_a_new_start_of_the_machine_nothing_is_made_anew(repo, workspace, boots, landed):
    cut(repo, landed[0])
    recovered(workspace)
    assert git(repo, "rev-list", "--reverse", f"main..{WORK}").split() == landed[:1]


def test_commits_that_a_person_took_off_the_branch_stay_off(repo, workspace, boots, landed):
    git(repo, "reset", "-q", "--hard", landed[0])
    boots.write_text("second\n")
    recovered(workspace)
    assert git(repo, "rev-list", "--reverse", f"main..{WORK}").split() == landed[:1]


def test_where_no_reflog_is_kept_the_branch_is_left_as_it_is(repo, workspace, boots, landed):
    cut(repo, landed[0])
    (repo / ".git" / "logs" / "refs" / "heads" / WORK).unlink()
    boots.write_text("second\n")
    recovered(workspace)
    assert git(repo, "rev-parse", WORK) == landed[0]


def test_a_row_that_gives_another_commit_than_it_says_is_not_used(repo, workspace, boots, landed):
    """What can not be had under its id is not put under another one; what comes before it is brought back."""
    with opened(workspace) as shop:
        shop.ledger._file._run("UPDATE jobs SET received_at = received_at + 1 WHERE id = 'p2'")
    cut(repo, landed[0])
    boots.write_text("second\n")
    recovered(workspace)
    assert git(repo, "rev-list", "--reverse", f"main..{WORK}").split() == landed[:2]


def test_a_kill_in_the_middle_of_it_means_that_it_is_done_once_more(repo, workspace, boots, landed, monkeypatch):
    cut(repo, landed[0])
    boots.write_text("second\n")
    with monkeypatch.context() as patched:
        patched.setattr(redo, "_again", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            recovered(workspace)
    recovered(workspace)
    assert git(repo, "rev-list", "--reverse", f"main..{WORK}").split() == landed


def test_summaries_that_were_not_on_the_disk_are_written_anew(repo, workspace, boots, landed):
    with opened(workspace) as shop:
        paths = [Path(shop.ledger.get(id).result["summary"]) for id in ("p0", "p1", "p2")]
        texts = [path.read_text() for path in paths]
    paths[0].unlink()
    paths[1].write_text("")
    assert recovered(workspace) == [], "only after a new start: a person may have thrown one away"
    boots.write_text("second\n")
    assert sorted(recovered(workspace)) == ["summary of p0 written anew", "summary of p1 written anew"]
    assert [path.read_text() for path in paths] == texts


def test_every_branch_is_looked_after_whoever_starts_first(repo, workspace, boots):
    """Two executors start after a power cut, one a little later: the second one's branch is not forgotten."""
    seen = []
    with opened(workspace) as shop:
        for what in ("a", "b"):
            with redo.after_boot(shop, what) as anew:
                seen.append(anew)
        boots.write_text("second\n")
        for what in ("a", "b", "a"):
            with redo.after_boot(shop, what) as anew:
                seen.append(anew)
    assert seen == [False, False, True, True, False]


def test_tags_that_a_kill_kept_from_being_made_are_made_at_the_next_start(repo, workspace, boots, monkeypatch):
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text() + "\n[git]\ntag_patches = true\n")
    with opened(workspace) as shop:
        for n in range(2):
            send(shop, patch_text(f"p{n}", write_op("shared", f"{n}\n")))
    assert git(repo, "tag").split() == ["p0", "p1"]
    assert git(repo, "rev-parse", "p1^{commit}") == git(repo, "rev-parse", WORK)
    git(repo, "tag", "-d", "p1")
    assert recovered(workspace) == ["tag of p1 made"]
    assert git(repo, "rev-parse", "p1^{commit}") == git(repo, "rev-parse", WORK)
    assert recovered(workspace) == []


# Quiet moments --------------------------------------------------------------------------------------------------


def queued(shop: Workshop, *texts: str) -> None:
    for text in texts:
        Intake(shop).submit(Submission(data=text.encode(), origin=HERE))


def test_in_a_quiet_moment_files_and_proofs_catch_up_one_thing_at_a_time(repo, workspace):
    git(repo, "checkout", "-q", "-b", WORK)
    with opened(workspace) as shop:
        send(shop, patch_text("p0", write_op("a", "0\n")))
        lock = repo / ".git" / "index.lock"
        lane = shop.settings.default_lane
        repository(shop).lock_timeout = 0.1
        todo = Duties(shop, lane)
        send(shop, patch_text("p1", replace_op("a", "0\n", "1\n")))
        (repo / "a").write_text("0\n")
        git(repo, "update-ref", f"refs/ghost/worktree/{WORK}", f"{WORK}~1")
        git(repo, "read-tree", "HEAD~1")
        lock.touch()
        todo.do_next()
        assert (repo / "a").read_text() == "0\n", "somebody holds the index"
        lock.unlink()
        assert proofs.open_log(repository(shop), WORK).commit is None
        todo.do_next()
        assert proofs.open_log(repository(shop), WORK).commit is not None
        while todo.waiting:
            todo.do_next()
        # Nothing is left: the next quiet moment begins anew.
        todo.do_next()
        assert (repo / "a").read_text() == "1\n"


def test_more_proofs_than_go_at_once_keep_their_turn(repo, workspace, monkeypatch):
    from ghostd.pipeline import chain

    calls = []
    monkeypatch.setattr(chain, "catch_up", lambda *_: calls.append(1) or (chain.MOST if len(calls) < 3 else 1))
    with opened(workspace) as shop:
        todo = Duties(shop, shop.settings.default_lane)
        while todo.waiting:
            todo.do_next()
    assert len(calls) == 3


def test_maintenance_is_not_looked_for_all_the_time(repo, workspace, monkeypatch):
    from ghostd.repo import maintenance

    looks = []
    monkeypatch.setattr(maintenance, "due", lambda *_: looks.append(1))
    with opened(workspace) as shop:
        send(shop, patch_text("p0", write_op("a", "0\n")))
        work(shop)
        todo = Duties(shop, shop.settings.default_lane)
        for _ in range(3):
            todo.begin()
            while todo.waiting:
                todo.do_next()
        assert looks == [1]
        monkeypatch.setattr(duties, "_MAINTENANCE", 0.0)
        todo.begin()
        while todo.waiting:
            todo.do_next()
        assert looks == [1, 1]
