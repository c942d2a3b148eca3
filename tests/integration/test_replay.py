"""A history with every edge that real ones have, turned into patches and applied again: every tree is upstream's."""

from __future__ import annotations

import importlib.util
import os
import random
import subprocess
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
ODD = b"caf\xe9/na\xefve \xff.txt"
SUB = "1234567890123456789012345678901234567890"


def _load():
    spec = importlib.util.spec_from_file_location("replay", HOUSE / "bench" / "replay.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["replay"] = module
    spec.loader.exec_module(module)
    return module


replay = _load()

Tree = dict[bytes, tuple[str, bytes]]
#: How each commit changes the files: name, and what it does to the mapping of path to (mode, bytes).
FILE, RUNS, LINK, MODULE = "100644", "100755", "120000", "160000"


def _history() -> list[tuple[str, Tree]]:  # noqa: PLR0915 - a history is told in its order
    random.seed(7)
    noise = random.randbytes(5000)
    many = b"".join(b"line %d\n" % n for n in range(400))
    states: list[tuple[str, Tree]] = []
    tree: Tree = {}

    def commit(name: str) -> None:
        states.append((name, dict(tree)))

    def put(path: bytes, data: bytes, mode: str = FILE) -> None:
        tree[path] = (mode, data)

    commit("an empty first commit")
    put(b"a.txt", b"one\ntwo\nthree\n")
    put(b"b.txt", b"four\nfive\nsix\n")
    put(b"empty", b"")
    put(b"long.txt", many)
    commit("files, one of them empty")
    put(b"run.sh", b"#!/bin/sh\n", RUNS)
    put(b"link", b"a.txt", LINK)
    commit("an executable and a symlink")
    put(b"run.sh", b"#!/bin/sh\n")
    put(b"a.txt", tree[b"a.txt"][1], RUNS)
    commit("modes only")
    put(b"a.txt", b"one\ntwo\nthree", RUNS)
    commit("the last line end goes")
    put(b"a.txt", b"one\r\ntwo\r\nthree\r\n", RUNS)
    put(b"bom", b"\xef\xbb\xbfone\n")
    put(b"controls", b"\x1b[31mred\x7f\xc2\x85 \xe2\x80\xa8 \x0c\n")
    put(b"latin", b"caf\xe9\nna\xefve\n")
    commit("CRLF, a BOM, control characters, bytes that are no UTF-8")
    put(b"image.bin", b"\0\1\2" + noise)
    commit("a binary file")
    put(b"image.bin", b"\0\1\2" + noise[:2500] + b"changed" + noise[2500:])
    put(b"long.txt", many.replace(b"line 7\n", b"LINE 7\n").replace(b"line 390\n", b""))
    commit("a binary change, and two hunks far apart")
    tree[b"moved/long.txt"] = (FILE, tree.pop(b"long.txt")[1] + b"and more\n")
    commit("a rename with an edit")
    tree[b"a.txt"], tree[b"b.txt"] = tree[b"b.txt"], tree[b"a.txt"]
    commit("two files trade places")
    put(b"copy.txt", tree[b"moved/long.txt"][1])
    commit("a copy")
    put(ODD, b"a name that is no UTF-8\n")
    put(b'quo"ted and blank.txt', b"odd\n")
    commit("odd names")
    tree[b"renamed " + ODD] = tree.pop(ODD)
    commit("an odd name moves")
    del tree[b"b.txt"]
    put(b"b.txt/inside", b"now a folder\n")
    commit("a file becomes a folder")
    del tree[b"b.txt/inside"]
    put(b"b.txt", b"a file again\n")
    del tree[b"moved/long.txt"]
    put(b"moved", b"and this one too\n")
    commit("folders become files")
    put(b"link", b"no link any more\n")
    put(b"empty", b"image.bin", LINK)
    commit("types change")
    commit("nothing changes")
    put(b"vendor/sub", SUB.encode(), MODULE)
    commit("a submodule comes")
    put(b"vendor/sub", SUB[::-1].encode(), MODULE)
    commit("a submodule moves")
    put(b"vendor/sub", b"a file where it was\n")
    commit("a submodule becomes a file")
    put(b"deep/" * 40 + b"end.txt", b"deep\n")
    put(b"x-y", b"sorted between x and x/z\n")
    put(b"x/z", b"z\n")
    commit("deep folders, and names that sort oddly")
    del tree[b"x/z"]
    put(b"x", b"a file\n")
    for path in [path for path in tree if path.startswith(b"deep/")]:
        del tree[path]
    commit("they go again")
    tree.clear()
    commit("everything goes")
    return states


def _imported(where: Path) -> Path:
    """The history as a real repository, through `git fast-import`."""
    subprocess.run(["git", "init", "-q", "--bare", str(where)], check=True)
    stream, mark = [], 0
    for number, (name, tree) in enumerate(_history()):
        files = []
        for path, (mode, data) in sorted(tree.items()):
            quoted = b'"' + path.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
            if mode == MODULE:
                files.append(b"M 160000 %s %s\n" % (data, quoted))
                continue
            mark += 1
            stream.append(b"blob\nmark :%d\ndata %d\n%s\n" % (mark, len(data), data))
            files.append(b"M %s :%d %s\n" % (mode.encode(), mark, quoted))
        message = name.encode()
        who = b"A <a@b> %d +0000" % (1_700_000_000 + number)
        stream.append(b"commit refs/heads/main\ncommitter %s\ndata %d\n%s\ndeleteall\n" % (who, len(message), message))
        stream += files
    env = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", "fast-import", "--quiet"], cwd=where, env=env, input=b"".join(stream), check=True)
    return where


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    return _imported(tmp_path_factory.mktemp("history") / "clone.git")


@pytest.mark.parametrize("forms", [("diff",), ("files",), ("files", "diff")])
def test_every_tree_of_a_history_comes_out_as_it_was(clone, forms):
    """Every kind of change that Git knows, by diffs, by whole files, and by both in turn."""
    report = replay.replay(clone, revision="main", forms=forms)
    assert report.refused == []
    assert (report.commits, report.equal) == (len(_history()), len(_history()))


def test_a_wrong_tree_is_seen(clone, monkeypatch):
    """The comparison is real: a form that loses the executable bit does not pass."""

    def careless(*arguments):
        return [{**m, "mode": "0644"} if "mode" in m else m for m in replay.as_files(*arguments)]

    monkeypatch.setitem(replay.FORMS, "files", careless)
    report = replay.replay(clone, revision="main", forms=("files",))
    assert report.refused
    assert report.commits < len(_history())
