"""A patch's own commands: only where they are allowed and shut in, in their order, and what they make is checked."""

from __future__ import annotations

import json
from pathlib import Path

import gate_kit as kit
import pytest
from acceptance_tools import git, patch_text, replace_op, write_op

from ghostd.base.errors import Cannot
from ghostd.model.submission import Submission
from ghostd.pipeline import preview
from ghostd.pipeline.intake import Intake
from ghostd.pipeline.verify import verify

needs_sandbox = pytest.mark.skipif(bool(kit.LACKING), reason=f"the sandbox lacks {kit.LACKING}")


def shell(run: str) -> dict[str, str]:
    return {"op": "shell", "run": run}


def once(id: str, *mutations, **more) -> str:
    return patch_text(id, *mutations, execution={"maxRetries": 0}, **more)


@pytest.fixture
def allowed(workspace):
    kit.configure(workspace, {"allow_shell": True})
    with kit.opened(workspace) as shop:
        yield shop


def committed(repo: Path, path: str) -> str:
    return git(repo, "show", f"ghost/work:{path}")


# Where they may run -----------------------------------------------------------------------------------------------

EVERY_WAY = {
    "an operation": once("p", write_op("a", "x"), shell("touch b")),
    "a gate": once("p", write_op("a", "x"), validation={"shell": ["true"]}),
    "a stage before": json.dumps(
        {
            "blockId": "p",
            "version": "1",
            "preCommit": {"shell": ["true"]},
            "mutations": [{"path": "a", "contents": "x"}],
        }
    ),
    "a stage before the mutations": json.dumps(
        {"blockId": "p", "preMutationValidation": {"shell": "true"}, "mutations": [{"path": "a", "contents": "x"}]}
    ),
    "a build": json.dumps(
        {"blockId": "p", "postMutationBuild": {"shell": ["true"]}, "mutations": [{"path": "a", "contents": "x"}]}
    ),
    "a check behind": json.dumps(
        {"blockId": "p", "validate": {"shell": ["true"]}, "mutations": [{"path": "a", "contents": "x"}]}
    ),
}


@pytest.mark.parametrize("text", EVERY_WAY.values(), ids=EVERY_WAY)
def test_a_lane_that_does_not_allow_commands_refuses_each_way_to_bring_one(workspace, repo, text):
    kit.configure(workspace)
    with kit.opened(workspace) as shop:
        job = kit.send(shop, text)
        assert (job.state, kit.kind(job)) == ("rejected", "shell-not-allowed")
        assert shop.ledger.gate_runs("p") == []
    assert git(repo, "branch", "--list", "ghost/work") == ""


@pytest.mark.parametrize("text", EVERY_WAY.values(), ids=EVERY_WAY)
@pytest.mark.parametrize("policy", ["required", "best-effort", "off"])
def test_where_a_layer_is_missing_none_runs_whatever_the_lane_says_of_its_gates(workspace, monkeypatch, text, policy):
    monkeypatch.setattr("ghostd.sandbox.cell.missing", lambda policy: ("network",) if policy == "required" else ())
    kit.configure(workspace, {"allow_shell": True, "sandbox": policy})
    with kit.opened(workspace) as shop:
        job = kit.send(shop, text)
        assert (job.state, kit.kind(job)) == ("rejected", "shell-not-allowed")
        assert job.result["error"]["layers"] == ["network"]
        assert shop.ledger.gate_runs("p") == []


@needs_sandbox
@pytest.mark.parametrize("text", EVERY_WAY.values(), ids=EVERY_WAY)
def test_a_lane_that_allows_them_runs_each(allowed, repo, text):
    job = kit.send(allowed, text)
    assert job.state == "applied", job.result
    assert committed(repo, "a") == "x"
    assert [run.verdict for run in allowed.ledger.gate_runs("p")] == ["passed"]


