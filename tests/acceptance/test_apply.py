"""`ghost apply` without a daemon: what people and agents see, and what Git holds then."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from acceptance_tools import git, patch_text, replace_op, write_op


def trailers(repo: Path, commit: str = "ghost/work") -> dict[str, str]:
    lines = git(repo, "log", "-1", "--format=%(trailers:only,unfold)", commit).splitlines()
    return dict(line.split(": ", 1) for line in lines if line)


def test_the_first_patch_in_a_repository_makes_its_workspace_and_its_commit(ghost, repo):
    ran = ghost("apply", "-", "--json", stdin=patch_text("p1", write_op("new.txt", "hello\n"), phase="P1"))
    assert ran.status == 0, ran.stderr
    assert f"made the workspace {repo / '.ghost'}" in ran.stderr
    one = ran.result
    assert (one["id"], one["status"], one["lane"], one["branch"]) == ("p1", "applied", "MAIN", "ghost/work")
    assert one["stat"] == {"files": 1, "insertions": 1, "deletions": 0}
    assert one["commit"] == git(repo, "rev-parse", "ghost/work")
    assert one["tree"] == git(repo, "rev-parse", "ghost/work^{tree}")
    assert git(repo, "show", "ghost/work:new.txt") == "hello"
    assert git(repo, "log", "-1", "--format=%s|%an|%cn", "ghost/work") == "[PATCH p1] what p1 does|tester|ghost"
    found = trailers(repo)
    assert found["Ghost-Patch-Id"] == "p1"
    assert found["Ghost-Patch-Sha256"] == one["digest"]
    assert (found["Ghost-Lane"], found["Ghost-Phase"]) == ("MAIN", "P1")
    assert len(found["Ghost-Proof"]) == 64
    assert Path(one["summary"]).read_text().startswith("---\nid: ")
    assert git(repo, "status", "--porcelain") == ""


def test_the_same_patch_again_is_already_there_and_another_under_its_id_is_refused(ghost, repo):
    text = patch_text("p1", write_op("new.txt", "hello\n"))
    first = ghost("apply", "-", "--json", stdin=text).result
    again = ghost("apply", "-", "--json", stdin=text)
    assert (again.status, again.result["status"], again.result["commit"]) == (0, "already", first["commit"])
    other = ghost("apply", "-", "--json", stdin=patch_text("p1", write_op("new.txt", "other\n")))
    assert (other.status, other.result["status"], other.result["error"]["kind"]) == (1, "rejected", "id-reused")
    assert git(repo, "rev-list", "--count", "main..ghost/work") == "1"


def test_one_patch_in_two_formats_is_one_patch(ghost):
    webhook = {"id": "p1", "target_file": "a.txt", "patch": "text\n", "description": "d"}
    unified = {
        "id": "p1",
        "type": "unified",
        "metadata": {"description": "d"},
        "content": {"mutations": [{"op": "write", "path": "a.txt", "contents": "text\n"}]},
    }
    assert ghost("apply", "-", "--json", stdin=json.dumps(webhook)).result["status"] == "applied"
    assert ghost("apply", "-", "--json", stdin=json.dumps(unified)).result["status"] == "already"


def test_after_the_first_failure_the_rest_is_not_run_unless_asked(ghost, repo, tmp_path):
    folder = tmp_path / "patches"
    folder.mkdir()
    (folder / "1.json").write_text(patch_text("ok-1", write_op("1", "x")))
    (folder / "2.json").write_text(patch_text("bad-2", replace_op("app.py", "missing", "y")))
    (folder / "3.json").write_text(patch_text("ok-3", write_op("3", "x")))
    ran = ghost("apply", str(folder), "--json")
    assert ran.status == 1
    assert [(one["id"], one["status"]) for one in ran.results] == [
        ("ok-1", "applied"), ("bad-2", "rejected"), ("ok-3", "cancelled"),
    ]  # fmt: skip
    assert ran.results[2]["error"]["kind"] == "not-run"
    assert ghost("show", "ok-3").status == 1, "what was not run never entered the ledger"
    kept = ghost("apply", str(folder), "--json", "--keep-going")
    assert [one["status"] for one in kept.results] == ["already", "rejected", "applied"]
    assert "requeue" in kept.results[1]["error"]["hint"]


def test_a_transcript_a_list_and_yaml_documents_hold_several_patches(ghost, tmp_path):
    chat = tmp_path / "chat.md"
    chat.write_text(
        "Do this:\n\n```json\n"
        + patch_text("c-1", write_op("c1", "x"))
        + "\n```\n\nand not\n\n```python\nprint()\n```\n\n"
        "~~~yaml\nid: c-2\ncontent:\n  mutations:\n    - {op: write, path: c2, contents: x}\n~~~\n"
    )
    assert [one["id"] for one in ghost("apply", str(chat), "--json").results] == ["c-1", "c-2"]
    several = tmp_path / "list.json"
    several.write_text(json.dumps([json.loads(patch_text(f"l-{n}", write_op(f"l{n}", "x"))) for n in (1, 2)]))
    assert [one["status"] for one in ghost("apply", str(several), "--json").results] == ["applied", "applied"]


def test_a_dry_run_tells_and_leaves_no_trace(ghost, workspace, repo):
    before = git(repo, "for-each-ref")
    ran = ghost("apply", "-", "--json", "--dry-run", stdin=patch_text("p1", write_op("new", "x\n")))
    assert (ran.status, ran.result["status"], ran.result["stat"]["files"]) == (0, "would-apply", 1)
    refused = ghost("apply", "-", "--json", "--dry-run", stdin=patch_text("p2", replace_op("app.py", "nope", "x")))
    assert (refused.status, refused.result["error"]["kind"]) == (1, "no-match")
    assert git(repo, "for-each-ref") == before
    assert ghost("queue", "ls", "--all", "--json").json["jobs"] == []


def test_without_waiting_and_without_a_daemon_a_patch_stays_queued_until_somebody_works(ghost, workspace):
    ran = ghost("apply", "-", "--json", "--no-wait", stdin=patch_text("p1", write_op("new", "x\n")))
    assert (ran.status, ran.result["status"]) == (0, "queued")
    assert "ghostd start" in ran.stderr
    assert ghost("apply", "-", "--json", stdin=patch_text("p2", write_op("new2", "x\n"))).status == 0
    assert ghost("show", "p1", "--json").json["status"] == "applied", "who works takes the queue in its order"


OTHER_CONTEXT = {
    "op": "diff",
    "path": "app.py",
    "diff": "@@ -1,2 +1,2 @@\n def hello(name):\n-    return f'hello {name}'\n+    return 1\n",
}
UNKNOWN_GATE = patch_text("p", write_op("a", "x"), validation={"gates": ["nope"]})


@pytest.mark.parametrize(
    ("name", "text", "kind", "told"),
    [
        ("no patch", "hello", "malformed", ""),
        ("nothing", "", "malformed", ""),
        ("an unknown format", '{"hello": 1}', "malformed", ""),
        ("a patch of no commands", '{"patch": {"id": "x", "kind": "g2o"}}', "malformed", ""),
        ("an alias bomb", "id: x\na: &a [1,1]\nb: [*a,*a]\n", "malformed", "anchor"),
        ("a duplicate key", '{"id": "x", "id": "y"}', "malformed", "id"),
        ("an unknown key", '{"id": "x", "content": {"mutation": []}}', "malformed", "mutations"),
        ("a bad id", patch_text("../x", write_op("a", "x")), "malformed", "id"),
        ("a file over the limit", patch_text("big", write_op("a", "x" * (1 << 20))), "malformed", ""),
        ("a text that is missing", patch_text("p", replace_op("app.py", "missing", "x")), "no-match", "app.py"),
        ("a text that stands twice", patch_text("p", replace_op("app.py", "name", "x")), "ambiguous", "app.py"),
        ("a file that is missing", patch_text("p", replace_op("none.py", "a", "x")), "missing-path", "none.py"),
        ("a change of nothing", patch_text("p", write_op("README.md", "# A repository\n")), "no-change", ""),
        ("a context that differs", patch_text("p", OTHER_CONTEXT), "no-match", "app.py"),
        ("a shell command", patch_text("p", {"op": "shell", "run": "touch /tmp/x"}), "shell-not-allowed", ""),
        ("a gate that nobody knows", UNKNOWN_GATE, "unknown-gate", "nope"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_line_and_changes_nothing(ghost, workspace, repo, name, text, kind, told):
    # All but the proof log, which tells of refusals too.
    refs = ("for-each-ref", "refs/heads", "refs/tags")
    before = git(repo, *refs), git(repo, "status", "--porcelain")
    ran = ghost("apply", "-", "--json", stdin=text)
    error = ran.result["error"]
    assert (ran.status, ran.result["status"], error["kind"]) == (1, "rejected", kind)
    assert error["message"].startswith("cannot ")
    assert "\n" not in error["message"]
    assert told in json.dumps(error)
    assert (git(repo, *refs), git(repo, "status", "--porcelain")) == before


@pytest.mark.parametrize(
    "path",
    [
        "../x", "/etc/x", ".git/config", ".GIT/config", "a/../../x", "git~1/x", ".git./x", ".g\u200cit/config",
        "a\\b", "C:x", "", "a//b", "sub/.git/hooks/x",
    ],
)  # fmt: skip
def test_a_path_outside_or_into_git_is_refused_in_any_spelling(ghost, workspace, repo, path):
    ran = ghost("apply", "-", "--json", stdin=patch_text("p", write_op(path, "x")))
    assert (ran.status, ran.result["status"]) == (1, "rejected")
    assert ran.result["error"]["kind"] in ("malformed", "forbidden-path")
    assert git(repo, "branch", "--list", "ghost/work") == ""


def test_a_refusal_in_words_says_what_was_expected_and_what_was_found(ghost, workspace):
    ran = ghost("apply", "-", stdin=patch_text("p", replace_op("app.py", "def greet(nome):", "x")))
    assert ran.status == 1
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("ghost: cannot ")
    assert "app.py" in lines[0]
    assert any("expected" in line for line in lines)


def gate(workspace: Path, *, sandbox: str = "best-effort", **keys: Any) -> None:
    """One gate for lane MAIN."""
    conf = workspace / "conf" / "ghost.toml"
    rows = "\n".join(f"{key} = {json.dumps(value)}" for key, value in keys.items())
    text = conf.read_text().replace("[lane.MAIN]", f'[lane.MAIN]\ngates = ["g"]\nsandbox = "{sandbox}"')
    conf.write_text(f"{text}\n[gate.g]\n{rows}\n")


def test_a_gate_sees_the_result_in_a_place_of_its_own_and_its_no_is_a_verdict(ghost, workspace, repo):
    gate(workspace, run="test -f new && ! git rev-parse --git-dir && touch litter && ! grep -q bad new")
    good = ghost("apply", "-", "--json", stdin=patch_text("good", write_op("new", "fine\n")))
    assert good.status == 0, good.stdout
    assert [(g["name"], g["status"]) for g in good.result["gates"]] == [("g", "passed")]
    bad = ghost("apply", "-", "--json", stdin=patch_text("bad", write_op("new", "bad\n"), execution={"maxRetries": 0}))
    assert (bad.status, bad.result["status"], bad.result["error"]["kind"]) == (1, "rejected", "gate-failed")
    assert git(repo, "show", "ghost/work:new") == "fine"
    assert git(repo, "ls-tree", "-r", "--name-only", "ghost/work").split() == [
        "README.md",
        "app.py",
        "docs/notes.txt",
        "new",
    ]
    left = {entry.name for entry in (workspace / "state" / "worktrees").iterdir()}
    assert left == {"pool-0"}, "nothing but the copy that the next gate takes over"


def test_a_gate_that_hangs_is_killed_with_its_whole_tree_and_gives_no_verdict(ghost, workspace, tmp_path):
    marker = tmp_path / "pid"
    gate(workspace, sandbox="off", run=f"(setsid sleep 300 & echo $! > {marker}); sleep 300", timeout="1s")
    text = patch_text("slow", write_op("new", "x"), execution={"maxRetries": 0})
    ran = ghost("apply", "-", "--json", stdin=text)
    assert (ran.status, ran.result["status"], ran.result["error"]["kind"]) == (1, "failed", "gate-timeout")
    assert not Path(f"/proc/{marker.read_text().strip()}").exists()


def test_a_flaky_gate_passes_in_the_end_and_is_recorded_as_one(ghost, workspace, tmp_path):
    gate(workspace, sandbox="off", run=f"test -e {tmp_path}/second || {{ touch {tmp_path}/second; exit 1; }}")
    ran = ghost("apply", "-", "--json", stdin=patch_text("flaky", write_op("new", "x")))
    assert ran.result["status"] == "applied"
    assert ran.result["gates"][0]["flake"] is True


def test_no_gates_skips_only_what_is_not_required(ghost, workspace):
    gate(workspace, run="false", required=False)
    text = patch_text("p", write_op("new", "x"), execution={"maxRetries": 0})
    assert ghost("apply", "-", "--json", stdin=text).status == 1
    text = patch_text("q", write_op("new", "x"), execution={"maxRetries": 0})
    ran = ghost("apply", "-", "--json", "--no-gates", stdin=text)
    assert (ran.result["status"], ran.result["gates"][0]["status"]) == ("applied", "skipped")


# Repositories as people have them ---------------------------------------------------------------------------------


def test_a_dirty_detached_repository_is_normal(ghost, workspace, repo):
    git(repo, "checkout", "-q", "--detach")
    (repo / "app.py").write_text("my own edit\n")
    assert ghost("apply", "-", "--json", stdin=patch_text("p", write_op("app.py", "theirs\n"))).status == 0
    assert (repo / "app.py").read_text() == "my own edit\n"
    assert git(repo, "show", "ghost/work:app.py") == "theirs"


def test_the_files_of_a_checked_out_working_branch_come_along(ghost, workspace, repo):
    git(repo, "checkout", "-q", "-b", "ghost/work")
    (repo / "mine.txt").write_text("untracked\n")
    ran = ghost(
        "apply", "-", "--json", stdin=patch_text("p", write_op("a/b.txt", "x\n"), {"op": "delete", "path": "app.py"})
    )
    assert (ran.result["status"], ran.result["worktree"]) == ("applied", "current")
    assert (repo / "a" / "b.txt").read_text() == "x\n"
    assert not (repo / "app.py").exists()
    assert git(repo, "status", "--porcelain") == "?? mine.txt"


def test_a_folder_becomes_a_file_and_a_file_a_folder_in_one_patch(ghost, workspace, repo):
    git(repo, "checkout", "-q", "-b", "ghost/work")
    swap = [
        {"op": "delete", "path": "docs/notes.txt"}, write_op("docs", "now a file\n"),
        {"op": "delete", "path": "app.py"}, write_op("app.py/deep/x", "now a folder\n"),
    ]  # fmt: skip
    assert ghost("apply", "-", "--json", stdin=patch_text("swap", *swap)).result["status"] == "applied"
    assert (repo / "docs").read_text() == "now a file\n"
    assert (repo / "app.py" / "deep" / "x").read_text() == "now a folder\n"
    assert git(repo, "status", "--porcelain") == ""


def test_a_file_that_somebody_edited_is_never_overwritten(ghost, workspace, repo):
    git(repo, "checkout", "-q", "-b", "ghost/work")
    (repo / "app.py").write_text("my own edit\n")
    ran = ghost("apply", "-", "--json", stdin=patch_text("p", write_op("app.py", "theirs\n")))
    assert (ran.status, ran.result["error"]["kind"]) == (1, "foreign-edit")
    assert "my own edit" in ran.result["error"]["diff"]
    assert (repo / "app.py").read_text() == "my own edit\n"
    assert git(repo, "rev-parse", "ghost/work") == git(repo, "rev-parse", "main")
    git(repo, "checkout", "-q", "app.py")
    assert ghost("queue", "requeue", "p").status == 0
    assert ghost("apply", "-", "--json", stdin=patch_text("p", write_op("app.py", "theirs\n"))).status == 0


@pytest.mark.parametrize("bare", [False, True])
def test_an_empty_repository_gets_its_first_commit_from_the_first_patch(ghost, tmp_path, bare):
    empty = tmp_path / "empty"
    git(tmp_path, "init", "-q", *(["--bare"] if bare else []), "-b", "main", str(empty))
    ran = ghost("apply", "-", "--json", cwd=empty, stdin=patch_text("p", write_op("a", "x\n")))
    assert ran.status == 0, ran.stdout + ran.stderr
    assert git(empty, "rev-list", "--parents", "ghost/work") == ran.result["commit"]
    assert ran.result["worktree"] == "none"


def test_a_repository_that_is_missing_is_told_and_the_patch_can_be_sent_again(ghost, workspace, tmp_path):
    conf = workspace / "conf" / "ghost.toml"
    text = conf.read_text()
    conf.write_text(text.replace('"\naliases = ["BRAUN"]', '-gone"\naliases = ["BRAUN"]'))
    ran = ghost("apply", "-", "--json", stdin=patch_text("p", write_op("a", "x\n")))
    assert ran.status == 1
    assert ran.result["error"]["kind"] == "repo-missing"
    conf.write_text(text)
    assert ghost("apply", "-", "--json", stdin=patch_text("p", write_op("a", "x\n"))).result["status"] == "applied"


def test_a_lock_of_somebody_else_is_waited_for_and_its_holder_named(ghost, workspace, repo):
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text() + '[git]\nlock_timeout = "300ms"\n')
    assert ghost("apply", "-", stdin=patch_text("p0", write_op("a", "0\n"))).status == 0
    lock = repo / ".git" / "refs" / "heads" / "ghost" / "work.lock"
    with lock.open("w") as opened:
        holder = subprocess.Popen(["sleep", "60"], stdin=opened)
    with holder:
        ran = ghost("apply", "-", "--json", stdin=patch_text("p", write_op("a", "x\n")))
        holder.kill()
    assert (ran.status, ran.result["status"], ran.result["error"]["kind"]) == (1, "failed", "git-locked")
    assert str(holder.pid) in ran.result["error"]["message"]
    lock.unlink()
    assert ghost("queue", "requeue", "p").status == 0
    assert ghost("apply", "-", "--json", stdin=patch_text("p", write_op("a", "x\n"))).result["status"] == "applied"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_gives_no_receipt_loses_nothing_and_works_again_when_freed(ghost, repo, tmp_path):
    from ghostd.config.init import init

    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("can not mount a tmpfs here")
    try:
        init(small / "ws", repo=repo)
        where = ("--workspace", str(small / "ws"))
        assert ghost("apply", "-", "--json", *where, stdin=patch_text("p0", write_op("a", "x\n"))).status == 0
        _fill(small / "filler")
        full = ghost("apply", "-", "--json", *where, stdin=patch_text("p1", write_op("b", "x\n" * 30000)))
        assert full.status == 1, full.stdout
        assert "disk-full" in full.stdout
        (small / "filler").unlink()
        again = ghost("apply", "-", "--json", *where, stdin=patch_text("p1", write_op("b", "x\n" * 30000)))
        assert again.result["status"] in ("applied", "already"), again.stdout
        assert ghost("verify", "--json", *where).json["ok"]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
