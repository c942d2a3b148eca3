"""What it costs to ask whether a phase is frozen, beside the tags of many patches, and what listing all refs would."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ghostd.pipeline import phase
from ghostd.repo.git import Repository, open_repository


def made(folder: Path, patches: int, *, packed: bool) -> Path:
    """A repository with one frozen phase and a tag for each of so many patches."""

    def git(*arguments: str, stdin: str = "") -> None:
        subprocess.run(["git", *arguments], cwd=folder, input=stdin, text=True, capture_output=True, check=True)

    git("init", "-q")
    git("-c", "user.name=b", "-c", "user.email=b@b", "commit", "-q", "--allow-empty", "-m", "first")
    git("-c", "user.name=b", "-c", "user.email=b@b", "tag", "-a", "-m", 'phase: "P1"', "phase/P1")
    git("update-ref", "--stdin", stdin="".join(f"create refs/tags/patch-{n} HEAD\n" for n in range(patches)))
    if packed:
        git("pack-refs", "--all")
    return folder


def listed(repo: Repository) -> int:
    return sum(name.startswith("refs/tags/phase/") for name in repo.handle.references)


def measured(path: Path, runs: int) -> tuple[float, float]:
    with open_repository(path) as repo:
        return median(lambda: listed(repo), runs), median(lambda: phase.frozen_by(repo, "P1"), runs)


def median(call: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - begun))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=25)
    parser.add_argument("--dir", type=Path, help="where the repositories are made")
    asked = parser.parse_args()
    for patches in (0, 1000, 10_000):
        for packed in (True, False):
            with tempfile.TemporaryDirectory(dir=asked.dir) as folder:
                every, frozen = measured(made(Path(folder), patches, packed=packed), asked.runs)
            kind = "packed" if packed else "loose"
            print(f"{patches:6} tags of patches, {kind:6}: all refs {every:6.2f} ms, is it frozen {frozen:5.2f} ms")


if __name__ == "__main__":
    main()
