"""The bridge: every block and every dropped file becomes exactly one job, whatever dies in between."""

from __future__ import annotations

import json
import random
import time
from types import SimpleNamespace

import pytest
from service_kit import eventually, fenced, ledger_of, patch, running

from ghostd.base.clock import SystemClock
from ghostd.base.errors import Cannot
from ghostd.config.load import load
from ghostd.model.job import Happening, Outcome
from ghostd.model.settings import Places
from ghostd.services.bridge import Bridge, House
from ghostd.services.bridge_chats import Chats
from ghostd.services.bridge_desk import Desk
from ghostd.services.bridge_drops import Drops
from ghostd.store.db import open_ledger

INTAKE = "ghost.system.intake"


@pytest.fixture
def chat(workspace):
    """A transcript that is followed; it is not there yet."""
    path = workspace.parent / "chat.md"
    with (workspace / "conf" / "ghost.toml").open("a") as conf:
        conf.write(f'\n[bridge.chat]\nfiles = ["{path}"]\npoll = "500ms"\n')
    return path


@pytest.fixture
def drop(workspace):
    return Places(workspace=workspace).drop("MAIN")


@pytest.fixture
def ledger(workspace):
    with ledger_of(workspace) as opened:
        yield opened


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def ids(ledger):
    return sorted(job.id for job in ledger.jobs())


def told(ledger):
    return [event for event in ledger.events(limit=10_000) if event.type == INTAKE]


def end(ledger, happening, **result):
    """Do an executor's work on the next job."""
    claim = ledger.claim("MAIN", "test:1:1", 60.0)
    ledger.finish(claim, Outcome(happening=happening, result=result))


# The service as a process ---------------------------------------------------------------------------------------


def test_blocks_of_a_transcript_become_jobs_as_they_are_written(workspace, chat, ledger):
    chat.write_text(fenced(patch("one")) + "```python\nprint()\n```\n")
    with running("bridge", workspace):
        eventually(lambda: ids(ledger) == ["one"])
        append(chat, fenced(patch("two")))
        eventually(lambda: ids(ledger) == ["one", "two"])
        origin = ledger.get("two").origin
        assert (origin.door, origin.source) == ("chat", f"{chat}#3")
        eventually(lambda: ledger.journalled() == [])
    assert told(ledger) == []


def test_a_restart_goes_on_where_the_last_one_ended(workspace, chat, ledger):
    chat.write_text(fenced(patch("one")))
    with running("bridge", workspace):
        eventually(lambda: ids(ledger) == ["one"])
    append(chat, fenced(patch("two")) + fenced(patch("bad").replace("write", "scribble")))
    for _ in range(2):
        with running("bridge", workspace):
            eventually(lambda: ids(ledger) == ["one", "two"] and told(ledger))
    assert len(told(ledger)) == 1


def test_a_block_that_is_meant_as_a_patch_and_is_none_is_told_with_its_line(workspace, chat, ledger):
    chat.write_text("words\n" + fenced('{"type": "unified", "id": "x",\n "content": oops}\n'))
    with running("bridge", workspace):
        event = eventually(lambda: told(ledger))[0]
    assert event.subject == f"{chat}#1"
    assert (event.data["kind"], event.data["block_line"], event.data["line"]) == ("malformed", 4, 2)
    assert event.data["message"].startswith("cannot read the patch")


def test_a_transcript_that_is_not_there_is_told_once_and_waited_for(workspace, chat, ledger):
    with running("bridge", workspace):
        assert eventually(lambda: told(ledger))[0].data["kind"] == "missing"
        time.sleep(1.2)
        assert len(told(ledger)) == 1
        chat.write_text(fenced(patch("one")))
        eventually(lambda: ids(ledger) == ["one"])


def test_a_transcript_that_is_rewritten_gives_only_what_is_new(workspace, chat, ledger):
    chat.write_text(fenced(patch("one")) + fenced(patch("two")))
    with running("bridge", workspace):
        eventually(lambda: ids(ledger) == ["one", "two"])
        chat.write_text(fenced(patch("three")) + fenced(patch("one")))
        eventually(lambda: ids(ledger) == ["one", "three", "two"])
    assert told(ledger) == []


def test_a_dropped_file_waits_for_its_patch_and_is_put_away_with_the_result(workspace, drop, ledger):
    with running("bridge", workspace):
        (drop / "good.yaml").write_text(patch("good"))
        eventually(lambda: ids(ledger) == ["good"])
        assert (drop / "good.yaml").exists()
        end(ledger, Happening.APPLY, status="applied", commit="c0ffee")
        eventually((drop / ".completed" / "good.yaml").exists)
        (drop / "bad.yaml").write_text(patch("bad"))
        eventually(lambda: ids(ledger) == ["bad", "good"])
        end(ledger, Happening.REJECT, status="rejected", error={"kind": "no-match"})
        eventually((drop / ".failed" / "bad.yaml").exists)
    result = json.loads((drop / ".completed" / "good.yaml.result.json").read_text())
    assert (result["status"], result["patches"][0]["commit"]) == ("completed", "c0ffee")
    result = json.loads((drop / ".failed" / "bad.yaml.result.json").read_text())
    assert result["patches"][0]["error"]["kind"] == "no-match"
    assert list(drop.glob("*.yaml")) == []


