"""Rollbacks over random real histories: who is in the way of one is never missed, and an id's state is always told."""

from __future__ import annotations

from collections import Counter

import pytest
from branch_kit import Play
from repo_play import WORK, change, git

from ghostd.base.errors import Cannot
from ghostd.pipeline import blame, graph, rollback
from ghostd.repo import commit, history
from ghostd.repo.git import open_repository
from ghostd.repo.objects import changed_paths, tree_of, write_tree

#: Eight histories of 50 patches are 400 trials.
SEEDS = range(8)
PATCHES = 50
STEPS = 30


@pytest.fixture
def play(repo, tmp_path):
    with open_repository(repo) as opened:
        yield lambda seed: Play(opened, tmp_path / f"ledger-{seed}.db", seed)


def judged(here, told):
    """Every standing id: does its revert conflict in memory, which is the truth, and does the graph name somebody."""
    branch, head = here.branch(), commit.tip(here.repo, WORK)
    for id in sorted(branch.standing):
        found = branch.made[id]
        conflicts = history.revert(here.repo, head, [found.commit]).conflicts
        named = bool(graph.dependents(branch, [found]))
        assert named or not conflicts or _theirs(branch, found, head, conflicts), (id, conflicts)
        told[bool(conflicts), named] += 1


def _theirs(branch, found, head, conflicts):
    """People's commits that touched a path in conflict, or one above or below it."""
    named = blame.by_hand(branch, found.commit, head, conflicts)
    paths = {path for oid in named for path in changed_paths(branch.repo, oid)}
    return any(_holds(path, at) or _holds(at, path) for path in paths for at in conflicts)


def _holds(folder, path):
    return path == folder or path.startswith(folder + b"/")


@pytest.mark.parametrize("seed", SEEDS)
def test_every_revert_that_conflicts_has_a_dependent(play, seed):
    here, told = play(seed), Counter()
    for _ in range(PATCHES):
        here.patch()
    judged(here, told)
    assert told[False, False], "a graph that names somebody for everything is of no use"


@pytest.mark.slow
def test_nobody_is_missed_in_nine_hundred_trials(play, record_property):
    """Patches alone, as what is known of the method was measured."""
    told = Counter()
    for seed in range(100, 118):
        here = play(seed)
        for _ in range(PATCHES):
            here.patch()
        judged(here, told)
        git(here.repo.identity, "update-ref", "-d", f"refs/heads/{WORK}")
    assert told.total() == 900
    assert told[True, False] == 0
    record_property("true alarms, false ones, rightly quiet", [told[True, True], told[False, True], told[False, False]])
    assert told[False, True] < told[False, False]


@pytest.mark.parametrize("seed", SEEDS)
def test_people_who_commit_in_between_do_not_make_it_blind(play, seed):
    """Only what a person did to the very same files may be a reason that nobody of ours has."""
    here = play(seed)
    for n in range(PATCHES):
        here.patch()
        if n % 3 == 0:
            here.by_hand()
    judged(here, Counter())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_walk_of_rollbacks_and_restores_tells_each_ids_state(play, seed):
    here = play(seed)
    frozen = {}
    for n in range(STEPS):
        here.patch()
        step = here.random.choice(["patch", "rollback", "rollback", "freeze", "restore"])
        if step == "rollback":
            _take_back_and_check(here)
        elif step == "freeze":
            frozen[f"P{n}"] = here.freeze(f"P{n}"), here.branch().standing
        elif step == "restore" and frozen:
            _restore_and_check(here, here.random.choice(list(frozen)), frozen)
        branch = here.branch()
        by_ledger = {id for id in branch.made if here.ledger.taken_back(*branch.at, id) is None}
        assert branch.standing == by_ledger
        if n % 5 == 0:
            judged(here, Counter())


def _take_back_and_check(here):
    branch = here.branch()
    ids = here.random.sample(sorted(branch.standing), min(len(branch.standing), here.random.choice([1, 1, 2, 3])))
    before = commit.tip(here.repo, WORK)
    alone = rollback.attempt(branch, ids, with_dependents=False)
    assert alone.status == "would-revert" or alone.dependents, "somebody of ours is in the way"
    trial = here.take_back(ids)
    after = here.branch()
    assert trial.status == "would-revert", "only ours are on the branch: with all dependents it has to work"
    assert after.standing.isdisjoint(ids)
    assert set(trial.dependents) <= set(trial.reverted)
    assert not trial.by_hand
    if here.random.random() < 0.5:
        here.take_back([after.landed[-1].id])
        assert here.tree().oid == tree_of(here.repo, before).oid
        assert here.branch().standing - after.standing >= set(ids)
        assert {i for i in here.branch().standing if i in branch.made} == branch.standing


