"""The launchers make .venv by themselves, once, whole, and from then on only run Python.

Most tests use a checkout whose lock file is empty, so that they need no network and no minute each.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2]
EMPTY = "# nothing is locked here\n"
NEEDED = ("bin/ghost", "bin/ghostd", "bin/launch.sh", "bin/prepare.py", "ghostd/__init__.py", "ghostd/cli/__init__.py")


def checkout(where: Path) -> Path:
    """As much of a checkout as the launchers and `--version` need."""
    for name in (*NEEDED, "ghostd/cli/start.py"):
        (where / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(HOUSE / name, where / name)
    for name in ("requirements.lock", "requirements-dev.lock"):
        (where / name).write_text(EMPTY)
    return where


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A checkout with a finished .venv, which the tests must leave finished."""
    where = checkout(tmp_path_factory.mktemp("made"))
    assert start(where).returncode == 0
    return where


def start(where: Path, program: str = "ghost", *arguments: str, cwd: Path | None = None, **env: str):
    """Run a launcher as a shell would."""
    return subprocess.run(
        [str(where / "bin" / program), *(arguments or ("--version",))],
        cwd=cwd or where,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def listing(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.slow
def test_the_first_start_makes_everything_inside_the_checkout(tmp_path):
    where, home = checkout(tmp_path / "with space é"), tmp_path / "home"
    home.mkdir()
    done = start(where, HOME=str(home), XDG_CACHE_HOME=str(home / "cache"), TMPDIR=str(home))
    assert (done.returncode, done.stdout) == (0, "ghost, version 0.1.0\n")
    assert "making .venv from requirements.lock" in done.stderr
    assert listing(home) == set(), "no cache, no temporary file"
    lines = (where / ".venv" / "stamp.run").read_text().splitlines()
    assert lines[:2] == [hashlib.sha256(EMPTY.encode()).hexdigest(), str(where)]
    assert {path.name for path in where.iterdir()} == {
        ".venv",
        "bin",
        "ghostd",
        "requirements.lock",
        "requirements-dev.lock",
    }
    assert not (where / ".venv" / "tmp").exists()
    again = start(where)
    assert (again.stdout, again.stderr) == ("ghost, version 0.1.0\n", "")


@pytest.mark.slow
def test_two_first_starts_at_once_make_one(tmp_path):
    where = checkout(tmp_path)
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(start, where, program) for program in ("ghost", "ghostd")]
    done = [one.result() for one in both]
    assert [one.returncode for one in done] == [0, 0]
    talk = "".join(one.stderr for one in done)
    assert talk.count("making .venv") == 1
    assert talk.count("waiting for another start") == 1


@pytest.mark.slow
def test_one_that_was_killed_half_way_is_made_anew(tmp_path):
    where = checkout(tmp_path)
    first = subprocess.Popen([where / "bin" / "ghost"], stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (where / ".venv" / "bin" / "python").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not (where / ".venv" / "stamp.run").exists()
    (where / ".venv" / "left-over").touch()
    assert start(where).returncode == 0
    assert not (where / ".venv" / "left-over").exists()


@pytest.mark.slow
def test_a_changed_lock_file_makes_it_anew(tmp_path, made):
    where = tmp_path / "copy"
    shutil.copytree(made, where, symlinks=True)
    moved = start(where)
    assert "making .venv" in moved.stderr, "it was made for another place"
    (where / "requirements.lock").write_text(EMPTY + "# changed\n")
    assert "making .venv" in start(where).stderr
    assert start(where).stderr == ""


@pytest.mark.slow
def test_a_package_with_another_hash_is_refused_and_nothing_counts_as_made(tmp_path):
    where = checkout(tmp_path)
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    wheel.write_bytes(b"not what was promised")
    (where / "requirements.lock").write_text(f"thing @ {wheel.as_uri()} --hash=sha256:{'0' * 64}\n")
    done = start(where)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot make .venv" in done.stderr.splitlines()[-1]
    assert "run this again" in done.stderr.splitlines()[-1]
    assert not (where / ".venv" / "stamp.run").exists()


def test_a_ready_one_starts_nothing_but_python(made):
    """No second Python looks whether all is well: that alone would cost what the whole start may."""
    trace = subprocess.run(
        ["sh", "-x", str(made / "bin" / "ghost"), "--version"], capture_output=True, text=True, check=True
    )
    commands = [line.lstrip("+ ") for line in trace.stderr.splitlines()]
    assert not any("prepare.py" in line for line in commands)
    assert [line for line in commands if "python" in line and "exec" in line]
    assert sum(line.startswith(("sha256sum", "readlink")) for line in commands) == 1


@pytest.mark.parametrize("cwd", ["/", "."])
def test_it_runs_from_anywhere(made, cwd):
    assert start(made, cwd=Path(cwd)).stdout == "ghost, version 0.1.0\n"


def test_it_runs_through_links(made, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mine").symlink_to("../far")
    (tmp_path / "far").symlink_to(made / "bin" / "ghostd")
    done = subprocess.run([tmp_path / "bin" / "mine", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == "ghostd, version 0.1.0\n"


def test_no_module_of_the_folder_or_the_environment_is_taken_for_ours(made, tmp_path):
    """It is run inside of strangers' repositories."""
    for name in ("click.py", "sys.py", "ghostd.py", "sitecustomize.py", "usercustomize.py"):
        (tmp_path / name).write_text("raise SystemExit('taken in')\n")
    done = start(made, cwd=tmp_path, PYTHONPATH=str(tmp_path), PYTHONSTARTUP=str(tmp_path / "click.py"), CDPATH="/")
    assert (done.returncode, done.stdout) == (0, "ghost, version 0.1.0\n")


def test_without_a_python_that_is_new_enough_one_line_says_so(tmp_path):
    where, tools = checkout(tmp_path / "checkout"), tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "readlink", "sha256sum"):
        (tools / tool).symlink_to(shutil.which(tool))
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = start(where, PATH=str(tools))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ghost: cannot start: there is no Python 3.11 or newer on PATH; install one, then run this again\n"
    )
    assert not (where / ".venv").exists()


def test_a_newer_python_of_another_name_is_found(made, tmp_path):
    """`python3` may be an old one while python3.12 is there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "readlink"):
        (tools / tool).symlink_to(shutil.which(tool))
    for name, body in (("python3", "exit 1"), ("python3.12", f'exec {sys.executable} "$@"')):
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    # Without sha256sum the shell can not tell, and the slow look finds that all is well.
    done = start(made, PATH=str(tools))
    assert (done.returncode, done.stderr) == (0, "")


def test_help_of_the_tests_needs_no_environment(tmp_path):
    shutil.copytree(HOUSE / "bin", tmp_path / "bin", ignore=shutil.ignore_patterns("__pycache__"))
    done = start(tmp_path, "test", "--help", cwd=Path("/"))
    assert done.returncode == 0
    assert "usage: bin/test [--fast] [PATH…]" in done.stdout
    assert not (tmp_path / ".venv").exists()


def _index_answers() -> bool:
    probe = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-cache-dir",
        "-q",
        "-d",
        os.devnull,
        "tomli-w==0",
    ]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=60)
    return "from versions: 0." in done.stderr


@pytest.mark.slow
@pytest.mark.net
@pytest.mark.timeout(400)
def test_a_fresh_checkout_runs_ghost_with_all_that_is_locked(tmp_path):
    """What a user does: clone, run."""
    if not _index_answers():
        pytest.skip("no package index")
    shutil.copytree(HOUSE / "ghostd", tmp_path / "ghostd", ignore=shutil.ignore_patterns("__pycache__"))
    checkout(tmp_path)
    shutil.copy2(HOUSE / "requirements.lock", tmp_path / "requirements.lock")
    done = start(tmp_path, "ghostd", "check", "--help")
    assert done.returncode == 0, done.stderr
    assert "ghostd check conf/ghost.toml" in done.stdout
    assert not list((tmp_path / ".venv" / "lib").glob("python*/site-packages/distutils-precedence.pth"))


@pytest.mark.slow
@pytest.mark.net
@pytest.mark.timeout(400)
def test_a_wheel_has_both_commands_and_the_template(tmp_path):
    """What `pipx install .` installs."""
    if not _index_answers():
        pytest.skip("no package index")
    source = tmp_path / "source"
    source.mkdir()
    for name in ("ghostd", "conf"):
        shutil.copytree(HOUSE / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(HOUSE / "pyproject.toml", source)
    for name in ("README.md", "CHANGELOG.md", "LICENSE"):
        if (HOUSE / name).exists():
            shutil.copy2(HOUSE / name, source)
    (source / "README.md").touch()
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([*pip, "wheel", "--no-cache-dir", "--no-deps", "-w", tmp_path, source], env=environment, check=True)
    (wheel,) = tmp_path.glob("ghostd-*.whl")
    target = tmp_path / "site"
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-cache-dir", "--target", target, wheel], env=environment, check=True
    )
    assert {"ghost", "ghostd"} <= {path.name for path in (target / "bin").iterdir()}
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from ghostd.config import init; "
        "print(init.__file__); print(init.template())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, target], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    place, text = done.stdout.split("\n", 1)
    assert place.startswith(str(target))
    assert text.strip() == (HOUSE / "conf" / "ghost.toml").read_text().strip()
