"""What engine and keeper are made of, by what a fresh interpreter really imports."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported(module: str, *flags: str) -> set[str]:
    script = f"import sys; sys.path.append(sys.argv[1]); import json, {module}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, *flags, "-c", script, ROOT], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_engine_never_reaches_what_could_steal_exit_codes_or_hold_it_up():
    """No other way to wait for processes, no ledger, no Git library."""
    bad = {"subprocess", "psutil", "sqlite3", "pygit2", "git", "asyncio", "multiprocessing", "ghostd.base.process"}
    assert bad & imported("ghostd.services.engine") == set()


def test_the_keeper_imports_next_to_nothing():
    modules = imported("ghostd.supervise.keeper", "-I", "-S")
    ours = {name for name in modules if name.startswith("ghostd.")}
    assert ours == {f"ghostd.supervise{rest}" for rest in ("", ".birth", ".keeper", ".procfs")}
    assert {"subprocess", "asyncio", "logging", "dataclasses", "pathlib", "supervisor"} & modules == set()


def test_nothing_in_the_room_waits_for_just_any_child():
    """The keeper looks with waitid, which takes nothing, and then waits for that one pid."""
    for file in (ROOT / "ghostd" / "supervise").glob("*.py"):
        text = file.read_text()
        assert "waitpid(-1" not in text
        assert "os.wait(" not in text
        assert "os.fork(" not in text or file.name == "birth.py"
