"""The gateway as a real process: who gets a receipt, who is refused, and how."""

from __future__ import annotations

import time

import api_kit
import httpx
import pytest
from api_kit import Home, Running, hub_signed, patch, standard_signed


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return api_kit.make_home(tmp_path_factory.mktemp("gateway"))


@pytest.fixture(scope="module")
def gateway(home):
    with api_kit.service("gateway", home) as running:
        yield running


@pytest.fixture
def post(gateway: Running):
    """POST /webhook."""

    def send(body: bytes, headers: dict[str, str], listener: str = "gateway") -> httpx.Response:
        return httpx.post(gateway.url(listener) + "/webhook", content=body, headers=headers, timeout=20)

    return send


def test_a_signed_patch_gets_a_receipt_and_is_in_the_ledger(post, home):
    """202, and the job is there when the answer is."""
    body = patch("hub-1")
    answer = post(body, hub_signed(body, home.secret(), "delivery-1"))
    assert answer.status_code == 202, answer.text
    receipt = answer.json()
    assert set(receipt) == {"id", "digest", "status", "status_url"}
    with home.ledger() as ledger:
        job = ledger.get("hub-1")
    assert (job.digest, job.state.value, job.origin.door) == (receipt["digest"], "queued", "webhook")


def test_a_receipt_says_where_to_ask(post, home, gateway):
    """`status_url` answers on the listener that gave it."""
    body = patch("ask-me")
    receipt = post(body, hub_signed(body, home.secret())).json()
    with gateway.client("gateway") as client:
        told = client.get(receipt["status_url"]).json()
    assert told["status"] == "success"
    assert told["data"]["id"] == "ask-me"


def test_the_standard_scheme_and_the_runner_listener_work_alike(post, home):
    """The original's main runner took the same webhooks."""
    body = patch("standard-1")
    assert post(body, standard_signed(body, home.secret(), "msg_1"), "runner").status_code == 202


def test_a_repeated_delivery_gets_the_first_receipt_again(post, home):
    """200 and `duplicate`, although the job may have moved on."""
    body = patch("again")
    headers = hub_signed(body, home.secret(), "delivery-again")
    first = post(body, headers)
    second = post(body, headers)
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json() == {**first.json(), "duplicate": True}


def test_a_delivery_without_an_id_is_known_by_its_body(post, home):
    """The body's SHA-256 is its id."""
    body = patch("no-delivery-id")
    assert [post(body, hub_signed(body, home.secret())).status_code for _ in range(2)] == [202, 200]


def test_a_delivery_id_with_another_body_is_a_conflict(post, home):
    """409, and the second patch is not taken."""
    one, other = patch("reuse-a"), patch("reuse-b")
    assert post(one, hub_signed(one, home.secret(), "same")).status_code == 202
    answer = post(other, hub_signed(other, home.secret(), "same"))
    assert (answer.status_code, answer.json()["code"]) == (409, "delivery-reused")
    with home.ledger() as ledger:
        assert ledger.get("reuse-b") is None


def test_a_patch_id_with_another_content_is_a_conflict(post, home):
    """409: an id means one patch for ever."""
    one, other = patch("twice"), patch("twice", contents="other\n")
    assert post(one, hub_signed(one, home.secret())).status_code == 202
    answer = post(other, hub_signed(other, home.secret()))
    assert (answer.status_code, answer.json()["code"]) == (409, "id-reused")


