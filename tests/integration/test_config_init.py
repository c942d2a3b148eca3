"""`ghostd init` makes a workspace, changes nothing else, and may be repeated."""

from __future__ import annotations

import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ghostd.cli import session
from ghostd.cli.verbs import Asked
from ghostd.config.init import git_dir, init, repository_above, set_up_state
from ghostd.config.load import find_workspace, load


def git(where: Path, *arguments: str) -> str:
    """What git printed; a failure fails the test."""
    return subprocess.run(["git", *arguments], cwd=where, capture_output=True, text=True, check=True).stdout.strip()


def everything(folder: Path) -> dict[str, bytes]:
    """The content of all files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_it_makes_a_workspace_that_loads(repo):
    made = init(repo / ".ghost", repo=repo)
    settings = load(repo / ".ghost").settings
    assert settings.lanes["MAIN"].repo == repo
    assert (settings.default_lane.name, settings.lanes["CYOPS"].aliases) == ("MAIN", ("DEV",))
    assert settings.ghost.name == "repo"
    assert str(repo / ".ghost" / "conf" / "ghost.toml") in made.made
    assert find_workspace(repo / "docs", None) == repo / ".ghost"


def test_git_sees_nothing_of_it(repo):
    before = everything(repo / ".git")
    init(repo / ".ghost", repo=repo)
    assert git(repo, "status", "--porcelain", "--ignored=no") == ""
    after = everything(repo / ".git")
    changed = {name for name in after if after[name] != before.get(name) and name != "index"}
    assert changed == {"info/exclude"}
    assert after["info/exclude"].endswith(b"\n.ghost/\n")


def test_what_it_makes_is_for_the_owner_only(repo):
    init(repo / ".ghost", repo=repo)
    state = repo / ".ghost" / "state"
    for folder in (state, *(path for path in state.rglob("*") if path.is_dir())):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    for name in ("jwt", "webhook"):
        assert stat.S_IMODE((state / "secrets" / name).stat().st_mode) == 0o600
    assert {path.name for path in state.iterdir()} >= {
        "log", "run", "secrets", "summaries", "lanes", "worktrees", "dumps", ".workspace"
    }  # fmt: skip


def test_a_second_time_changes_nothing(repo):
    init(repo / ".ghost", repo=repo)
    (repo / ".ghost" / "conf" / "ghost.toml").write_text("[lane.MINE]\n")
    before = everything(repo)
    assert init(repo / ".ghost", repo=repo).made == ()
    assert everything(repo) == before


def test_an_exclude_file_without_a_last_newline_is_kept_whole(repo):
    exclude = repo / ".git" / "info" / "exclude"
    exclude.write_bytes(b"caf\xe9/")
    init(repo / ".ghost", repo=repo)
    init(repo / ".ghost", repo=repo)
    assert exclude.read_bytes() == b"caf\xe9/\n.ghost/\n"


def test_a_missing_info_folder_is_made(repo):
    (repo / ".git" / "info" / "exclude").unlink()
    (repo / ".git" / "info").rmdir()
    init(repo / ".ghost", repo=repo)
    assert git(repo, "status", "--porcelain") == ""


def test_a_linked_work_tree_uses_the_shared_exclude_file(repo):
    """Git reads no other; the one in the work tree's own Git folder would be ignored."""
    linked = repo.parent / "linked"
    git(repo, "worktree", "add", "-q", str(linked))
    init(linked / ".ghost", repo=linked)
    assert git(linked, "status", "--porcelain") == ""
    assert b".ghost/" in (repo / ".git" / "info" / "exclude").read_bytes()
    assert load(linked / ".ghost").settings.lanes["MAIN"].repo == linked


def test_a_submodule_uses_its_own_exclude_file(repo):
    outer = repo.parent / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo), "inner")
    init(outer / "inner" / ".ghost", repo=outer / "inner")
    assert git(outer / "inner", "status", "--porcelain") == ""


