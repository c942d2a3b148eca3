"""100 small patches in one process, against `git apply --index && git commit` for each of them, in turn."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ghostd.repo.create import create_repository

FILES = {f"src/pkg{n % 10}/mod{n}.py": f"VALUE = {n}\nOTHER = {n}\n".encode() for n in range(100)}
ENV = os.environ | {
    "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
}  # fmt: skip


def patch(n: int) -> dict[str, object]:
    path = f"src/pkg{n % 10}/mod{n}.py"
    diff = f"@@ -1,2 +1,2 @@\n VALUE = {n}\n-OTHER = {n}\n+OTHER = {n + 1}\n"
    return {"id": f"bench-{n}", "content": {"mutations": [{"op": "diff", "path": path, "diff": diff}]}}


def with_git(folder: Path, count: int, *, synced: bool) -> float:
    create_repository(folder, FILES)
    subprocess.run(["git", "checkout", "-q", "-b", "ghost/work"], cwd=folder, env=ENV, check=True)
    durable = ["-c", "core.fsync=committed"] if synced else []
    begun = time.perf_counter()
    for n in range(count):
        path = f"src/pkg{n % 10}/mod{n}.py"
        body = patch(n)["content"]["mutations"][0]["diff"]  # type: ignore[index]
        diff = f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n{body}"
        subprocess.run(["git", *durable, "apply", "--index", "-"], cwd=folder, env=ENV, input=diff.encode(), check=True)
        subprocess.run(["git", *durable, "commit", "-q", "-m", f"bench-{n}"], cwd=folder, env=ENV, check=True)
    return time.perf_counter() - begun


def with_ghost(folder: Path, count: int, *, checked_out: bool) -> float:
    create_repository(folder, FILES)
    if checked_out:
        subprocess.run(["git", "checkout", "-q", "-b", "ghost/work"], cwd=folder, env=ENV, check=True)
    (folder.parent / "patches").mkdir()
    for n in range(count):
        (folder.parent / "patches" / f"{n:04}.json").write_text(json.dumps(patch(n)))
    from ghostd.cli.ghost import ghost

    os.chdir(folder)
    begun = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
        status = ghost.main(["apply", "--json", str(folder.parent / "patches")], standalone_mode=False)
    taken = time.perf_counter() - begun
    assert status == 0, out.getvalue()[-2000:]
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--dir", help="where the repositories are made (a disk, or a tmpfs)")
    asked = parser.parse_args()
    measures = {
        "git apply + commit": functools.partial(with_git, synced=False),
        "the same, synced": functools.partial(with_git, synced=True),
        "ghost": functools.partial(with_ghost, checked_out=False),
        "ghost, checked out": functools.partial(with_ghost, checked_out=True),
    }
    rows: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(asked.runs):
        for name, measure in measures.items():
            with tempfile.TemporaryDirectory(dir=asked.dir) as top:
                rows[name].append(measure(Path(top) / "repo", asked.count))
                os.chdir("/")
    base = statistics.median(rows["git apply + commit"])
    print(f"{asked.count} patches, {asked.runs} runs, python {sys.version.split()[0]}; seconds")
    for name, taken in rows.items():
        middle = statistics.median(taken)
        print(f"{name:<22} min {min(taken):.2f}  median {middle:.2f}  max {max(taken):.2f}  ratio {middle / base:.2f}")


if __name__ == "__main__":
    main()
