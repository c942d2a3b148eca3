"""Every way to tamper with a history or its proofs shows in `ghost verify`, without a ledger wherever that can be."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import proof_kit as kit
import pytest
from acceptance_tools import git, patch_text, replace_op, write_op

from ghostd.model.job import Kind
from ghostd.pipeline import ask, chain, checkpoint, dsse, merkle, proof, verify
from ghostd.pipeline.workshop import Workshop
from ghostd.repo import proofs
from ghostd.repo.git import Repository

#: What the log of the fixture holds: (id, outcome), in order; after each of them the log was brought up to date.
STORY = [("p0", "applied"), ("bad", "rejected"), ("p1", "applied"), ("worse", "rejected"), ("p2", "applied")]


@dataclass(frozen=True)
class Told:
    """A workspace with the story in it, and how it is examined."""

    shop: Workshop
    where: Path

    @property
    def repo(self) -> Repository:
        return kit.repository(self.shop)

    def online(self) -> list[str]:
        return verify.verify(self.shop)["problems"]

    def offline(self, **more: Any) -> list[str]:
        return verify.verify_offline(self.repo, **more)["problems"]


def play(shop: Workshop) -> None:
    for number, (id, outcome) in enumerate(STORY):
        op = write_op("a", f"{number}\n") if outcome == "applied" else replace_op("a", "nothing of it", "x")
        assert kit.send(shop, patch_text(id, op)).state == outcome
        assert kit.catch_up(shop) == 1


@pytest.fixture
def told(workspace: Path, repo: Path) -> Iterator[Told]:
    with kit.opened(workspace) as shop:
        play(shop)
        found = Told(shop=shop, where=repo)
        assert found.online() == found.offline() == []
        yield found


@pytest.fixture
def signed(workspace: Path, repo: Path, tmp_path: Path) -> Iterator[Told]:
    """The same with a key, and a checkpoint at the end."""
    kit.configure(workspace, f'[git]\nsigning_key = "{kit.new_key(tmp_path)}"')
    with kit.opened(workspace) as shop:
        play(shop)
        kit.freeze(shop, "P1")
        kit.catch_up(shop)
        found = Told(shop=shop, where=repo)
        assert found.online() == found.offline(key=tmp_path / "key.pub") == []
        yield found


def some(problems: list[str], *words: str) -> bool:
    return any(all(word in problem for word in words) for problem in problems)


# --- the history ------------------------------------------------------------------------------------------------


def test_a_changed_tree(told):
    message = git(told.where, "log", "-1", "--format=%B", kit.WORK)
    kit.amend(told.where, message, tree=git(told.where, "rev-parse", "main^{tree}"))
    for problems in (told.online(), told.offline()):
        assert some(problems, "p2", "its proof says tree")
        assert some(problems, "p2", "made anew it gives tree")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Ghost-Patch-Id: p2", "Ghost-Patch-Id: p9", ("p9", "its proof says id p2")),
        ("Ghost-Lane: MAIN", "Ghost-Lane: OTHER", ("p2", "its proof says lane MAIN")),
        ("Ghost-Patch-Sha256: ", "Ghost-Patch-Sha256: 0", ("p2", "its proof says digest")),
        ("Ghost-Proof: ", "Ghost-Proof: 0", ("p2", "has no proof of it")),
    ],
)
def test_a_forged_trailer(told, old, new, words):
    message = git(told.where, "log", "-1", "--format=%B", kit.WORK)
    assert old in message
    kit.amend(told.where, message.replace(old, new))
    assert some(told.offline(), *words)
    assert told.online()


@pytest.mark.parametrize(
    "more", ["Ghost-Reverts: p1", "Ghost-Reapplies: p1", "Ghost-Phase: P9", "Ghost-Restores: phase/P9"]
)
def test_a_trailer_that_was_added(told, more):
    message = git(told.where, "log", "-1", "--format=%B", kit.WORK)
    kit.amend(told.where, f"{message}\n{more}\n")
    for problems in (told.online(), told.offline()):
        assert some(problems, "p2", "its message is not the one that was sealed")


def test_another_author(told):
    message = git(told.where, "log", "-1", "--format=%B", kit.WORK)
    kit.amend(told.where, f"{message}\n")
    problems = told.offline()
    assert some(problems, "p2", "its proof says that it is by tester <ghost@localhost>")
    assert not some(problems, "its message")


def test_a_trailer_that_names_another_commit_s_proof(told):
    """The proof is a real one, only of another patch."""
    wanted = "--format=%(trailers:key=Ghost-Proof,valueonly)"
    other, mine = (git(told.where, "log", "-1", wanted, at) for at in (f"{kit.WORK}^", kit.WORK))
    message = git(told.where, "log", "-1", "--format=%B", kit.WORK)
    kit.amend(told.where, message.replace(mine, other))
    for problems in (told.online(), told.offline()):
        assert some(problems, "p2", "its proof says id p1")
        assert some(problems, "p2: entry 4 says applied", "does not have its commit")


def test_a_commit_that_was_taken_out(told):
    git(told.where, "update-ref", f"refs/heads/{kit.WORK}", f"{kit.WORK}^")
    assert some(told.offline(), "p2: entry 4 says applied")
    assert some(told.online(), "the ledger says applied")


def test_a_commit_that_nobody_proved(told):
    message = git(told.where, "log", "-1", "--format=%B", kit.WORK).replace("p2", "p7")
    tree, tip = git(told.where, "rev-parse", "main^{tree}"), git(told.where, "rev-parse", kit.WORK)
    made = git(told.where, "commit-tree", tree, "-p", tip, "-m", message.replace("Ghost-Proof: ", "Ghost-Proof: 0"))
    git(told.where, "update-ref", f"refs/heads/{kit.WORK}", made)
    assert some(told.offline(), "p7", "the log has no proof of it")
    assert some(told.online(), "p7", "the ledger does not know it")


# --- the log: entries -------------------------------------------------------------------------------------------


def test_a_changed_patch(told):
    def forging(files):
        path = kit.entry_files(2)[1]
        return {**files, path: files[path].replace(b"2\\n", b"6\\n")}

    kit.forge(told.repo, forging)
    assert some(told.offline(), "entry 2 (p1)", "canonical patch")


def rewritten(number: int, change: Any):
    """Change what an entry's statement says, and mend the head after it."""

    def forging(files: dict[str, bytes]) -> dict[str, bytes]:
        path = kit.entry_files(number)[0]
        statement = json.loads(dsse.unwrap(files[path]).statement)
        change(statement)
        return kit.rehead({**files, path: dsse.wrap(json.dumps(statement).encode())})

    return forging