def test_a_workspace_elsewhere_names_its_repository(repo, tmp_path):
    workspace = tmp_path / 'else "where" é'
    init(workspace, repo=repo)
    assert load(workspace).settings.lanes["MAIN"].repo == repo
    assert load(workspace).settings.lanes["CYOPS"].repo == repo
    assert not (repo / ".ghost").exists()
    assert find_workspace(workspace / "conf", None) == workspace


def test_a_workspace_inside_git_never_offers_its_state(repo):
    """Its configuration may be committed; ledger and secrets may not."""
    init(repo / "ops", repo=repo)
    assert git(repo, "status", "--porcelain", "-uall").splitlines() == [
        "?? ops/conf/ghost.toml",
        "?? ops/state/.gitignore",
    ]


def test_a_bare_repository_has_its_workspace_inside(repo, tmp_path):
    bare = tmp_path / "bare.git"
    git(repo, "clone", "-q", "--bare", str(repo), str(bare))
    assert repository_above(bare) == bare
    init(bare / ".ghost", repo=bare)
    assert load(bare / ".ghost").settings.lanes["MAIN"].repo == bare


def test_a_repository_is_found_from_inside_and_only_there(repo, tmp_path):
    assert repository_above(repo / "docs") == repo
    assert repository_above(tmp_path) is None
    (tmp_path / ".git").write_text("gitdir: /nowhere\n")
    assert git_dir(tmp_path) is None


def test_an_empty_state_is_set_up_and_not_marked(tmp_path):
    """Naming a workspace sets it up; only init says that it may be found by itself."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "ghost.toml").write_text("[lane.A]\nrepo='/x'\n")
    assert set_up_state(tmp_path)
    assert set_up_state(tmp_path) == ()
    assert (tmp_path / "state" / "secrets" / "jwt").is_file()
    assert find_workspace(tmp_path, None) is None


KILLED = """
import os, sys
from pathlib import Path
from ghostd.base import files
from ghostd.config.init import init
left = int(sys.argv[2])
def stop(event, args):
    global left
    touched = any(name in str(argument) for argument in args for name in (".ghost", "exclude"))
    if touched and event in ("open", "os.mkdir", "os.link", "os.rename"):
        left -= 1
        if left < 0:
            os._exit(9)
