"""`/ws` of a real status-api: what was, then what comes, for each client at its own pace."""

from __future__ import annotations

import base64
import json
import os
import socket
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import api_kit
import pytest
from api_kit import Home, Running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

#: More than a queue and what the kernel buffers on the way to a client that reads nothing.
FLOOD, SIZE = 700, 20_000


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return api_kit.make_home(tmp_path_factory.mktemp("stream"))


@pytest.fixture(scope="module")
def api(home):
    with api_kit.service("status_api", home) as running:
        yield running


@contextmanager
def subscribed(api: Running, **wanted: Any):
    """A stream that has heard that it is subscribed."""
    with connect(f"ws://{api.listen['status']}/ws", max_queue=None) as stream:
        stream.send(json.dumps({"op": "subscribe", **wanted}))
        assert hear(stream)["op"] == "subscribed"
        yield stream


def hear(stream) -> dict[str, Any]:
    return json.loads(stream.recv(timeout=10))


def subjects(stream, many: int) -> list[str]:
    return [hear(stream)["event"]["subject"] for _ in range(many)]


def tell(home: Home, *subjects: str, type: str = "ghost.patch.outside", size: int = 0) -> int:
    """Write events as another process does; the number of the last."""
    with home.ledger() as ledger:
        return [ledger.append(type, subject, {"filler": "x" * size}) for subject in subjects][-1]


def newest(home: Home) -> int:
    with home.ledger() as ledger:
        return ledger.newest()


def test_an_event_of_another_process_arrives_at_once(api, home):
    """The bell wakes the stream: no waiting for the next look."""
    with subscribed(api) as stream:
        begun = time.monotonic()
        seq = tell(home, "woken")
        event = hear(stream)["event"]
        assert time.monotonic() - begun < 2.0
    assert (event["seq"], event["subject"], event["specversion"]) == (seq, "woken", "1.0")


def test_the_past_comes_first_and_then_what_is_new(api, home):
    """`since` gives every event after it exactly once, in order, over the seam between replay and live."""
    before = newest(home)
    tell(home, *(f"past-{n}" for n in range(700)))
    with subscribed(api, since=before) as stream:
        tell(home, *(f"live-{n}" for n in range(50)))
        heard = subjects(stream, 750)
    assert heard == [f"past-{n}" for n in range(700)] + [f"live-{n}" for n in range(50)]


def test_a_topic_covers_what_is_below_it(api, home):
    """And nothing beside it."""
    with subscribed(api, topics=["ghost.service", "ghost.alert.*"]) as stream:
        tell(home, "no", type="ghost.patch.applied")
        tell(home, "yes-1", type="ghost.service.state")
        tell(home, "yes-2", type="ghost.alert.opened")
        assert subjects(stream, 2) == ["yes-1", "yes-2"]


def test_a_second_subscription_takes_the_place_of_the_first(api, home):
    """One connection, one subscription."""
    before = newest(home)
    tell(home, "once")
    with subscribed(api, topics=["ghost.nothing"]) as stream:
        stream.send(json.dumps({"op": "subscribe", "topics": [], "since": before}))
        assert hear(stream)["op"] == "subscribed"
        assert subjects(stream, 1) == ["once"]


def test_a_number_of_another_ledger_is_answered_by_resync(api, home):
    """After a rebuild the numbers begin anew; a client must not wait for ever."""
    with subscribed(api, since=10**9) as stream:
        assert hear(stream) == {"op": "resync", "since": 10**9, "seq": newest(home)}
        tell(home, "after")
        assert subjects(stream, 1) == ["after"]


@pytest.mark.parametrize(
    "message",
    ["nonsense", "[]", '{"op": "shout"}', '{"op": "subscribe", "since": -1}', '{"op": "subscribe", "since": true}',
     '{"op": "subscribe", "topics": "all"}', '{"op": "subscribe", "topics": [1]}', "[" * 10_000],
)  # fmt: skip
def test_a_message_that_makes_no_sense_is_answered_and_the_stream_goes_on(api, message):
    """One wrong message is no reason to hang up."""
    with connect(f"ws://{api.listen['status']}/ws") as stream:
        stream.send(message)
        assert hear(stream)["op"] == "error"
        stream.send('{"op": "ping"}')
        assert hear(stream)["op"] == "pong"


