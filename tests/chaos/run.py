"""Stop operations at every state-changing system call, do them again, and count what is lost, doubled or half done.

    python tests/chaos/run.py [--operation apply]… [--mode kill]… [--every 1] [--jobs 2] [--dir FOLDER]

Each point gets a fresh copy of a prepared folder. The exit status is 1 if anything was wrong at any point.
"""

from __future__ import annotations

import argparse
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
# A script finds its neighbours by itself, and the package where it is not installed.
sys.path[:0] = [str(HERE.parents[1])]

from operations import OPERATIONS  # noqa: E402 - after the path
from visiting import MODES, Found, Visit, count, prepare, visit  # noqa: E402 - the same


def main() -> int:
    asked = _asked()
    base = Path(tempfile.mkdtemp(prefix="chaos-", dir=asked.dir))
    failed = 0
    try:
        for operation in asked.operation or OPERATIONS:
            failed += _all_points(base / operation, operation, asked)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    print(f"{failed} points failed" if failed else "nothing lost, doubled or half done")
    return 1 if failed else 0


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operation", action="append", choices=OPERATIONS, help="all of them by itself")
    parser.add_argument("--mode", action="append", choices=MODES, help="all of them by itself")
    parser.add_argument("--every", type=int, default=1, help="only each so-many-th point")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    memory = Path("/dev/shm")
    parser.add_argument("--dir", type=Path, default=memory if memory.is_dir() else None, help="where the copies go")
    return parser.parse_args()


def _all_points(base: Path, operation: str, asked: argparse.Namespace) -> int:
    slots = [base / f"slot{number}" for number in range(asked.jobs)]
    for slot in slots:
        prepare(OPERATIONS[operation], slot)
    points = len(count(OPERATIONS[operation], slots[0]))
    print(f"{operation}: {points} points", flush=True)
    failed = 0
    for mode in asked.mode or MODES:
        numbers = range(1, points + 1, asked.every)
        begun, wrong = time.monotonic(), 0
        for found in _visited(operation, mode, numbers, slots):
            if found.problems:
                wrong += 1
                print(f"    {found.visit.point} {found.call}: {'; '.join(found.problems)}", flush=True)
        print(f"  {mode:14} {len(numbers):4} points {wrong:4} failed {time.monotonic() - begun:6.1f} s", flush=True)
        failed += wrong
    return failed


def _visited(operation: str, mode: str, numbers: range, slots: list[Path]) -> Iterator[Found]:
    """Each slot takes every so-many-th of the points."""
    with multiprocessing.get_context("fork").Pool(len(slots)) as pool:
        turns = [[Visit(operation, mode, n, slot) for n in numbers[k :: len(slots)]] for k, slot in enumerate(slots)]
        yield from (found for batch in pool.imap_unordered(_batch, turns) for found in batch)


def _batch(visits: list[Visit]) -> list[Found]:
    return [visit(one) for one in visits]


if __name__ == "__main__":
    sys.exit(main())
