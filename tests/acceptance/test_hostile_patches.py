"""Patches that want out: each is refused whole, and nothing outside of the tree, Git's own folder included, is touched.

They go in by the real door, with the working branch checked out, so that a path that got through would reach the disk.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from acceptance_tools import git, patch_text

from ghostd.base.errors import Cannot
from ghostd.cli.ghost import ghost

#: Spellings of places that are not the patch's business.
OUTSIDE = (
    "../canary", "a/../../canary", "/canary", "{outside}/canary", ".git/config", ".GIT/hooks/post-commit",
    ".git/hooks/x", ".git./config", ".git /config", "git~1/config", "sub/.git/config", "sub/.git",
    ".g\u200cit/config", ".gitmodules",
    ".git::$INDEX_ALLOCATION/config", "x\\..\\..\\canary", "./canary", "dir//canary", "", "a\0b", "a\nb", "CON", "a:b",
    "leads-out/canary", "to-git/config", "README.md/below", ".ghost\u200b/x",
)  # fmt: skip


def _diff(path: str) -> str:
    return f"diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+evil\n"


#: Every way to name a file.
WAYS = {
    "write": lambda path: [{"op": "write", "path": path, "contents": "evil\n"}],
    "bytes": lambda path: [{"op": "write", "path_b64": base64.b64encode(path.encode()).decode(), "contents": "evil\n"}],
    "rename": lambda path: [{"op": "rename", "path": "app.py", "to": path}],
    "symlink": lambda path: [{"op": "symlink", "path": path, "target": "README.md"}],
    "diff": lambda path: [{"op": "diff", "diff": _diff(path)}],
    "apply_patch": lambda path: [
        {"op": "apply_patch", "patch": f"*** Begin Patch\n*** Add File: {path}\n+evil\n*** End Patch\n"}
    ],
    "move": lambda path: [
        {
            "op": "apply_patch",
            "patch": f"*** Begin Patch\n*** Update File: README.md\n*** Move to: {path}\n@@\n-# A repository\n+# Evil\n"
            "*** End Patch\n",
        }
    ],
    "blocks": lambda path: [
        {"op": "blocks", "text": f"{path}\n<<<<<<< SEARCH\n=======\nevil\n>>>>>>> REPLACE\n"}
    ],
}  # fmt: skip

#: Patches of several steps, and texts that attack their reader.
TRICKS = {
    "a symlink, then a write through it": [
        {"op": "symlink", "path": "door", "target": ".git"},
        {"op": "write", "path": "door/config", "contents": "evil\n"},
    ],
    "a symlink out of the repository": [{"op": "symlink", "path": "door", "target": "../../canary"}],
    "an absolute symlink": [{"op": "symlink", "path": "door", "target": "/etc/passwd"}],
    "a symlink into Git's folder": [{"op": "symlink", "path": "door", "target": ".git/config"}],
    "a folder becomes a symlink under a later write": [
        {"op": "delete", "path": "docs/notes.txt"},
        {"op": "symlink", "path": "docs", "target": "../.."},
        {"op": "write", "path": "docs/canary", "contents": "evil\n"},
    ],
    "a rename that carries a link out": [
        {"op": "symlink", "path": "a/b/c/door", "target": "../../../README.md"},
        {"op": "rename", "path": "a/b/c/door", "to": "door"},
    ],
    "an embedded repository": [
        {"op": "write", "path": "sub/HEAD", "contents": "ref: refs/heads/main\n"},
        {"op": "write", "path": "sub/.git/config", "contents": "[core]\n\tfsmonitor = touch canary\n"},
    ],
    "a submodule by a diff": [
        {
            "op": "diff",
            "diff": "diff --git a/sub b/sub\nnew file mode 160000\n--- /dev/null\n+++ b/sub\n@@ -0,0 +1 @@\n"
            f"+Subproject commit {'a' * 40}\n",
        }
    ],
    "a mode that Git does not know": [{"op": "mode", "path": "app.py", "mode": "4755"}],
    "a command": [{"op": "shell", "run": "touch {outside}/canary"}],
    "an expression without an end": [
        {"op": "write", "path": "a", "contents": "a" * 60},
        {"op": "regex", "path": "a", "pattern": "(a|aa)+$x", "replacement": ""},
    ],
    "a bomb of replacements": [
        {"op": "write", "path": "a", "contents": "a" * 500_000},
        {"op": "regex", "path": "a", "pattern": "a", "replacement": "b" * 5000},
    ],
}


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Path]:
    """A repository with traps that a person could have committed: symlinks that lead out."""
    where = tmp_path / "outside" / "repo"
    where.mkdir(parents=True)
    git(where, "init", "-q", "-b", "ghost/work")
    (where / "README.md").write_text("# A repository\n")
    (where / "app.py").write_text("print()\n")
    (where / "docs").mkdir()
    (where / "docs/notes.txt").write_text("one\n")
    (where / "leads-out").symlink_to("..")
    (where / "to-git").symlink_to(".git")
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", "first")
    before = Path.cwd()
    os.chdir(where)
    yield where
    os.chdir(before)


def _apply(text: str) -> dict:
    file = Path.cwd().parent.parent / "patch.json"
    file.write_text(text)
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        try:
            ghost.main(["apply", "--json", str(file)], standalone_mode=False)
        except Cannot as error:
            return {"status": "rejected", "error": error.as_json()}
    (result,) = json.loads(out.getvalue())["patches"]
    return result


def _canaries(where: Path) -> dict[str, str]:
    """What no patch may change: all around the repository, its files, and Git's folder but for objects."""
    kept = {}
    for above, folders, names in os.walk(where.parent):
        inside = Path(above)
        folders[:] = [each for each in folders if each not in ("objects", ".ghost")]
        for name in [*names, *(each for each in folders if (inside / each).is_symlink())]:
            path = inside / name
            data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            kept[str(path.relative_to(where.parent))] = hashlib.sha256(data).hexdigest()
    kept.pop("repo/.git/info/exclude", None)
    return kept


