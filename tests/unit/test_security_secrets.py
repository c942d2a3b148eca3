"""Secrets are made once, kept private, and read from where the owner put them."""

from __future__ import annotations

import stat
import threading

import pytest

from ghostd.base.errors import Cannot
from ghostd.security import secrets


def test_missing_secrets_are_made_private_and_long(tmp_path):
    secrets.create(tmp_path / "secrets")
    for name in ("webhook", "jwt"):
        file = tmp_path / "secrets" / name
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        (only,) = secrets.load(name, tmp_path / "secrets", {})
        assert len(only) >= 32
    assert (tmp_path / "secrets" / "webhook").read_bytes() != (tmp_path / "secrets" / "jwt").read_bytes()
    assert not (tmp_path / "secrets" / "slack").exists(), "Slack gives out its own"


def test_a_secret_that_is_there_is_never_touched(tmp_path):
    (tmp_path / "jwt").write_text("mine")
    secrets.create(tmp_path)
    before = (tmp_path / "webhook").read_bytes()
    secrets.create(tmp_path)
    assert (tmp_path / "jwt").read_text() == "mine"
    assert (tmp_path / "webhook").read_bytes() == before


def test_many_at_once_make_one(tmp_path):
    """Two verbs that set up the same workspace must not each go on with a secret of its own."""
    seen, start = [], threading.Barrier(8)

    def one():
        start.wait()
        secrets.create(tmp_path)
        seen.append(secrets.load("jwt", tmp_path, {}))

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jwt", "webhook"], "nothing half made is left"


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, (b"from-folder",)),
        ({"GHOST_WEBHOOK_SECRET": "a"}, (b"a",)),
        ({"GHOST_WEBHOOK_SECRET": "new, old"}, (b"new", b"old")),
        ({"GHOST_WEBHOOK_SECRET": ",,"}, ()),
        ({"GHOST_WEBHOOK_SECRET": "", "GHOST_WEBHOOK_SECRET_FILE": ""}, (b"from-folder",)),
        ({"GHOST_WEBHOOK_SECRET_FILE": "{tmp}/other"}, (b"x", b"y")),
        ({"GHOST_WEBHOOK_SECRET": "a", "GHOST_WEBHOOK_SECRET_FILE": "{tmp}/other"}, (b"a",)),
        ({"GHOST_JWT_SECRET": "not this one"}, (b"from-folder",)),
    ],
)
def test_the_environment_wins_over_the_folder(tmp_path, environ, found):
    (tmp_path / "webhook").write_text("from-folder\n")
    (tmp_path / "other").write_text("x,y\n")
    environ = {name: value.replace("{tmp}", str(tmp_path)) for name, value in environ.items()}
    assert secrets.load("webhook", tmp_path, environ) == found


def test_no_secret_is_no_error(tmp_path):
    assert secrets.load("slack", tmp_path, {}) == ()


def test_a_named_file_that_is_missing_is_told_and_never_passed_by(tmp_path):
    """Falling back to another secret would open a door that its owner believes to be shut."""
    secrets.create(tmp_path)
    with pytest.raises(Cannot) as caught:
        secrets.load("webhook", tmp_path, {"GHOST_WEBHOOK_SECRET_FILE": str(tmp_path / "gone")})
    assert caught.value.kind == "secret-unreadable"


def test_a_file_that_is_no_secret_is_refused(tmp_path):
    (tmp_path / "webhook").write_bytes(b"x" * 100_000)
    with pytest.raises(Cannot) as caught:
        secrets.load("webhook", tmp_path, {})
    assert "xxx" not in str(caught.value)