@needs_sandbox
def test_they_are_shut_in_even_where_the_lane_s_gates_are_not(workspace, tmp_path):
    """The canaries: a file of ours, the ledger, the real repository, the network."""
    kit.configure(workspace, {"allow_shell": True, "sandbox": "off"})
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    tries = [
        f"cat {secret}",
        f"touch {tmp_path}/canary",
        f"ls {workspace}/state/ghost.db",
        f"ls {workspace.parent}/.git/HEAD",
        "git rev-parse HEAD",
        "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 9), 1)' 2>&1 | grep -v refused && false",
    ]
    for number, run in enumerate(tries):
        with kit.opened(workspace) as shop:
            job = kit.send(shop, once(f"p{number}", write_op("a", f"{number}"), validation={"shell": [run]}))
            assert kit.kind(job) == "gate-failed", run
            assert b"hidden" not in shop.ledger.gate_runs(f"p{number}")[0].output
    assert not (tmp_path / "canary").exists()


# What they make ---------------------------------------------------------------------------------------------------


@needs_sandbox
def test_a_command_runs_between_mutations_and_what_it_makes_is_part_of_the_patch(allowed, repo):
    job = kit.send(
        allowed,
        once(
            "p",
            write_op("in", "some words\n"),
            shell("tr a-z A-Z < in > out; rm docs/notes.txt; chmod +x app.py; ln -s out link"),
            replace_op("out", "WORDS", "LINES"),
            shell("cat out >> in"),
        ),
    )
    assert job.state == "applied", job.result
    assert committed(repo, "out") == "SOME LINES"
    assert committed(repo, "in") == "some words\nSOME LINES"
    listed = git(repo, "ls-tree", "-r", "ghost/work").splitlines()
    modes = {line.split("\t")[1]: line.split()[0] for line in listed}
    assert modes == {
        "README.md": "100644",
        "app.py": "100755",
        "in": "100644",
        "link": "120000",
        "out": "100644",
    }
    assert job.result["stat"]["files"] == 5
    assert kit.gates(job) == [("shell:op:1", "passed"), ("shell:op:2", "passed")]


@needs_sandbox
def test_a_file_may_take_the_place_of_a_folder_and_a_folder_that_of_a_file(allowed, repo):
    job = kit.send(allowed, once("p", shell("rm -r docs app.py; echo x > docs; mkdir app.py; echo y > app.py/in")))
    assert job.state == "applied", job.result
    assert (committed(repo, "docs"), committed(repo, "app.py/in")) == ("x", "y")


@needs_sandbox
@pytest.mark.parametrize(
    ("run", "kind"),
    [
        ("ln -s /etc/passwd link", "forbidden-path"),
        ("ln -s ../../x link", "forbidden-path"),
        ("mkdir .git; touch .git/config", "forbidden-path"),
        ("mkdir -p sub/.GIT; touch sub/.GIT/config", "forbidden-path"),
        ("touch .gitmodules", "forbidden-path"),
        ("touch 'a:b'", "forbidden-path"),
        ("mkfifo pipe", "odd-file"),
        ("true", "no-change"),
    ],
)
def test_what_a_command_makes_is_checked_like_any_mutation(allowed, repo, run, kind):
    job = kit.send(allowed, once("p", shell(run)))
    assert (job.state, kit.kind(job)) == ("rejected", kind), job.result
    assert git(repo, "branch", "--list", "ghost/work") == ""


@needs_sandbox
def test_a_hand_made_edit_of_what_a_command_would_write_is_not_overwritten(allowed, repo):
    git(repo, "checkout", "-qb", "ghost/work")
    (repo / "app.py").write_text("mine\n")
    job = kit.send(allowed, once("p", shell("echo theirs > app.py")))
    assert kit.kind(job) == "foreign-edit"
    assert (repo / "app.py").read_text() == "mine\n"


@needs_sandbox
def test_what_its_gates_have_looked_at_is_proved_like_any_other_patch(allowed, workspace):
    """Nobody runs the commands again just to look: those that change no file have no part in the tree."""
    text = once("p", write_op("a", "x"), validation={"shell": ["true"], "requireMutationProof": True})
    assert kit.send(allowed, text).state == "applied"
    assert kit.send(allowed, once("q", shell("touch b"), validation={"requireMutationProof": True})).state == "applied"
    assert verify(allowed)["problems"] == []


