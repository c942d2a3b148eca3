"""Submit → applied through the running daemon, no gates: the time from intake to the terminal row, seen by a waiter."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import tomli_w

from ghostd.base import process
from ghostd.cli.demo import scene
from ghostd.config.init import init
from ghostd.config.load import load
from ghostd.model.job import Origin
from ghostd.model.settings import Places
from ghostd.model.submission import Submission
from ghostd.pipeline.intake import Intake
from ghostd.repo.create import create_repository
from ghostd.services.executor import build
from ghostd.store.wake import listen


def ghostd(verb: str, workspace: Path) -> None:
    done = process.run([sys.executable, "-m", "ghostd.cli.ghostd", verb, "--workspace", str(workspace)], timeout=60)
    if done.status:
        sys.exit(done.stderr.decode())


def measure(workspace: Path, count: int) -> list[float]:
    shop = build(load(workspace).settings)
    intake, waiter = Intake(shop), listen(shop.places.wake)
    taken = []
    for n in range(count):
        mutation = {"op": "write", "path": f"src/f{n % 50}.txt", "contents": f"{n}\n"}
        text = json.dumps({"id": f"lat-{n}", "content": {"mutations": [mutation]}}).encode()
        begun = time.perf_counter()
        intake.submit(Submission(data=text, origin=Origin(door="command")))
        while not shop.ledger.get(f"lat-{n}").state.terminal:  # type: ignore[union-attr]
            waiter.wait(1.0)
        taken.append((time.perf_counter() - begun) * 1000)
    shop.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        repo = Path(top) / "repo"
        create_repository(repo, {f"src/f{n}.txt": b"x\n" for n in range(100)})
        workspace = repo / ".ghost"
        init(workspace, repo=None)
        configuration = scene.configuration(str(Path(top) / "chat.md"))
        configuration |= {"lane": {"MAIN": {"default": True}}, "gate": {}}
        Places(workspace=workspace).conf.write_text(tomli_w.dumps(configuration))
        ghostd("start", workspace)
        try:
            taken = sorted(measure(workspace, asked.count))
        finally:
            ghostd("stop", workspace)
    p90, p99 = (taken[min(len(taken) - 1, int(len(taken) * share))] for share in (0.9, 0.99))
    middle = statistics.median(taken)
    print(f"{asked.count} patches, ms: min {taken[0]:.1f}  p50 {middle:.1f}  p90 {p90:.1f}  p99 {p99:.1f}")


if __name__ == "__main__":
    main()