def test_a_dropped_file_that_is_no_patch_fails_at_once_and_says_why(workspace, drop, ledger):
    with running("bridge", workspace):
        (drop / "a.json").write_text('{"id": "a",\n oops}')
        eventually((drop / ".failed" / "a.json.result.json").exists)
    error = json.loads((drop / ".failed" / "a.json.result.json").read_text())["patches"][0]["error"]
    assert (error["kind"], error["line"]) == ("malformed", 2)
    assert [event.lane for event in told(ledger)] == ["MAIN"]


def test_a_dropped_file_may_hold_several_patches(workspace, drop, ledger):
    with running("bridge", workspace):
        (drop / "all.yaml").write_text(patch("a") + "---\n" + patch("b"))
        eventually(lambda: ids(ledger) == ["a", "b"])
        end(ledger, Happening.APPLY, status="applied")
        end(ledger, Happening.FAIL, status="failed")
        eventually((drop / ".failed" / "all.yaml").exists)
    result = json.loads((drop / ".failed" / "all.yaml.result.json").read_text())
    assert [one["status"] for one in result["patches"]] == ["applied", "failed"]


def test_a_new_patch_under_the_name_of_one_that_is_on_its_way_is_a_patch_of_its_own(workspace, drop, ledger):
    with running("bridge", workspace):
        (drop / "a.yaml").write_text(patch("old"))
        eventually(lambda: ids(ledger) == ["old"])
        (drop / "a.yaml").write_text(patch("new"))
        eventually(lambda: ids(ledger) == ["new", "old"])
        end(ledger, Happening.APPLY, status="applied")
        end(ledger, Happening.APPLY, status="applied")
        eventually((drop / ".completed" / "a.yaml").exists)
    assert "id: new" in (drop / ".completed" / "a.yaml").read_text()


def test_a_drop_folder_that_is_deleted_is_made_again_and_works(workspace, drop, ledger):
    with running("bridge", workspace):
        drop.rename(drop.with_name("gone"))
        eventually(drop.is_dir)
        (drop / "a.yaml").write_text(patch("a"))
        eventually(lambda: ids(ledger) == ["a"])


def test_it_feeds_its_watchdog_and_ends_at_once_when_asked(workspace, chat):
    with running("bridge", workspace, WATCHDOG_USEC="400000") as service:
        for _ in range(3):
            service.note("WATCHDOG=1", 2.0)
        status, seconds = service.stop()
    assert status == 0
    assert seconds < 1.0


