"""Restore, phases, diff and the rollback of a phase, through the real commands."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from acceptance_tools import git, patch_text, replace_op, write_op


@pytest.fixture
def frozen(ghost, workspace, repo):
    """Patch a in the frozen phase P1; then it is taken back, and b and c come."""
    for text in (
        patch_text("a", replace_op("docs/notes.txt", "two", "TWO"), phase="P1"),
        patch_text("b", write_op("b.txt", "b\n"), phase="P2"),
        patch_text("c", write_op("c.txt", "c\n"), phase="P2"),
    ):
        assert ghost("apply", "-", stdin=text).status == 0
        if '"a"' in text:
            assert ghost("freeze", "P1").status == 0
            assert ghost("rollback", "a").status == 0
    return repo


def test_a_restore_is_one_commit_with_exactly_the_tags_tree(ghost, frozen):
    tip = git(frozen, "rev-parse", "ghost/work")
    preview = ghost("restore", "P1", "--dry-run", "--json").json
    assert (preview["status"], preview["reverted"], preview["reapplied"]) == (
        "would-restore", ["c", "b", "rollback-1"], ["a"],
    )  # fmt: skip
    assert preview["files"] == ["b.txt", "c.txt", "docs/notes.txt"]
    assert git(frozen, "rev-parse", "ghost/work") == tip

    told = ghost("restore", "P1", "--json")
    assert told.status == 0, told.stdout
    assert (told.json["id"], told.json["status"], told.json["tag"]) == ("restore-1", "restored", "phase/P1")
    assert told.json["commit"] == git(frozen, "rev-parse", "ghost/work")
    assert git(frozen, "rev-parse", "ghost/work^{tree}") == git(frozen, "rev-parse", "phase/P1^{tree}")
    assert git(frozen, "rev-parse", "ghost/work^") == tip
    trailers = git(frozen, "log", "-1", "--format=%(trailers)", "ghost/work").splitlines()
    assert {"Ghost-Restores: phase/P1", "Ghost-Reverts: b", "Ghost-Reapplies: a"} <= set(trailers)
    assert ghost("restore", "P1", "--json").json["status"] == "already"
    events = [event["type"] for event in ghost("show", "restore-1", "--json").json["events"]]
    assert "ghost.phase.restored" in events
    assert ghost("show", "b", "--json").json["taken_back_by"] == "restore-1"
    assert ghost("show", "a", "--json").json["taken_back_by"] is None
    verified = ghost("verify", "--json").json
    assert (verified["ok"], verified["problems"]) == (True, [])

    back = ghost("rollback", "restore-1", "--json").json
    assert (back["status"], sorted(back["reapplied"])) == ("reverted", ["b", "c", "rollback-1"])
    assert git(frozen, "rev-parse", "ghost/work^{tree}") == git(frozen, "rev-parse", f"{tip}^{{tree}}")


@pytest.mark.parametrize(("phase", "kind"), [("P9", "unknown-phase"), ("P2", "unknown-phase"), ("../x", "bad-phase")])
def test_a_phase_that_was_never_frozen_can_not_be_restored(ghost, frozen, phase, kind):
    tip = git(frozen, "rev-parse", "ghost/work")
    for more in ((), ("--dry-run",)):
        ran = ghost("restore", phase, "--json", *more)
        assert (ran.status, ran.json["error"]["kind"]) == (1, kind)
    assert git(frozen, "rev-parse", "ghost/work") == tip


def test_a_restore_overwrites_no_edit_by_hand(ghost, frozen):
    git(frozen, "checkout", "-q", "ghost/work")
    (frozen / "b.txt").write_text("mine\n")
    ran = ghost("restore", "P1", "--json")
    assert (ran.status, ran.json["status"], ran.json["error"]["kind"]) == (1, "rejected", "foreign-edit")
    assert (frozen / "b.txt").read_text() == "mine\n"


def test_a_tag_that_the_branch_never_held_is_not_restored(ghost, frozen):
    git(frozen, "update-ref", "refs/heads/ghost/work", "main")
    ran = ghost("restore", "P1", "--json")
    assert (ran.status, ran.json["error"]["kind"]) == (1, "off-branch")
    assert git(frozen, "rev-parse", "ghost/work") == git(frozen, "rev-parse", "main")


def test_phases_are_listed_with_their_state(ghost, frozen):
    def told():
        rows = ghost("phases", "--json").json["phases"]
        return {row["phase"]: (row["state"], row["tag"], row["patches"]) for row in rows}

    assert told() == {"P1": ("frozen", "phase/P1", []), "P2": ("open", None, ["b", "c"])}
    ghost("thaw", "P1")
    assert told()["P1"][0] == "thawed"
    ghost("freeze", "P1")
    assert told()["P1"][:2] == ("frozen", "phase/P1.2")
    assert ghost("phases").stdout.splitlines()[0].split() == [
        "PHASE", "LANE", "STATE", "TAG", "COMMIT", "TIME", "PATCHES",
    ]  # fmt: skip
    assert ghost("phases", "--lane", "DEV", "--json").json == {"phases": []}


def test_a_phase_is_taken_back_as_a_whole(ghost, frozen):
    preview = ghost("rollback", "--phase", "P2", "--dry-run", "--json").json
    assert (preview["status"], preview["reverted"], preview["files"]) == (
        "would-revert",
        ["c", "b"],
        ["b.txt", "c.txt"],
    )
    assert preview["stat"] == {"files": 2, "insertions": 0, "deletions": 2}
    told = ghost("rollback", "--phase", "P2", "--json").json
    assert (told["status"], sorted(told["reverted"])) == ("reverted", ["b", "c"])
    assert "take back phase P2" in git(frozen, "log", "-1", "--format=%s", "ghost/work")
    assert ghost("rollback", "--phase", "P2", "--json").json["status"] == "already"
    assert ghost("rollback", "--phase", "nope", "--json").json["error"]["kind"] == "unknown-phase"
    for wrong in ((), ("a", "--phase", "P2")):
        assert ghost("rollback", *wrong).status == 2


def test_who_says_that_it_depends_or_writes_a_path_that_was_made_is_a_dependent(ghost, workspace, repo):
    texts = (
        patch_text("a", write_op("new.txt", "1\n" * 9)),
        patch_text("asks", write_op("x.txt", "x\n"), execution={"dependsOn": ["a"]}),
        patch_text("moves", {"op": "rename", "path": "new.txt", "to": "moved.txt"}),
        patch_text("beside", write_op("y.txt", "y\n")),
    )
    assert ghost("apply", "-", stdin="[" + ",".join(texts) + "]").status == 0
    blocked = ghost("rollback", "a", "--json")
    assert (blocked.status, blocked.json["status"], blocked.json["dependents"]) == (1, "blocked", ["asks", "moves"])
    told = ghost("rollback", "a", "--with-dependents", "--json").json
    assert (told["status"], sorted(told["reverted"])) == ("reverted", ["a", "asks", "moves"])
    assert git(repo, "diff", "--name-only", "main", "ghost/work") == "y.txt"


def test_a_diff_is_what_git_apply_takes(ghost, workspace, repo):
    ops = [
        replace_op("docs/notes.txt", "two", "TWO"),
        {"op": "write", "path": "bin", "contents_b64": "AAH/AA=="},
        {"op": "rename", "path": "app.py", "to": "moved.py"},
        {"op": "mode", "path": "README.md", "mode": "0755"},
    ]
    assert ghost("apply", "-", stdin=patch_text("p", *ops)).status == 0
    text = ghost("diff", "p").stdout
    subprocess.run(["git", "apply", "--index"], cwd=repo, input=text.encode(), check=True)
    assert git(repo, "write-tree") == git(repo, "rev-parse", "ghost/work^{tree}")
    told = ghost("diff", "p", "--json").json
    assert told["diff"] == text
    assert {(file["path"], file["old_path"], file["status"]) for file in told["files"]} == {
        ("README.md", None, "M"), ("bin", None, "A"), ("docs/notes.txt", None, "M"), ("moved.py", "app.py", "R"),
    }  # fmt: skip
    assert ghost("diff", "p", "--stat").stdout.splitlines()[-1] == "4 files, +1 -1"
    assert ghost("diff", "nope", "--json").json["error"]["kind"] == "unknown-id"


def test_a_tag_of_somebody_else_does_not_pass_for_a_freeze(ghost, workspace, repo):
    """A plain tag of that name closes nothing, and is left alone."""
    assert ghost("apply", "-", stdin=patch_text("a", write_op("a.txt", "a\n"), phase="P1")).status == 0
    git(repo, "tag", "phase/P1", "main")
    assert ghost("freeze", "P1", "--json").json["tag"] == "phase/P1.2"
    refused = ghost("apply", "-", "--json", stdin=patch_text("b", write_op("b.txt", "b\n"), phase="P1"))
    assert refused.result["error"]["kind"] == "frozen"
    assert git(repo, "rev-parse", "phase/P1") == git(repo, "rev-parse", "main")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
def test_a_tag_is_signed_where_there_is_a_key(ghost, frozen, workspace, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ghost@localhost {key.with_suffix('.pub').read_text()}")
    with (workspace / "conf" / "ghost.toml").open("a") as conf:
        conf.write(f'\n[git]\nsigning_key = "{key}"\n')
    assert ghost("freeze", "P2", "--json").json["tag"] == "phase/P2"
    check = [
        "git",
        "-c",
        "gpg.format=ssh",
        "-c",
        f"gpg.ssh.allowedSignersFile={allowed}",
        "verify-tag",
        "-v",
        "phase/P2",
    ]
    checked = subprocess.run(check, cwd=frozen, capture_output=True, text=True, check=False)
    assert "Good " in checked.stderr, checked.stderr
    rows = {row["phase"]: row["signed"] for row in ghost("phases", "--json").json["phases"]}
    assert rows == {"P1": False, "P2": True}
    assert ghost("restore", "P2", "--json").json["status"] == "already", "a signature is no part of the manifest"
