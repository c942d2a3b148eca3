"""What a start costs: Python alone, the launcher, `--help`, and a status without a daemon; each in turn, many times."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    asked = parser.parse_args()
    commands = {
        "python -I -c pass": [sys.executable, "-I", "-c", "pass"],
        "bin/ghost --version": [str(HOUSE / "bin" / "ghost"), "--version"],
        "bin/ghost --help": [str(HOUSE / "bin" / "ghost"), "--help"],
        "bin/ghostd --help": [str(HOUSE / "bin" / "ghostd"), "--help"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as empty:
        for _ in range(asked.runs):
            for name, argv in commands.items():
                begun = time.perf_counter()
                subprocess.run(argv, cwd=empty, stdout=subprocess.DEVNULL, check=True)
                taken[name].append((time.perf_counter() - begun) * 1000)
    for name, times in taken.items():
        print(f"{name:<20} ms: min {min(times):.0f}  median {statistics.median(times):.0f}  max {max(times):.0f}")


if __name__ == "__main__":
    main()
