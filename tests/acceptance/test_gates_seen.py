"""Gates as people meet them: the cache, all of an output, and services that have to stay well."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from acceptance_tools import git, patch_text, write_op


def rows(**keys: Any) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())


def configure(workspace: Path, lane: str, more: str) -> None:
    conf = workspace / "conf" / "ghost.toml"
    conf.write_text(conf.read_text().replace("[lane.MAIN]\n", f"[lane.MAIN]\n{lane}") + more)


def test_all_that_a_gate_printed_can_be_seen(ghost, workspace):
    more = "\n[gate.g]\n" + rows(run="printf 'a \\033[31mred\\033[0m line\\n'; seq 20000; exit 3")
    configure(workspace, 'gates = ["g"]\n', more)
    ran = ghost("apply", "-", "--json", stdin=patch_text("p", write_op("new", "x"), execution={"maxRetries": 1}))
    assert (ran.status, ran.result["error"]["kind"]) == (1, "gate-failed")
    assert "ghost show p --gate g" in ran.result["error"]["hint"]

    shown = ghost("show", "p", "--gate", "g")
    assert shown.status == 0
    assert shown.stdout.count("\n20000\n") == 2, "both runs, whole"
    assert "\033" not in shown.stdout
    assert "attempt 1, run 2: failed" in shown.stdout

    runs = ghost("show", "p", "--gate", "g", "--json").json["runs"]
    assert [(one["run"], one["status"], one["exit"], one["cut"]) for one in runs] == [
        (1, "failed", 3, 0),
        (2, "failed", 3, 0),
    ]
    assert runs[0]["output"].startswith("a \033[31mred")
    assert [one["gate"] for one in ghost("show", "p", "--json").json["gate_runs"]] == ["g", "g"]
    assert "ghost show p --gate NAME" in ghost("summary", "p").stdout

    none = ghost("show", "p", "--gate", "other", "--json")
    assert (none.status, none.json["error"]["kind"]) == (1, "no-gate-run")


def test_the_cache_is_looked_at_and_cleared(ghost, workspace):
    configure(workspace, 'gates = ["g", "h"]\n', "\n[gate.g]\nrun = 'true'\ncache = true\n[gate.h]\nrun = 'true'\n")
    assert ghost("cache", "ls", "--json").json == {"passes": []}
    for number, text in enumerate(("one", "two", "one")):
        ran = ghost("apply", "-", "--json", stdin=patch_text(f"p{number}", write_op("new", text)))
        assert ran.status == 0, ran.stdout
    cached, plain = ran.result["gates"]
    assert (cached["name"], cached["cached"], "cached" in plain) == ("g", True, False)
    assert "passed (cached)" in ghost("summary", "p2").stdout

    passes = ghost("cache", "ls", "--json").json["passes"]
    assert [(one["gate"], one["id"], one["uses"]) for one in passes] == [("g", "p0", 1), ("g", "p1", 0)]
    assert "PASSED FOR" in ghost("cache").stdout
    wrong = ghost("cache", "clear", "nope", "--json")
    assert (wrong.status, wrong.json["error"]["kind"]) == (1, "unknown-gate")
    assert ghost("cache", "clear", "h", "--json").json == {"gate": "h", "cleared": 0}
    assert ghost("cache", "clear", "--json").json == {"gate": None, "cleared": 2}
    assert ghost("cache", "ls", "--json").json == {"passes": []}


# Services ---------------------------------------------------------------------------------------------------------

#: A service that can not live with a certain file of the repository, as a web server with a bad configuration.
SERVICE = "while ! test -e {repo}/poison; do sleep 0.05; done; exit 1"


@pytest.fixture
def served(workspace, repo, ghostd):
    """A running ghostd with a service, and the working branch checked out where the service looks."""
    git(repo, "checkout", "-qb", "ghost/work")
    command = json.dumps(["sh", "-c", SERVICE.format(repo=repo)])
    configure(workspace, 'watch = "1500ms"\n', f'\n[service.web]\ncommand = {command}\nrestart = "never"\n')
    started = ghostd("start", "--json")
    assert started.status == 0, started.stdout + started.stderr
    yield
    ghostd("stop")


def uptime(id: str, *mutations: dict[str, Any]) -> str:
    return patch_text(id, *mutations, validation={"requireServiceUptime": True})


def test_a_patch_that_a_service_can_not_live_with_is_taken_back(served, ghost, repo):
    good = ghost("apply", "-", "--json", stdin=uptime("good", write_op("fine", "x")))
    assert good.result["status"] == "applied", good.stdout
    assert good.result["duration_ms"] < 20_000
    bad = ghost("apply", "-", "--json", stdin=uptime("bad", write_op("poison", "x")))
    assert (bad.status, bad.result["status"], bad.result["error"]["kind"]) == (1, "rejected", "service-down")
    assert "web is" in bad.result["error"]["message"]
    back = bad.result["error"]["rollback"]
    wait_for(lambda: ghost("show", back, "--json").json["state"] == "applied")
    assert not (repo / "poison").exists()
    assert (repo / "fine").exists()
    # The service stays down until somebody starts it, and so long no patch that needs it may come.
    again = ghost("apply", "-", "--json", stdin=uptime("next", write_op("more", "x")))
    assert (again.result["status"], again.result["error"]["kind"]) == ("rejected", "service-down")


def test_an_executor_that_dies_while_it_watches_begins_the_watch_again(served, ghost, ghostd, repo):
    assert ghost("apply", "-", "--no-wait", stdin=uptime("p", write_op("fine", "x"))).status == 0
    wait_for((repo / "fine").exists)
    (row,) = ghostd("status", "executor-MAIN", "--json").json["services"]
    os.kill(row["pid"], signal.SIGKILL)
    wait_for(lambda: ghost("show", "p", "--json").json["state"] == "applied")
    shown = ghost("show", "p", "--json").json
    assert (shown["status"], shown["attempts"]) == ("applied", 2)
    assert git(repo, "rev-list", "--count", "main..ghost/work") == "1"


def wait_for(condition) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
