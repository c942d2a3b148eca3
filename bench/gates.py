"""What ghost itself costs around the gates of a patch: everything but the commands.

Patches run one after another through a worker in this process, on a real ledger, in a repository of `--files` files:
with no gate, and with one, two and four gates whose command is `true`, in the sandbox or without, and from the cache;
one of each in turn. A patch changes two files. The cost is the patch's time with its gates less its time without any;
`true` itself, run bare, is told beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ghostd.config.init import init
from ghostd.config.load import load
from ghostd.model.job import Origin
from ghostd.model.submission import Submission
from ghostd.pipeline.intake import Intake
from ghostd.pipeline.worker import Worker
from ghostd.services.executor import build


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    gates: int = 1
    sandbox: str = "best-effort"
    cached: bool = False


CASES = (
    Case(name="no gate", gates=0),
    Case(name="1 gate"),
    Case(name="1 gate, sandbox off", sandbox="off"),
    Case(name="2 gates", gates=2),
    Case(name="4 gates", gates=4),
    Case(name="1 gate, a pass from the cache", cached=True),
)
#: The first patches make the copies and fill the cache.
WARM_UP = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--patches", type=int, default=30)
    parser.add_argument("--dir", type=Path, help="where the repository is made")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.dir) as folder:
        repo = make(Path(folder), asked.files)
        players = [Player(repo, case) for case in CASES]
        for _ in range(asked.patches + WARM_UP):
            for player in players:
                player.play()
        found = [(player.case.name, player.times[WARM_UP:]) for player in players]
        for player in players:
            player.shop.close()
    bare = statistics.median(timed(lambda: subprocess.run(["true"], check=True)) for _ in range(50))
    table(found, bare, asked.files)


def make(where: Path, files: int) -> Path:
    """A repository with so many files of 2 KB in folders of 50, and a workspace."""
    repo = where / "repo"
    for number in range(files):
        path = repo / f"src/d{number // 50}/f{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {number}\n" + "x = 1\n" * 340)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=b", "-c", "user.email=b@b", "commit", "-qm", "f"]):
        subprocess.run(["git", *command], cwd=repo, check=True)
    init(repo / ".ghost", repo=repo)
    return repo


class Player:
    """Sends the patches of one case; all of them share the repository and the ledger."""

    def __init__(self, repo: Path, case: Case) -> None:
        self._folder = f"src/d{CASES.index(case)}"
        names = [f"g{number}" for number in range(case.gates)]
        keys = f'run = ["true"]\ncache = {json.dumps(case.cached)}\npaths = ["{self._folder}/*"]\n'
        rows = "".join(f"[gate.{name}]\n{keys}" for name in names)
        text = f'[lane.MAIN]\nrepo = "{repo}"\nsandbox = "{case.sandbox}"\ngates = {json.dumps(names)}\n{rows}'
        (repo / ".ghost" / "conf" / "ghost.toml").write_text(text)
        self.case = case
        self.shop = build(load(repo / ".ghost").settings)
        self.worker = Worker(self.shop, self.shop.settings.default_lane)
        self.times: list[float] = []

    def play(self) -> None:
        # The cached gate looks at the paths of its own folder, which has two states in turn.
        word = str(len(self.times) % 2) if self.case.cached else str(time.time_ns())
        paths = [f"{self._folder}/{name}.py" for name in ("one", "two")]
        writes = [{"op": "write", "path": path, "contents": f"{word}\n"} for path in paths]
        data = json.dumps({"id": f"p{time.time_ns()}", "content": {"mutations": writes}}).encode()
        id = Intake(self.shop).submit(Submission(data=data, origin=Origin(door="command", source="bench"))).id
        self.times.append(timed(self.worker.run_one))
        job = self.shop.ledger.get(id)
        if job is None or job.state != "applied":
            sys.exit(f"{id} was not applied: {job and job.result}")


def timed(work) -> float:  # noqa: ANN001 - anything that can be called
    begin = time.perf_counter()
    work()
    return (time.perf_counter() - begin) * 1000


def table(found: list[tuple[str, list[float]]], bare: float, files: int) -> None:
    base = statistics.median(found[0][1])
    print(f"{files} files, {len(found[0][1])} patches each, milliseconds; `true` bare: {bare:.1f}\n")
    print("| | min | median | max | median less no gate |\n|---|---|---|---|---|")
    for name, ms in found:
        middle = statistics.median(ms)
        print(f"| {name} | {min(ms):.1f} | {middle:.1f} | {max(ms):.1f} | {middle - base:.1f} |")


if __name__ == "__main__":
    main()
