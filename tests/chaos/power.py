"""Cut the power at every state-changing system call of an operation, and see what the disk then holds.

    python tests/chaos/power.py [--operation apply]… [--every 1]

A small ext4 lives in an image file. While the operation is held at a point, the image is copied: the copy has what had
reached the disk by then. Each copy is mounted (ext4 replays its journal), the operation is done again there, and
everything has to stand. Needs root, loop devices and mkfs.ext4. What a disk keeps in a cache of its own is not cut.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1])]

from operations import OPERATIONS, Operation, problems  # noqa: E402 - after the path
from stopping import GO, Point, watched  # noqa: E402 - the same
from visiting import apart  # noqa: E402 - the same

SIZE = 96 << 20
#: Seconds.
BOOT = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operation", action="append", choices=OPERATIONS, help="all of them by itself")
    parser.add_argument("--every", type=int, default=1, help="only each so-many-th point")
    asked = parser.parse_args()
    failed = 0
    for name in asked.operation or OPERATIONS:
        begun = time.monotonic()
        cuts, wrong = cut(OPERATIONS[name], every=asked.every, tell=lambda text: print(f"    {text}", flush=True))
        print(f"{name:10} {cuts:4} power cuts {wrong:4} failed {time.monotonic() - begun:6.1f} s", flush=True)
        failed += wrong
    return 1 if failed else 0


def cut(operation: Operation, *, every: int, tell) -> tuple[int, int]:
    """Cut the power at each so-many-th point; how many cuts were made, and how many left something wrong."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="power-", dir=memory if memory.is_dir() else None) as top:
        work = Path(top)
        images = _images(operation, work, every)
        wrong = 0
        for number, image in enumerate(images):
            found = _seen(operation, work, image)
            if found:
                wrong += 1
                tell(f"cut {number * every + 1}: {'; '.join(found)}")
            image.unlink()
        return len(images), wrong


def _images(operation: Operation, work: Path, every: int) -> list[Path]:
    """The disk as it was at each point, and at the end."""
    disk, images = work / "disk.img", list[Path]()
    with disk.open("wb") as file:
        file.truncate(SIZE)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(disk)], check=True, capture_output=True)

    def copy(point: Point) -> int:
        if point.number % every == 1 or every == 1:
            images.append(_copied(disk, work / f"{point.number}.img"))
        return GO

    with mounted(disk, work / "at") as at:
        if apart(lambda: _prepared(operation, at / "now")):
            raise RuntimeError(f"cannot prepare {operation.name}")
        os.sync()
        ended = watched(lambda: operation.act(at / "now"), copy, timeout=600)
        images.append(_copied(disk, work / "end.img"))
    if ended.status:
        raise RuntimeError(f"{operation.name} ended with status {ended.status} though nothing was cut")
    return images


def _prepared(operation: Operation, folder: Path) -> int:
    operation.prepare(folder)
    return 0


def _copied(disk: Path, to: Path) -> Path:
    subprocess.run(["cp", "--sparse=always", str(disk), str(to)], check=True)
    return to


def _seen(operation: Operation, work: Path, image: Path) -> list[str]:
    said = work / "problems.json"
    said.unlink(missing_ok=True)
    with mounted(image, work / "at") as at:
        _restarted(at / "now")
        apart(lambda: _looked(operation, at / "now", said))
    return json.loads(said.read_text()) if said.exists() else ["the look at it failed: see above"]


def _restarted(folder: Path) -> None:
    """A machine needs longer to start again than a lock needs to count as left."""
    for lock in (folder / ".git").rglob("*.lock"):
        os.utime(lock, (time.time() - BOOT, time.time() - BOOT))


def _looked(operation: Operation, folder: Path, said: Path) -> int:
    said.write_text(json.dumps(problems(operation, folder)))
    return 0


@contextlib.contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """The image as a folder. Loop devices are shared by the machine: one that another took is asked for again."""
    at.mkdir(exist_ok=True)
    for _ in range(50):
        done = subprocess.run(["mount", "-o", "loop", str(image), str(at)], capture_output=True, check=False)
        if done.returncode == 0:
            break
        time.sleep(0.1)
    else:
        raise OSError(f"cannot mount an image: {done.stderr.decode().strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def supported() -> str:
    """Why power can not be cut on this machine; empty where it can."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        return "root and mkfs.ext4 are needed"
    with tempfile.TemporaryDirectory() as top:
        image = Path(top, "probe.img")
        with image.open("wb") as file:
            file.truncate(4 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
        Path(top, "at").mkdir()
        done = subprocess.run(
            ["mount", "-o", "loop", str(image), f"{top}/at"], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            subprocess.run(["umount", f"{top}/at"], check=True)
        return "" if done.returncode == 0 else f"no loop device: {done.stderr.strip()}"


if __name__ == "__main__":
    sys.exit(main())
