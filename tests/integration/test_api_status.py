"""status-api as a real process: the original's routes, ours, and who may use them."""

from __future__ import annotations

import json
import os
import socket
import stat

import api_kit
import httpx
import pytest
from api_kit import Home, Running, patch

from ghostd.api.auth import Scope
from ghostd.api.front import Listener
from ghostd.api.routes import ROUTES
from ghostd.model.job import Happening, Outcome

NASTY = "<script>alert('x')</script> \x1b[31mred\x9b \u202eevil & \"quoted\""
SERVED = (Listener.STATUS, Listener.TELEMETRY, Listener.TRIGGER, Listener.DASHBOARD, Listener.MONITOR)
ROWS = [(listener, route) for route in ROUTES for listener in SERVED if listener in route.on and route.method != "WS"]
names = [f"{listener} {route.method} {route.path}" for listener, route in ROWS]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return api_kit.make_home(tmp_path_factory.mktemp("status"))


@pytest.fixture(scope="module")
def api(home):
    with api_kit.service("status_api", home) as running:
        yield running


@pytest.fixture(scope="module")
def applied(home, api) -> str:
    """A patch with a nasty description that was applied, as far as the ledger knows."""
    with api.client("status") as client:
        answer = client.post("/api/patches", content=patch("nasty", description=NASTY), headers=home.bearer("submit"))
    assert answer.status_code == 202, answer.text
    with home.ledger() as ledger:
        # Other tests may have queued theirs before.
        while (claim := ledger.claim("MAIN", "me", 60)) is not None:
            result = {"id": claim.job.id, "status": "applied", "commit": "c0ffee" + "0" * 34}
            summary = f"# {claim.job.id}\n\n{claim.job.title}\n"
            ledger.finish(claim, Outcome(happening=Happening.APPLY, result=result, summary=summary))
    return "nasty"


@pytest.fixture
def status(api: Running):
    with api.client("status") as client:
        yield client


ORIGINAL = [
    ("GET", "/health"),
    ("GET", "/api/patches/status"),
    ("GET", "/api/patches/nasty/status"),
    ("GET", "/api/services/status"),
    ("POST", "/api/webhooks/patch-event"),
    ("GET", "/api/unified-status"),
]


@pytest.mark.parametrize(("method", "path"), ORIGINAL)
def test_the_originals_routes_keep_their_envelope(status, home, applied, method, path):
    """`status`, `timestamp`, `data`, as its clients expect."""
    body = {"patch_id": "nasty", "event": "seen"} if method == "POST" else None
    answer = status.request(method, path, json=body, headers=home.bearer("read", "submit"))
    told = answer.json()
    assert answer.status_code == 200, told
    assert told["status"] == "success"
    assert told["timestamp"].endswith("Z")
    assert isinstance(told["data"], dict)


@pytest.mark.parametrize(("listener", "route"), ROWS, ids=names)
def test_nothing_that_needs_a_scope_answers_without_one(api, listener, route):
    """The whole table: from beyond a tunnel, without a token, only what is open is answered."""
    path = route.path.replace("{id}", "nasty").replace("{lane}", "MAIN")
    with api.client(listener) as client:
        answer = client.request(route.method, path, headers={"X-Forwarded-For": "203.0.113.9"})
    assert (answer.status_code == 401) == (route.scope is not None), answer.text
    if route.scope is not None:
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["code"] == "unauthorised"


@pytest.mark.parametrize(("listener", "route"), ROWS, ids=names)
def test_no_other_scope_will_do(api, home, listener, route):
    """The whole table: a token with every scope but the right one (and admin) is refused."""
    path = route.path.replace("{id}", "nasty").replace("{lane}", "MAIN")
    others = [scope for scope in Scope if scope not in {route.scope, Scope.ADMIN}]
    with api.client(listener) as client:
        answer = client.request(route.method, path, headers=home.bearer(*others))
    assert (answer.status_code == 403) == (route.scope is not None), answer.text


def test_reading_from_this_machine_needs_no_token_and_changing_does(status, applied):
    """`open_loopback` is for a first look."""
    assert status.get("/api/patches").status_code == 200
    assert status.post("/api/patches", content=patch("no-token")).status_code == 401


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Authorization": "Bearer nonsense"}, 401),
        ({"Authorization": "Basic Z2hvc3Q6Z2hvc3Q="}, 401),
        ({"X-Forwarded-For": "127.0.0.1"}, 401),
        ({"Host": "localhost:1"}, 200),
    ],
)
def test_who_proves_nothing_has_to_come_from_here(status, headers, code):
    """DNS rebinding and proxies do not inherit loopback's right to read; a wrong token is worse than none."""
    assert status.get("/api/unified-status", headers=headers).status_code == code


def test_a_page_of_another_site_can_not_post(status, home):
    """Sec-Fetch-Site tells; a token makes it all right, because a foreign page has none."""
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert status.post("/api/patches", content=b"", headers=foreign).json()["code"] == "cross-site"
    answer = status.post("/api/patches", content=patch("with-token"), headers=foreign | home.bearer("submit"))
    assert answer.status_code == 202