@pytest.mark.parametrize(("message", "code"), [(b"binary", 1003), ("x" * 70_000, 1009)])
def test_a_message_of_the_wrong_kind_or_size_ends_the_stream(api, message, code):
    """64 kB of text is plenty."""
    with connect(f"ws://{api.listen['status']}/ws") as stream:
        stream.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            hear(stream)
    assert closed.value.rcvd.code == code


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"X-Forwarded-For": "203.0.113.9"}, 401),
    ],
)
def test_who_may_not_read_is_refused_before_the_stream_opens(api, headers, code):
    """As a plain HTTP answer with a problem document."""
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://{api.listen['status']}/ws", additional_headers=headers)
    answer = refused.value.response
    assert answer.status_code == code
    assert json.loads(answer.body)["status"] == "error"


def test_our_own_page_and_a_token_are_let_in(api, home):
    """Origin of the door itself; a token from anywhere."""
    address = api.listen["dashboard"]
    for headers in ({"Origin": f"http://{address}"}, {"X-Forwarded-For": "203.0.113.9", **home.bearer("read")}):
        with connect(f"ws://{address}/ws", additional_headers=headers) as stream:
            stream.send('{"op": "ping"}')
            assert hear(stream)["op"] == "pong"


@contextmanager
def stalled(api: Running):
    """A client that subscribes and then reads nothing: its kernel takes a little, and then nothing more."""
    host, _, port = api.listen["status"].partition(":")
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((host, int(port)))
    key = base64.b64encode(os.urandom(16)).decode()
    raw.sendall(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    assert b"101" in raw.recv(12)
    payload = b'{"op": "subscribe"}'
    # A client's frames are masked; a mask of zeros leaves the text as it is.
    raw.sendall(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
    time.sleep(0.3)
    try:
        yield raw
    finally:
        raw.close()


def test_a_stalled_client_disturbs_nobody(api, home):
    """The others get every event, in order; the stalled one costs a bounded amount of memory."""
    before = newest(home)
    with stalled(api), subscribed(api, since=before) as stream:
        size = _memory(api)
        tell(home, *(f"flood-{n}" for n in range(FLOOD)), size=SIZE)
        assert subjects(stream, FLOOD) == [f"flood-{n}" for n in range(FLOOD)]
        assert _memory(api) - size < 30 * 2**20


def test_a_client_that_was_too_slow_is_told_and_can_catch_up(api, home):
    """A gap is told by `resync`; from its number on nothing is missing."""
    with stalled(api) as raw:
        tell(home, *(f"gap-{n}" for n in range(FLOOD)), size=SIZE)
        time.sleep(0.5)
        messages = list(_drain(raw))
    kinds = [message["op"] for message in messages]
    assert "resync" in kinds
    heard = [message["event"]["seq"] for message in messages[: kinds.index("resync")] if message["op"] == "event"]
    resync = messages[kinds.index("resync")]
    assert heard == list(range(heard[0], heard[-1] + 1))
    assert resync["since"] == heard[-1]


def test_a_stop_ends_all_streams_in_time(tmp_path):
    """SIGTERM with open and stalled streams: clients hear 1012, the process ends with 0 within six seconds."""
    home = api_kit.make_home(tmp_path)
    with api_kit.service("status_api", home) as running, stalled(running), subscribed(running) as stream:
        tell(home, *(f"late-{n}" for n in range(300)), size=SIZE)
        begun = time.monotonic()
        running.process.terminate()
        assert _close_code(stream) == 1012
        assert running.end() == 0
        assert time.monotonic() - begun < 6.0
    assert not list(home.places.wake.iterdir())
    assert not home.places.api.exists()
    assert "Traceback" not in (home.workspace / "status_api.log").read_text()


def _memory(api: Running) -> int:
    return int(Path(f"/proc/{api.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _close_code(stream) -> int:
    """What the server says at the end, after all that it still had to tell."""
    try:
        while True:
            hear(stream)
    except ConnectionClosed as closed:
        return closed.rcvd.code


def _drain(raw: socket.socket):
    """Read a server's frames until it closes or is quiet."""
    raw.settimeout(2.0)
    data = b""
    try:
        while chunk := raw.recv(65536):
            data += chunk
    except TimeoutError:
        pass
    data = data.partition(b"\r\n\r\n")[2]
    while len(data) > 1:
        opcode, size, at = data[0] & 15, data[1] & 127, 2
        if size >= 126:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
        if opcode == 1:
            yield json.loads(data[at : at + size])
        data = data[at + size :]