def test_a_changed_statement_of_an_applied_patch(told):
    kit.forge(told.repo, rewritten(2, lambda one: one["subject"][0]["digest"].update(gitTree="0" * 40)))
    problems = told.offline()
    assert some(problems, "p1", "the log has no proof of it")
    assert some(problems, "it was sealed on a log of 3 entries", "changed")


def test_a_changed_statement_of_a_refused_patch(told):
    """No commit bears its digest; those that came after it vouch for it all the same."""
    kit.forge(told.repo, rewritten(1, lambda one: one["predicate"]["error"].update(message="it was fine")))
    problems = told.offline()
    assert some(problems, "entry 2 (p1)", "sealed on a log of 2 entries", "changed")
    assert some(told.online(), "bad", "was taken out of the log")


def test_a_changed_gate_verdict(workspace, repo):
    kit.configure(workspace, '[gate.g]\nrun = ["true"]')
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text().replace("[lane.MAIN]", '[lane.MAIN]\ngates = ["g"]'))
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p0", write_op("a", "0\n")))
        kit.catch_up(shop)
        forging = rewritten(0, lambda one: one["predicate"]["gates"][0].update(exit=1, status="failed"))
        kit.forge(kit.repository(shop), forging)
        assert some(verify.verify_offline(kit.repository(shop))["problems"], "p0", "no proof of it")


def without(files: dict[str, bytes], *gone: int) -> dict[str, bytes]:
    """The log as if these entries had never been: those behind move up."""
    kept = [number for number in range(len(STORY)) if number not in gone]
    return reordered(files, kept)


def reordered(files: dict[str, bytes], order: list[int]) -> dict[str, bytes]:
    moved: dict[str, bytes] = {}
    for at, number in enumerate(order):
        moved |= dict(zip(kit.entry_files(at), (files[old] for old in kit.entry_files(number)), strict=True))
    other = {path: data for path, data in files.items() if not path.startswith("entries/")}
    return kit.rehead({**other, **moved})


