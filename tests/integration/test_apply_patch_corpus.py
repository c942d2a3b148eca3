"""The public corpus of the V4A form: every story ends as Codex has it, but that a failed patch leaves nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from memory_tree import MemoryTree

from ghostd.base.errors import Cannot
from ghostd.patches.apply import apply
from ghostd.patches.read import read_patch

CORPUS = Path(__file__).resolve().parents[2].parent / "shared" / "corpus" / "apply_patch"
#: Those that have to fail, by what the refusal is about.
FAILING = {
    "005": "malformed", "006": "no-match", "007": "missing-path", "008": "malformed", "009": "missing-path",
    "012": "missing-path", "013": "malformed", "015": "missing-path",
}  # fmt: skip
STORIES = sorted(folder for folder in CORPUS.glob("*") if folder.is_dir())


@pytest.mark.skipif(not STORIES, reason="the corpus is not beside the repository")
def test_the_corpus_is_told_as_it_is_written(subtests):
    """A patch that fits makes exactly the expected files; one that does not is refused and leaves the files alone."""
    for folder in STORIES:
        with subtests.test(folder.name):
            _tell(folder)


def _tell(folder: Path) -> None:
    before = MemoryTree.of(folder / "input") if (folder / "input").is_dir() else MemoryTree({})
    was = dict(before.files)
    text = (folder / "patch.txt").read_bytes().decode()
    op = {"op": "apply_patch", "patch": text}
    source = json.dumps({"id": "p", "type": "unified", "content": {"mutations": [op]}}).encode()
    if kind := FAILING.get(folder.name[:3]):
        with pytest.raises(Cannot) as caught:
            apply(before, read_patch(source))
        assert caught.value.kind == kind
        assert before.files == was
    else:
        after = before.after(apply(before, read_patch(source)).changes)
        assert after.files == MemoryTree.of(folder / "expected").files