@pytest.mark.slow
def test_killed_again_and_again_it_takes_each_patch_exactly_once(workspace, chat, drop, ledger):
    """SIGKILL at random moments while a chat is written and files are dropped."""
    chance, names = random.Random(7), [f"p{n}" for n in range(24)]
    drop.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(names), 4):
        for name in names[start : start + 3]:
            append(chat, fenced(patch(name)))
        (drop / f"{names[start + 3]}.yaml").write_text(patch(names[start + 3]))
        with running("bridge", workspace) as service:
            time.sleep(chance.random() * 1.2)
            service.kill()
    with running("bridge", workspace):
        eventually(lambda: len(ids(ledger)) >= len(names))
        for _ in names:
            # No commit is behind these jobs, so they must not claim one: a file that is taken anew would be refused.
            end(ledger, Happening.REJECT, status="rejected", error={"kind": "no-match", "message": "no"})
        eventually(lambda: len(list((drop / ".failed").glob("*.yaml"))) == len(names) // 4)
        eventually(lambda: not ledger.journalled())
    assert ids(ledger) == sorted(names)
    received = [event.subject for event in ledger.events(limit=10_000) if event.type == "ghost.patch.received"]
    assert sorted(received) == sorted(names)
    assert told(ledger) == []


# Its two doors, with the ledger dying under them ----------------------------------------------------------------


class Killed(BaseException):
    """What a SIGKILL looks like from inside."""


class Mortal:
    """A ledger that dies at its n-th change: before it, or right after it is on disk."""

    CHANGES = ("put", "journal", "settle", "remember", "kv_set", "append")

    def __init__(self, ledger, left, *, after):
        self._ledger, self._left, self._after = ledger, left, after

    def __getattr__(self, name):
        real = getattr(self._ledger, name)
        if name not in self.CHANGES:
            return real

        def call(*args, **more):
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Killed
            answer = real(*args, **more)
            if self._left == 0:
                raise Killed
            return answer

        return call


def doors(ledger, workspace):
    settings = load(workspace).settings
    desk = Desk(ledger, House(settings, ledger), lambda: None)
    desk.tried_again("journal")
    drops = Drops(desk, settings)
    drops.make()
    return SimpleNamespace(desk=desk, chats=Chats(desk, settings.bridges.values()), drops=drops)


def once(at):
    """What the service does at its start, and a drop folder's second look."""
    if at.desk.failing("journal"):
        at.chats.retry()
    at.chats.look(None)
    at.drops.look()
    time.sleep(0.25)
    at.drops.look()


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_every_change_of_the_ledger_it_takes_each_patch_exactly_once(workspace, chat, drop, after):
    chat.write_text(fenced(patch("a")) + fenced(patch("bad").replace("write", "scribble")) + fenced(patch("b")))
    drop.mkdir(parents=True, exist_ok=True)
    (drop / "c.yaml").write_text(patch("c"))
    for left in range(1, 40):
        with ledger_of(workspace) as ledger:
            try:
                once(doors(Mortal(ledger, left, after=after), workspace))
            except Killed:
                continue
            break
    assert left > 1
    with ledger_of(workspace) as ledger:
        once(doors(ledger, workspace))
        assert ids(ledger) == ["a", "b", "c"]
        assert ledger.journalled() == []
        assert {event.data["kind"] for event in told(ledger)} == {"malformed"}


class Full:
    """Intake on a full disk, until it is not."""

    def __init__(self, house):
        self._house, self.full = house, True

    def __getattr__(self, name):
        return getattr(self._house, name)

    def submit(self, submission):
        if self.full:
            raise Cannot("use the ledger: the disk is full", kind="disk-full")
        return self._house.submit(submission)


def test_what_could_not_be_submitted_for_the_moment_is_tried_again_from_the_journal(workspace, chat, drop):
    chat.write_text(fenced(patch("a")))
    drop.mkdir(parents=True, exist_ok=True)
    (drop / "b.yaml").write_text(patch("b"))
    with ledger_of(workspace) as ledger:
        at = doors(ledger, workspace)
        full = at.desk.rooms = Full(at.desk.rooms)
        once(at)
        assert ids(ledger) == []
        assert len(ledger.journalled()) == 1
        assert (drop / "b.yaml").exists()
        assert told(ledger) == []
        # The transcript may go: its bytes are in the journal.
        chat.unlink()
        full.full = False
        once(doors(ledger, workspace))
        assert ids(ledger) == ["a", "b"]
        assert ledger.journalled() == []


def test_a_pause_passes_before_a_failure_is_tried_again(workspace, chat):
    with ledger_of(workspace) as ledger:
        desk = doors(ledger, workspace).desk
        desk.failed("x", OSError("no"))
        assert desk.waits("x")
        assert desk.next_try() == pytest.approx(0.0)
        desk.worked("x")
        assert not desk.failing("x")


def test_a_source_that_failed_and_went_leaves_no_hot_loop(workspace, chat, drop):
    """Every pause that is over ends in a try or is forgotten, so that the loop can sleep."""
    drop.mkdir(parents=True, exist_ok=True)
    (drop / "b.yaml").write_text(patch("b"))
    with ledger_of(workspace) as ledger:
        at = doors(ledger, workspace)
        at.desk.rooms = Full(at.desk.rooms)
        bridge = Bridge(at.desk, load(workspace).settings)
        for _ in range(2):
            bridge._guarded_round()
            time.sleep(max(0.0, bridge._until() - time.monotonic()))
        bridge._guarded_round()
        assert at.desk.failing(str(drop / "b.yaml"))
        (drop / "b.yaml").unlink()
        time.sleep(0.6)
        bridge._guarded_round()
        assert bridge._until() > time.monotonic()
        bridge._unwatch()


def test_a_ledger_that_refuses_makes_the_bridge_pause(workspace, chat):
    with ledger_of(workspace) as ledger:
        at = doors(ledger, workspace)
        bridge = Bridge(at.desk, load(workspace).settings)
        at.desk.ledger = Refusing(ledger)
        bridge._guarded_round()
        assert at.desk.waits("bridge")
        assert bridge._until() > time.monotonic()
        at.desk.ledger = ledger
        bridge._guarded_round()
        assert not at.desk.failing("bridge")
        bridge._unwatch()


class Refusing:
    """A ledger on a full disk."""

    def __init__(self, ledger):
        self._ledger = ledger

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def append(self, *_, **__):
        raise Cannot("use the ledger: the disk is full", kind="disk-full")


def test_ten_thousand_blocks_that_are_no_patches_are_left_alone(workspace, chat):
    chat.write_text("words\n```json\n{}\n```\n" * 10_000)
    with ledger_of(workspace) as ledger:
        doors(ledger, workspace).chats.look(None)
        assert ids(ledger) == []
        assert ledger.newest() == 0


def test_the_same_text_in_a_second_file_is_no_second_patch(workspace, chat):
    folder = workspace.parent / "chats"
    folder.mkdir()
    with (workspace / "conf" / "ghost.toml").open("a") as conf:
        conf.write(f'\n[bridge.more]\nfiles = ["{folder}"]\n')
    for path in (chat, folder / "copy.md", folder / "again.md"):
        path.write_text(fenced(patch("a")))
    clock = SystemClock()
    ledger = open_ledger(Places(workspace=workspace).ledger, clock=clock)
    doors(ledger, workspace).chats.look(None)
    assert ids(ledger) == ["a"]
    assert told(ledger) == []
    ledger.close()
