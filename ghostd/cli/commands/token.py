"""`ghost token create`: a token for the API."""

from __future__ import annotations

import os
import time

import click

from ghostd.base.clock import rfc3339
from ghostd.base.errors import Cannot
from ghostd.cli import output, session
from ghostd.cli.verbs import Asked, common
from ghostd.config.durations import duration
from ghostd.model.settings import Places
from ghostd.security import secrets, token


@click.group("token")
def command() -> None:
    """Make tokens for the API.

    \b
    Example:
      ghost token create --scope read,submit --ttl 1h
    """


@command.command("create")
@click.option("--scope", "scopes", required=True, help=f"Comma-separated: {', '.join(token.SCOPES)}.")
@click.option("--ttl", default="1h", show_default=True, help="How long it holds.")
@click.option("--subject", default="owner", show_default=True, help="Who it is for; shown in the audit.")
@common
def create(asked: Asked, scopes: str, ttl: str, subject: str) -> None:
    """Print a token, and nothing else, on stdout.

    \b
    Example:
      curl -H "Authorization: Bearer $(ghost token create --scope submit --ttl 10m)" …
    """
    seconds = _seconds(ttl)
    workspace = session.open_workspace(asked).settings.workspace
    now = time.time()
    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    text = token.issue(_secret(Places(workspace=workspace)), subject=subject, scopes=wanted, ttl=seconds, now=now)
    if asked.json:
        output.emit({"token": text, "subject": subject, "scopes": wanted, "expires": rfc3339(int(now + seconds))})
    else:
        output.say(text)


def _seconds(ttl: str) -> float:
    seconds = duration(ttl)
    if not seconds or seconds < 1:
        raise click.BadParameter('expected a time such as "1h"', param_hint="--ttl")
    return seconds


def _secret(places: Places) -> bytes:
    found = secrets.load("jwt", places.secrets, os.environ)
    if not found:
        raise Cannot(
            "sign a token: there is no secret", kind="no-secret", hint=f"put one into {places.secrets / 'jwt'}"
        )
    return found[0]
