"""CPU and memory of a whole system at rest: every process of a running ghostd, while nothing happens."""

from __future__ import annotations

import argparse
import sys
import time

import psutil


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pid", type=int, help="of ghostd, as `ghostd status` tells it")
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    engine = psutil.Process(asked.pid)
    family = [engine, *engine.children(recursive=True)]
    before = {p.pid: sum(p.cpu_times()[:2]) for p in family}
    time.sleep(asked.seconds)
    total_cpu, total_pss = 0.0, 0
    for p in family:
        cpu, pss = sum(p.cpu_times()[:2]) - before[p.pid], p.memory_full_info().pss
        total_cpu, total_pss = total_cpu + cpu, total_pss + pss
        words = " ".join(p.cmdline()[-5:])[-60:]
        print(f"{p.pid:>8} {words:<60} {100 * cpu / asked.seconds:6.2f} % {pss / 2**20:7.1f} MiB")
    share = 100 * total_cpu / asked.seconds
    print(f"{len(family)} processes: {share:.2f} % of one core, {total_pss / 2**20:.0f} MiB PSS")


if __name__ == "__main__":
    sys.exit(main())
