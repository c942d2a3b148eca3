"""The index of what has landed: the newest commit that touched an id decides whether it stands."""

from __future__ import annotations

import pytest
from store_kit import BRANCH, REPO, StandingClock

from ghostd.model.job import Landed
from ghostd.store.db import open_ledger


@pytest.fixture
def ledger(tmp_path):
    opened = open_ledger(tmp_path / "ghost.db", clock=StandingClock())
    yield opened
    opened.close()


def landed(commit: str, id: str, *, reverts=(), reapplies=()) -> Landed:
    return Landed(
        commit=commit,
        id=id,
        digest=f"digest of {id}",
        proof="f" * 64,
        lane="MAIN",
        phase="P1",
        reverts=tuple(reverts),
        reapplies=tuple(reapplies),
    )


ONE = landed("c1", "one")
TWO = landed("c2", "two")
BACK = landed("c3", "rollback-1", reverts=["one", "two"])
AGAIN = landed("c4", "rollback-2", reverts=["rollback-1"], reapplies=["one"])
ANEW = landed("c5", "two")
GONE = landed("c6", "rollback-3", reverts=["one"])

CHAINS = [
    ("nothing landed", [], {"one": None}),
    ("it stands", [ONE, TWO], {"one": None, "two": None}),
    ("taken back", [ONE, TWO, BACK], {"one": "rollback-1", "two": "rollback-1", "rollback-1": None}),
    (
        "a rollback of the rollback brings back what it names",
        [ONE, TWO, BACK, AGAIN],
        {"one": None, "two": "rollback-1", "rollback-1": "rollback-2", "rollback-2": None},
    ),
    ("made again", [ONE, TWO, BACK, AGAIN, ANEW], {"one": None, "two": None}),
    ("taken back once more", [ONE, TWO, BACK, AGAIN, ANEW, GONE], {"one": "rollback-3", "two": None}),
]


@pytest.mark.parametrize(("chain", "expected"), [case[1:] for case in CHAINS], ids=[case[0] for case in CHAINS])
def test_the_newest_commit_that_touched_an_id_decides(ledger, chain, expected):
    for commit in chain:
        ledger.learn(REPO, BRANCH, [commit], commit.commit)
    assert {id: ledger.taken_back(REPO, BRANCH, id) for id in expected} == expected


def test_what_was_learned_comes_back_in_order_and_whole(ledger):
    ledger.learn(REPO, BRANCH, [ONE, TWO, BACK], "c3")
    ledger.learn(REPO, BRANCH, [AGAIN, ANEW], "c5")
    assert ledger.known(REPO, BRANCH) == "c5"
    assert ledger.branch_commits(REPO, BRANCH) == [ONE, TWO, BACK, AGAIN, ANEW]
    assert ledger.landed(REPO, BRANCH, "two") == ANEW
    assert ledger.landed(REPO, BRANCH, "three") is None


def test_branches_and_repositories_know_nothing_of_each_other(ledger):
    ledger.learn(REPO, BRANCH, [ONE], "c1")
    for where in ((REPO, "other"), ("/other/.git", BRANCH)):
        assert ledger.known(*where) is None
        assert ledger.landed(*where, "one") is None
        assert ledger.branch_commits(*where) == []


def test_two_who_learn_the_same_commits_do_not_double_them(ledger):
    ledger.learn(REPO, BRANCH, [ONE, TWO], "c2")
    ledger.learn(REPO, BRANCH, [ONE, TWO, BACK], "c3")
    assert ledger.branch_commits(REPO, BRANCH) == [ONE, TWO, BACK]


def test_a_rewound_branch_is_learned_anew(ledger):
    ledger.learn(REPO, BRANCH, [ONE, TWO, BACK], "c3")
    ledger.learn(REPO, BRANCH, [ONE], "c1", anew=True)
    assert ledger.branch_commits(REPO, BRANCH) == [ONE]
    assert ledger.taken_back(REPO, BRANCH, "one") is None
    assert ledger.landed(REPO, BRANCH, "two") is None


def test_half_a_lesson_is_none(ledger):
    ledger.learn(REPO, BRANCH, [ONE], "c1")

    def breaks_off():
        yield TWO
        raise OSError("the repository went away")

    with pytest.raises(OSError, match="went away"):
        ledger.learn(REPO, BRANCH, breaks_off(), "c2", anew=True)
    assert ledger.branch_commits(REPO, BRANCH) == [ONE]
    assert ledger.known(REPO, BRANCH) == "c1"
