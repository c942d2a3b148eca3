"""A patch may add gates and tighten flags. Each way in which one could loosen what its lane requires is tried here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gate_kit as kit
import pytest
from acceptance_tools import git, patch_text, write_op

from ghostd.base.errors import Cannot

LAX = {"enforceValidationGate": False, "blockCommitOnError": False}
ALL_OFF = {
    **LAX,
    "runDryCheck": False,
    "strictRuntimeAudit": False,
    "forceRuntimeTrace": False,
    "requireMutationProof": False,
    "requireServiceUptime": False,
}
WRITE = {"path": "new", "contents": "x\n"}


def unified(id: str = "p", **more: Any) -> str:
    more.setdefault("execution", {"maxRetries": 0})
    return patch_text(id, write_op("new", "x\n"), **more)


#: Each of them asks, in its own way, to be committed all the same.
EVERY_WAY = {
    "flags": unified(validation=ALL_OFF),
    "other gates": unified(validation={"gates": ["easy"], **LAX}),
    "no gates": unified(validation={"gates": [], **LAX}),
    "a pass that stands for it": unified(validation={"gates": ["easy", "g"], **LAX}),
    "low priority": unified(execution={"maxRetries": 0, "priority": "low"}, validation=LAX),
    "an executor's flags at the top": json.dumps({"blockId": "p", "mutations": [WRITE], **ALL_OFF}),
    "metadata": unified(metadata={"no_gates": True, "gates": [], "required": False, "enforceValidationGate": False}),
    "another lane": unified(target={"lane": "EASY"}),
    "a webhook's metadata": json.dumps(
        {"id": "p", "target_file": "new", "patch": "x\n", "metadata": {"gates": [], "strict": False, **LAX}}
    ),
}


@pytest.mark.parametrize("text", EVERY_WAY.values(), ids=EVERY_WAY)
@pytest.mark.parametrize(("run", "kind"), [("exit 1", "gate-failed"), ("no-such-tool", "gate-error")])
@pytest.mark.parametrize("no_gates", [False, True], ids=["plain", "--no-gates"])
def test_a_required_gate_always_runs_and_always_blocks(workspace, repo, text, run, kind, no_gates):
    kit.configure(workspace, g={"run": run}, easy={"run": "true", "required": False})
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text().replace('"g", "easy"', '"g"'))
    options = {"no_gates": True} if no_gates else {}
    with kit.opened(workspace) as shop:
        job = kit.send(shop, text, **options)
        if not job.state.terminal:
            # Some formats can not say how often: the attempts that follow are not waited for.
            shop.ledger.act("p", "cancel")
        assert job.state != "applied"
        assert job.result is None or kit.kind(job) == kind
        (name, verdict), *_ = {(run.gate, run.verdict) for run in shop.ledger.gate_runs("p") if run.gate == "g"}
        assert (name, verdict) == ("g", "failed" if kind == "gate-failed" else "error")
    assert git(repo, "branch", "--list", "ghost/work") == ""


def test_a_gate_that_is_not_required_blocks_as_the_patch_says(workspace):
    kit.configure(workspace, g={"run": "exit 1", "required": False})
    with kit.opened(workspace) as shop:
        assert kit.send(shop, unified("strict")).state == "rejected"
        lax = kit.send(shop, unified("lax", validation=LAX))
        assert (lax.state, kit.gates(lax)) == ("applied", [("g", "failed")])


def test_a_gate_that_can_not_run_blocks_as_the_patch_says(workspace):
    kit.configure(workspace, g={"run": "no-such-tool", "required": False})
    with kit.opened(workspace) as shop:
        assert kit.send(shop, unified("strict")).state == "failed"
        assert kit.send(shop, unified("lax", validation={"blockCommitOnError": False})).state == "applied"


def test_a_patch_may_ask_for_more_gates(workspace):
    kit.configure(workspace, {"gates": ["g"]}, g={"run": "true"}, more={"run": "exit 1", "required": False})
    with kit.opened(workspace) as shop:
        assert kit.gates(kit.send(shop, patch_text("plain", write_op("a", "x")))) == [("g", "passed")]
        asked = kit.send(shop, unified(validation={"gates": ["more"]}))
        assert (asked.state, kit.gates(asked)) == ("rejected", [("g", "passed"), ("more", "failed")])


# Strict lanes -----------------------------------------------------------------------------------------------------


def test_a_strict_lane_sets_all_seven_flags_whatever_the_patch_says(workspace):
    kit.configure(workspace, {"strict": True}, g={"run": "echo out", "required": False})
    with kit.opened(workspace) as shop:
        job = kit.send(shop, unified(validation=ALL_OFF))
        assert job.state == "applied", job.result
        predicate = json.loads(job.statement)["predicate"]
        assert predicate["policy"]["flags"] == dict.fromkeys(ALL_OFF, True)
        (run,) = shop.ledger.gate_runs("p")
        assert run.audit is not None
        assert run.kept
        assert "ghost.patch.checked" in {event.type for event in shop.ledger.events(0, subject="p")}


@pytest.mark.parametrize(("run", "state"), [("exit 1", "rejected"), ("no-such-tool", "failed")])
def test_in_a_strict_lane_gates_that_are_not_required_block_too(workspace, run, state):
    kit.configure(workspace, {"strict": True}, g={"run": run, "required": False})
    with kit.opened(workspace) as shop:
        assert kit.send(shop, unified(validation=ALL_OFF)).state == state


def test_a_strict_lane_refuses_to_skip_gates(workspace):
    kit.configure(workspace, {"strict": True}, g={"run": "true", "required": False})
    with kit.opened(workspace) as shop, pytest.raises(Cannot) as caught:
        kit.send(shop, unified(), no_gates=True)
    assert caught.value.kind == "strict-lane"


def test_gates_that_were_left_out_stand_in_the_result_and_the_proof(workspace):
    if kit.LACKING:
        pytest.skip(f"the sandbox lacks {kit.LACKING}")
    kit.configure(workspace, {"allow_shell": True}, g={"run": "exit 1", "required": False}, h={"run": "true"})
    with kit.opened(workspace) as shop:
        job = kit.send(shop, unified(validation={"shell": ["exit 1"]}), no_gates=True)
        assert kit.gates(job) == [("h", "passed"), ("g", "skipped"), ("shell:1", "skipped")]
        predicate = json.loads(job.statement)["predicate"]
        assert predicate["gatesLeftOut"] == ["g", "shell:1"]
        assert predicate["policy"]["noGates"] is True
        assert '"skipped"' in job.summary


# The rules themselves ---------------------------------------------------------------------------------------------

OWN = [
    ".ghost/conf/ghost.toml",
    ".ghost/conf/services/mine.toml",
    ".ghost/state/secrets/more",
    ".ghost/state/lanes/MAIN/patches/p.json",
    ".GHOST/conf/services/mine.toml",
    ".ghost",
]


@pytest.mark.parametrize("path", OWN)
@pytest.mark.parametrize("checked_out", [True, False])
def test_a_patch_can_not_write_the_rules_that_hold_for_it(workspace, repo, path, checked_out):
    """With the working branch checked out, its file would be read as configuration at the next start."""
    if checked_out:
        git(repo, "checkout", "-qb", "ghost/work")
    kit.configure(workspace)
    before = {one: one.read_bytes() for one in (workspace / "conf").rglob("*") if one.is_file()}
    with kit.opened(workspace) as shop:
        job = kit.send(shop, patch_text("p", write_op(path, "[service.x]\ncommand = ['x']\n")))
        assert (job.state, kit.kind(job)) == ("rejected", "forbidden-path")
    assert {one: one.read_bytes() for one in (workspace / "conf").rglob("*") if one.is_file()} == before


def test_neither_can_a_command_of_its_own(workspace, repo):
    if kit.LACKING:
        pytest.skip(f"the sandbox lacks {kit.LACKING}")
    kit.configure(workspace, {"allow_shell": True})
    run = {"op": "shell", "run": "mkdir -p .ghost/conf/services && echo x > .ghost/conf/services/x.toml"}
    with kit.opened(workspace) as shop:
        assert kit.kind(kit.send(shop, patch_text("p", run))) == "forbidden-path"
    assert not Path(workspace, "conf", "services", "x.toml").exists()


def test_what_lies_beside_the_rules_is_anybody_s(workspace):
    kit.configure(workspace)
    with kit.opened(workspace) as shop:
        texts = [write_op(path, "x") for path in (".ghostly", "conf/ghost.toml", "state/x", ".github/x.yml")]
        assert kit.send(shop, patch_text("p", *texts)).state == "applied"