def test_a_refused_patch_that_was_taken_out_and_all_made_to_fit(told):
    kit.forge(told.repo, lambda files: without(files, 1))
    assert some(told.offline(), "entry 1 (p1)", "sealed on a log of 2 entries", "taken out")
    online = told.online()
    assert some(online, "bad: its proof was taken out of the log")
    assert some(online, "the ledger left it with 5 entries")


def test_entries_in_another_order(told):
    kit.forge(told.repo, lambda files: reordered(files, [0, 3, 2, 1, 4]))
    assert some(told.offline(), "sealed on a log of 3 entries and stands before its end")
    assert some(told.online(), "stands in another place")


def test_a_log_that_lost_its_end(told):
    """What came last has nobody after it to vouch for it but its commit; the ledger remembers the rest."""
    kit.forge(told.repo, lambda files: without(files, 4))
    assert some(told.offline(), "p2", "the log has no proof of it")
    assert some(told.online(), "the ledger left it with 5 entries")


def test_a_log_that_lost_a_refusal_at_its_end_is_missed_by_the_ledger(workspace, repo):
    with kit.opened(workspace) as shop:
        play(shop)
        kit.send(shop, patch_text("last", replace_op("a", "nothing of it", "x")))
        kit.catch_up(shop)
        kit.forge(kit.repository(shop), without)
        problems = verify.verify(shop)["problems"]
        assert some(problems, "last: its proof was taken out of the log")


def test_a_log_that_is_gone(told):
    git(told.where, "update-ref", "-d", kit.REF)
    assert sum("the log has no proof of it" in problem for problem in told.offline(branches=[kit.WORK])) == 3
    assert some(told.online(), "the ledger left it with 5 entries")


def test_an_entry_that_is_missing_and_one_too_many(told):
    gone, odd = kit.entry_files(3)[0], "entries/00/00/09.dsse.json"
    kit.forge(told.repo, lambda files: {path: data for path, data in files.items() if path != gone} | {odd: b"{}"})
    problems = told.offline()
    assert some(problems, "entry 3 is missing")
    assert some(problems, odd, "not part of the log")


def test_a_log_that_was_rewritten_on_top_of_its_own_past(told):
    kit.forge(told.repo, lambda files: without(files, 1), keep_past=True)
    assert some(told.offline(), "no beginning of what it is now")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"size":1,"root":"00","edge":[],"last":[1,""]}'])
def test_a_head_that_is_none(told, data):
    kit.forge(told.repo, lambda files: {**files, "head.json": data})
    assert some(told.offline(), "proofs of ghost/work", "its head")
    assert told.online()


def test_a_head_that_promises_more_entries_than_anybody_could_read(told):
    forged = chain.Head(edge=merkle.Edge(size=1 << 60, nodes=(b"\0" * 32,))).dump()
    kit.forge(told.repo, lambda files: {**files, "head.json": forged})
    assert some(told.offline(), "entries are missing")


def test_garbage_in_the_place_of_an_entry_ends_nothing(told):
    path = kit.entry_files(1)[0]
    kit.forge(told.repo, lambda files: {**files, path: b'{"payloadType":3}'})
    assert some(told.offline(), "entry 1: read an envelope")


# --- signatures -------------------------------------------------------------------------------------------------


def test_a_forged_signature(signed, tmp_path):
    other = kit.new_key(tmp_path, "other")

    def forging(files):
        path = kit.entry_files(1)[0]
        return {**files, path: chain.envelope(dsse.unwrap(files[path]).statement, other)}

    kit.forge(signed.repo, forging)
    assert some(signed.online(), "entry 1 (bad)", "its signature does not hold")
    assert some(signed.offline(key=tmp_path / "key.pub"), "entry 1 (bad)", "its signature does not hold")


def test_a_signature_of_a_checkpoint_does_not_pass_for_one_of_a_proof(signed, tmp_path):
    """Each is made in a namespace of its own."""
    from ghostd.repo import sign

    def forging(files):
        path = kit.entry_files(1)[0]
        statement = dsse.unwrap(files[path]).statement
        signature = sign.sign(dsse.pae(statement), checkpoint.NAMESPACE, tmp_path / "key")
        return {**files, path: dsse.wrap(statement, [signature])}

    kit.forge(signed.repo, forging)
    assert some(signed.online(), "entry 1 (bad)", "its signature does not hold")


def test_a_signature_that_was_taken_off(signed):
    def forging(files):
        path = kit.entry_files(1)[0]
        return {**files, path: dsse.wrap(dsse.unwrap(files[path]).statement)}

    kit.forge(signed.repo, forging)
    assert some(signed.offline(), "entry 1 (bad)", "it is not signed")