def test_a_submitted_patch_is_durable_when_its_receipt_comes(status, home):
    """The same words as for a webhook; the same patch again is the same job."""
    first = status.post("/api/patches", content=patch("sub-1"), headers=home.bearer("submit"))
    again = status.post("/api/patches", content=patch("sub-1"), headers=home.bearer("admin"))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert status.get(first.json()["status_url"]).json()["data"]["state"] == "queued"
    with home.ledger() as ledger:
        job = ledger.get("sub-1")
    assert (job.origin.door, job.origin.source) == ("api", "tester")


def test_yaml_is_a_patch_too(status, home):
    """Any format, as at every door."""
    text = b"id: yaml-1\ntype: unified\ncontent:\n  mutations:\n    - {op: write, path: y.txt, contents: hi}\n"
    assert status.post("/api/patches", content=text, headers=home.bearer("submit")).status_code == 202


@pytest.mark.parametrize("path", ["/api/patches/none", "/api/patches/none/status", "/api/patches/none/summary", "/no"])
def test_what_is_not_there_is_a_problem_document(status, path):
    """RFC 9457, with the original's three fields."""
    answer = status.get(path)
    told = answer.json()
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "detail", "status", "message", "timestamp", "code", "request_id"} <= set(told)
    assert told["status"] == "error"
    assert told["request_id"] == answer.headers["x-request-id"]


def test_a_strangers_text_is_harmless_in_json_and_on_the_page(status, applied):
    """No tag, no control character, no direction override arrives anywhere as what it is."""
    for path in ("/api/patches/nasty", "/api/patches", "/api/events?since=0", "/", "/parts.html"):
        raw = status.get(path).content
        assert b"<script>alert" not in raw, path
        assert not {0x1B, 0x9B} & set(raw.decode().encode("utf-32-le")[::4]), path
        assert "\u202e" not in raw.decode(), path
    assert "&lt;script&gt;alert(&#x27;x&#x27;)" in status.get("/").text


def test_a_summary_is_text_and_nothing_else(status, applied):
    """Markdown with a stranger's words must not be guessed to be a page."""
    answer = status.get("/api/patches/nasty/summary")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "\x1b" not in answer.text
    assert answer.text.startswith("# nasty")


@pytest.mark.parametrize("path", ["/", "/api/patches", "/livez", "/no", "/page.js"])
def test_every_answer_has_the_security_headers(status, path):
    """Whatever it is, error or page."""
    headers = status.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe" not in headers["content-security-policy"]
    assert "server" not in headers
    assert "date" in headers


def test_the_page_needs_no_script_and_has_nothing_inline(status, applied):
    """It is a table of what is, before any script runs."""
    page = status.get("/").text
    assert "nasty" in page
    assert "c0ffee0000" in page
    assert 'href="/api/patches/nasty/summary"' in page
    assert " style=" not in page
    assert page.count("<script") == 1
    assert '<script src="/page.js" defer></script>' in page


def test_the_list_comes_in_pages(status, home):
    """`cursor` leads from page to page, each patch once."""
    for number in range(7):
        status.post("/api/patches", content=patch(f"page-{number}"), headers=home.bearer("submit"))
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        told = status.get("/api/patches", params=query).json()["data"]
        seen += [row["id"] for row in told["patches"]]
        cursor = told["cursor"]
        if not cursor:
            break
    assert seen == list(dict.fromkeys(seen))
    assert [id for id in seen if id.startswith("page-")] == [f"page-{number}" for number in reversed(range(7))]


@pytest.mark.parametrize("query", ["limit=x", "cursor=-1", "state=nowhere", "limit=" + "9" * 30])
def test_a_wrong_query_is_told(status, query):
    """400, no surprise."""
    assert status.get(f"/api/patches?{query}").json()["code"] == "bad-request"


def test_events_follow_a_number(status, home):
    """`next` is where to go on; a reported event is there with the one who reported it."""
    before = status.get("/api/events").json()["data"]["newest"]
    report = json.dumps({"patch_id": "p", "x": NASTY + "\ud800"}).encode()
    status.post("/api/webhooks/patch-event", content=report, headers=home.bearer("submit"))
    told = status.get("/api/events", params={"since": before}).json()["data"]
    (event,) = told["events"]
    assert (event["type"], event["subject"]) == ("ghost.patch.outside", "p")
    assert event["data"]["reported_by"] == "tester"
    assert told["next"] == event["seq"] == before + 1


@pytest.mark.parametrize("body", [b"[]", b"nonsense", b'{"patch_id": "../x"}', b'{"a":' * 5000])
def test_a_report_that_is_none_is_refused(status, home, body):
    """400, and nothing is recorded."""
    before = status.get("/api/events").json()["data"]["newest"]
    answer = status.post("/api/webhooks/patch-event", content=body, headers=home.bearer("submit"))
    assert answer.json()["code"] == "bad-request"
    assert status.get("/api/events").json()["data"]["newest"] == before


