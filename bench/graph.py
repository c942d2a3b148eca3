"""How often the graph of rollbacks is right over a history, judged by the merge in memory, and what it costs.

The history is that of a local clone, or random ones: `--random N` makes N of 50 patches each, as the tests play them,
`--walk` with rollbacks, freezes and restores among them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from ghostd.base.clock import SystemClock
from ghostd.model.job import Landed
from ghostd.pipeline import graph
from ghostd.pipeline.branch import Branch, known
from ghostd.repo import commit, history
from ghostd.repo.git import open_repository
from ghostd.store.db import open_ledger

#: Where the tests keep what plays random histories.
sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / "integration")]
PATCHES = 50


@dataclass
class Judged:
    """How many trials ended how, by (the merge conflicts, the graph names somebody), and the seconds that they took."""

    told: Counter[tuple[bool, bool]] = field(default_factory=Counter)
    #: The same, had the graph named whoever touched one of its files later.
    by_file: Counter[tuple[bool, bool]] = field(default_factory=Counter)
    reading: float = 0.0
    naming: float = 0.0
    merging: float = 0.0

    def judge(self, branch: Branch, head: str) -> None:
        begun = time.perf_counter()
        graph.chart(branch.ledger, branch.repo, branch.name)
        self.reading += time.perf_counter() - begun
        for found in (branch.made[id] for id in branch.standing):
            begun = time.perf_counter()
            conflicts = bool(history.revert(branch.repo, head, [found.commit]).conflicts)
            between = time.perf_counter()
            bound = bool(graph.dependents(branch, [found]))
            self.merging += between - begun
            self.naming += time.perf_counter() - between
            self.told[conflicts, bound] += 1
            self.by_file[conflicts, _same_file(branch, found)] += 1

    def show(self, name: str) -> None:
        each = 1000 / max(1, self.told.total())
        print(f"{self.told.total()} trials on {name}")
        for way, told in (("graph", self.told), ("same file later", self.by_file)):
            alarms = f"true alarms {told[True, True]}, false {told[False, True]}, missed {told[True, False]}"
            print(f"{way}: {alarms}, rightly quiet {told[False, False]}")
        costs = (
            f"reading lines {self.reading * each:.2f}, graph {self.naming * each:.2f}, merge {self.merging * each:.2f}"
        )
        print(f"ms a trial: {costs}")


def _same_file(branch: Branch, found: Landed) -> bool:
    touches = branch.ledger.touches(branch.repo.identity, found.commit)
    later = (oid for touch in touches for oid, _ in branch.ledger.touched(*branch.at, found.commit, touch.path))
    return any(branch.landed[branch.position[oid]].id in branch.standing for oid in later)


def first_parents(path: Path, last: int) -> list[str]:
    argv = ["git", "rev-list", "--first-parent", f"--max-count={last + 1}", "--reverse", "HEAD"]
    listed = subprocess.run(argv, cwd=path, capture_output=True, text=True, check=True)
    # The very first commit of a history has nothing to go back to.
    return listed.stdout.split()[1:]


def copied(path: Path, folder: Path) -> Path:
    """Merges write objects, and the clone is somebody's."""
    subprocess.run(["git", "clone", "-q", "--bare", "--shared", path, folder / "clone.git"], check=True)
    return folder / "clone.git"


def of_clone(judged: Judged, path: Path, last: int, folder: Path) -> None:
    """The last first-parent commits count as patches."""
    commits = first_parents(path, last)
    landed = [Landed(commit=c, id=c, digest="", proof="", lane="MAIN", phase=None) for c in commits]
    opened = closing(open_ledger(folder / "ghost.db", clock=SystemClock()))
    with open_repository(copied(path, folder)) as repo, opened as ledger:
        ledger.learn(repo.identity, "bench", landed, commits[-1])
        judged.judge(known(repo, ledger, "bench", landed), commits[-1])


def of_chance(judged: Judged, seed: int, folder: Path, *, walk: bool) -> None:
    from branch_kit import Play

    subprocess.run(["git", "init", "-q", folder / "repo"], check=True)
    with open_repository(folder / "repo") as repo:
        play, frozen = Play(repo, folder / "ghost.db", seed), []
        for n in range(PATCHES):
            play.patch()
            step = play.random.choice(["patch", "rollback", "freeze", "restore"]) if walk else "patch"
            if step == "rollback":
                play.take_back([play.random.choice(sorted(play.branch().standing))])
            elif step == "freeze":
                frozen += [f"P{n}"]
                play.freeze(frozen[-1])
            elif step == "restore" and frozen:
                play.restore(play.random.choice(frozen))
        judged.judge(play.branch(), commit.tip(repo, play.branch().name) or "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("repo", type=Path, nargs="?", help="any local clone of more than one commit")
    parser.add_argument("--last", type=int, default=300, help="so many of its first-parent commits")
    parser.add_argument("--random", type=int, default=0, metavar="N", help="N random histories instead")
    parser.add_argument("--walk", action="store_true", help="with rollbacks and restores among them")
    asked = parser.parse_args()
    if (asked.repo is None) == (asked.random == 0):
        parser.error("name either a clone or --random N")
    judged = Judged()
    if asked.repo is not None:
        with tempfile.TemporaryDirectory() as folder:
            of_clone(judged, asked.repo, asked.last, Path(folder))
    for seed in range(asked.random):
        with tempfile.TemporaryDirectory() as folder:
            of_chance(judged, seed, Path(folder), walk=asked.walk)
    judged.show(asked.repo.resolve().name if asked.repo else f"{asked.random} random histories")


if __name__ == "__main__":
    main()