def test_all_signatures_taken_off(signed, tmp_path):
    def forging(files):
        bare = {p: dsse.wrap(dsse.unwrap(d).statement) for p, d in files.items() if p.endswith(".dsse.json")}
        paths = [path for path in files if path.startswith("checkpoints/")]
        notes = {path: checkpoint.dump(checkpoint.load(files[path])[0], None) for path in paths}
        return {**files, **bare, **notes}

    kit.forge(signed.repo, forging)
    assert some(signed.offline(key=tmp_path / "key.pub"), "nothing is signed by")


def test_a_checkpoint_holds_against_a_log_made_to_fit(signed, tmp_path):
    """The careful forger mends the head; the note was signed."""
    kit.forge(signed.repo, lambda files: {**reordered(files, [0, 3, 2, 1, 4, 5])})
    assert some(signed.offline(key=tmp_path / "key.pub"), "checkpoints/00/00/06.txt: the log had another root")


def test_a_changed_checkpoint(signed, tmp_path):
    (path,) = [path for path in kit.files_of(signed.repo) if path.startswith("checkpoints/")]

    def forging(files):
        root = base64.b64encode(b"\1" * 32)
        lines = files[path].split(b"\n")
        return {**files, path: b"\n".join([*lines[:2], root, *lines[3:]])}

    kit.forge(signed.repo, forging)
    problems = signed.offline(key=tmp_path / "key.pub")
    assert some(problems, path, "its signature does not hold")
    assert some(problems, path, "another root")


# --- and what is no tampering -----------------------------------------------------------------------------------