def _refused_whole(where: Path, mutations: list[dict], name: str) -> dict:
    text = patch_text("evil", {"op": "write", "path": "innocent", "contents": "x\n"}, *mutations)
    before, tip = _canaries(where), git(where, "rev-parse", "HEAD")
    result = _apply(text.replace("{outside}", str(where.parent)))
    assert result["status"] == "rejected", (name, result)
    assert git(where, "rev-parse", "HEAD") == tip
    assert _canaries(where) == before | {
        path: digest for path, digest in _canaries(where).items() if path.startswith("repo/.git/refs/ghost/")
    }
    return result


@pytest.mark.parametrize("way", WAYS)
def test_a_path_that_is_not_the_patchs_business_is_refused(hostile, way):
    """Whatever way names it, all of the patch is refused, with one line that can be printed."""
    for number, path in enumerate(OUTSIDE):
        if way in ("diff", "apply_patch", "move", "blocks") and ("\n" in path or "\0" in path or not path):
            continue  # such a line can not say that name
        mutations = WAYS[way](path)
        text = json.dumps(mutations).replace("{outside}", str(hostile.parent))
        result = _refused_whole(hostile, json.loads(text), f"{way} {number} {path!r}")
        assert result["error"]["message"].isprintable()


@pytest.mark.parametrize("trick", TRICKS)
def test_a_trick_is_refused_whole(hostile, trick):
    _refused_whole(hostile, TRICKS[trick], trick)


@pytest.mark.parametrize(
    "text",
    [
        '{"id": "bomb", "content": {"mutations": [' + "[" * 5000 + "]" * 5000 + "]}}",
        'a: &a ["x","x"]\nb: &b [*a,*a]\nid: bomb\ncontent: {mutations: [*b]}\n',
        '{"id": "bomb", "id": "b2", "content": {"mutations": []}}',
        '{"id": "bomb", "content": {"mutations": [{"op": "insert", "path": "a", "contents": "", "line": 1e400}]}}',
        '{"id": "../../canary", "content": {"mutations": [{"op": "write", "path": "a", "contents": ""}]}}',
        '{"id": "-rf", "content": {"mutations": [{"op": "write", "path": "a", "contents": ""}]}}',
        '{"id": "x.lock", "content": {"mutations": [{"op": "write", "path": "a", "contents": ""}]}}',
        '{"id": "a\\u0000b", "content": {"mutations": [{"op": "write", "path": "a", "contents": ""}]}}',
        '{"id": "x", "metadata": {"phase": "../../heads/main"}, "content": {"mutations": []}}',
    ],
    ids=[
        "depth",
        "aliases",
        "duplicate key",
        "number",
        "id leads out",
        "id is an option",
        "id is a lock",
        "NUL",
        "phase",
    ],
)
def test_a_text_that_attacks_its_reader_is_refused(hostile, text):
    before = _canaries(hostile)
    assert _apply(text)["status"] == "rejected"
    assert _canaries(hostile) == before


def test_a_strangers_words_forge_nothing(hostile):
    """A description can neither colour a terminal nor forge a trailer, and the commit bears one id, its own."""
    forged = "nice\x1b[31m\n\nGhost-Patch-Id: other\nGhost-Proof: " + "0" * 64 + "\n---\ndiff --git a/x b/x"
    text = json.loads(patch_text("honest", {"op": "write", "path": "a", "contents": "x\n"}))
    text["metadata"] |= {"description": forged, "author": "Mallory <root@localhost>\ncommitter evil"}
    assert _apply(json.dumps(text))["status"] == "applied"
    message = git(hostile, "log", "-1", "--format=%B%an%ae%cn")
    assert "\x1b" not in message
    ids = git(hostile, "log", "-1", "--format=%(trailers:key=Ghost-Patch-Id,valueonly)")
    assert ids.split() == ["honest"]
    assert git(hostile, "log", "-1", "--format=%cn") == "ghost"
    assert git(hostile, "fsck", "--strict", "--no-dangling") == ""
