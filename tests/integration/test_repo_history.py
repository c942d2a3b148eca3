"""What a branch has been through: scans, logs, reverts in memory, tags and our own refs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from repo_play import WORK, clean, git, land, put, seal_in, sound

from ghostd.base.errors import Cannot
from ghostd.repo import commit, history
from ghostd.repo.git import open_repository
from ghostd.repo.objects import tree_of


@pytest.fixture
def opened(repo):
    with open_repository(repo) as opened:
        yield opened


def _ids(scan):
    return [landed.id for landed in scan.landed]


def _by_hand(repo, subject="by hand"):
    """A person's commit on the working branch, without a work tree."""
    tip = git(repo, "rev-parse", WORK)
    new = git(repo, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", subject)
    git(repo, "update-ref", f"refs/heads/{WORK}", new)
    return new


# --- scans --------------------------------------------------------------------------------------------------------


def test_a_scan_tells_what_landed_oldest_first_and_passes_people_over(repo, opened):
    assert history.landed_since(opened, WORK, None) == history.Scan(landed=(), tip=None, rewound=False)
    land(opened, "one", {b"x": b"1"}, phase="P1")
    _by_hand(repo)
    land(opened, "two", {b"x": b"2"}, reverts=("one",))
    scan = history.landed_since(opened, WORK, None)
    assert _ids(scan) == ["one", "two"]
    assert scan.tip == git(repo, "rev-parse", WORK) == scan.landed[1].commit
    assert (scan.landed[0].phase, scan.landed[0].lane, scan.landed[1].reverts) == ("P1", "MAIN", ("one",))
    assert not scan.rewound


def test_a_scan_goes_on_from_what_is_known(repo, opened):
    land(opened, "one", {b"x": b"1"})
    known = history.landed_since(opened, WORK, None).tip
    assert history.landed_since(opened, WORK, known).landed == ()
    land(opened, "two", {b"x": b"2"})
    _by_hand(repo)
    land(opened, "three", {b"x": b"3"})
    assert _ids(history.landed_since(opened, WORK, known)) == ["two", "three"]


@pytest.mark.parametrize("known_is", ["ahead", "aside", "gone", "branch deleted"])
def test_a_rewound_branch_is_told_and_read_anew(repo, opened, known_is):
    first = land(opened, "one", {b"x": b"1"})
    known = land(opened, "two", {b"x": b"2"})
    git(repo, "update-ref", f"refs/heads/{WORK}", first)
    match known_is:
        case "aside":
            land(opened, "three", {b"x": b"3"})
        case "gone":
            git(repo, "reflog", "expire", "--expire=now", "--all")
            git(repo, "prune", "--expire=now")
        case "branch deleted":
            git(repo, "update-ref", "-d", f"refs/heads/{WORK}")
    scan = history.landed_since(opened, WORK, known)
    assert scan.rewound
    assert _ids(scan) == {"aside": ["one", "three"], "branch deleted": []}.get(known_is, ["one"])


def test_patches_that_a_merge_brought_are_in_the_history(repo, opened):
    """The contract asks whether an id is in the tip's history, by whatever parent."""
    known = land(opened, "one", {b"x": b"1"})
    seal_in(opened, "aside", {b"y": b"1"}, branch="ghost/other")
    git(repo, "update-ref", "refs/heads/ghost/mixed", known)
    tree = git(repo, "rev-parse", f"{WORK}^{{tree}}")
    merge = git(repo, "commit-tree", tree, "-p", "ghost/other", "-p", known, "-m", "the other way round")
    git(repo, "update-ref", f"refs/heads/{WORK}", merge)
    land(opened, "two", {b"x": b"2"})
    scan = history.landed_since(opened, WORK, known)
    assert (_ids(scan), scan.rewound) == (["aside", "two"], False)
    assert sorted(_ids(history.landed_since(opened, WORK, None))) == ["aside", "one", "two"]


def test_a_commit_whose_trailers_contradict_themselves_is_named(repo, opened):
    land(opened, "one", {b"x": b"1"})
    forged = _by_hand(repo, "forged\n\nGhost-Patch-Id: a\nGhost-Patch-Id: b")
    scan = history.landed_since(opened, WORK, None)
    assert (_ids(scan), scan.corrupt) == (["one"], (forged,))


def test_a_long_history_behind_what_is_known_costs_nothing(repo, opened):
    stream = "".join(f"commit refs/heads/{WORK}\ncommitter a <a@b> {n} +0000\ndata 2\nx\n" for n in range(1, 5001))
    git(repo, "fast-import", "--quiet", stdin=stream.encode())
    known = git(repo, "rev-parse", WORK)
    land(opened, "one", {b"x": b"1"})
    read = []
    with pytest.MonkeyPatch.context() as patch:
        original = history.commit_of
        patch.setattr(history, "commit_of", lambda repo, oid: read.append(oid) or original(repo, oid))
        assert _ids(history.landed_since(opened, WORK, known)) == ["one"]
    assert len(read) == 1


# --- commits ------------------------------------------------------------------------------------------------------


def test_a_commit_is_read_as_git_shows_it(repo, opened):
    new = land(opened, "one", {b"x": b"1"})
    found = history.commit_of(opened, new)
    shown = git(repo, "log", "-1", "--format=%H%n%T%n%P%n%an <%ae>%n%ct", new).splitlines()
    assert [found.oid, found.tree, *found.parents, found.author, str(found.when)] == shown
    assert history.commit_of(opened, f"refs/heads/{WORK}") == found
    assert history.parents(opened, new) == found.parents == (git(repo, "rev-parse", "main"),)


@pytest.mark.parametrize("revision", ["0" * 40, "refs/heads/nowhere", "nonsense", "--all", "", "main^{/x}"])
def test_an_unknown_commit_is_told(opened, revision):
    with pytest.raises(Cannot) as refusal:
        history.commit_of(opened, revision)
    assert refusal.value.kind == "unknown-commit"


def test_ancestors_are_known(repo, opened):
    first = git(repo, "rev-parse", "main")
    new = land(opened, "one", {b"x": b"1"})
    assert history.is_ancestor(opened, first, new)
    assert history.is_ancestor(opened, new, new)
    assert not history.is_ancestor(opened, new, first)
    assert not history.is_ancestor(opened, "1" * 40, new)


def test_the_log_is_for_people(repo, opened):
    assert history.log(opened, WORK, 10) == []
    land(opened, "one", {b"x": b"1"})
    _by_hand(repo, "žluťoučký kůň")
    land(opened, "two", {b"x": b"2"})
    entries = history.log(opened, WORK, 3)
    assert [entry.landed and entry.landed.id for entry in entries] == ["two", None, "one"]
    assert [entry.subject for entry in entries] == ["[PATCH two] a change", "žluťoučký kůň", "[PATCH one] a change"]
    assert entries[0].commit == git(repo, "rev-parse", WORK)
    assert (entries[0].author, entries[0].when) == ("gpt", 1_753_770_600)


def test_only_the_log_pays_for_gitpython():
    code = "import sys, ghostd.repo.history, ghostd.repo.worktree; sys.exit('git' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- reverts ------------------------------------------------------------------------------------------------------

LINES = b"".join(b"line %d\n" % number for number in range(30))


@pytest.mark.parametrize(
    "then",
    [
        {},
        {b"f": LINES.replace(b"line 25", b"later")},
        {b"g": b"elsewhere\n"},
        {b"moved": LINES.replace(b"line 2\n", b"patched\n"), b"f": None},
        {b"f": LINES},
    ],
    ids=["at once", "same file later", "other file", "renamed since", "taken back by hand"],
)
def test_a_revert_is_the_one_that_git_makes(repo, opened, then):
    land(opened, "base", {b"f": LINES})
    taken = land(opened, "one", {b"f": LINES.replace(b"line 2\n", b"patched\n"), b"added": b"x\n"})
    head = land(opened, "two", then) if then else taken
    result = history.revert(opened, head, [taken])
    git(repo, "checkout", "-q", WORK)
    git(repo, "revert", "--no-edit", taken)
    assert result == history.Reverted(tree=git(repo, "rev-parse", "HEAD^{tree}"))


def test_a_revert_that_conflicts_names_the_paths_and_writes_nothing(repo, opened):
    land(opened, "base", {b"f": LINES, b"\xff": LINES})
    taken = land(opened, "one", {b"f": b"1\n", b"\xff": b"1\n", b"fine": b"x"})
    head = land(opened, "two", {b"f": b"2\n", b"\xff": b"2\n"})
    before = git(repo, "for-each-ref"), git(repo, "count-objects")
    found = history.revert(opened, head, [taken])
    assert (found.tree, found.conflicts) == (None, (b"f", b"\xff"))
    assert (git(repo, "for-each-ref"), git(repo, "count-objects")) == before


def test_several_are_taken_back_newest_first(repo, opened):
    before = land(opened, "base", {b"f": LINES})
    commits = [land(opened, f"p{n}", {b"f": LINES + b"x" * n}) for n in (1, 2, 3)]
    result = history.revert(opened, commits[-1], commits[::-1])
    assert result.tree == tree_of(opened, before).oid
    assert history.revert(opened, commits[-1], commits).tree is None, "oldest first they are in each other's way"


def test_a_root_commit_can_be_taken_back(tmp_path):
    git(tmp_path, "init", "-q", "empty")
    with open_repository(tmp_path / "empty") as opened:
        root = land(opened, "one", {b"x": b"1"})
        head = land(opened, "two", {b"y": b"1"})
        kept = tree_of(opened, history.revert(opened, head, [root]).tree)
        assert (kept.entry(b"x"), kept.read(b"y")) == (None, b"1")


def test_reverting_a_rollback_brings_the_patch_back(repo, opened):
    one = land(opened, "one", {b"x": b"1\n"})
    back = put(opened, "rollback-1", history.revert(opened, one, [one]).tree, reverts=("one",))
    again = put(opened, "rollback-2", history.revert(opened, back, [back]).tree, reapplies=("one",))
    assert tree_of(opened, again).oid == tree_of(opened, one).oid
    assert history.landed_since(opened, WORK, None).landed[-1].reapplies == ("one",)
    assert sound(repo)


# --- tags and refs ------------------------------------------------------------------------------------------------


def test_a_tag_is_annotated_deterministic_and_made_once(repo, opened):
    new = land(opened, "one", {b"x": b"1"})
    oid, created = history.tag(opened, "phase/P8.13", new, "phase: P8.13\npatches: [one]", 1_753_770_600)
    assert created
    assert git(repo, "cat-file", "-t", "phase/P8.13") == "tag"
    assert git(repo, "rev-parse", "phase/P8.13^{commit}") == new
    assert history.tag(opened, "phase/P8.13", git(repo, "rev-parse", "main"), "other", 1) == (oid, False)
    found = history.read_tag(opened, "phase/P8.13")
    assert (found.commit, found.when, found.message) == (new, 1_753_770_600, "phase: P8.13\npatches: [one]\n")
    git(repo, "tag", "-d", "phase/P8.13")
    assert history.tag(opened, "phase/P8.13", new, "phase: P8.13\npatches: [one]", 1_753_770_600) == (oid, True)
    assert sound(repo)


def test_tags_are_listed_by_pattern_and_plain_ones_left_out(repo, opened):
    head = git(repo, "rev-parse", "main")
    for name in ("phase/B", "phase/A", "phase/A.2", "phase/LANE/A", "other"):
        history.tag(opened, name, head, "m", 1)
    git(repo, "tag", "phase/plain")
    git(repo, "tag", "-a", "-m", "of a tree", "phase/tree", "HEAD^{tree}")
    git(repo, "pack-refs", "--all")
    assert [tag.name for tag in history.tags(opened, "phase/*")] == ["phase/A", "phase/A.2", "phase/B", "phase/LANE/A"]
    assert [tag.name for tag in history.tags(opened, "phase/A*")] == ["phase/A", "phase/A.2"]
    assert history.read_tag(opened, "phase/plain") is None
    assert history.read_tag(opened, "nowhere") is None


@pytest.mark.parametrize("name", ["", "-d", "a..b", "a b", "a\nb", "a~", "a.lock"])
def test_a_tag_that_git_would_not_take_is_refused(repo, opened, name):
    with pytest.raises(Cannot) as refusal:
        history.tag(opened, name, git(repo, "rev-parse", "main"), "m", 1)
    assert refusal.value.kind == "bad-tag"


def test_our_refs_move_by_compare_and_swap(repo, opened):
    first, second = git(repo, "rev-parse", "main"), land(opened, "one", {b"x": b"1"})
    name = "refs/ghost/thawed/P8"
    assert history.read_ref(opened, name) is None
    assert history.set_ref(opened, name, first, None)
    assert not history.set_ref(opened, name, second, None)
    assert history.set_ref(opened, name, second, first)
    assert history.list_refs(opened, "refs/ghost/thawed/") == {name: second}
    git(repo, "pack-refs", "--all")
    assert not history.delete_ref(opened, name, first)
    assert history.delete_ref(opened, name, second)
    assert history.read_ref(opened, name) is None


def test_what_is_not_ours_is_not_touched(opened):
    for ask in (history.read_ref, history.list_refs):
        with pytest.raises(ValueError, match="not a ref of ours"):
            ask(opened, "refs/heads/main")
    with pytest.raises(ValueError, match="not a ref of ours"):
        history.delete_ref(opened, "refs/heads/main", commit.tip(opened, "main"))


def test_work_trees_are_not_part_of_any_of_it(repo, opened):
    """History is read and tagged beside whatever a person has open."""
    new = land(opened, "one", {b"x": b"1"})
    history.tag(opened, "phase/P", new, "m", 1)
    history.revert(opened, new, [new])
    assert clean(repo)
