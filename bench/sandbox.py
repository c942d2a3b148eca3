"""What a command costs in the sandbox: `true` bare, through the launcher, in the whole cell, in bubblewrap; in turn."""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ghostd.model.service import Limits
from ghostd.sandbox import probe
from ghostd.sandbox.cell import Cell
from ghostd.sandbox.layers import run_limited
from ghostd.sandbox.rules import Found, Machine

LIMITS = Limits(memory=4 << 30, pids=512, nofile=4096, core=0, cpu_time=3600.0)
ENV = {"PATH": os.environ["PATH"]}


def bare(folder: Path) -> None:
    subprocess.run(["/bin/true"], cwd=folder, env=ENV, check=True)


def by_launcher(folder: Path, cell: Cell | None, machine: Machine) -> None:
    whole, probe.machine = probe.machine, lambda: machine  # type: ignore[assignment]
    try:
        done = run_limited(["/bin/true"], cwd=folder, env=ENV, limits=LIMITS, timeout=30, cell=cell)
    finally:
        probe.machine = whole
    assert done.status == 0, done


def ways(folder: Path) -> dict[str, Callable[[], None]]:
    machine = probe.machine()
    wrapped = dataclasses.replace(machine, namespaces=Found(there=False), bubblewrap=probe.bubblewrap())
    cell = Cell(writable=(folder,))
    found: dict[str, Callable[[], None]] = {
        "bare": lambda: bare(folder),
        "launcher, limits only": lambda: by_launcher(folder, None, machine),
    }
    if machine.namespaces.there:
        found["whole cell"] = lambda: by_launcher(folder, cell, machine)
    if wrapped.bubblewrap.there:
        found["whole cell by bubblewrap"] = lambda: by_launcher(folder, cell, wrapped)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        commands = ways(Path(name))
        times: dict[str, list[float]] = {title: [] for title in commands}
        for _ in range(asked.runs):
            for title, run in commands.items():
                begun = time.perf_counter()
                run()
                times[title].append((time.perf_counter() - begun) * 1000)
    base = statistics.median(times["bare"])
    print(f"{'ms per command':<26} {'min':>7} {'median':>7} {'max':>7} {'over bare':>9}")
    for title, each in times.items():
        middle = statistics.median(each)
        print(f"{title:<26} {min(each):7.1f} {middle:7.1f} {max(each):7.1f} {middle - base:9.1f}")


if __name__ == "__main__":
    main()
