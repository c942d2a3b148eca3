"""The proof log: what ends is in it, once, in order, whatever dies between, and costs no more as it grows."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import proof_kit as kit
import pytest
from acceptance_tools import git, patch_text, replace_op, write_op

from ghostd.config.init import set_up_state
from ghostd.pipeline import chain, dsse, proof, verify
from ghostd.repo import proofs, sign


def logged(shop) -> list[tuple[str, str]]:
    """What the log holds: ids and outcomes, in order."""
    size = chain.head(kit.repository(shop), kit.WORK).edge.size
    told = [kit.statement(shop, number)["predicate"] for number in range(size)]
    return [(one["job"]["id"], one["outcome"]) for one in told]


def test_applied_refused_and_frozen_are_in_the_log_in_the_order_of_their_ends(workspace, repo):
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("a", write_op("a", "1\n")))
        kit.send(shop, patch_text("bad", replace_op("a", "nothing of it", "x")))
        kit.freeze(shop, "P1")
        kit.send(shop, patch_text("late", write_op("b", "1\n"), phase="P1"))
        kit.take_back(shop, "a")
        assert kit.catch_up(shop) == 5
        assert logged(shop) == [
            ("a", "applied"),
            ("bad", "rejected"),
            ("freeze-1", "frozen"),
            ("late", "rejected"),
            ("rollback-1", "applied"),
        ]
        assert kit.catch_up(shop) == 0
        told = verify.verify(shop)
        assert (told["ok"], told["patches"]) == (True, 2), told["problems"]
        assert told["proofs"] == {
            "entries": 5, "refused": 2, "pending": 0, "recomputed": 2, "signed": 0, "checkpoints": 1,
        }  # fmt: skip
        assert verify.verify_offline(kit.repository(shop))["ok"]
    assert git(repo, "fsck", "--strict", "--no-dangling") == ""


def test_a_statement_tells_what_was_done_on_what_under_which_policy(workspace, repo):
    kit.configure(workspace, '[gate.look]\nrun = ["true"]\n[gate.early]\nrun = ["true"]\nwhen = "pre"')
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(
        conf.read_text().replace("[lane.MAIN]", '[lane.MAIN]\ngates = ["look", "early"]\nmatch = "unicode"')
    )
    with kit.opened(workspace) as shop:
        done = kit.send(shop, patch_text("a", replace_op("app.py", "hello", "hi")))
        kit.catch_up(shop)
        told = kit.statement(shop, 0)
        predicate = told["predicate"]
        assert told["subject"] == [{"name": "refs/heads/ghost/work", "digest": {"gitTree": done.result["tree"]}}]
        assert predicate["base"] == {
            "commit": git(repo, "rev-parse", "main"),
            "tree": git(repo, "rev-parse", "main^{tree}"),
        }
        assert (predicate["job"]["digest"], predicate["origin"]["door"]) == (done.digest, "command")
        assert predicate["matches"] == [{"path": "app.py", "level": "exact"}]
        inputs = {gate["name"]: gate["inputTree"] for gate in predicate["gates"]}
        assert inputs == {"look": done.result["tree"], "early": predicate["base"]["tree"]}
        assert (predicate["policy"]["match"], predicate["policy"]["flags"]["requireMutationProof"]) == (
            "unicode",
            False,
        )
        assert predicate["dryCheck"] is True
        assert predicate["log"] == {"size": 0, "root": chain.Head().anchor.root}


def test_a_refusal_is_proved_by_its_words_and_the_digest_of_its_evidence(workspace):
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("bad", replace_op("app.py", "not there", "x")))
        kit.catch_up(shop)
        error = kit.statement(shop, 0)["predicate"]["error"]
        assert (error["kind"], error["path"], len(error["sha256"])) == ("no-match", "app.py", 64)


def test_a_requeued_job_has_one_entry_for_each_of_its_ends(workspace):
    with kit.opened(workspace) as shop:
        text = patch_text("a", replace_op("new", "x", "y"))
        assert kit.send(shop, text).state == "rejected"
        shop.ledger.act("a", "requeue")
        kit.work(shop)
        kit.send(shop, patch_text("b", write_op("new", "x\n")))
        shop.ledger.act("a", "requeue")
        kit.work(shop)
        kit.catch_up(shop)
        assert logged(shop) == [("a", "rejected"), ("a", "rejected"), ("b", "applied"), ("a", "applied")]
        assert verify.verify(shop)["ok"]


def test_a_cancelled_job_was_never_judged_and_is_not_in_the_log(workspace):
    with kit.opened(workspace) as shop:
        kit.Intake(shop).submit(kit.Submission(data=patch_text("a", write_op("a", "")).encode(), origin=kit.HERE))
        shop.ledger.act("a", "cancel")
        assert kit.catch_up(shop) == 0


def test_each_statement_names_the_log_before_it(workspace):
    with kit.opened(workspace) as shop:
        for number in range(3):
            kit.send(shop, patch_text(f"p{number}", write_op("a", f"{number}\n")))
            kit.catch_up(shop)
        assert [kit.statement(shop, number)["predicate"]["log"]["size"] for number in range(3)] == [0, 1, 2]


def test_one_call_takes_no_more_than_it_is_asked_to(workspace):
    with kit.opened(workspace) as shop:
        for number in range(5):
            kit.send(shop, patch_text(f"p{number}", write_op("a", f"{number}\n")))
        repo = kit.repository(shop)
        assert [chain.catch_up(shop, repo, kit.WORK, most=2) for _ in range(4)] == [2, 2, 1, 0]
        assert [id for id, _ in logged(shop)] == ["p0", "p1", "p2", "p3", "p4"]
        assert verify.verify(shop)["ok"]


def test_appending_writes_the_same_number_of_objects_however_long_the_log_is(workspace, repo):
    """A log of some thousand entries, made of one envelope: what one more costs is counted in objects and bytes."""

    def written() -> int:
        """All objects, loose or packed."""
        told = dict(line.split(": ") for line in git(repo, "count-objects", "-v").splitlines())
        return int(told["count"]) + int(told["in-pack"])

    def cost(id: str) -> int:
        assert kit.send(shop, patch_text(id, write_op(id, "x\n"))).state == "applied"
        before = written()
        assert kit.catch_up(shop) == 1
        return written() - before

    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p0", write_op("a", "0\n")))
        kit.catch_up(shop)
        few = cost("p1")
        place = kit.entry_files(0)
        head = chain.head(kit.repository(shop), kit.WORK)

        def longer(files):
            copies = {
                name: files[old]
                for n in range(head.edge.size, 3000)
                for old, name in zip(place, kit.entry_files(n), strict=True)
            }
            return kit.rehead(files | copies)

        kit.forge(kit.repository(shop), longer)
        assert chain.head(kit.repository(shop), kit.WORK).edge.size == 3000
        assert cost("p2") <= few + 3


def test_a_second_ledger_on_the_same_branch_adds_its_own_and_doubles_nothing(workspace, repo, tmp_path):
    """Two workspaces take turns on one branch; neither ledger knows the other's rows."""
    other = tmp_path / "other"
    shutil.copytree(workspace / "conf", other / "conf")
    set_up_state(other)
    with kit.opened(workspace) as one, kit.opened(other) as two:
        for number, shop in enumerate((one, two, one, two)):
            kit.send(shop, patch_text(f"p{number}", write_op("a", f"{number}\n")))
            assert kit.catch_up(shop) == 1
            assert kit.catch_up(one) == kit.catch_up(two) == 0
        assert [id for id, _ in logged(one)] == ["p0", "p1", "p2", "p3"]
        assert verify.verify_offline(kit.repository(one))["ok"]