sys.addaudithook(stop)
init(Path(sys.argv[1]) / ".ghost", repo=Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_kill_at_any_step_is_mended_by_a_second_run(repo, tmp_path):
    """Whatever was made before the kill is whole, and what is missing comes with the next run."""
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    for step in range(200):
        ghost = repo / ".ghost"
        done = subprocess.run([sys.executable, str(script), str(repo), str(step)], check=False)
        init(ghost, repo=repo)
        assert load(ghost).warnings == ()
        assert len((ghost / "state" / "secrets" / "jwt").read_bytes()) > 32
        assert (repo / ".git" / "info" / "exclude").read_bytes().count(b".ghost/") == 1
        if done.returncode == 0:
            assert step > 10
            return
        subprocess.run(["rm", "-rf", str(ghost)], check=True)
        (repo / ".git" / "info" / "exclude").write_bytes(b"")
    raise AssertionError("it never came to its end")


GHOSTD = [sys.executable, "-I", "-m", "ghostd.cli.ghostd"]
GHOST = [sys.executable, "-I", "-m", "ghostd.cli.ghost"]


def run(argv, where, **env):
    import os

    return subprocess.run(argv, cwd=where, capture_output=True, text=True, check=False, env={**os.environ, **env})


class TestVerbs:
    def test_init_tells_what_it_made_and_what_comes_next(self, repo):
        done = run([*GHOSTD, "init"], repo / "docs")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"made {repo}/.ghost/conf/ghost.toml\n" in done.stdout
        assert "ghostd start" in done.stdout
        assert "ghost apply" in done.stdout

    def test_init_as_json(self, repo):
        import json

        done = run([*GHOSTD, "init", "--repo", str(repo), "--json"], repo.parent)
        document = json.loads(done.stdout)
        assert (document["workspace"], document["repo"]) == (str(repo / ".ghost"), str(repo))
        assert run([*GHOSTD, "init", "--json"], repo).stdout.count('"made": []') == 1

    def test_init_outside_of_a_repository_says_what_to_do(self, tmp_path):
        done = run([*GHOSTD, "init"], tmp_path)
        assert done.returncode == 1
        assert "cannot find a Git repository" in done.stderr
        assert "git init" in done.stderr
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("verbosity", [0, 1])
    def test_a_verb_that_needs_none_beforehand_makes_one_and_says_so(self, repo, monkeypatch, capsys, verbosity):
        monkeypatch.chdir(repo / "docs")
        asked = Asked(json=True, workspace=None, verbosity=verbosity)
        loaded = session.open_workspace(asked, must_exist=False)
        assert loaded.settings.workspace == repo / ".ghost"
        assert capsys.readouterr() == ("", f"ghost: made the workspace {repo}/.ghost\n")
        (repo / ".ghost" / "conf" / "ghost.toml").write_text("[lane.A]\nexecutors = 2\n")
        assert session.open_workspace(asked, must_exist=False).settings.default_lane.name == "A"
        assert ("no effect" in capsys.readouterr().err) is (verbosity > 0)

    def test_check_lists_everything_and_fails(self, repo):
        import json

        run([*GHOSTD, "init"], repo)
        assert run([*GHOSTD, "check"], repo).stdout == "no problems\n"
        conf = repo / ".ghost" / "conf" / "ghost.toml"
        conf.write_text("[lane.A]\nbrnach = 1\nexecutors = 2\n")
        done = run([*GHOSTD, "check"], repo)
        assert done.returncode == 1
        assert done.stdout.splitlines() == [
            f"{conf}:2: lane.A.brnach: unknown key; did you mean branch?",
            f"{conf}:3: lane.A.executors: known, has no effect in this version (warning)",
        ]
        document = json.loads(run([*GHOSTD, "check", str(conf), "--json"], repo.parent).stdout)
        assert document["ok"] is False
        assert document["problems"][0] == {
            "file": str(conf),
            "line": 2,
            "key": "lane.A.brnach",
            "problem": "unknown key; did you mean branch?",
            "level": "error",
        }

    def test_a_strangers_key_does_not_reach_the_terminal_raw(self, repo):
        run([*GHOSTD, "init"], repo)
        (repo / ".ghost" / "conf" / "ghost.toml").write_text('[lane.A]\n"\\u001b[31mred" = 1\n')
        assert "\x1b" not in run([*GHOSTD, "check"], repo).stdout

    def test_a_token_is_alone_on_stdout_and_opens_the_door(self, repo):
        from ghostd.security import secrets, token

        run([*GHOSTD, "init"], repo)
        done = run([*GHOST, "token", "create", "--scope", "read,submit", "--ttl", "1h", "--subject", "ci"], repo)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("\n") == 1
        import time

        found = token.check(
            done.stdout.strip(), secrets.load("jwt", repo / ".ghost" / "state" / "secrets", {}), now=time.time()
        )
        assert (found.subject, found.scopes) == ("ci", {"read", "submit"})

    @pytest.mark.parametrize(
        ("options", "status", "said"),
        [
            (["--scope", "root"], 1, "cannot make a token with the scope root"),
            (["--scope", ","], 1, "cannot make a token with no scope"),
            (["--scope", "read", "--ttl", "soon"], 2, "expected a time"),
            (["--scope", "read", "--ttl", "0s"], 2, "expected a time"),
            ([], 2, "--scope"),
        ],
    )
    def test_a_token_that_can_not_be_made(self, repo, options, status, said):
        run([*GHOSTD, "init"], repo)
        done = run([*GHOST, "token", "create", *options], repo)
        assert (done.returncode, done.stdout) == (status, "")
        assert said in done.stderr

    def test_no_workspace_is_told_with_the_next_step(self, tmp_path):
        done = run([*GHOST, "token", "create", "--scope", "read", "--json"], tmp_path)
        assert done.returncode == 1
        assert '"kind": "no-workspace"' in done.stdout
        assert "ghostd init" in done.stderr
        missing = run([*GHOST, "token", "create", "--scope", "read"], tmp_path, GHOST_HOME=str(tmp_path / "x"))
        assert "it has no conf/ghost.toml" in missing.stderr