def _restore_and_check(here, phase, frozen):
    tagged, stood = frozen[phase]
    plan = here.restore(phase)
    assert here.tree().oid == tree_of(here.repo, tagged).oid
    if plan.needed:
        newest = here.branch().landed[-1]
        assert here.branch().standing == stood | {newest.id}
        assert newest.restores == f"phase/{phase}"
        assert history.parents(here.repo, newest.commit) == (plan.head,)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_walk_among_people_always_names_who_is_in_the_way(play, seed):
    here, blocked = play(seed), 0
    for n in range(STEPS):
        here.patch()
        if n % 3 == 0:
            here.by_hand()
        id = here.random.choice(sorted(here.branch().standing))
        trial = here.take_back([id])
        blocked += trial.status == "blocked"
        assert trial.status == "would-revert" or trial.by_hand
        if n % 5 == 0:
            judged(here, Counter())
    assert blocked


# --- what the walks have found, one by one ----------------------------------------------------------------------


def _written(here, id, files):
    """A patch that writes these files, None deletes one; its id."""
    tree = here.tree()
    return here.land(id, write_tree(here.repo, tree, [change(tree, path, data) for path, data in files.items()]))


def test_a_rollback_that_left_a_file_as_it_was_is_in_the_way_of_what_stood_on_it(play):
    """It took back who had made the file and who had deleted it: no line of it changed, and `c` stands on nothing."""
    here = play(0)
    _written(here, "a", {b"f": b"1\n"})
    _written(here, "b", {b"f": b"2\n"})
    here.take_back(["b"])
    undo_b = here.branch().landed[-1].id
    _written(here, "d", {b"f": None})
    here.take_back(["a"])
    undo_a = here.branch().landed[-1]
    assert (set(undo_a.reverts), changed_paths(here.repo, undo_a.commit)) == ({"a", "d"}, frozenset())
    branch = here.branch()
    assert list(graph.dependents(branch, [branch.made[undo_b]])) == [undo_a.id]
    blocked = here.take_back([undo_b], with_dependents=False)
    assert (blocked.status, blocked.dependents) == ("blocked", (undo_a.id,))
    assert here.take_back([undo_b]).reverted == (undo_a.id, undo_b)
    assert here.tree().read(b"f") == b"2\n"
    assert {"a", "b"} <= here.branch().standing


def test_a_file_that_was_moved_and_is_gone_again_is_missed(play):
    """Nothing of it is left on either side; only the merge, which follows renames, has something to say."""
    here = play(0)
    _written(here, "a", {b"f": b"1\n2\n3\n"})
    _written(here, "move", {b"f": None, b"g": b"1\n2\n3\n"})
    here.take_back(["move"])
    here.take_back([here.branch().landed[-1].id])
    moved = here.branch().landed[-1]
    _written(here, "d", {b"g": None})
    here.take_back(["a"])
    branch = here.branch()
    undo = branch.landed[-1]
    assert {"a", "move", "d"} == set(undo.reverts)
    assert _conflicts(here, moved) == (b"f", b"g")
    assert list(graph.dependents(branch, [moved])) == [undo.id]
    assert here.take_back([moved.id]).status == "would-revert"


def _conflicts(here, found):
    return history.revert(here.repo, commit.tip(here.repo, WORK), [found.commit]).conflicts


def test_what_an_undone_rollback_brings_back_goes_again_without_being_asked_for(play):
    """`b` built on `a` and was taken back: taking back both that and `a` takes nothing more from anybody."""
    here = play(0)
    _written(here, "a", {b"f": b"1\n2\n"})
    _written(here, "b", {b"f": b"1\n3\n"})
    here.take_back(["b"])
    undo_b = here.branch().landed[-1].id
    trial = here.take_back(["a", undo_b], with_dependents=False)
    assert (trial.status, set(trial.reverted), trial.reapplied) == ("would-revert", {"a", undo_b}, ())
    assert here.branch().standing.isdisjoint({"a", "b", undo_b})
    assert here.tree().entry(b"f") is None


@pytest.mark.parametrize(("ours", "theirs"), [(b"f/in", b"f"), (b"f", b"f/in")])
def test_a_person_who_made_a_file_of_a_folder_is_named(play, ours, theirs):
    """Or the other way round: it is not the same path, and still in the way."""
    here = play(0)
    _written(here, "a", {ours: b"1\n"})
    _written(here, "b", {ours: None})
    by_hand = _by_hand(here, theirs, b"mine\n")
    _by_hand(here, b"elsewhere", b"1\n")
    trial = here.take_back(["b"])
    assert (trial.status, trial.dependents, trial.by_hand) == ("blocked", (), (by_hand,))
    refusal = rollback.blocked(["b"], trial)
    assert "changed since by hand" in refusal.message
    assert by_hand[:10] in refusal.hint