def test_a_ledger_put_back_to_an_older_copy_adds_what_is_new_and_doubles_nothing(workspace):
    copy = workspace / "copy.db"
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p0", write_op("a", "0\n")))
        shop.ledger.backup(copy)
        kit.send(shop, patch_text("p1", write_op("a", "1\n")))
        kit.send(shop, patch_text("p2", write_op("a", "2\n")))
        kit.catch_up(shop)
    for left in (workspace / "state").glob("ghost.db*"):
        left.unlink()
    copy.rename(workspace / "state" / "ghost.db")
    with kit.opened(workspace) as shop:
        assert kit.send(shop, patch_text("p3", write_op("a", "3\n"))).state == "applied"
        assert kit.catch_up(shop) == 1
        assert [id for id, _ in logged(shop)] == ["p0", "p1", "p2", "p3"]


def test_a_log_that_moved_between_the_look_and_the_swap_is_left_as_it_is(workspace, monkeypatch):
    with kit.opened(workspace) as shop, kit.opened(workspace) as quicker:
        kit.send(shop, patch_text("p0", write_op("a", "0\n")))
        real = proofs.extend

        def beaten(*args, **kwargs):
            monkeypatch.setattr(proofs, "extend", real)
            assert kit.catch_up(quicker) == 1
            return real(*args, **kwargs)

        monkeypatch.setattr(proofs, "extend", beaten)
        assert kit.catch_up(shop) == 0
        assert logged(shop) == [("p0", "applied")]