def test_a_clone_with_the_refs_of_ghost_verifies_by_itself(told, tmp_path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--bare", str(told.where), str(clone))
    git(clone, "fetch", "-q", str(told.where), "refs/ghost/*:refs/ghost/*")
    from ghostd.repo.git import open_repository

    with open_repository(clone) as repo:
        found = verify.verify_offline(repo)
    assert (found["ok"], found["patches"], found["proofs"]["recomputed"]) == (True, 3, 3)
    assert proofs.branches(told.repo) == [kit.WORK]


def test_statements_that_wait_for_the_log_are_counted_and_no_problem(told):
    kit.send(told.shop, patch_text("p9", write_op("a", "9\n")))
    found = verify.verify(told.shop)
    assert (found["ok"], found["proofs"]["pending"]) == (True, 1), found["problems"]


def test_people_s_commits_between_ours_are_no_tampering(told):
    tree = git(told.where, "rev-parse", f"{kit.WORK}^{{tree}}")
    made = git(told.where, "commit-tree", tree, "-p", git(told.where, "rev-parse", kit.WORK), "-m", "by hand")
    git(told.where, "update-ref", f"refs/heads/{kit.WORK}", made)
    kit.send(told.shop, patch_text("p9", write_op("a", "9\n")))
    kit.catch_up(told.shop)
    assert told.online() == told.offline() == []


# --- rollbacks and restores -------------------------------------------------------------------------------------


def restore(shop: Workshop, phase: str) -> None:
    asked = ask.for_phase(shop, Kind.RESTORE, phase, shop.settings.default_lane, kit.HERE)
    kit.work(shop)
    assert kit.job(shop, asked.id).state == "applied", kit.job(shop, asked.id).result


@pytest.fixture
def undone(workspace: Path, repo: Path) -> Iterator[Told]:
    """A patch, a freeze, another patch; a rollback, a rollback of that one, and a restore of the phase."""
    with kit.opened(workspace) as shop:
        kit.send(shop, patch_text("p0", write_op("a", "0\n")))
        kit.freeze(shop, "P1")
        kit.send(shop, patch_text("p1", write_op("a", "1\n")))
        kit.take_back(shop, "p1")
        kit.take_back(shop, "rollback-1")
        restore(shop, "P1")
        kit.catch_up(shop)
        found = Told(shop=shop, where=repo)
        assert found.online() == found.offline() == []
        yield found


def test_rollbacks_and_restores_are_made_once_more(undone):
    found = verify.verify_offline(undone.repo)
    assert (found["patches"], found["proofs"]["recomputed"]) == (5, 5)


@pytest.mark.parametrize("back", [0, 1, 2])
def test_a_rollback_or_restore_with_another_tree(undone, back):
    """The newest commits are cut off, and the one below gets a tree that it should not have."""
    git(undone.where, "update-ref", f"refs/heads/{kit.WORK}", f"{kit.WORK}~{back}")
    message = git(undone.where, "log", "-1", "--format=%B", kit.WORK)
    kit.amend(undone.where, message, tree=git(undone.where, "rev-parse", "main^{tree}"))
    id = message.split("Ghost-Patch-Id: ")[1].split()[0]
    assert some(undone.offline(), id, "made anew it gives tree")


def test_a_restore_whose_tag_was_moved(undone):
    git(undone.where, "tag", "-f", "-a", "-m", "moved", "phase/P1", "main")
    assert some(undone.offline(), "restore-1", "made anew it gives tree")
    git(undone.where, "tag", "-d", "phase/P1")
    assert some(undone.offline(), "restore-1", "the tag phase/P1", "is gone")


def resealed(told: Told, id: str, old: str, new: str, change: Any) -> None:
    """Forge the newest commit's message and what its statement says, so that digest, proof and log fit each other."""
    message = git(told.where, "log", "-1", "--format=%B", kit.WORK) + "\n"
    assert old in message
    forged, sealed = message.replace(old, new), message.split("Ghost-Proof: ")[1].split()[0]

    def both(statement: Any) -> None:
        change(statement["predicate"])
        plain = forged.replace(f"Ghost-Proof: {sealed}\n", "")
        statement["predicate"]["commit"]["messageSha256"] = proof.digest(plain.encode())

    (number,) = (n for n in range(6) if kit.statement(told.shop, n)["predicate"]["job"]["id"] == id)
    kit.forge(told.repo, rewritten(number, both))
    statement = dsse.unwrap(kit.files_of(told.repo)[kit.entry_files(number)[0]]).statement
    kit.amend(told.where, forged.replace(sealed, proof.digest(statement)))


def nothing(_predicate: Any) -> None:
    """Only the message is forged."""


@pytest.mark.parametrize(
    ("id", "back", "old", "new", "words"),
    [
        ("restore-1", 0, "Ghost-Reverts: p1\n", "", "takes back rollback-2, it takes back p1, rollback-2"),
        ("restore-1", 0, "Ghost-Reverts: p1\n", "Ghost-Reapplies: p1\n", "brings back p1, it brings back nothing"),
        ("restore-1", 0, "Ghost-Restores: phase/P1\n", "", "it restores None, its proof says phase/P1"),
        ("rollback-2", 1, "Ghost-Reapplies: p1\n", "", "brings back nothing, it brings back p1"),
        ("rollback-2", 1, "Ghost-Lane", "Ghost-Restores: phase/P1\nGhost-Lane", "restores phase/P1, its proof says"),
        ("rollback-1", 2, "Ghost-Reverts: p1\n", "Ghost-Reverts: p0\n", "takes back p0, it takes back p1"),
        ("p1", 3, "Ghost-Lane", "Ghost-Reverts: p0\nGhost-Lane", "takes back p0, it takes back nothing"),
    ],
)
def test_a_lie_about_what_was_taken_back_shows_even_where_it_was_sealed(undone, id, back, old, new, words):
    git(undone.where, "update-ref", f"refs/heads/{kit.WORK}", f"{kit.WORK}~{back}")
    resealed(undone, id, old, new, nothing)
    problems = undone.offline()
    assert some(problems, id, words), problems
    assert not some(problems, id, "its message")


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (["p1"], "undid what did not stand"),
        (["p1", "rollback-1"], "not the newest first"),
        ([7, {}], "undid what did not stand"),
        (["rollback-1", "p1"], "it brings back nothing"),
        ([], "it takes back nothing"),
        (["p0"], "it was asked to take back rollback-1, which stands"),
    ],
)
def test_a_rollback_undid_what_its_proof_says(undone, named, words):
    """The statement names other commits than those that were undone, and is sealed like that."""
    git(undone.where, "update-ref", f"refs/heads/{kit.WORK}", f"{kit.WORK}~1")
    below = {"rollback-1": "^", "p1": "^^", "p0": "^^^"}
    at = [git(undone.where, "rev-parse", kit.WORK + below[each]) if isinstance(each, str) else each for each in named]
    resealed(undone, "rollback-2", "Ghost", "Ghost", lambda predicate: predicate.update(undone=at))
    assert some(undone.offline(), "rollback-2", words), undone.offline()
