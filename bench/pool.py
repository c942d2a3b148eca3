"""What a copy for a gate costs: made the first time, brought to the next patch, and read back. Prints min/median/max.

.venv/bin/python bench/pool.py [--files 2000] [--runs 20] [--dir DIR]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ghostd.model.tree import Change, File, Mode
from ghostd.repo import worktree
from ghostd.repo.create import create_repository
from ghostd.repo.git import Repository, open_repository
from ghostd.repo.objects import tree_of, write_tree


def timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


def patched(repo: Repository, base: str, number: int) -> str:
    """The tree with two files changed."""
    before = tree_of(repo, base)
    names = [f"d{each % 50}/e{each % 7}/f{each}.py".encode() for each in (number, number + 1)]
    after = File(mode=Mode.FILE, data=b"new %d\n" % number)
    return write_tree(repo, before, [Change(path=name, before=before.entry(name), after=after) for name in names])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--dir", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.dir) as folder:
        names = [f"d{number % 50}/e{number % 7}/f{number}.py" for number in range(given.files)]
        create_repository(Path(folder, "repo"), {name: f"x = '{name}'\n".encode() * 30 for name in names})
        with open_repository(Path(folder, "repo"), durability="process") as repo:
            told = measured(repo, Path(folder, "copies"), given.runs)
    print(f"{given.files} files".ljust(44), *(word.rjust(9) for word in ("min", "median", "max")))
    for what, times in told.items():
        figures = (min(times), statistics.median(times), max(times))
        print(what.ljust(44), *(f"{each:6.1f} ms" for each in figures))


def measured(repo: Repository, folder: Path, runs: int) -> dict[str, list[float]]:
    base = tree_of(repo, str(repo.handle.revparse_single("HEAD").id)).oid
    told: dict[str, list[float]] = {"a new copy": [], "brought to a tree with two other files": [], "read back": []}
    pool = worktree.pool(repo, folder)
    for number in range(runs):
        tree = patched(repo, base, number * 3)
        begun = time.perf_counter()
        with pool.checkout(tree) as where:
            kind = "brought to a tree with two other files" if number else "a new copy"
            told[kind].append((time.perf_counter() - begun) * 1000)
            (where / "junk").write_text("left by a gate\n")
            told["read back"].append(timed(lambda: worktree.read_back(repo, where, tree)))  # noqa: B023 - called at once
    return told


if __name__ == "__main__":
    main()