#: Dies as if by SIGKILL before or after one call of a function.
CHILD = """
import importlib, os, signal, sys
from pathlib import Path
module, name, moment, workspace = sys.argv[1:5]
owner = importlib.import_module(module)
real = getattr(owner, name)
def dying(*args, **kwargs):
    if moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    real(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(owner, name, dying)
from ghostd.config.load import load
from ghostd.pipeline import chain
from ghostd.services.executor import build
shop = build(load(Path(workspace)).settings)
chain.catch_up(shop, shop.repositories.of(shop.settings.default_lane), "ghost/work")
"""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("module", "name"),
    [("ghostd.repo.proofs", "write_tree"), ("ghostd.repo.proofs", "write_commit"), ("ghostd.repo.refs", "swap")],
)
def test_a_kill_while_appending_loses_and_doubles_nothing(workspace, repo, module, name, moment):
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p0", write_op("a", "0\n")))
        kit.send(shop, patch_text("p1", replace_op("a", "none", "0")))
    argv = [sys.executable, "-c", CHILD, module, name, moment, str(workspace)]
    killed = subprocess.run(argv, cwd=repo, capture_output=True, text=True, timeout=60, check=False)
    assert killed.returncode == -9, killed.stderr
    with kit.opened(workspace) as shop:
        kit.catch_up(shop)
        assert logged(shop) == [("p0", "applied"), ("p1", "rejected")]
        assert verify.verify(shop)["ok"]
    assert not list((repo / ".git").rglob("*.lock"))


def test_with_a_key_every_entry_and_checkpoint_is_signed_and_anybody_can_check_it(workspace, tmp_path):
    key = kit.new_key(tmp_path)
    kit.configure(workspace, f'[git]\nsigning_key = "{key}"')
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p0", write_op("a", "0\n")))
        kit.send(shop, patch_text("p1", replace_op("a", "none", "0")))
        kit.freeze(shop, "P1")
        kit.catch_up(shop)
        told = verify.verify(shop)
        assert (told["ok"], told["proofs"]["signed"]) == (True, 4), told["problems"]
        repo = kit.repository(shop)
        assert verify.verify_offline(repo, key=key.with_suffix(".pub"))["ok"]
        envelope = json.loads(kit.files_of(repo)[kit.entry_files(0)[0]])
        assert envelope["payloadType"] == "application/vnd.in-toto+json"
        assert envelope["signatures"][0]["keyid"] == sign.fingerprint(sign.public_key(key))
        statement = dsse.unwrap(json.dumps(envelope).encode()).statement
        assert proof.digest(statement) in git(workspace, "log", "--format=%B", "ghost/work")
        stranger = verify.verify_offline(repo, key=kit.new_key(tmp_path, "other"))
        assert not stranger["ok"]
        assert sum("signature does not hold" in problem for problem in stranger["problems"]) == 4


def test_a_key_that_does_not_sign_keeps_the_log_where_it_is_and_loses_nothing(workspace, tmp_path):
    kit.configure(workspace, f'[git]\nsigning_key = "{tmp_path}/nowhere"')
    with kit.opened(workspace) as shop:
        assert kit.send(shop, patch_text("p0", write_op("a", "0\n"))).state == "applied"
        with pytest.raises(Exception, match="nowhere") as caught:
            kit.catch_up(shop)
        assert caught.value.kind == "signing-failed"
    kit.new_key(tmp_path, "nowhere")
    with kit.opened(workspace) as shop:
        assert kit.catch_up(shop) == 1


def test_a_checkpoint_is_made_each_so_many_entries(workspace, monkeypatch):
    monkeypatch.setattr(chain, "_EVERY", 2)
    with kit.opened(workspace) as shop:
        for number in range(5):
            kit.send(shop, patch_text(f"p{number}", write_op("a", f"{number}\n")))
            kit.catch_up(shop)
        notes = [path for path in kit.files_of(kit.repository(shop)) if path.startswith("checkpoints/")]
        assert notes == ["checkpoints/00/00/02.txt", "checkpoints/00/00/04.txt"]
        told = verify.verify(shop)
        assert (told["ok"], told["proofs"]["checkpoints"]) == (True, 2), told["problems"]


def test_a_broken_log_stops_no_patch_and_the_statement_says_so(workspace):
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p0", write_op("a", "0\n")))
        kit.catch_up(shop)
        good = kit.files_of(kit.repository(shop))
        kit.put_log(kit.repository(shop), {**good, "head.json": b"{}"})
        assert kit.send(shop, patch_text("p1", write_op("a", "1\n"))).state == "applied"
        kit.put_log(kit.repository(shop), good)
        kit.catch_up(shop)
        assert kit.statement(shop, 1)["predicate"]["log"] is None
        (problem,) = verify.verify(shop)["problems"]
        assert "it was sealed while the log could not be read" in problem


def test_an_unreadable_repository_still_ends_the_job(workspace, repo):
    """The statement can not be made, and the failure is told all the same."""
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p0", write_op("a", "0\n")))
        tip = git(repo, "rev-parse", f"{kit.WORK}^{{tree}}")
    (repo / ".git" / "objects" / tip[:2] / tip[2:]).unlink()
    with kit.opened(workspace) as shop:
        done = kit.send(shop, patch_text("p1", write_op("b", "1\n")))
        assert (done.state, done.result["error"]["kind"], done.statement) == ("failed", "repo-invalid", b"")