def _by_hand(here, path, data):
    tree = here.tree()
    return here.commit_by_hand(write_tree(here.repo, tree, [change(tree, path, data)]))


def test_nobody_of_ours_is_named_for_what_a_person_wrote(play):
    """`c` only came upon a file that was in the way already."""
    here = play(0)
    lines = [b"%d\n" % n for n in range(20)]
    _written(here, "a", {b"f": b"".join(lines)})
    _written(here, "b", {b"f": b"".join([b"b\n", *lines[1:]])})
    by_hand = _by_hand(here, b"f", b"".join([b"mine\n", *lines[1:]]))
    _written(here, "c", {b"f": b"".join([b"mine\n", *lines[1:-1]])})
    trial = here.take_back(["b"])
    assert (trial.status, trial.dependents, trial.by_hand) == ("blocked", (), (by_hand,))


@pytest.fixture
def kept_wrong(play):
    """Patches on one file and one on another; what was kept of their lines is nothing."""
    here = play(0)
    for id, path in (("a", b"f"), ("b", b"f"), ("c", b"f"), ("d", b"g")):
        _written(here, id, {path: b"%s\n" % id.encode()})

    def forget(*ids):
        made = here.branch().made
        here.ledger.chart(here.repo.identity, {made[id].commit: [] for id in ids})
        return here

    return forget


def test_where_no_line_is_known_those_of_the_path_are_named(kept_wrong):
    here = kept_wrong("b")
    assert here.take_back(["b"]).reverted == ("c", "b")
    assert here.tree().read(b"f") == b"a\n"
    assert here.tree().read(b"g") == b"d\n"


def test_where_nothing_is_known_all_that_came_after_goes(kept_wrong):
    """One parent's tree after the other comes: this can not fail."""
    here = kept_wrong("a", "b", "c", "d")
    alone = rollback.attempt(here.branch(), ["b"], with_dependents=False)
    assert (alone.status, set(alone.dependents)) == ("blocked", {"c", "d"})
    assert here.take_back(["b"]).reverted == ("d", "c", "b")
    assert here.tree().read(b"f") == b"a\n"


def test_where_nothing_is_known_a_person_is_asked(kept_wrong):
    here = kept_wrong("a", "b", "c", "d")
    by_hand = _by_hand(here, b"h", b"mine\n")
    trial = here.take_back(["b"])
    assert (trial.status, trial.by_hand) == ("blocked", (by_hand,))


# --- what is kept -----------------------------------------------------------------------------------------------


def test_what_was_read_is_not_read_again_and_can_be_thrown_away(play):
    here = play(1)
    for _ in range(10):
        here.patch()
    branch = here.branch()
    first = branch.landed[0]
    where = here.ledger, here.repo, WORK
    assert graph.chart(*where, since=branch.landed[8].commit) == 2
    assert graph.chart(*where, limit=4) == 4
    assert graph.chart(*where) == 4
    told = graph.dependents(branch, [first])
    assert graph.chart(*where) == 0
    here.ledger.forget_chart(here.repo.identity)
    assert graph.dependents(branch, [first]) == told
    assert here.ledger.uncharted(*branch.at, first.commit) == []


def test_a_rewound_branch_is_not_asked_about_commits_that_it_lost(play, repo):
    here = play(1)
    for _ in range(4):
        here.patch()
    branch = here.branch()
    graph.chart(here.ledger, here.repo, WORK)
    git(repo, "update-ref", f"refs/heads/{WORK}", branch.landed[1].commit)
    here.learn()
    left = here.branch()
    assert [found.id for found in left.landed] == ["p1", "p2"]
    assert set(graph.dependents(left, [left.landed[0]])) <= {"p2"}
    with pytest.raises(Cannot) as refusal:
        here.take_back(["p3"])
    assert refusal.value.kind == "unknown-id"


def test_the_state_of_an_id_is_that_of_the_newest_commit_that_touched_it(play):
    """A chain of rollbacks of rollbacks, then a restore over all of it, then the restore taken back."""
    here = play(3)
    here.patch("a")
    here.freeze("P")
    here.patch("b")
    for turn in range(4):
        newest = "a" if turn == 0 else here.branch().landed[-1].id
        here.take_back([newest])
        assert ("a" in here.branch().standing) == (turn % 2 == 1), turn
    before = here.branch().standing, here.tree().oid
    here.take_back(["a"])
    gone = here.branch().landed[-1].id
    plan = here.restore("P")
    assert plan.reapplied == ("a",)
    assert here.branch().standing == {"a", here.branch().landed[-1].id}
    here.take_back([here.branch().landed[-1].id])
    assert gone in here.branch().standing
    here.take_back([gone])
    assert (here.branch().standing & {"a", "b"}, here.tree().oid) == (before[0] & {"a", "b"}, before[1])
