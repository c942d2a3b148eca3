"""Every folder of `apply/` is one story: a patch, the files before, and the files after or the refusal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from memory_tree import MemoryTree

from ghostd.base.errors import Cannot
from ghostd.patches.apply import apply
from ghostd.patches.read import from_canonical, read_patch

FOLDERS = sorted((Path(__file__).parent / "apply").iterdir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_story_ends_as_it_is_told(folder):
    """The patch makes exactly the expected files, by its text and its canonical bytes; or it is refused as told."""
    before = MemoryTree.of(folder / "input")
    source = next(folder.glob("patch.*")).read_bytes()
    if (folder / "error.json").exists():
        told = json.loads((folder / "error.json").read_text())
        with pytest.raises(Cannot) as caught:
            apply(before, read_patch(source))
        error = json.loads(json.dumps(caught.value.as_json()))
        assert {key: error.get(key) for key in told} == told
        assert before.files == MemoryTree.of(folder / "input").files
        return
    patch = read_patch(source)
    applied = apply(before, patch)
    paths = [change.path for change in applied.changes]
    assert paths == sorted(set(paths))
    assert before.after(applied.changes).files == MemoryTree.of(folder / "expected").files
    assert apply(before, from_canonical(patch.canonical)) == applied
