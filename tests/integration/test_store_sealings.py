"""What a job was sealed with at its end is kept for the proof log, by whatever way it ended, once for each end."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from store_kit import BRANCH, REPO, StandingClock, claimed, done, new

from ghostd.model.job import Happening
from ghostd.store.db import open_ledger
from ghostd.store.ports import Ledger

V1 = Path(__file__).with_name("ledger_v1.sql")


class Silent:
    def ring(self) -> None:
        """Nobody waits."""


def opened(path: Path) -> Ledger:
    return open_ledger(path, clock=StandingClock(), bell=Silent())


@pytest.fixture
def ledger(tmp_path):
    found = opened(tmp_path / "ghost.db")
    yield found
    found.close()


def kept(ledger: Ledger, **more) -> list[tuple[str, bytes]]:
    return [(each.id, each.statement) for each in ledger.sealings(REPO, BRANCH, **more)]


def end(ledger: Ledger, id: str, happening: Happening, *, sealed: bytes = b"", **more) -> None:
    ledger.put(new(id))
    claim = claimed(ledger)
    if sealed:
        assert ledger.seal_all([(claim, sealed)], 60.0)
    assert ledger.finish(claim, done(happening, **more)) is not None


def test_an_applied_job_keeps_what_was_sealed_before_its_commit(ledger):
    end(ledger, "a", Happening.APPLY, sealed=b"before")
    assert kept(ledger) == [("a", b"before")]
    assert ledger.get("a").statement == b"before"


def test_a_refused_job_keeps_the_statement_of_its_refusal_and_not_that_of_a_commit_that_never_was(ledger):
    end(ledger, "a", Happening.REJECT, sealed=b"of a commit", statement=b"refused")
    end(ledger, "b", Happening.FAIL, sealed=b"of a commit")
    assert kept(ledger) == [("a", b"refused")]
    assert ledger.get("b").statement == b""


def test_each_end_of_a_requeued_job_is_kept_in_the_order_of_the_ends(ledger):
    end(ledger, "a", Happening.REJECT, statement=b"first")
    end(ledger, "b", Happening.REJECT, statement=b"second")
    ledger.act("a", "requeue")
    assert ledger.finish(claimed(ledger), done(Happening.REJECT, statement=b"third")) is not None
    assert kept(ledger) == [("a", b"first"), ("b", b"second"), ("a", b"third")]
    assert kept(ledger, limit=1) == [("a", b"first")]
    first = ledger.sealings(REPO, BRANCH)[0].seq
    assert kept(ledger, since=first) == [("b", b"second"), ("a", b"third")]


def test_what_is_tried_again_was_no_end(ledger):
    end(ledger, "a", Happening.RETRY, sealed=b"before", retry_at=0.0)
    assert kept(ledger) == []


def test_other_branches_have_their_own(ledger):
    ledger.put(new("other", branch="other"))
    assert ledger.finish(claimed(ledger), done(Happening.REJECT, statement=b"there")) is not None
    assert kept(ledger) == []
    assert [each.id for each in ledger.sealings(REPO, "other")] == ["other"]


def test_a_ledger_of_version_1_brings_its_applied_jobs_along_in_the_order_of_their_ends(tmp_path):
    path = tmp_path / "ghost.db"
    path.touch(mode=0o600)
    old = sqlite3.connect(path)
    old.executescript(V1.read_text())
    for seq, (id, state, finished, statement) in enumerate(
        [
            ("late", "applied", 9, b"2"),
            ("early", "applied", 5, b"1"),
            ("no", "rejected", 6, b"x"),
            ("bare", "applied", 7, b""),
        ],
        1,
    ):
        old.execute(
            "INSERT INTO jobs (seq, id, kind, state, lane, repo, branch, digest, door, door_source, priority, title,"
            " depends_on, options, received_at, finished_at, statement)"
            " VALUES (?, ?, 'patch', ?, 'MAIN', ?, ?, '', '', '', 1, '', '[]', '{}', 1, ?, ?)",
            (seq, id, state, REPO, BRANCH, finished, statement),
        )
        old.execute("INSERT INTO bodies (seq, body, source) VALUES (?, x'', x'')", (seq,))
    old.execute("PRAGMA application_id = 0x67687374")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    ledger = opened(path)
    assert kept(ledger) == [("early", b"1"), ("late", b"2")]
    ledger.close()
