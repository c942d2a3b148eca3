"""What the guides show is what happens: their patches are applied, their refusals compared, their settings accepted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from acceptance_tools import git

from ghostd.bridges import fences
from ghostd.patches.match import MOST_LINES, ORDER
from ghostd.sandbox.rules import LAYERS

HOUSE = Path(__file__).resolve().parents[2]
GUIDES = HOUSE / "docs" / "guide"
MATCHING = GUIDES / "matching.md"


@dataclass(frozen=True)
class Example:
    """One block of the guide to matching; its fence says the language, what it is, and of what."""

    kind: str
    of: tuple[str, ...]
    text: str


def examples(kind: str) -> Iterator[Example]:
    for block in fences.scan(MATCHING.read_bytes()):
        _, *words = block.info.split() or [""]
        if words[:1] == [kind]:
            # As the guide says: what can not be seen has a sign.
            text = re.sub("·+(?=␍?$)", lambda dots: " " * len(dots[0]), block.text.decode(), flags=re.MULTILINE)
            yield Example(kind=kind, of=tuple(words[1:]), text=text.replace("␍", "\r"))


def patch(id: str) -> str:
    (text,) = [example.text for example in examples("patch") if example.text.startswith(f"id: {id}\n")]
    return text


@pytest.fixture
def files(repo, ghostd):
    """The repository with every file as the guide shows it before, and a workspace."""
    for example in examples("before"):
        where = repo / example.of[0]
        where.parent.mkdir(exist_ok=True)
        where.write_bytes(example.text.encode())
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "as the guide begins")
    assert ghostd("init").status == 0
    return repo


def test_the_examples_of_matching_end_as_shown(ghost, files):
    """All of its patches, one after the other: the level that is named, the file that is shown, the refusal told."""
    patches = "---\n".join(example.text for example in examples("patch"))
    ran = ghost("apply", "-", "--keep-going", "--json", stdin=patches)
    results, matches = ran.results, [match for result in ran.results for match in result["matches"]]
    git(files, "checkout", "-q", "ghost/work")
    after = list(examples("after"))
    # What an edit did not find, but made, has no level.
    levels = [example.of for example in after if len(example.of) > 1]
    assert {level for _, level in levels} == {"exact", "whitespace", "unicode", "indent"}
    assert [
        {"path": path, "level": level} for path, level in levels if {"path": path, "level": level} not in matches
    ] == []
    assert {example.of[0]: (files / example.of[0]).read_bytes().decode() for example in after} == {
        example.of[0]: example.text for example in after
    }
    assert ran.status == 1
    refused = {result["id"]: result["error"] for result in results if result["status"] == "rejected"}
    assert refused == {example.of[0]: json.loads(example.text) for example in examples("error")}
    assert {result["status"] for result in results if result["id"] not in refused} == {"applied"}


def test_a_refused_patch_is_mended_under_a_new_id_as_told(ghost, files):
    first = ghost("apply", "-", "--json", stdin=patch("greet-1")).result["error"]
    again = ghost("apply", "-", "--json", stdin=patch("greet-1")).result["error"]
    assert again["hint"] in MATCHING.read_text()
    assert again == first | {"hint": again["hint"]}
    mended = patch("greet-2")
    other = ghost("apply", "-", "--json", stdin=mended.replace("id: greet-2", "id: greet-1"))
    assert (other.status, other.result["error"]["kind"]) == (1, "id-reused")
    before = git(files, "for-each-ref")
    assert ghost("apply", "-", "--dry-run", "--json", stdin=mended).result["status"] == "would-apply"
    assert git(files, "for-each-ref") == before
    assert ghost("apply", "-", "--json", stdin=mended).result["status"] == "applied"


def test_a_patch_that_only_its_lane_s_cap_stops_gets_the_hint_of_the_guide(ghost, files):
    conf = files / ".ghost" / "conf" / "ghost.toml"
    conf.write_text(conf.read_text().replace("[lane.MAIN]\n", '[lane.MAIN]\nmatch = "exact"\n'))
    error = ghost("apply", "-", "--json", stdin=patch("line-ends")).result["error"]
    assert error["hint"] in MATCHING.read_text().replace("\n", " ")


def settings() -> Iterator[tuple[str, int, str]]:
    for page in (HOUSE / "README.md", *sorted(GUIDES.glob("*.md"))):
        for block in fences.scan(page.read_bytes()):
            if block.info == "toml":
                yield page.name, block.line, block.text.decode()


SETTINGS = list(settings())


@pytest.mark.parametrize(("page", "line", "text"), SETTINGS, ids=[f"{page}:{line}" for page, line, _ in SETTINGS])
def test_settings_that_are_shown_are_accepted(ghostd, workspace, page, line, text):
    """Each is a piece of a configuration; what it names and does not define is defined beside it."""
    key = workspace / "key"
    key.touch(mode=0o600)
    text = text.replace("/etc/ghost/signing_key", str(key))
    names = set(re.findall(r'"(\w+)"', "".join(re.findall(r"^gates = (\[.*\])", text, re.MULTILINE))))
    missing = {name for name in names if f"[gate.{name}]" not in text}
    more = "".join(f'\n[gate.{name}]\nrun = "true"\n' for name in sorted(missing))
    lane = "" if "[lane." in text else "\n[lane.MAIN]\n"
    file = workspace / "conf" / "shown.toml"
    file.write_text(text + more + lane)
    checked = ghostd("check", str(file), "--json")
    assert checked.status == 0, f"{page}:{line}: {checked.stdout}"


def test_the_rollback_that_is_shown_is_blocked_as_shown(ghost, files):
    """`docs/guide/rollback.md`: two patches about one line of app.py."""
    (shown,) = [
        block.text.decode() for block in fences.scan((GUIDES / "rollback.md").read_bytes()) if block.info == "text"
    ]
    command, told = shown.split("\n", 1)
    for id, old, new in (("fix-1", "hello", "hi"), ("fix-2", "hi ", "hi there ")):
        op = {"op": "replace", "path": "app.py", "search": old, "replace": new}
        text = json.dumps({"id": id, "content": {"mutations": [op]}})
        assert ghost("apply", "-", stdin=text).status == 0
    ran = ghost(*command.removeprefix("$ ghost ").split())
    assert (ran.status, ran.stdout.split()) == (1, told.split())


def test_the_table_of_layers_is_that_of_the_code():
    rows = re.findall(r"^\| ([a-z -]+) \| (yes|no) \|", (GUIDES / "sandbox.md").read_text(), re.MULTILINE)
    assert dict(rows) == {name: "yes" if layer.required else "no" for name, layer in LAYERS.items()}


def test_the_levels_of_matching_are_those_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| they are|^\| `(\w+)` \| (?:so|as)", MATCHING.read_text(), re.MULTILINE)
    assert tuple(first or other for first, other in rows) == ORDER
    assert f"{MOST_LINES:,} lines" in MATCHING.read_text()
