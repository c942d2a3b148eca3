"""What of this machine a command is shown: its tools, and not what lies beside them."""

from __future__ import annotations

from pathlib import Path

from ghostd.sandbox.shown import shown, tools


def program(folder: Path, name: str = "tool") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return folder / name


def places(path: str, work: Path, **more: object) -> dict[str, str]:
    asked = {"readable": (), "hidden": (), "network": False} | more
    rows = shown(writable=(work,), path=path, **asked).trees  # type: ignore[arg-type]
    return {place: kind for kind, _, place in rows}


def test_a_virtual_environment_comes_with_its_python(tmp_path: Path):
    python = program(tmp_path / "versions" / "3.99" / "bin", "python3")
    (tmp_path / "versions" / "3.99" / "lib").mkdir()
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    (venv / "bin" / "python").symlink_to(python)
    assert set(tools(f"{venv / 'bin'}:/usr/bin:relative:/missing")) == {venv, tmp_path / "versions" / "3.99"}


def test_a_folder_of_programs_in_the_home_does_not_show_the_home(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    local, share = tmp_path / ".local" / "bin", tmp_path / ".local" / "share"
    tool = program(share / "tools" / "ruff" / "bin", "ruff")
    (share / "tools" / "ruff" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    local.mkdir(parents=True)
    (local / "ruff").symlink_to(tool)
    program(tmp_path / "bin")
    (tmp_path / "lib").mkdir()
    assert set(tools(f"{local}:{tmp_path / 'bin'}")) == {local, share / "tools" / "ruff", tmp_path / "bin"}


def test_a_tool_that_is_installed_later_is_seen(tmp_path: Path):
    folder, late = tmp_path / "here", program(tmp_path / "there" / "bin")
    folder.mkdir()
    before = tools(str(folder))
    (folder / "tool").symlink_to(late)
    assert set(tools(str(folder))) - set(before) == {tmp_path / "there" / "bin"}


def test_a_path_above_the_work_shows_nothing_of_it(tmp_path: Path):
    work = tmp_path / "repo" / ".ghost" / "work"
    work.mkdir(parents=True)
    (tmp_path / "repo" / "lib").mkdir()
    program(tmp_path / "repo" / "bin")
    shown_places = places(f"{tmp_path / 'repo' / 'bin'}:{tmp_path}", work)
    assert str(tmp_path / "repo") not in shown_places
    assert str(tmp_path) not in shown_places


def test_git_folders_of_what_is_readable_are_covered(tmp_path: Path):
    (tmp_path / "source" / ".git").mkdir(parents=True)
    work = tmp_path / "work"
    work.mkdir()
    assert places("", work, readable=(tmp_path / "source",))[str(tmp_path / "source" / ".git")] == "hidden-folder"


def test_a_repository_below_a_system_folder_is_covered(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("ghostd.sandbox.shown._SYSTEM", (str(tmp_path),))
    work = tmp_path / "src" / "app" / ".ghost" / "state" / "work"
    work.mkdir(parents=True)
    (tmp_path / "src" / "app" / ".git").mkdir()
    assert places("", work)[str(tmp_path / "src" / "app")] == "hidden-folder"


def test_covers_come_before_what_lies_in_them(tmp_path: Path):
    work = tmp_path / "state" / "work"
    work.mkdir(parents=True)
    rows = shown(writable=(work,), readable=(tmp_path,), hidden=(tmp_path / "state",), path="", network=False).trees
    kinds = [kind for kind, _, place in rows if place.startswith(str(tmp_path))]
    assert kinds == ["readable", "hidden-folder", "writable"]


def test_secrets_of_the_system_are_covered(tmp_path: Path):
    rows = places("", tmp_path)
    assert rows["/usr"] == rows["/etc"] == "system"
    assert not Path("/etc/shadow").exists() or rows["/etc/shadow"] == "hidden-file"
    assert str(Path.home()) not in rows
