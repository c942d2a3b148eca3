"""The ready-made gates and the shipped examples, run on small projects."""

from __future__ import annotations

from pathlib import Path

import gate_kit as kit
import pytest
from acceptance_tools import git, patch_text, write_op

from ghostd.config.load import load
from ghostd.config.presets import PRESETS

EXAMPLES = Path(__file__).resolve().parents[2] / "conf" / "examples"
PYTHON = ("ruff", "mypy", "pytest")
#: Each gate of the example, and a file that only this gate has to object to.
BAD = {
    "lint": ("bad.py", "import os\n"),
    "format": ("bad.py", "def f( ) :\n    return 1\n"),
    "types": ("bad.py", 'x: int = "x"\n'),
    "tests": ("test_bad.py", "def test_it() -> None:\n    raise AssertionError\n"),
}

pytestmark = pytest.mark.skipif(bool(kit.LACKING), reason=f"the sandbox lacks {kit.LACKING}")


def use(workspace: Path, name: str) -> None:
    (workspace / "conf" / "ghost.toml").write_text((EXAMPLES / name).read_text())


@pytest.fixture
def python_tools(monkeypatch):
    """The tools of this very environment, and a `python3` that has them."""
    import sys

    here = Path(sys.executable).parent
    missing = [tool for tool in PYTHON if not (here / tool).exists()]
    if missing:
        pytest.skip(f"{missing[0]} is not installed")
    monkeypatch.setenv("PATH", f"{here}:/usr/bin:/bin")


def test_the_python_gates_let_a_good_patch_pass_and_reuse_the_pass(workspace, repo, python_tools):
    use(workspace, "gates-python.toml")
    good = write_op("good.py", "def double(x: int) -> int:\n    return 2 * x\n")
    test = write_op("test_good.py", "from good import double\n\n\ndef test_it() -> None:\n    assert double(2) == 4\n")
    # What stands in the repository of all tests has no types.
    plain = write_op("app.py", "GREETING = 'hello'\n".replace("'", '"'))
    with kit.opened(workspace) as shop:
        job = kit.send(shop, patch_text("p", good, test, plain))
        assert kit.gates(job) == [("lint", "passed"), ("format", "passed"), ("types", "passed"), ("tests", "passed")], [
            run.output.decode() for run in shop.ledger.gate_runs("p")
        ]
        kit.send(shop, patch_text("q", write_op("notes", "x\n")))
        more = write_op("good.py", "def double(x: int) -> int:\n    return x + x\n")
        assert kit.send(shop, patch_text("r", more)).state == "applied"
        back = kit.send(shop, patch_text("s", good, test))
        assert {row["name"]: row.get("cached", False) for row in back.result["gates"]} == {
            "lint": True,
            "format": True,
            "types": True,
            "tests": False,
        }


@pytest.mark.parametrize("gate", BAD)
def test_each_python_gate_says_no_to_what_it_is_there_for(workspace, python_tools, gate):
    use(workspace, "gates-python.toml")
    path, text = BAD[gate]
    plain = write_op("app.py", 'GREETING = "hello"\n')
    fine = write_op("test_fine.py", "def test_it() -> None:\n    assert True\n")
    with kit.opened(workspace) as shop:
        job = kit.send(shop, patch_text("p", plain, fine, write_op(path, text), execution={"maxRetries": 0}))
    assert [name for name, said in kit.gates(job) if said == "failed"] == [gate]


@pytest.fixture
def npx(tmp_path, monkeypatch):
    """An `npx` that stands for the tools of Node: it fails where a file says `bad`, and looks for what it borrowed."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = '#!/bin/sh\necho "npx $*"\ntest -e node_modules/.bin/tool || exit 9\n! grep -rq bad --include="*.ts" .\n'
    (folder / "npx").write_text(script)
    (folder / "npm").write_text('#!/bin/sh\necho "npm $*; $MAX_START_MS"\n')
    for name in ("npx", "npm"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize("example", ["gates-typescript.toml", "gates-six-steps.toml"])
def test_the_gates_of_node_run_with_what_is_installed(workspace, repo, npx, example):
    use(workspace, example)
    (repo / "node_modules" / ".bin").mkdir(parents=True)
    (repo / "node_modules" / ".bin" / "tool").write_text("")
    lane = load(workspace).settings.default_lane
    with kit.opened(workspace) as shop:
        job = kit.send(shop, patch_text("p", write_op("src/a.tsx", "export {}\n")))
        assert kit.gates(job) == [(name, "passed") for name in lane.gates]
        said = {run.gate: run.output.decode() for run in shop.ledger.gate_runs("p")}
        assert said["types"] == "npx tsc --noEmit\n"
        assert said["lint"] == "npx eslint . --ext .ts,.tsx --max-warnings=0\n"
        assert said.get("performance", "2000").endswith("2000\n") or example == "gates-typescript.toml"
        bad = kit.send(shop, patch_text("q", write_op("src/b.ts", "bad\n"), execution={"maxRetries": 0}))
        assert (bad.state, kit.kind(bad)) == ("rejected", "gate-failed")
    assert "node_modules" not in git(repo, "ls-tree", "-r", "--name-only", "ghost/work")


def test_a_key_of_one_s_own_wins_over_the_preset(workspace):
    kit.configure(workspace, g={"preset": "pytest", "timeout": "3m", "paths": ["*.py"]}, h={"preset": "ruff"})
    found = load(workspace).settings.gates
    assert (found["g"].timeout, found["g"].paths) == (180.0, ("*.py",))
    assert found["g"].run == PRESETS["pytest"]["run"]
    assert found["h"].version == ("ruff", "--version")
