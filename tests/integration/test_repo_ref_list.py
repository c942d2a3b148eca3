"""Refs that begin alike are found as git finds them, packed or not, and without looking at the others."""

from __future__ import annotations

import os
import random

import pytest
from repo_play import git

from ghostd.pipeline import phase
from ghostd.repo import history, ref_list
from ghostd.repo.git import open_repository

PREFIXES = ("phase/", "phase/a", "phase", "p", "", "zz", "0", "zzz/", "phase/a.2", "phase-x/")


@pytest.fixture
def opened(repo):
    with open_repository(repo) as found:
        yield found


def _names(seed):
    """Names around `phase/`, some of them nested, none the folder of another."""
    chance = random.Random(seed)
    tops = ("phase", "phas", "phase.2", "phasf", "p", "Q", "zz", "phase-x", "phase0")
    names = set()
    for _ in range(80):
        below = (chance.choice(("a", "a.2", "a0", "b", "A")) + str(chance.randrange(4)) for _ in range(2))
        names.add("/".join([chance.choice(tops), *list(below)[: chance.randint(0, 2)]]))
    return chance, [name for name in sorted(names) if not any(other.startswith(name + "/") for other in names)]


def _listed(repo, prefix):
    every = git(repo, "for-each-ref", "--format=%(refname)").splitlines()
    return [name for name in every if name.startswith(f"refs/tags/{prefix}")]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("header", ["as git writes it", "without"])
def test_names_are_found_as_git_finds_them(repo, opened, seed, header):
    chance, names = _names(seed)
    made = chance.sample(names, len(names))
    git(repo, "tag", "-a", "-m", "so that a line without a name is among them", "phase/annotated")
    for part in (made[:40], made[40:]):
        git(repo, "pack-refs", "--all")
        git(repo, "update-ref", "--stdin", stdin="".join(f"create refs/tags/{name} HEAD\n" for name in part).encode())
    packed = repo / ".git" / "packed-refs"
    if header == "without":
        head, *lines = packed.read_bytes().splitlines(keepends=True)
        assert b" sorted" in head
        packed.write_bytes(b"".join(lines))
    for prefix in (*PREFIXES, *names):
        assert ref_list.beginning(opened, f"refs/tags/{prefix}") == _listed(repo, prefix), prefix


@pytest.mark.parametrize("packed", [None, b"", b"# pack-refs with: peeled fully-peeled sorted \n", b"\n\n", b"garbage"])
def test_nothing_packed_is_nothing(repo, opened, packed):
    file = repo / ".git" / "packed-refs"
    if packed is not None:
        file.write_bytes(packed)
    assert ref_list.beginning(opened, "refs/tags/phase/") == []


def test_what_is_no_ref_is_passed_over(repo, opened):
    folder = repo / ".git" / "refs" / "tags" / "phase"
    folder.mkdir()
    head = git(repo, "rev-parse", "HEAD")
    for name in (b"P.lock", b"\xff", b"P"):
        (folder / os.fsdecode(name)).write_text(head)
    assert ref_list.beginning(opened, "refs/tags/phase/") == ["refs/tags/phase/P"]


def test_other_tags_are_not_looked_at(repo, opened):
    """A tag that is broken, among ten thousand of patches, is nothing to one who asks for a phase."""
    head = git(repo, "rev-parse", "HEAD")
    history.tag(opened, "phase/P", head, 'phase: "P"', 1)
    history.tag(opened, "phase/P0", head, 'phase: "P0"', 1)
    (repo / ".git" / "refs" / "tags" / "fix-1").write_text("no id\n")
    (repo / ".git" / "refs" / "tags" / "phase" / "Q").write_text("no id\n")
    assert phase.frozen_by(opened, "P") == "phase/P"
