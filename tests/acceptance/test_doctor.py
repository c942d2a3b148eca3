"""`ghost doctor` and `ghostd doctor` tell what is there, and fail only where the configuration needs what is not."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

GROUPS = {"tools", "machine", "sandbox", "workspace"}


def named(ran, name: str) -> dict[str, str]:
    (one,) = [check for check in ran.json["checks"] if check["name"] == name]
    return one


@pytest.mark.parametrize("program", ["ghost", "ghostd"])
def test_it_looks_at_everything_with_what_it_is_for(request, workspace, program):
    ran = request.getfixturevalue(program)("doctor", "--json")
    assert ran.status == 0, ran.stdout
    assert ran.json["ok"]
    assert {check["group"] for check in ran.json["checks"]} == GROUPS
    assert all(check["for"] and check["found"] for check in ran.json["checks"])
    assert all(check["get"] for check in ran.json["checks"] if check["state"] != "ok")


def test_it_works_where_there_is_no_workspace(ghost, tmp_path):
    ran = ghost("doctor", "--json", cwd=tmp_path)
    assert ran.status == 0
    assert named(ran, "workspace")["state"] == "warning"


def test_on_a_terminal_it_is_a_table_of_one_screen(ghost, workspace):
    ran = ghost("doctor")
    lines = ran.stdout.splitlines()
    assert lines[0].split() == ["CHECK", "STATE", "FOUND", "FOR"]
    assert len(lines) < 50
    assert any(line.startswith("daemon: not running; ghostd start") for line in lines)


def test_secrets_that_others_can_read_are_told(ghost, workspace):
    (workspace / "state" / "secrets" / "jwt").chmod(0o644)
    ran = ghost("doctor", "--json")
    assert ran.status == 1
    assert not ran.json["ok"]
    assert "jwt" in named(ran, "secrets")["found"]


def test_a_broken_configuration_is_told_and_the_rest_is_still_looked_at(ghost, workspace):
    (workspace / "conf" / "ghost.toml").write_text("[lane.MAIN]\nbrnach = 1\n")
    ran = ghost("doctor", "--json")
    assert ran.status == 1
    assert named(ran, "workspace")["state"] == "missing"
    assert named(ran, "git")["state"] == "ok"


def test_a_taken_port_is_told(ghost, workspace):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        conf = workspace / "conf" / "ghost.toml"
        conf.write_text(with_status(conf.read_text(), address))
        told = named(ghost("doctor", "--json"), "ports")
    assert told["state"] == "warning"
    assert address in told["found"]


def with_status(text: str, address: str) -> str:
    lines = [line for line in text.splitlines() if not line.startswith("status = ")]
    if "[listen]" not in lines:
        return "\n".join([*lines, "[listen]", f'status = "{address}"', ""])
    at = lines.index("[listen]") + 1
    return "\n".join([*lines[:at], f'status = "{address}"', *lines[at:], ""])


def test_a_missing_git_is_told(ghost, workspace, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    ran = ghost("doctor", "--json", env={"PATH": str(tmp_path / "empty")})
    assert ran.status == 1
    assert named(ran, "git")["state"] == "missing"


@pytest.mark.skipif(not Path("/dev/shm").is_dir() or not os.access("/dev/shm", os.W_OK), reason="no tmpfs at hand")
def test_a_disk_that_forgets_is_told(ghost, ghostd, repo, tmp_path):
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        assert ghostd("init", "--workspace", folder, "--repo", str(repo)).status == 0
        told = named(ghost("doctor", "--json", "--workspace", folder), "file system")
    assert (told["found"], told["state"]) == ("tmpfs", "warning")
