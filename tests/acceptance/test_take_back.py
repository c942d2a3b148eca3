"""Rollback, freeze, thaw, and what the reading commands tell of them."""

from __future__ import annotations

import hashlib
import json
import sqlite3

import pytest
from acceptance_tools import git, patch_text, replace_op, write_op


@pytest.fixture
def applied(ghost, workspace, repo):
    """Three patches: a and b touch the same line one after the other, c something else."""
    for text in (
        patch_text("a", replace_op("docs/notes.txt", "two", "TWO"), phase="P1"),
        patch_text("b", replace_op("docs/notes.txt", "TWO", "TWO AND MORE"), phase="P1"),
        patch_text("c", write_op("other.txt", "x\n")),
    ):
        assert ghost("apply", "-", stdin=text).status == 0
    return repo


def test_a_rollback_is_one_commit_that_reverts_and_a_rollback_of_it_brings_the_patch_back(ghost, applied):
    ran = ghost("rollback", "c", "--json")
    assert ran.status == 0, ran.stderr
    told = ran.json
    assert (told["id"], told["status"], told["reverted"]) == ("rollback-1", "reverted", ["c"])
    assert told["commit"] == git(applied, "rev-parse", "ghost/work")
    assert "Ghost-Reverts: c" in git(applied, "log", "-1", "--format=%(trailers)", "ghost/work")
    assert "other.txt" not in git(applied, "ls-tree", "--name-only", "ghost/work")
    assert ghost("rollback", "c", "--json").json["status"] == "already"
    again = ghost("apply", "-", "--json", stdin=patch_text("c", write_op("other.txt", "x\n")))
    assert (again.status, again.result["error"]["kind"]) == (1, "reverted")

    back = ghost("rollback", "rollback-1", "--json")
    assert back.json["status"] == "reverted"
    assert "Ghost-Reapplies: c" in git(applied, "log", "-1", "--format=%(trailers)", "ghost/work")
    assert git(applied, "show", "ghost/work:other.txt") == "x"
    assert (
        ghost("apply", "-", "--json", stdin=patch_text("c", write_op("other.txt", "x\n"))).result["status"] == "already"
    )
    assert ghost("rollback", "c", "--json").json["status"] == "reverted"
    assert ghost("verify", "--json").json.items() >= {"ok": True, "patches": 6, "problems": []}.items()


def test_a_rollback_that_others_build_on_is_blocked_and_changes_nothing(ghost, applied):
    tip = git(applied, "rev-parse", "ghost/work")
    preview = ghost("rollback", "a", "--dry-run", "--json").json
    assert (preview["status"], preview["dependents"], preview["conflicts"]) == ("blocked", ["b"], ["docs/notes.txt"])
    ran = ghost("rollback", "a", "--json")
    assert (ran.status, ran.json["status"], ran.json["dependents"]) == (1, "blocked", ["b"])
    assert git(applied, "rev-parse", "ghost/work") == tip

    together = ghost("rollback", "a", "--with-dependents", "--json")
    assert together.status == 0, together.stdout
    assert sorted(together.json["reverted"]) == ["a", "b"]
    assert git(applied, "show", "ghost/work:docs/notes.txt") == "one\ntwo\nthree"
    assert git(applied, "rev-list", "--count", f"{tip}..ghost/work") == "1"


def test_several_patches_are_taken_back_in_one_commit(ghost, applied):
    told = ghost("rollback", "a", "b", "c", "--json").json
    assert sorted(told["reverted"]) == ["a", "b", "c"]
    assert git(applied, "rev-parse", "ghost/work^{tree}") == git(applied, "rev-parse", "main^{tree}")


@pytest.mark.parametrize("id", ["nope", "../x", "rollback-9"])
def test_an_id_that_nobody_knows_is_told(ghost, applied, id):
    ran = ghost("rollback", id, "--json")
    assert (ran.status, ran.json["error"]["kind"]) == (1, "unknown-id")


def test_a_frozen_phase_takes_no_patches_until_it_is_thawed(ghost, applied):
    told = ghost("freeze", "P1", "--json").json
    assert (told["phase"], told["tag"], told["patches"]) == ("P1", "phase/P1", ["a", "b"])
    assert git(applied, "cat-file", "-t", "phase/P1") == "tag"
    assert git(applied, "rev-parse", "phase/P1^{commit}") == told["commit"] == git(applied, "rev-parse", "ghost/work")
    late = patch_text("late", write_op("late", "x"), phase="P1")
    ran = ghost("apply", "-", "--json", stdin=late)
    assert (ran.status, ran.result["error"]["kind"]) == (1, "frozen")
    assert ghost("apply", "-", stdin=patch_text("else", write_op("else", "x"), phase="P2")).status == 0

    assert ghost("thaw", "P1").status == 0
    assert git(applied, "rev-parse", "phase/P1^{commit}") == told["commit"], "the tag stays"
    assert git(applied, "for-each-ref", "--format=%(refname)", "refs/ghost/thawed") == "refs/ghost/thawed/P1"
    assert ghost("queue", "requeue", "late").status == 0
    assert ghost("apply", "-", "--json", stdin=late).result["status"] == "applied"
    again = ghost("freeze", "P1", "--json").json
    assert (again["tag"], again["patches"]) == ("phase/P1.2", ["a", "b", "late"])
    assert ghost("freeze", "P1", "--json").json["status"] == "already"