BODY = patch("never")
WRONG = b"w" * 32


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(lambda _: {}, id="unsigned"),
        pytest.param(lambda _: hub_signed(BODY, WRONG), id="wrong secret"),
        pytest.param(lambda secret: hub_signed(BODY + b" ", secret), id="signature of another body"),
        pytest.param(lambda secret: standard_signed(BODY, secret, "m1", time.time() - 330), id="too old"),
        pytest.param(lambda secret: standard_signed(BODY, secret, "m2", time.time() + 330), id="from the future"),
        pytest.param(lambda secret: standard_signed(BODY, secret, "m3") | {"webhook-id": "m4"}, id="moved id"),
        pytest.param(lambda _: {"Authorization": "Bearer x", "X-Hub-Signature-256": "sha256="}, id="nonsense"),
    ],
)
def test_every_bad_signature_gets_the_same_answer(post, home, headers):
    """401 without a word on what was wrong."""
    answer = post(BODY, headers(home.secret()))
    told = answer.json()
    assert answer.status_code == 401
    assert told["detail"] == post(BODY, {}).json()["detail"]
    with home.ledger() as ledger:
        assert ledger.get("never") is None


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no patch at all: [", None),
        (b'{"id": "x y", "type": "unified", "content": {"mutations": []}}', "id"),
        (
            b'{"id":"bad-op","type":"unified","content":{"mutations":[{"op":"explode","path":"a"}]}}',
            "content.mutations[0]",
        ),
        (b"", None),
        (b"\xff\xfe\x00", None),
    ],
)
def test_what_is_no_patch_is_told_where_it_is_wrong(post, home, body, says):
    """422 as a problem document, with the place where there is one."""
    answer = post(body, hub_signed(body, home.secret()))
    told = answer.json()
    assert answer.status_code == 422, told
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["status"] == "error"
    if says:
        assert says in told["errors"][0]["pointer"]


def test_a_body_over_the_limit_is_refused_before_it_is_read(post, home):
    """413, declared or streamed."""
    body = b" " * (512 * 1024 + 1)
    assert post(body, hub_signed(body, home.secret())).status_code == 413


def test_the_gateway_knows_no_other_routes(gateway):
    """What is open to the internet is small."""
    with gateway.client("gateway") as client:
        assert client.post("/api/patches").status_code == 404
        assert client.get("/api/patches").status_code == 404
        assert client.get("/").status_code == 404
        assert client.get("/webhook").status_code == 405


def test_health_has_the_components_on_top_and_in_the_envelope(gateway):
    """The original's clients look in either place."""
    with gateway.client("runner") as client:
        told = client.get("/health").json()
    assert told["status"] == "success"
    assert told["components"] == told["data"]["components"]
    assert told["components"]["port_5555_bound"] is True
    assert told["components"]["webhook_endpoint"] == "operational"
    assert told["components"]["ghost_runner"] == "down"
    assert told["overall_status"] == "unknown"
    assert set(told["system_metrics"]) == {"cpu", "memory", "disk", "network"}


def test_status_counts_what_was_taken_and_refused(gateway, post, home):
    """A rising number of bad signatures is how one sees an attack."""
    post(BODY, {})
    body = patch("counted")
    post(body, hub_signed(body, home.secret()))
    with gateway.client("gateway") as client:
        told = client.get("/status").json()["data"]
    assert told["deliveries"]["bad-signature"] >= 1
    assert told["deliveries"]["accepted"] >= 1
    assert told["lanes"]["MAIN"]["queued"] >= 1


def test_without_a_secret_everything_is_refused_and_the_supervisor_hears_why(tmp_path):
    """401 to the world, the reason to the owner."""
    home = api_kit.make_home(tmp_path)
    (home.places.secrets / "webhook").unlink()
    with api_kit.service("gateway", home) as running:
        answer = httpx.post(running.url("gateway") + "/webhook", content=BODY, headers=hub_signed(BODY, WRONG))
        assert answer.status_code == 401
        assert any("no webhook secret" in line for line in running.said)


def test_too_many_deliveries_from_one_client_have_to_wait(tmp_path):
    """429 with Retry-After, before anything is read."""
    home = api_kit.make_home(tmp_path, security='rate_limit = "3/minute"')
    with api_kit.service("gateway", home) as running, running.client("gateway") as client:
        codes = [client.post("/webhook", content=b"x") for _ in range(4)]
    assert [answer.status_code for answer in codes] == [401, 401, 401, 429]
    assert 1 <= int(codes[-1].headers["retry-after"]) <= 20
