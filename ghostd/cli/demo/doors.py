"""The five doors, each used as its usual caller would."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from ghostd.base.errors import Cannot
from ghostd.cli.demo.scene import Act
from ghostd.model.job import Origin
from ghostd.model.submission import Submission
from ghostd.pipeline.intake import Intake
from ghostd.pipeline.workshop import Workshop
from ghostd.security import secrets, token


def send(act: Act, shop: Workshop, transcript: Path, listen: Mapping[str, str]) -> None:
    """Send a patch through its door; returns when the door has it."""
    match act.door:
        case "command":
            Intake(shop).submit(Submission(data=act.text.encode(), origin=Origin(door="command", source="demo")))
        case "drop folder":
            _drop(shop.places.drop("MAIN") / f"{act.id}.json", act.text)
        case "chat transcript":
            with transcript.open("a") as file:
                file.write(act.text)
        case "signed webhook":
            _webhook(shop, f"http://{listen['gateway']}/webhook", act.text.encode())
        case "API":
            _api(shop, f"http://{listen['status']}/api/patches", act.text.encode())
        case _:
            raise AssertionError(act.door)


def _drop(path: Path, text: str) -> None:
    """Moved in whole, as a careful program drops a file."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text)
    os.replace(beside, path)


def _webhook(shop: Workshop, url: str, body: bytes) -> None:
    key = secrets.load("webhook", shop.places.secrets, os.environ)[0]
    signature = hmac.new(key, body, hashlib.sha256).hexdigest()
    _post(url, body, {"X-Hub-Signature-256": f"sha256={signature}", "X-GitHub-Delivery": "demo-1"})


def _api(shop: Workshop, url: str, body: bytes) -> None:
    key = secrets.load("jwt", shop.places.secrets, os.environ)[0]
    bearer = token.issue(key, subject="demo", scopes=("submit",), ttl=300.0, now=time.time())
    _post(url, body, {"Authorization": f"Bearer {bearer}"})


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    answer = httpx.post(url, content=body, headers={"Content-Type": "application/json", **headers}, timeout=10.0)
    if answer.status_code != httpx.codes.ACCEPTED:
        raise Cannot(f"send to {url}: {answer.status_code} {answer.text[:200]}", kind="refused", hint="see ghostd logs")