def test_another_lane_has_tags_of_its_own(ghost, applied):
    assert ghost("freeze", "P1", "--lane", "DEV", "--json").json["tag"] == "phase/CYOPS/P1"


@pytest.mark.parametrize("phase", ["", "../x", "a b", "-x", "x.lock"])
def test_a_phase_has_an_ids_grammar(ghost, applied, phase):
    ran = ghost("freeze", "--json", "--", phase)
    assert (ran.status, ran.json["error"]["kind"]) == (1, "bad-phase")


def test_the_reading_commands_tell_one_story(ghost, applied):
    ghost("rollback", "c")
    log = ghost("log", "--json").json["patches"]
    assert [entry["id"] for entry in log] == ["rollback-1", "c", "b", "a"]
    assert log[1]["taken_back_by"] == "rollback-1"
    shown = ghost("show", "a", "--json").json
    assert (shown["status"], shown["phase"], shown["commit"]) == ("applied", "P1", log[3]["commit"])
    assert [e["type"] for e in shown["events"]] == [
        "ghost.patch.received", "ghost.patch.queued", "ghost.patch.claimed", "ghost.patch.applied",
    ]  # fmt: skip
    assert hashlib.sha256(shown["proof"].encode()).hexdigest() in git(applied, "log", "--format=%B", "ghost/work")
    assert "Take it back with" in ghost("summary", "a").stdout
    status = ghost("status", "--json").json
    assert status["ghostd"] == {"running": False}
    assert status["lanes"][0]["tip"] == log[0]["commit"]
    queue = ghost("queue", "ls", "--all", "--json").json["jobs"]
    assert [job["id"] for job in queue] == ["a", "b", "c", "rollback-1"]
    for verb in ("log", "status", "queue"):
        assert ghost(verb).status == 0


def test_hold_release_cancel_requeue_pause_resume(ghost, workspace):
    ghost("apply", "-", "--no-wait", stdin=patch_text("p", write_op("a", "x")))
    assert ghost("queue", "hold", "p", "--json").json["jobs"] == [{"id": "p", "state": "held"}]
    assert ghost("queue", "release", "p").status == 0
    assert ghost("queue", "cancel", "p", "--json").json["jobs"] == [{"id": "p", "state": "cancelled"}]
    wrong = ghost("queue", "hold", "p", "--json")
    assert (wrong.status, wrong.json["error"]["kind"]) == (1, "illegal-state")
    assert ghost("queue", "requeue", "p").status == 0
    assert ghost("queue", "pause", "MAIN").status == 0
    assert ghost("queue", "ls", "--json").json["paused"] == ["MAIN"]
    assert ghost("queue", "resume").status == 0
    assert ghost("apply", "-", "--json", stdin=patch_text("p", write_op("a", "x"))).result["status"] == "applied"


def test_a_patch_that_asks_for_approval_waits_for_it(ghost, workspace, repo):
    text = patch_text("p", write_op("a", "x"), execution={"approve": True})
    assert ghost("apply", "-", "--no-wait", stdin=text).status == 0
    assert ghost("queue", "ls", "--json").json["jobs"][0]["state"] == "held"
    ghost("apply", "-", stdin=patch_text("other", write_op("b", "x")))
    assert git(repo, "ls-tree", "--name-only", "ghost/work").split() == ["README.md", "app.py", "b", "docs"]
    assert ghost("queue", "release", "p").status == 0
    assert ghost("apply", "-", "--json", stdin=text).result["status"] == "applied"


def test_verify_tells_what_was_tampered_with(ghost, applied, workspace):
    assert ghost("verify").status == 0
    ledger = sqlite3.connect(workspace / "state" / "ghost.db")
    ledger.execute("UPDATE jobs SET statement = ? WHERE id = 'a'", (b'{"forged": true}',))
    ledger.commit()
    ledger.close()
    ran = ghost("verify", "--json")
    assert ran.status == 1
    assert any("proof" in problem and "a (" in problem for problem in ran.json["problems"])


def test_verify_misses_a_commit_that_was_rewound(ghost, applied):
    git(applied, "update-ref", "refs/heads/ghost/work", "ghost/work~1")
    ran = ghost("verify", "--json")
    assert ran.status == 1
    assert any(problem.startswith("c: ") for problem in ran.json["problems"])


def test_a_ledger_that_was_lost_does_not_apply_a_patch_twice(ghost, applied, workspace):
    for file in (workspace / "state").glob("ghost.db*"):
        file.unlink()
    ran = ghost("apply", "-", "--json", stdin=patch_text("c", write_op("other.txt", "x\n")))
    assert ran.result["status"] == "already", json.dumps(ran.result, indent=1)
    assert git(applied, "rev-list", "--count", "main..ghost/work") == "3"
    other = ghost("apply", "-", "--json", stdin=patch_text("a", write_op("other.txt", "y\n")))
    assert (other.result["status"], other.result["error"]["kind"]) == ("rejected", "id-reused")