# In which order ---------------------------------------------------------------------------------------------------


@needs_sandbox
def test_the_stages_come_in_their_order_and_each_sees_the_files_of_its_time(allowed, repo):
    text = json.dumps(
        {
            "blockId": "p",
            "preCommit": {"shell": ["test ! -e new && touch thrown-away"]},
            "mutations": [{"path": "new", "contents": "x\n"}],
            "postMutationBuild": {"shell": ["test -e new && test ! -e thrown-away && cat new new > built"]},
            "validate": {"shell": ["test -e built && touch thrown-away-too"]},
        }
    )
    job = kit.send(allowed, text)
    assert job.state == "applied", job.result
    assert kit.gates(job) == [("shell:before:1", "passed"), ("shell:build:1", "passed"), ("shell:1", "passed")]
    assert committed(repo, "built") == "x\nx"
    assert "thrown" not in git(repo, "ls-tree", "-r", "--name-only", "ghost/work")


@needs_sandbox
@pytest.mark.parametrize("stage", ["preCommit", "postMutationBuild"])
def test_a_stage_that_fails_rejects_whatever_the_flags_say(allowed, repo, stage):
    text = json.dumps(
        {
            "blockId": "p",
            stage: {"shell": ["echo because; exit 4"]},
            "mutations": [{"path": "new", "contents": "x\n"}],
            "enforceValidationGate": False,
            "blockCommitOnError": False,
        }
    )
    job = kit.send(allowed, text)
    assert (job.state, kit.kind(job), job.result["error"]["output"]) == ("rejected", "gate-failed", "because\n")
    assert [run.run for run in allowed.ledger.gate_runs("p")] == [1], "a stage is no gate: it is not run again"


@needs_sandbox
def test_a_command_that_hangs_gives_no_verdict(allowed):
    job = kit.send(allowed, patch_text("p", shell("sleep 60"), execution={"maxRetries": 0, "timeout": 500}))
    assert (job.state, kit.kind(job)) == ("failed", "gate-timeout")


@needs_sandbox
@pytest.mark.parametrize(("enforced", "state"), [(True, "rejected"), (False, "applied")])
def test_a_gate_of_the_patch_s_own_blocks_as_the_patch_says(allowed, enforced, state):
    job = kit.send(
        allowed,
        once("p", write_op("a", "x"), validation={"shell": ["false"], "enforceValidationGate": enforced}),
    )
    assert job.state == state
    assert kit.gates(job) == [("shell:1", "failed")]


@needs_sandbox
def test_a_misfit_in_front_of_the_first_command_is_told_before_anything_runs(allowed):
    for id, flags, ran in (("p", {}, []), ("q", {"runDryCheck": False}, ["passed"])):
        misfit = {"path": "app.py", "contents": "x", "insertAfter": "not there"}
        text = json.dumps({"blockId": id, "preCommit": {"shell": ["true"]}, "mutations": [misfit], **flags})
        job = kit.send(allowed, text)
        assert kit.kind(job) == "no-match"
        assert [run.verdict for run in allowed.ledger.gate_runs(id)] == ran


# A look in advance ------------------------------------------------------------------------------------------------


def _preview(shop, text: str):
    patch, lane = Intake(shop).read(Submission(data=text.encode(), origin=kit.HERE))
    return preview.would_apply(shop, patch, lane)


@needs_sandbox
def test_a_dry_run_runs_nothing_and_says_so(allowed, tmp_path):
    told = _preview(allowed, once("p", write_op("a", "x\n"), shell(f"touch {tmp_path}/ran"), replace_op("b", "x", "y")))
    assert told["status"] == "would-apply"
    assert told["stat"]["files"] == 1, "what stands before the command"
    assert "commands are not run" in told["warnings"][-1]
    assert not (tmp_path / "ran").exists()


def test_a_dry_run_refuses_what_would_be_refused(workspace):
    kit.configure(workspace)
    with kit.opened(workspace) as shop, pytest.raises(Cannot) as caught:
        _preview(shop, once("p", write_op("a", "x\n"), shell("true")))
    assert caught.value.kind == "shell-not-allowed"