def test_a_lane_is_paused_and_resumed_by_name_by_alias_and_all_at_once(api, home):
    """The trigger's whole job in this version."""
    with api.client("trigger", headers=home.bearer("operate")) as trigger:
        assert trigger.post("/lanes/BRAUN/pause").json()["data"] == {"paused": {"MAIN": True}}
        assert trigger.post("/pause").json()["data"]["paused"] == {"MAIN": True, "CYOPS": True}
        assert trigger.post("/resume").json()["data"]["paused"] == {"MAIN": False, "CYOPS": False}
        assert trigger.post("/lanes/NONE/pause").status_code == 404


def test_services_are_told_unknown_while_no_daemon_runs(status):
    """No daemon is a fact to show, not an error."""
    told = status.get("/api/services/status").json()["data"]
    assert told["running"] is False
    assert "ghostd" in told["why"]
    assert told["services"] == []


@pytest.mark.parametrize("listener", SERVED)
def test_every_door_answers_the_probes_and_describes_itself(api, listener):
    """A load balancer asks any of them; the description has exactly the table's rows."""
    with api.client(listener) as client:
        assert [client.get(path).status_code for path in ("/livez", "/readyz", "/healthz")] == [200, 200, 200]
        assert client.get("/readyz").json()["checks"] == {"ledger": True, "hub": True}
        described = client.get("/openapi.json").json()
    paths = {route.path for route in ROUTES if listener in route.on and route.method != "WS"}
    assert described["openapi"].startswith("3.1")
    assert set(described["paths"]) == paths - {"/page.js", "/style.css", "/favicon.svg", "/parts.html"}


def test_the_workspaces_own_socket_is_for_its_user_and_for_reading(api, home):
    """Mode 0600; a change needs a token there as well."""
    path = home.places.api
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://ghost") as client:
        assert client.get("/api/patches").status_code == 200
        assert client.post("/api/patches", content=b"").status_code == 401


def test_the_page_is_on_three_doors_with_all_that_it_asks_for(api):
    """Its script only talks to the door that it came from."""
    for listener in ("status", "dashboard", "monitor"):
        with api.client(listener) as client:
            for path in ("/", "/page.js", "/style.css", "/favicon.svg", "/parts.html", "/api/unified-status"):
                assert client.get(path).status_code == 200, (listener, path)


def _taken() -> tuple[socket.socket, str]:
    blocker = socket.create_server(("127.0.0.1", 0))
    return blocker, f"127.0.0.1:{blocker.getsockname()[1]}"


def test_a_taken_port_of_the_first_rank_ends_the_service_with_one_clear_line(tmp_path):
    """Exit 1 and the next step, so that the engine tries again with growing pauses."""
    blocker, address = _taken()
    with blocker:
        home = api_kit.make_home(tmp_path, listen={"status": address})
        assert api_kit.start("status_api", home).wait(20) == 1
    told = (home.workspace / "status_api.log").read_text()
    assert f"cannot listen on {address} (status): port is taken; set [listen] status" in told
    assert "Traceback" not in told
    assert not home.places.api.exists()


def test_a_taken_port_of_the_second_rank_is_told_and_left_out(tmp_path):
    """The rest works; the log, /readyz and the supervisor know."""
    blocker, address = _taken()
    with blocker:
        home = api_kit.make_home(tmp_path, listen={"monitor": address, "telemetry": ""})
        with api_kit.service("status_api", home) as running, running.client("status") as client:
            assert set(running.listen) == {"status", "trigger", "dashboard"}
            assert client.get("/readyz").json()["skipped"] == ["monitor"]
            assert any("no monitor" in line for line in running.said)
    assert f"cannot listen on {address} (monitor)" in (home.workspace / "status_api.log").read_text()


def test_the_watchdog_is_fed(tmp_path):
    """From the loop, and only while the ledger's thread answers."""
    home = api_kit.make_home(tmp_path)
    inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = f"/tmp/ghost-watchdog-{os.getpid()}"
    inbox.bind(path)
    inbox.settimeout(20)
    process = api_kit.start("status_api", home, NOTIFY_SOCKET=path, WATCHDOG_USEC="400000")
    try:
        fed = 0
        while fed < 3:
            fed += inbox.recv(65536).count(b"WATCHDOG=1")
    finally:
        process.kill()
        process.wait()
        inbox.close()
        os.unlink(path)


def test_without_open_loopback_even_this_machine_needs_a_token(tmp_path):
    """The setting does what it says."""
    home = api_kit.make_home(tmp_path, security="open_loopback = false")
    with api_kit.service("status_api", home) as running, running.client("status") as client:
        assert client.get("/api/patches").status_code == 401
        assert client.get("/").status_code == 401
        assert client.get("/api/patches", headers=home.bearer("read")).status_code == 200
        assert client.get("/livez").status_code == 200


def test_cors_is_for_the_listed_origins_only(tmp_path):
    """Nobody else's page may read an answer."""
    home = api_kit.make_home(tmp_path, security='cors_origins = ["https://ok.example"]')
    with api_kit.service("status_api", home) as running, running.client("status") as client:
        allowed = client.get("/api/patches", headers={"Origin": "https://ok.example"})
        other = client.get("/api/patches", headers={"Origin": "https://other.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://ok.example"
    assert "access-control-allow-origin" not in other.headers
    assert json.loads(other.content)["status"] == "success"
