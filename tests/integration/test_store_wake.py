"""A ring wakes those who wait, in whatever process, and never costs the ringer anything."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from pathlib import Path

import pytest
from store_kit import StandingClock, child

from ghostd.store.db import open_ledger
from ghostd.store.wake import DatagramBell, listen


@pytest.fixture(params=["short", "200 bytes"])
def folder(request, tmp_path) -> Path:
    """A folder for the sockets, also where a socket's path would be too long for the kernel."""
    if request.param == "short":
        return tmp_path / "wake"
    deep = tmp_path / ("d" * 120) / ("e" * max(1, 200 - 122 - len(str(tmp_path))))
    deep.mkdir(parents=True)
    assert len(str(deep)) >= 200
    return deep / "wake"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_ring_wakes_everybody_and_once(folder):
    with contextlib.closing(listen(folder)) as one, contextlib.closing(listen(folder)) as two:
        DatagramBell(folder).ring()
        DatagramBell(folder).ring()
        assert one.wait(5)
        assert two.wait(5)
        assert not one.wait(0), "all pending rings are one news"


def test_without_a_ring_a_waiter_sleeps_for_its_time(folder):
    with contextlib.closing(listen(folder)) as waiter:
        before = time.monotonic()
        assert not waiter.wait(0.05)
        assert time.monotonic() - before >= 0.049


def test_a_ring_before_the_sleep_is_not_lost(folder):
    with contextlib.closing(listen(folder)) as waiter:
        DatagramBell(folder).ring()
        assert waiter.wait(0)


def test_an_event_loop_can_wait_for_it_and_drain(folder):
    with contextlib.closing(listen(folder)) as waiter, selectors.DefaultSelector() as selector:
        selector.register(waiter.fileno(), selectors.EVENT_READ)
        DatagramBell(folder).ring()
        assert selector.select(5)
        waiter.drain()
        assert not selector.select(0)


def test_a_waiter_that_never_reads_does_not_hold_the_ringer_up(folder):
    with contextlib.closing(listen(folder)) as waiter:
        bell = DatagramBell(folder)
        for _ in range(5000):
            bell.ring()
        assert waiter.wait(0)
        assert not waiter.wait(0)


def test_sockets_of_the_dead_are_cleared_away_and_the_living_stay(folder):
    with contextlib.closing(listen(folder)) as living:
        dead = listen(folder)
        dead._sock.close()
        assert len(list(folder.iterdir())) == 2
        DatagramBell(folder).ring()
        assert list(folder.iterdir()) == [living._path]
        assert living.wait(0)


def test_a_closed_waiter_leaves_no_name_behind(folder):
    listen(folder).close()
    assert list(folder.iterdir()) == []


def test_sockets_and_folder_are_the_owners_alone(folder):
    with contextlib.closing(listen(folder)) as waiter:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert waiter._path.stat().st_mode & 0o777 == 0o600


def test_neither_side_leaks_descriptors(folder):
    before = descriptors()
    for _ in range(50):
        waiter = listen(folder)
        DatagramBell(folder).ring()
        waiter.wait(0)
        waiter.close()
    DatagramBell(folder / "nowhere").ring()
    assert descriptors() == before


def test_what_is_no_socket_of_ours_is_left_alone(folder):
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "file.sock").write_text("no socket")
    (folder / "stream.sock.d").mkdir()
    DatagramBell(folder).ring()
    assert (folder / "notes.txt").exists()
    assert (folder / "stream.sock.d").exists()


def test_a_ringer_without_descriptors_left_rings_nobody_and_goes_on(folder, monkeypatch):
    def none_left(*_: object, **__: object):
        raise OSError(24, "Too many open files")

    with contextlib.closing(listen(folder)) as waiter:
        monkeypatch.setattr(socket, "socket", none_left)
        DatagramBell(folder).ring()
        assert not waiter.wait(0)
        assert waiter._path.exists()


def test_a_put_wakes_a_process_that_waits_and_it_finds_the_news(tmp_path):
    listener = child("waiter", tmp_path)
    try:
        assert listener.stdout.readline() == "ready\n"
        ledger = open_ledger(tmp_path / "ghost.db", clock=StandingClock(), bell=DatagramBell(tmp_path / "wake"))
        for _ in range(20):
            number = ledger.append("ghost.service.state", "web", {})
            assert listener.stdout.readline() == f"{number}\n"
        ledger.close()
    finally:
        listener.kill()
        listener.communicate()
    assert len(list((tmp_path / "wake").iterdir())) == 1, "the killed one's socket"
    DatagramBell(tmp_path / "wake").ring()
    assert list((tmp_path / "wake").iterdir()) == []
