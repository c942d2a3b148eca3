"""What all tests share: a sealed environment, a small real repository, a workspace, and an honest last line."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from acceptance_tools import git

HOUSE = Path(__file__).resolve().parent.parent

SEALED = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ALLOW_PROTOCOL": "file",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ann Author",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_AUTHOR_DATE": "2025-07-29T06:30:00+00:00",
    "GIT_COMMITTER_NAME": "Carl Committer",
    "GIT_COMMITTER_EMAIL": "carl@example.org",
    "GIT_COMMITTER_DATE": "2025-07-29T06:30:00+00:00",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONDONTWRITEBYTECODE": "1",
}
# What the machine may have set and what would change what the tests see.
FOREIGN = (
    "GIT_",
    "GHOST_",
    "SUPERVISOR_",
    "NOTIFY_SOCKET",
    "WATCHDOG_",
    "XDG_",
    "PYTHONPATH",
    "NO_COLOR",
    "FORCE_COLOR",
)


def _seal() -> None:
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ.update(SEALED)


# At import, so that whatever a session-wide fixture starts is sealed as well.
_seal()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A small real repository with three files and one commit on `main`."""
    where = tmp_path / "repo"
    where.mkdir()
    git(where, "init", "-q", "-b", "main")
    (where / "README.md").write_text("# A repository\n")
    (where / "app.py").write_text("def greet(name):\n    return f'hello {name}'\n")
    (where / "docs").mkdir()
    (where / "docs" / "notes.txt").write_text("one\ntwo\nthree\n")
    git(where, "add", "-A")
    git(where, "commit", "-q", "-m", "first")
    return where


@pytest.fixture
def workspace(repo: Path) -> Path:
    """What `ghostd init` makes in `repo`, with every listener on a free port."""
    from ghostd.config.init import init

    where = repo / ".ghost"
    init(where, repo=repo)
    names = ("gateway", "runner", "status", "telemetry", "trigger", "dashboard", "monitor")
    (where / "conf" / "ghost.toml").write_text(
        f'[lane.MAIN]\nrepo = "{repo}"\naliases = ["BRAUN"]\ndefault = true\n\n'
        f'[lane.CYOPS]\nrepo = "{repo}"\naliases = ["DEV"]\n\n'
        "[listen]\n" + "".join(f'{name} = "127.0.0.1:0"\n' for name in names)
    )
    return where


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """The slowest ten, and as the last line what was skipped and why."""
    reports = [r for key in ("passed", "failed") for r in terminalreporter.stats.get(key, []) if r.when == "call"]
    slowest = sorted(reports, key=lambda report: report.duration, reverse=True)[:10]
    if slowest:
        terminalreporter.section("slowest ten")
    for report in slowest:
        terminalreporter.write_line(f"{report.duration:8.2f} s  {report.nodeid}")
    config.stash[_SKIPS] = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))


_SKIPS: pytest.StashKey[Counter[str]] = pytest.StashKey()


def _reason(report) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ").strip()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    """After pytest's own closing line, so that the skips are the last thing that one reads."""
    skips = config.stash.get(_SKIPS, None)
    if skips is None or hasattr(config, "workerinput"):
        return
    told = "; ".join(f"{count} × {reason}" for reason, count in sorted(skips.items()))
    print(f"skipped: {sum(skips.values())}" + (f" ({told})" if told else ""))
