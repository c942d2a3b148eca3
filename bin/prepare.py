"""Make `.venv` from a lock file: once, by one process, whole or made anew. Standard library only.

    python3 -I bin/prepare.py requirements.lock run ghost

`stamp.run` and `stamp.dev` are written last and say what .venv was made from: the lock file's hash, the checkout's
path, the Python. The developers' lock file holds the users' with the same pins, so that making the one makes the other.
Nothing outside of the checkout is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TEMPORARY = VENV / "tmp"
PYTHON = VENV / "bin" / "python"
LOCKS = {"run": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}
# What would send the packages elsewhere than into .venv.
ASTRAY = (
    "PIP_USER",
    "PIP_TARGET",
    "PIP_PREFIX",
    "PIP_ROOT",
    "PIP_REQUIREMENT",
    "PIP_CONSTRAINT",
    "PIP_LOG",
    "PYTHONHOME",
    "PYTHONPATH",
)


def main() -> int:
    """Make .venv if it is not there already; the exit status."""
    kind, program = sys.argv[2], sys.argv[3]
    with only_one(program):
        if is_made(kind):
            return 0
        try:
            make(kind, program)
        except subprocess.CalledProcessError as error:
            print((error.stderr or b"").decode(errors="replace").strip(), file=sys.stderr)
            print(
                f"{program}: cannot make .venv: {' '.join(map(str, error.cmd[1:4]))} failed; "
                "see above, check the network, then run this again",
                file=sys.stderr,
            )
            return 1
        except OSError as error:
            print(f"{program}: cannot make .venv: {error}; run this again when that is mended", file=sys.stderr)
            return 1
    return 0


@contextlib.contextmanager
def only_one(program: str) -> Iterator[None]:
    """Hold the lock on bin/ (a folder can be locked, and needs no file of its own)."""
    folder = os.open(ROOT / "bin", os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{program}: waiting for another start that makes .venv …", file=sys.stderr)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def is_made(kind: str) -> bool:
    """Whether .venv was made to its end, from this lock file, here, by a Python that is still there."""
    try:
        if (VENV / f"stamp.{kind}").read_text("utf-8") != stamp(kind):
            return False
        return (
            subprocess.run([PYTHON, "-I", "-c", "import ghostd"], stderr=subprocess.DEVNULL, check=False).returncode
            == 0
        )
    except OSError:
        return False


def stamp(kind: str) -> str:
    """What .venv is made from: three lines."""
    digest = hashlib.sha256(LOCKS[kind].read_bytes()).hexdigest()
    return f"{digest}\n{ROOT}\n{sys.version_info.major}.{sys.version_info.minor}\n"


def make(kind: str, program: str) -> None:
    """Make .venv anew; where the users' part is whole, developers' packages are only added."""
    print(f"{program}: making .venv from {LOCKS[kind].name}, once; this takes a minute …", file=sys.stderr, flush=True)
    anew = not is_made("run")
    if anew:
        empty()
    TEMPORARY.mkdir(parents=True, exist_ok=True)
    if anew:
        # The real name: a link like python3 may lead to another version tomorrow.
        call(os.path.realpath(sys.executable), "-I", "-m", "venv", VENV)
    install(LOCKS[kind])
    shutil.rmtree(TEMPORARY)
    site = VENV / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    (site / "ghost-checkout.pth").write_text(f"{ROOT}\n", "utf-8")
    for made in ("run", "dev") if kind == "dev" else ("run",):
        write_last(VENV / f"stamp.{made}", stamp(made))


def empty() -> None:
    """Remove what is there, stamps first, so that a kill in the middle leaves something that counts as half made."""
    for made in LOCKS:
        (VENV / f"stamp.{made}").unlink(missing_ok=True)
    if VENV.is_symlink():
        VENV.unlink()
    elif VENV.exists():
        shutil.rmtree(VENV)


def install(lock: Path) -> None:
    """Install exactly what the lock file names; nothing is built, nothing is looked up beside it."""
    pip = (PYTHON, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "-q")
    options = ("--require-hashes", "--no-cache-dir", "--no-deps", "--only-binary=:all:")
    call(*pip, "install", *options, "-r", lock)
    if "\nsetuptools==" not in lock.read_text("utf-8"):
        # Python 3.11's venv brings it; nobody needs it, and its .pth file costs every start some milliseconds.
        call(*pip, "uninstall", "-y", "setuptools")


def call(*argv: str | Path) -> None:
    """Run a command; its output is shown only where it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ASTRAY}
    # pip asks any rustc for its version, for statistics; rustup's then makes itself a folder in the home.
    environment |= {"TMPDIR": str(TEMPORARY), "RUSTUP_HOME": str(TEMPORARY)}
    subprocess.run(
        [str(word) for word in argv], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )


def write_last(path: Path, text: str) -> None:
    """Whole or not there, and after everything else is on disk."""
    os.sync()
    aside = path.with_suffix(path.suffix + ".tmp")
    aside.write_text(text, "utf-8")
    os.replace(aside, path)


if __name__ == "__main__":
    sys.exit(main())
