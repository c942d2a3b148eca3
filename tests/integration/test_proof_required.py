"""`requireMutationProof`: no commit without a proof that was read back and holds; a strict lane always has it."""

from __future__ import annotations

from dataclasses import replace

import proof_kit as kit
import pytest
from acceptance_tools import git, patch_text, replace_op, write_op

from ghostd.model.job import Kind
from ghostd.pipeline import change, prove, worker
from ghostd.repo import commit, sign
from ghostd.store.jobs import Movement

REQUIRED = {"requireMutationProof": True}


def asking(id: str = "p", **flags: bool) -> str:
    return patch_text(id, write_op("a", "1\n"), validation=REQUIRED | flags)


def strict(workspace) -> None:
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text().replace("[lane.MAIN]", "[lane.MAIN]\nstrict = true"))


@pytest.fixture
def other_tree(monkeypatch):
    """A bug of ours that commits something else than the patch says."""
    real = change.patched

    def wrong(attempt):
        return replace(real(attempt), tree=git(attempt.repo.work_dir, "rev-parse", "main^{tree}"))

    monkeypatch.setitem(worker._MAKERS, Kind.PATCH, wrong)


@pytest.fixture
def forgetful(monkeypatch):
    """A ledger that says it has kept the statement and has kept another one."""
    real = Movement.seal_all

    def worse(self, statements, lease):
        return real(self, [(claim, statement[:-1] + b" }") for claim, statement in statements], lease)

    monkeypatch.setattr(Movement, "seal_all", worse)


def refused(workspace, text: str):
    with kit.opened(workspace) as shop:
        done = kit.send(shop, text)
        assert (done.state, done.result["error"]["kind"]) == ("rejected", "proof-failed"), done.result
        assert commit.tip(kit.repository(shop), kit.WORK) is None
        return done.result["error"]


def test_a_change_that_is_what_it_says_passes_and_says_that_it_was_asked(workspace):
    with kit.opened(workspace) as shop:
        assert kit.send(shop, asking()).state == "applied"
        kit.catch_up(shop)
        assert kit.statement(shop, 0)["predicate"]["policy"]["flags"]["requireMutationProof"] is True


def test_a_tree_that_the_patch_does_not_give_is_not_committed(workspace, other_tree):
    assert "made anew it gives tree" in refused(workspace, asking())["message"]


def test_a_statement_that_was_not_kept_as_it_was_sealed_commits_nothing(workspace, forgetful):
    assert "as it was sealed" in refused(workspace, asking())["message"]


def test_a_strict_lane_asks_for_it_whatever_the_patch_says(workspace, other_tree):
    strict(workspace)
    refused(workspace, patch_text("p", write_op("a", "1\n"), validation={"requireMutationProof": False}))


def test_without_the_flag_nothing_is_checked(workspace, other_tree):
    with kit.opened(workspace) as shop:
        assert kit.send(shop, patch_text("p", write_op("a", "1\n"))).state == "applied"


def test_with_a_key_the_proof_has_to_be_signed_before_the_commit(workspace, tmp_path):
    kit.configure(workspace, f'[git]\nsigning_key = "{tmp_path}/key"')
    assert "No such file" in refused(workspace, asking())["message"]
    kit.new_key(tmp_path)
    with kit.opened(workspace) as shop:
        shop.ledger.act("p", "requeue")
        kit.work(shop)
        assert kit.job(shop, "p").state == "applied"


def test_a_signature_that_does_not_verify_commits_nothing(workspace, tmp_path, monkeypatch):
    kit.configure(workspace, f'[git]\nsigning_key = "{kit.new_key(tmp_path)}"')
    real = sign.sign
    monkeypatch.setattr(sign, "sign", lambda data, namespace, key: real(data + b"!", namespace, key))
    assert "does not verify" in refused(workspace, asking())["message"]


def test_a_rollback_in_a_strict_lane_is_proved_too(workspace, monkeypatch):
    strict(workspace)
    proved = []
    real = prove.before_commit

    def heard(attempt, made, statement):
        real(attempt, made, statement)
        proved.append((attempt.job.id, made.undone))

    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p", replace_op("app.py", "hello", "bye")))
        monkeypatch.setattr(prove, "before_commit", heard)
        assert kit.take_back(shop, "p").state == "applied"
        assert proved == [("rollback-1", (kit.job(shop, "p").result["commit"],))]
