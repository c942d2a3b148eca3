"""Gates as they run: side by side, each in its own copy, with all of their output kept, and gone when they are."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import gate_kit as kit
import pytest
from acceptance_tools import git, patch_text, write_op

from ghostd.base.errors import Cannot
from ghostd.model.settings import GateSettings
from ghostd.model.submission import Submission
from ghostd.pipeline import gates
from ghostd.pipeline.gates import Bench
from ghostd.pipeline.intake import Intake
from ghostd.pipeline.task import Subject, Task
from ghostd.pipeline.worker import Worker
from ghostd.repo import worktree
from ghostd.repo.git import open_repository

PATCH = patch_text("p", write_op("new", "x\n"), execution={"maxRetries": 0})


@pytest.fixture
def opened(repo):
    found = open_repository(repo)
    yield found
    found.close()


def bench(opened, folder: Path, on_tick=lambda: None) -> Bench:
    return Bench(folder=folder, owner="here:1:2.00", on_tick=on_tick, pool=worktree.pool(opened, folder))


def task(opened, run: str, *, name: str = "g", retries: int = 0, timeout: float = 60.0, **more) -> Task:
    tree = git(Path(opened.identity).parent, "rev-parse", "main^{tree}")
    return Task(
        gate=GateSettings(name=name, run=("/bin/sh", "-c", run), timeout=timeout),
        subject=Subject(repo=opened, tree=tree, facts={"GHOST_GATE": name}),
        max_retries=retries,
        deadline=time.monotonic() + 60,
        **more,
    )


def answers(tasks, here) -> list[gates.Answer]:
    found = dict(gates.run_all(tasks, here))
    return [found[index] for index in range(len(tasks))]


# Side by side -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_two_gates_run_at_the_same_time(opened, tmp_path):
    """Each waits for a sign of the other, which only comes if both are there at once."""
    meeting = "touch {here}/{own}; while ! test -e {here}/{other}; do sleep 0.02; done"
    tasks = [
        task(opened, meeting.format(here=tmp_path, own=own, other=other), name=own, policy="off", timeout=20)
        for own, other in (("a", "b"), ("b", "a"))
    ]
    assert [one.verdict.said for one in answers(tasks, bench(opened, tmp_path / "w"))] == ["passed", "passed"]


def test_more_gates_than_cores_all_get_their_turn_and_a_copy_each(opened, tmp_path):
    """None sees what another leaves in its copy, and a copy that is used again holds the tree alone."""
    run = "test $(ls | wc -l) = 3 && echo $GHOST_GATE > litter && echo x >> app.py && ls"
    tasks = [task(opened, run, name=f"g{number}") for number in range(7)]
    found = answers(tasks, bench(opened, tmp_path / "w"))
    assert [one.verdict.said for one in found] == ["passed"] * 7
    assert [one.verdict.name for one in found] == [f"g{number}" for number in range(7)]


def test_the_caller_is_woken_while_gates_run_in_its_own_thread(opened, tmp_path, monkeypatch):
    """The lease is renewed there, and the ledger belongs to that thread."""
    monkeypatch.setattr(gates, "_TICK", 0.05)
    ticks = []
    here = bench(opened, tmp_path / "w", on_tick=lambda: ticks.append(threading.get_ident()))
    answers([task(opened, "sleep 0.5")], here)
    assert len(ticks) >= 3
    assert set(ticks) == {threading.get_ident()}


class Enough(Exception):  # noqa: N818 - a fact
    pass


def test_a_caller_that_loses_its_lease_ends_all_that_runs(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "_TICK", 0.05)
    pids = [tmp_path / name for name in "ab"]

    def tick():
        if all(pid.exists() and pid.read_text().strip() for pid in pids):
            raise Enough

    tasks = [task(opened, f"echo $$ > {pid}; exec sleep 300", policy="off") for pid in pids]
    if len(os.sched_getaffinity(0)) < 2:
        pids, tasks = pids[:1], tasks[:1]
    with pytest.raises(Enough):
        answers(tasks, bench(opened, tmp_path / "w", on_tick=tick))
    assert [pid for pid in pids if Path(f"/proc/{pid.read_text().strip()}").exists()] == []
    assert [name for name in (one.name for one in (tmp_path / "w").iterdir()) if not worktree.is_slot(name)] == [], (
        "homes are gone"
    )


# Each -------------------------------------------------------------------------------------------------------------


def test_all_of_an_output_is_kept_up_to_a_limit_and_the_cut_is_told(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(gates, "OUTPUT_CAP", 1_000_000)
    (whole, flood) = answers(
        [task(opened, "seq 50000"), task(opened, "seq 200000; exit 3")], bench(opened, tmp_path / "w")
    )
    assert whole.runs[0].finished.output == "".join(f"{n}\n" for n in range(1, 50001)).encode()
    assert whole.runs[0].finished.cut == 0
    everything = "".join(f"{n}\n" for n in range(1, 200001)).encode()
    assert flood.runs[0].finished.output == everything[-1_000_000:]
    assert flood.runs[0].finished.cut == len(everything) - 1_000_000
    assert len(flood.verdict.output) <= gates.OUTPUT_TAIL
    assert flood.verdict.output.endswith("200000\n")
    assert (flood.verdict.said, flood.verdict.status) == ("failed", 3)


def test_a_gate_that_fails_is_run_again_as_often_as_the_patch_says(opened, tmp_path):
    (answer,) = answers([task(opened, "echo no; exit 1", retries=2)], bench(opened, tmp_path / "w"))
    assert (answer.verdict.said, answer.verdict.runs, answer.verdict.flake) == ("failed", 3, False)
    assert [run.finished.output for run in answer.runs] == [b"no\n"] * 3


def test_a_pass_after_a_fail_is_a_flake(opened, tmp_path):
    sign = tmp_path / "second"
    run = f"test -e {sign} || {{ touch {sign}; exit 1; }}"
    (answer,) = answers([task(opened, run, retries=3, policy="off")], bench(opened, tmp_path / "w"))
    assert (answer.verdict.said, answer.verdict.runs, answer.verdict.flake) == ("passed", 2, True)
    assert answer.verdict.as_json()["flake"] is True
    assert [run.verdict.said for run in answer.runs] == ["failed", "passed"]


@pytest.mark.parametrize(
    ("run", "timeout", "said", "word"),
    [
        ("sleep 60", 0.3, "timeout", "was killed after"),
        ("no-such-tool-at-all", 20, "error", "could not run its command"),
        ("kill -9 $$", 20, "failed", ""),
    ],
)
def test_what_is_no_verdict_is_not_taken_for_one(opened, tmp_path, run, timeout, said, word):
    (answer,) = answers([task(opened, run, timeout=timeout, retries=2)], bench(opened, tmp_path / "w"))
    assert answer.verdict.said == said
    assert word in answer.verdict.error
    assert answer.verdict.runs == (3 if said == "failed" else 1), "only a fail is looked at again"


def test_a_tool_that_is_not_there_is_no_verdict(opened, tmp_path):
    gone = task(opened, "").gate
    missing = Task(
        gate=GateSettings(name=gone.name, run=("/no/such/tool",)),
        subject=task(opened, "").subject,
        max_retries=3,
        deadline=time.monotonic() + 60,
    )
    (answer,) = answers([missing], bench(opened, tmp_path / "w"))
    assert (answer.verdict.said, answer.verdict.status) == ("error", None)
    assert "/no/such/tool" in answer.verdict.error


def test_the_patch_s_own_time_ends_a_gate_too(opened, tmp_path):
    short = task(opened, "sleep 60", timeout=60)
    short = Task(
        gate=short.gate, subject=short.subject, max_retries=0, deadline=time.monotonic() + 0.3, policy=short.policy
    )
    (answer,) = answers([short], bench(opened, tmp_path / "w"))
    assert answer.verdict.said == "timeout"


def test_a_gate_gets_no_secret_of_ours(opened, tmp_path, monkeypatch):
    monkeypatch.setenv("GHOST_WEBHOOK_SECRET", "hidden")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    (answer,) = answers([task(opened, "env")], bench(opened, tmp_path / "w"))
    assert b"hidden" not in answer.runs[0].finished.output
    assert b"GHOST_GATE=g\n" in answer.runs[0].finished.output


def test_what_a_gate_borrows_is_linked_where_the_tree_has_nothing(opened, repo, tmp_path):
    (repo / "node_modules" / "left").mkdir(parents=True)
    (repo / "node_modules" / "left" / "pad.js").write_text("pad\n")
    lends = ("node_modules", "docs", "not/there", "app.py/x")
    asked = task(opened, "cat node_modules/left/pad.js; cat docs/notes.txt; ls -d not app.py/x; touch node_modules/new")
    gate = GateSettings(name="g", run=asked.gate.run, borrow=lends)
    asked = Task(gate=gate, subject=asked.subject, max_retries=0, deadline=asked.deadline, lender=repo)
    here = bench(opened, tmp_path / "w")
    (first,) = answers([asked], here)
    assert first.runs[0].finished.output.startswith(b"pad\none\ntwo\nthree\n")
    (plain,) = answers([task(opened, "ls")], here)
    assert plain.runs[0].finished.output.split() == [b"README.md", b"app.py", b"docs"]
    assert (repo / "node_modules" / "left" / "pad.js").read_text() == "pad\n"
    if not kit.LACKING:
        assert not (repo / "node_modules" / "new").exists(), "it may be read only"


def test_a_link_in_the_tree_leads_no_borrowed_name_out_of_the_copy(repo, tmp_path):
    """`docs` is a symlink to a folder of ours: nothing may appear there."""
    ours = tmp_path / "ours"
    ours.mkdir()
    git(repo, "rm", "-rq", "docs")
    (repo / "docs").symlink_to(ours)
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", "a link")
    (repo / "lent").mkdir()
    found = open_repository(repo)
    asked = task(found, "true")
    gate = GateSettings(name="g", run=asked.gate.run, borrow=("docs/lent",))
    asked = Task(gate=gate, subject=asked.subject, max_retries=0, deadline=asked.deadline, lender=repo)
    answers([asked], bench(found, tmp_path / "w"))
    found.close()
    assert list(ours.iterdir()) == []


# In the path ------------------------------------------------------------------------------------------------------


def test_the_report_keeps_the_order_whichever_ends_first(workspace):
    kit.configure(
        workspace, slow={"run": "sleep 0.4"}, early={"run": "test ! -e new", "when": "pre"}, quick={"run": "true"}
    )
    with kit.opened(workspace) as shop:
        job = kit.send(shop, PATCH)
        assert kit.gates(job) == [("early", "passed"), ("slow", "passed"), ("quick", "passed")]


def test_all_gates_of_a_side_speak_and_after_a_no_before_none_runs_behind(workspace):
    kit.configure(
        workspace, a={"run": "exit 1"}, b={"run": "exit 2"}, pre={"run": "exit 3", "when": "pre"}, c={"run": "true"}
    )
    with kit.opened(workspace) as shop:
        job = kit.send(shop, PATCH)
        assert (kit.kind(job), kit.gates(job)) == ("gate-failed", [("pre", "failed")])
        text = (workspace / "conf" / "ghost.toml").read_text()
    (workspace / "conf" / "ghost.toml").write_text(text.replace('when = "pre"\n', ""))
    with kit.opened(workspace) as shop:
        job = kit.send(shop, patch_text("q", write_op("new", "x\n"), execution={"maxRetries": 0}))
        assert kit.gates(job) == [("a", "failed"), ("b", "failed"), ("pre", "failed"), ("c", "passed")]
        assert job.result["error"]["gate"] == "a", "the first in the lane's order"


def test_every_run_is_written_down_with_all_that_it_printed(workspace):
    kit.configure(workspace, {"sandbox": "off"}, g={"run": "seq 30000; exit 1", "required": True})
    with kit.opened(workspace) as shop:
        job = kit.send(shop, patch_text("p", write_op("new", "x\n"), execution={"maxRetries": 1}))
        runs = shop.ledger.gate_runs("p", "g")
        everything = "".join(f"{n}\n" for n in range(1, 30001)).encode()
        assert [(run.attempt, run.run, run.verdict, run.status) for run in runs] == [
            (1, 1, "failed", 1),
            (1, 2, "failed", 1),
        ]
        assert {run.output for run in runs} == {everything}
        assert job.result["error"]["output"].endswith("30000\n")
        assert len(job.result["error"]["output"]) <= 4000
        (told,) = [event for event in shop.ledger.events(0, subject="p") if event.type == "ghost.patch.gate"]
        assert (told.data["name"], told.data["status"]) == ("g", "failed")


def test_that_it_fits_is_told_before_anything_runs_unless_the_patch_does_not_want_it(workspace):
    kit.configure(workspace, g={"run": "true"})
    with kit.opened(workspace) as shop:
        kit.send(shop, PATCH)
        kit.send(shop, patch_text("q", write_op("new2", "x\n"), validation={"runDryCheck": False}))
        types = {
            id: [event.type.removeprefix("ghost.patch.") for event in shop.ledger.events(0, subject=id)]
            for id in ("p", "q")
        }
    assert types["p"].index("checked") < types["p"].index("gate")
    assert "checked" not in types["q"]


def test_an_audit_tells_how_the_verdict_came_about(workspace):
    kit.configure(workspace, g={"run": ["sh", "-c", "echo out; exit 0"], "timeout": "7s"})
    with kit.opened(workspace) as shop:
        text = patch_text("p", write_op("new", "x\n"), validation={"strictRuntimeAudit": True})
        job = kit.send(shop, text)
        plain = kit.send(shop, patch_text("q", write_op("new3", "x\n")))
        (run,) = shop.ledger.gate_runs("p")
        assert shop.ledger.gate_runs("q")[0].audit is None
    audit = run.audit
    assert audit["tree"] == job.result["tree"]
    assert audit["argv"] == ["sh", "-c", "echo out; exit 0"]
    assert len(audit["tool"]["sha256"]) == 64
    assert audit["environment"].keys() >= {"PATH", "HOME"}
    assert os.environ["PATH"] not in json.dumps(audit), "values are told by their digests"
    assert audit["timeoutMs"] == 7000
    assert audit["limits"]["nofile"] == 4096
    (once,) = audit["runs"]
    assert once["outputSha256"] == hashlib.sha256(b"out\n").hexdigest() == proved(job)["outputSha256"]
    assert (once["exit"], once["outputBytes"]) == (0, 4)
    assert once["usage"]["memory"] > 0
    assert proved(job)["audit"] == audit
    assert "audit" not in proved(plain)


def proved(job) -> dict:
    """What the proof says of the first gate."""
    return json.loads(job.statement)["predicate"]["gates"][0]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core")
def test_a_ledger_that_fails_meanwhile_leaves_no_gate_running(workspace, tmp_path, monkeypatch):
    pid = tmp_path / "pid"
    kit.configure(
        workspace,
        {"sandbox": "off"},
        slow={"run": f"echo $$ > {pid}; exec sleep 300"},
        quick={"run": f"while ! test -s {pid}; do sleep 0.02; done"},
    )

    def refuses(*_, **__):
        raise Cannot("write: the disk is full", kind="disk-full")

    with kit.opened(workspace) as shop:
        monkeypatch.setattr(type(shop.ledger), "ran", refuses)
        taken = Intake(shop).submit(Submission(data=PATCH.encode(), origin=kit.HERE))
        Worker(shop, shop.settings.default_lane).run_one()
        assert kit.kind(shop.ledger.get(taken.id)) == "disk-full"
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_a_trace_is_kept_for_good(workspace):
    kit.configure(workspace, g={"run": "echo out"})
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p", write_op("new", "x\n"), validation={"forceRuntimeTrace": True}))
        kit.send(shop, patch_text("q", write_op("new2", "x\n")))
        assert [run.kept for id in ("p", "q") for run in shop.ledger.gate_runs(id)] == [True, False]


def test_a_sandbox_that_is_required_and_not_there_stops_gates_and_says_nothing_of_the_patch(workspace, monkeypatch):
    from ghostd.sandbox import rules as layers

    real = layers.decide

    def poorer(machine, policy, **more):
        from ghostd.base.errors import Cannot

        if policy == "required":
            raise Cannot("run it: the sandbox lacks something", kind="sandbox-missing")
        return real(machine, policy, **more)

    monkeypatch.setattr("ghostd.sandbox.layers.decide", poorer)
    kit.configure(workspace, {"sandbox": "required"}, g={"run": "true"})
    with kit.opened(workspace) as shop:
        job = kit.send(shop, PATCH)
    assert (job.state, kit.kind(job)) == ("failed", "sandbox-missing")
