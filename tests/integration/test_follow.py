"""Real files that grow, shrink and are replaced; real notices of the kernel; real drop folders."""

from __future__ import annotations

import json
import os
import select
import time
from pathlib import Path

import pytest

from ghostd.base.errors import Cannot
from ghostd.bridges.drop import DropFolder
from ghostd.bridges.follow import folders, follow, transcripts
from ghostd.bridges.rules import STILL, Course, Position, Shelf
from ghostd.bridges.watch import Watch

ROLES = ("assistant",)


def block(text: str) -> str:
    return f"```yaml\n{text}\n```\n"


class Reader:
    """Follows one file as the service does, its position as text in between."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text: str | None = None
        self.course: Course | None = None

    def read(self, *, ended=False) -> list[str]:
        position = Position.from_text(self.text) if self.text else None
        stretch = follow(self.path, position, roles=ROLES, ended=ended)
        self.text, self.course = stretch.position.as_text(), stretch.course
        return [passage.text.decode().strip() for passage in stretch.reading.passages]


@pytest.fixture
def chat(tmp_path):
    path = tmp_path / "chat.md"
    path.write_text("# Chat\n")
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_each_block_of_a_growing_file_is_read_once(chat):
    reader = Reader(chat)
    assert reader.read() == []
    append(chat, block("one"))
    assert reader.read() == ["one"]
    append(chat, "words\n" + block("two"))
    assert (reader.read(), reader.course) == (["two"], Course.ON)
    assert reader.read() == []


def test_a_block_that_is_written_byte_by_byte_is_read_when_it_is_whole(chat):
    reader, seen = Reader(chat), []
    for character in block("one") + "and on\n":
        append(chat, character)
        seen.append(reader.read())
    assert [found for found in seen if found] == [["one"]]


def test_a_last_line_without_line_end_waits_for_rest(chat):
    reader = Reader(chat)
    append(chat, block("one").rstrip("\n"))
    assert reader.read() == []
    assert reader.read(ended=True) == ["one"]
    # It went on: what looked like the end of a block was none.
    append(chat, "` more\n```\n")
    assert reader.read() == ["one\n```` more"]


def test_a_truncated_file_is_read_from_the_start(chat):
    reader = Reader(chat)
    append(chat, block("one") + block("two"))
    assert reader.read() == ["one", "two"]
    chat.write_text(block("x"))
    assert (reader.read(), reader.course) == (["x"], Course.TRUNCATED)


def test_a_replaced_file_is_read_from_the_start(chat):
    reader = Reader(chat)
    append(chat, block("one"))
    reader.read()
    other = chat.with_name("new")
    other.write_text(chat.read_text() + block("two"))
    os.replace(other, chat)
    assert (reader.read(), reader.course) == (["one", "two"], Course.REPLACED)


def test_a_rewritten_file_that_is_longer_is_read_from_the_start(chat):
    reader = Reader(chat)
    append(chat, block("one"))
    reader.read()
    chat.write_text("# Chat\n" + block("edited by hand") + block("three"))
    assert (reader.read(), reader.course) == (["edited by hand", "three"], Course.REWRITTEN)


def test_a_file_that_turns_out_to_hold_records_is_read_as_such(chat):
    reader = Reader(chat)
    record = json.dumps({"role": "assistant", "content": block("one")})
    chat.write_text(record[:20])
    assert reader.read() == []
    chat.write_text(record + "\n")
    assert reader.read() == ["one"]
    append(chat, json.dumps({"role": "user", "content": block("two")}) + "\n")
    assert (reader.read(), reader.course) == ([], Course.ON)


def test_a_first_record_that_is_longer_than_a_sample_is_a_record(chat):
    chat.write_text(json.dumps({"role": "assistant", "content": "x" * 200_000 + "\n" + block("one")}) + "\n")
    assert Reader(chat).read() == ["one"]


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Cannot, match="it is no file"):
        follow(tmp_path / "pipe", None, roles=ROLES)
    with pytest.raises(FileNotFoundError):
        follow(tmp_path / "nothing", None, roles=ROLES)


def test_of_a_folder_its_files_are_followed(tmp_path):
    for name in ("b.md", "a.jsonl", ".hidden", "a.jsonl~", "x.tmp"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert [path.name for path in transcripts(tmp_path)] == ["a.jsonl", "b.md"]
    assert transcripts(tmp_path / "later.md") == (tmp_path / "later.md",)


def test_the_folder_of_a_links_target_is_watched_too(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "chat.md").touch()
    (tmp_path / "near").mkdir()
    link = tmp_path / "near" / "chat.md"
    link.symlink_to(tmp_path / "far" / "chat.md")
    assert folders(link) == {tmp_path / "near", tmp_path / "far"}
    assert folders(tmp_path / "none" / "chat.md") == frozenset()


# The kernel's notices -------------------------------------------------------------------------------------------


def changed(watch: Watch, seconds=5.0) -> set[str]:
    select.select([watch.fileno()], [], [], seconds)
    return {path.name for path in watch.changes()}


def test_a_change_is_told_at_once_and_nothing_without_one(tmp_path):
    watch = Watch([tmp_path])
    try:
        assert changed(watch, 0.2) == set()
        begun = time.monotonic()
        (tmp_path / "a.md").write_text("x")
        assert changed(watch) == {"a.md"}
        assert time.monotonic() - begun < 2.0
        os.replace(tmp_path / "a.md", tmp_path / "b.md")
        assert "b.md" in changed(watch)
    finally:
        watch.close()


def test_a_folder_that_is_not_there_can_not_be_watched(tmp_path):
    with pytest.raises(Cannot) as caught:
        Watch([tmp_path / "none"])
    assert caught.value.kind == "no-watch"


# Drop folders ---------------------------------------------------------------------------------------------------


@pytest.fixture
def drop(tmp_path):
    folder = DropFolder(tmp_path / "patches", limit=100)
    folder.make()
    return folder


def ripe(drop: DropFolder, now: float) -> list[str]:
    return [seen.name for seen in drop.look(now)[0]]


def test_a_file_is_taken_when_two_looks_find_it_unchanged(drop):
    path = drop.folder / "a.yaml"
    path.write_text("half")
    assert ripe(drop, 0.0) == []
    assert drop.restless
    append(path, " and whole")
    assert ripe(drop, STILL) == []
    assert ripe(drop, 2 * STILL) == ["a.yaml"]
    assert not drop.restless
    seen = drop.look(2 * STILL)[0][0]
    assert drop.take(seen).data == b"half and whole"


def test_a_file_that_changes_after_the_look_is_not_taken(drop):
    path = drop.folder / "a.yaml"
    path.write_text("one")
    drop.look(0.0)
    seen = drop.look(1.0)[0][0]
    append(path, "two")
    assert drop.take(seen) is None
    assert drop.shelve(seen, Shelf.COMPLETED, {}) is None
    assert path.read_text() == "onetwo"
    path.unlink()
    assert drop.take(seen) is None
    assert drop.shelve(seen, Shelf.COMPLETED, {}) is None


def test_what_is_no_patch_is_told_once_and_left_alone(drop):
    (drop.folder / "notes.txt").write_text("x")
    (drop.folder / ".work.yaml").write_text("x")
    (drop.folder / "link.yaml").symlink_to("/etc/passwd")
    (drop.folder / "folder.yaml").mkdir()
    os.mkfifo(drop.folder / "pipe.json")
    told = [[seen.name for seen in drop.look(now)[1]] for now in (0.0, 1.0)]
    assert told == [["folder.yaml", "link.yaml", "notes.txt", "pipe.json"], []]
    assert ripe(drop, 2.0) == []


def test_one_byte_more_than_allowed_is_read_so_that_it_can_be_told(drop):
    (drop.folder / "a.yaml").write_text("x" * 500)
    drop.look(0.0)
    assert len(drop.take(drop.look(1.0)[0][0]).data) == 101


def shelved(drop: DropFolder, name: str, shelf: Shelf) -> Path:
    (drop.folder / name).write_text("x")
    drop.look(0.0)
    return drop.shelve(drop.look(1.0)[0][0], shelf, {"of": name})


def test_a_file_is_put_away_with_its_result_beside_it(drop):
    there = shelved(drop, "a.yaml", Shelf.COMPLETED)
    assert there == drop.folder / ".completed" / "a.yaml"
    assert json.loads((there.parent / "a.yaml.result.json").read_text()) == {"of": "a.yaml"}
    assert not (drop.folder / "a.yaml").exists()


def test_nothing_that_was_put_away_is_overwritten(drop):
    names = [shelved(drop, "a.yaml", Shelf.FAILED).name for _ in range(3)]
    assert names == ["a.yaml", "a.2.yaml", "a.3.yaml"]
    assert (drop.folder / ".failed" / "a.3.yaml.result.json").exists()


def test_a_shelf_that_somebody_deleted_is_made_again(drop):
    (drop.folder / ".completed").rmdir()
    assert shelved(drop, "a.yaml", Shelf.COMPLETED).exists()


@pytest.mark.parametrize("name", ["é" * 120 + ".yaml", os.fsdecode(b"\xff\n.json"), "x" * 250 + ".yml", "-rf .json"])
def test_odd_names_are_put_away_too(drop, name):
    assert shelved(drop, name, Shelf.COMPLETED).exists()


def test_a_folder_that_is_gone_is_made_again(drop):
    for path in (drop.folder / ".completed", drop.folder / ".failed", drop.folder / ".archive", drop.folder):
        path.rmdir()
    assert drop.make()
    assert not drop.make()
