"""The whole system through its doors, with a real daemon."""

from __future__ import annotations

import hashlib
import hmac
import json
import shlex
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from acceptance_tools import git, patch_text, replace_op, write_op


def wait_for(ghost, id: str) -> dict:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        shown = ghost("show", id, "--json")
        if shown.status == 0 and shown.json["state"] in ("applied", "rejected", "failed"):
            return shown.json
        time.sleep(0.1)
    pytest.fail(f"{id} has no end")


def post(url: str, body: bytes, **headers: str) -> tuple[int, dict]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_patch_by_each_door_is_one_commit(ghost, ghostd, daemon, workspace, repo):
    assert (
        ghost("apply", "-", "--json", stdin=patch_text("by-command", write_op("1", "x"))).result["status"] == "applied"
    )

    drop = workspace / "state" / "lanes" / "CYOPS" / "patches"
    (drop / "d.json").write_text(patch_text("by-drop", write_op("2", "x")))
    assert wait_for(ghost, "by-drop")["lane"] == "CYOPS"

    secret = (workspace / "state" / "secrets" / "webhook").read_bytes().strip()
    body = json.dumps({"id": "by-webhook", "target_file": "3", "patch": "x"}).encode()
    signature = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    url = f"http://{daemon['listen']['gateway']}/webhook"
    status, receipt = post(url, body, **{"X-Hub-Signature-256": signature})
    assert (status, receipt["id"]) == (202, "by-webhook")
    assert post(url, body, **{"X-Hub-Signature-256": signature})[1]["duplicate"] is True
    assert post(url, body, **{"X-Hub-Signature-256": "sha256=" + "0" * 64})[0] == 401

    token = ghost("token", "create", "--scope", "submit").stdout.strip()
    api = f"http://{daemon['listen']['status']}/api/patches"
    body = patch_text("by-api", replace_op("app.py", "missing", "x")).encode()
    assert post(api, body)[0] == 401
    assert post(api, body, Authorization=f"Bearer {token}")[0] == 202
    assert wait_for(ghost, "by-api")["error"]["kind"] == "no-match"

    wait_for(ghost, "by-webhook")
    ids = git(repo, "log", "--format=%(trailers:key=Ghost-Patch-Id,valueonly,separator=)", "main..ghost/work").split()
    assert sorted(ids) == ["by-command", "by-drop", "by-webhook"]
    deadline = time.monotonic() + 10
    while not (drop / ".completed" / "d.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert ghost("verify", "--json").json["ok"] is True


def test_a_lane_that_is_paused_or_down_is_told_at_once_and_the_patch_waits(ghost, ghostd, daemon, workspace):
    assert ghost("queue", "pause", "MAIN").status == 0
    argv = [sys.executable, "-I", "-m", "ghostd.cli.ghost", "apply", "-"]
    with subprocess.Popen(
        argv, cwd=workspace.parent, stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as waiting:
        waiting.stdin.write(patch_text("p", write_op("a", "x")))
        waiting.stdin.close()
        assert "lane MAIN is paused" in waiting.stderr.readline()
        assert ghost("queue", "resume", "MAIN").status == 0
        assert waiting.wait(30) == 0


def test_an_executor_that_is_down_is_named(ghost, ghostd, daemon, workspace):
    control = ghostd("status", "--json").json["supervisorctl"]
    stop = [str(Path(sys.executable).with_name("supervisorctl")), *shlex.split(control)[1:], "stop", "executor-MAIN"]
    assert subprocess.run(stop, check=False, capture_output=True).returncode == 0
    argv = [sys.executable, "-I", "-m", "ghostd.cli.ghost", "apply", "-"]
    with subprocess.Popen(
        argv, cwd=workspace.parent, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        waiting.stdin.write(patch_text("p", write_op("a", "x")))
        waiting.stdin.close()
        assert "ghostd restart executor-MAIN" in waiting.stderr.readline()
        waiting.send_signal(2)
        assert waiting.wait(30) == 130
        assert "ghost show p" in waiting.stderr.read()
    assert ghost("show", "p", "--json").json["status"] == "queued"
    assert ghostd("restart", "executor-MAIN").status == 0
    assert wait_for(ghost, "p")["status"] == "applied"


def test_a_workspace_path_of_two_hundred_bytes_works_in_every_part(ghost, ghostd, repo, tmp_path):
    from ghostd.config.init import init

    deep = tmp_path
    while len(str(deep)) < 200:
        deep = deep / ("d" * min(50, 200 - len(str(deep))))
    deep.mkdir(parents=True)
    init(deep, repo=repo)
    conf = deep / "conf" / "ghost.toml"
    ports = [line for line in conf.read_text().splitlines() if "127.0.0.1:" in line]
    assert ports
    text = conf.read_text()
    for port in {part.rstrip('"').rsplit(":", 1)[1].split('"')[0] for part in ports}:
        text = text.replace(f"127.0.0.1:{port}", "127.0.0.1:0")
    conf.write_text(text)
    where = ("--workspace", str(deep))
    try:
        assert ghostd("start", *where).status == 0
        status = ghostd("status", "--json", *where).json
        assert all(service["ready"] for service in status["services"])
        ran = ghost("apply", "-", "--json", *where, stdin=patch_text("p", write_op("a", "x")))
        assert ran.result["status"] == "applied"
        control = [
            str(Path(sys.executable).with_name("supervisorctl")),
            *shlex.split(status["supervisorctl"])[1:],
            "status",
        ]
        listed = subprocess.run(control, capture_output=True, text=True, check=False)
        assert listed.stdout.count("RUNNING") == len(status["services"]), listed.stdout
    finally:
        assert ghostd("stop", *where).status == 0
