"""Statements, envelopes and checkpoints: what is written reads back, and what a stranger wrote breaks nothing."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ghostd.base.errors import Cannot
from ghostd.model.job import Job, Kind, Origin, State
from ghostd.model.patch import Match, Validation
from ghostd.model.settings import LaneSettings
from ghostd.pipeline import chain, checkpoint, dsse, policy, proof
from ghostd.pipeline.rules import Said, Verdict
from ghostd.pipeline.told import contradictions as contradicted
from ghostd.pipeline.told import read as read_back

TREE, BASE, BASE_TREE = "1" * 40, "2" * 40, "3" * 40
JOB = Job(
    seq=1, id="p", kind=Kind.PATCH, state=State.RUNNING, lane="MAIN", repo="/r", branch="ghost/work", digest="d" * 64,
    body=b"{}", origin=Origin(door="chat", source="talk\udcff.md"), priority=1, phase=None, session=None, title="",
    depends_on=(), options={}, received_at=5, attempts=1, not_before=0.0, fence=7, started_at=None, finished_at=None,
    statement=b"", result=None, summary="",
)  # fmt: skip
LANE = LaneSettings(name="MAIN", repo=Path("/r"))


def sealed(**more) -> bytes:
    return proof.seal(JOB, **{"base": BASE, "base_tree": BASE_TREE, "tree": TREE, **more})


def contradictions(statement: bytes, **more) -> list[str]:
    facts = {"id": "p", "digest": "d" * 64, "lane": "MAIN", "tree": TREE, "parent": BASE}
    return contradicted(read_back(statement), **{**facts, **more})


def test_the_same_facts_give_the_same_bytes_and_read_back():
    told = read_back(sealed(log=proof.Anchor(size=3, root="ab" * 32)))
    assert sealed() == sealed()
    assert (told.id, told.outcome, told.tree, told.base) == ("p", "applied", TREE, BASE)
    assert told.anchor == proof.Anchor(size=3, root="ab" * 32)
    assert contradictions(sealed()) == []


@pytest.mark.parametrize(
    ("fact", "value"), [("id", "q"), ("digest", "e" * 64), ("lane", "CYOPS"), ("tree", "4" * 40), ("parent", None)]
)
def test_each_fact_that_differs_from_git_is_named(fact, value):
    (problem,) = contradictions(sealed(), **{fact: value})
    assert str(value) in problem


def test_a_proof_of_a_commit_against_a_required_gate_is_a_contradiction():
    verdict = Verdict(name="tests", said=Said.FAILED, required=True, duration_ms=1)
    wrong = "its proof says that gate tests was required and did not pass"
    assert contradictions(sealed(verdicts=[verdict])) == [wrong]
    assert contradictions(sealed(verdicts=[replace(verdict, required=False)])) == []


def test_the_gates_of_a_result_read_back_as_they_were_told_at_first():
    first = Verdict(name="a", said=Said.PASSED, required=True, duration_ms=3, runs=2, flake=True)
    second = Verdict(name="b", said=Said.PASSED, required=False, duration_ms=0, cached=True)
    statement = sealed(verdicts=[first, second], left_out=["c"])
    skipped = {"name": "c", "status": "skipped", "duration_ms": 0}
    assert proof.gates(statement) == [first.as_json(), second.as_json(), skipped]


def test_a_refusal_says_that_nothing_was_changed():
    told = {"status": "rejected", "error": {"kind": "no-match", "message": "cannot …", "candidates": [1, 2]}}
    read = read_back(proof.seal_end(JOB, told, base=BASE, base_tree=BASE_TREE))
    assert (read.outcome, read.tree) == ("rejected", BASE_TREE)
    assert contradictions(proof.seal_end(JOB, told, base=BASE, base_tree=BASE_TREE), tree=BASE_TREE) == [
        "its proof says outcome rejected, Git says applied"
    ]


def test_two_ends_of_one_job_have_two_statements():
    again = proof.seal(replace(JOB, fence=8), base=BASE, base_tree=BASE_TREE, tree=TREE)
    assert again != sealed()


def test_the_policy_of_a_strict_lane_has_all_flags_and_another_digest():
    loose, strict = (policy.in_force(replace(LANE, strict=strict), Validation()) for strict in (False, True))
    assert all(strict["flags"].values())
    assert loose["digest"] != strict["digest"]
    assert loose == policy.in_force(LANE, Validation())


def test_what_canonical_json_can_not_hold_is_written_readably():
    verdict = Verdict(
        name="g", said=Said.PASSED, required=True, duration_ms=1, audit={"memory": 2**60, "argv": ["\udcff"], "s": 0.5}
    )
    predicate = json.loads(sealed(verdicts=[verdict], matches=[Match(path=b"\xff", level="exact")]))["predicate"]
    assert predicate["gates"][0]["audit"] == {"memory": str(2**60), "argv": ["\\udcff"], "s": 0.5}
    assert (predicate["matches"][0]["path"], predicate["origin"]["source"]) == ("\\xff", "talk\\udcff.md")


def test_a_statement_of_the_first_version_reads_as_applied():
    told = json.loads(sealed())
    for name in ("outcome", "log", "policy"):
        del told["predicate"][name]
    read = read_back(json.dumps(told).encode())
    assert (read.outcome, read.anchor) == ("applied", None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["_type", "subject", "predicate", "predicateType"]), json_values)
def test_a_stranger_s_statement_is_refused_in_words(key, value):
    told = json.loads(sealed()) | {key: value}
    with pytest.raises(Cannot) as caught:
        read_back(json.dumps(told).encode())
    assert caught.value.kind == "proof-damaged"


@given(st.sampled_from(["job", "base", "log", "outcome", "gates"]), json_values)
def test_a_stranger_s_predicate_is_refused_in_words_or_read(key, value):
    told = json.loads(sealed())
    told["predicate"][key] = value
    with contextlib.suppress(Cannot):
        read = read_back(json.dumps(told).encode())
        assert contradicted(read, id="", digest="", lane="", tree="", parent="")


@given(st.binary(max_size=30) | json_values.map(lambda value: json.dumps(value).encode()))
def test_anything_else_is_refused_in_words(data):
    for read in (read_back, dsse.unwrap, checkpoint.load, chain.load):
        with pytest.raises(Cannot) as caught:
            read(data)
        assert caught.value.kind == "proof-damaged"


def test_what_is_signed_is_dsse_s_own_example():
    """The example of the specification, but for the payload's type, which is always ours."""
    assert dsse.pae(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


@given(st.binary(max_size=40), st.lists(st.text("abc-", max_size=10), max_size=2))
def test_an_envelope_gives_back_what_was_put_in(statement, signatures):
    found = dsse.unwrap(dsse.wrap(statement, signatures))
    assert (found.statement, list(found.signatures)) == (statement, signatures)


def test_a_checkpoint_reads_back_with_and_without_a_signature():
    anchor = proof.Anchor(size=256, root="ab" * 32)
    note = checkpoint.Note(branch="ghost/work", anchor=anchor, time="2025-07-29T06:30:00.000Z")
    signature = "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"
    assert checkpoint.load(checkpoint.dump(note, None)) == (note, None)
    assert checkpoint.load(checkpoint.dump(note, signature)) == (note, signature)
