"""The live page as HTML: everything is written here, once, so that it also reads without JavaScript.

Every word on it is a stranger's until it went through `text`. When an event comes, the page's script asks for
`/parts.html` and puts the parts in place of the old ones; it writes no HTML of its own.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from ghostd.api import reading
from ghostd.api.front import Ask
from ghostd.base.errors import Cannot
from ghostd.base.log import one_line

_FOLDER = Path(__file__).parent / "dashboard"
_ASSETS: Mapping[str, str] = {
    "page.js": "text/javascript; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "favicon.svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: State → (class of its colour, shape): colour alone tells nobody anything who does not see it.
_SIGNS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("RUNNING", "healthy", "applied", "already", "reverted", "up", "operational"), ("good", "●")),
    **dict.fromkeys(("STARTING", "STOPPING", "BACKOFF", "degraded", "warning", "held", "paused"), ("warn", "▲")),
    **dict.fromkeys(("FATAL", "EXITED", "rejected", "failed", "critical", "down", "blocked"), ("bad", "✕")),
    **dict.fromkeys(("queued", "running"), ("busy", "◐")),
}


@functools.cache
def _file(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()


async def page(ask: Ask) -> Response:
    """The live page."""
    status = await reading.everything(ask.front)
    document = (
        _file("index.html")
        .decode()
        .replace("{{name}}", text(status["name"]))
        .replace("{{seq}}", str(status["seq"]))
        .replace("{{parts}}", parts(status))
    )
    return _html(document)


async def fragment(ask: Ask) -> Response:
    """The changing parts of the page, for its own script."""
    return _html(parts(await reading.everything(ask.front)))


async def asset(ask: Ask) -> Response:
    """The page's script, style and sign."""
    name = ask.request.url.path.lstrip("/")
    if name not in _ASSETS:
        raise Cannot("find this file", kind="not-found")
    return Response(_file(name), media_type=_ASSETS[name], headers={"Cache-Control": "no-cache"})


def _html(document: str) -> Response:
    headers = {"Content-Security-Policy": POLICY}
    return Response(document, media_type="text/html; charset=utf-8", headers=headers)


def text(value: object, limit: int = 200) -> str:
    """A stranger's text as one harmless line of HTML."""
    return html.escape(one_line(str(value), limit))


def parts(status: Mapping[str, Any]) -> str:
    """Everything on the page that changes."""
    sections = (
        ("verdict", _verdict(status)),
        ("alerts", _alerts(status["alerts"])),
        ("lanes", _lanes(status["lanes"])),
        ("patches", _patches(status["latest"])),
        ("services", _services(status)),
        ("events", _events(status["events"])),
    )
    return "\n".join(f'<section id="{name}">{content}</section>' for name, content in sections)


def sign(state: object) -> str:
    """A state as shape, colour and word."""
    word = str(state)
    tone, shape = _SIGNS.get(word, ("calm", "○"))
    return f'<span class="state {tone}"><span aria-hidden="true">{shape}</span> {text(word.lower(), 40)}</span>'


def _verdict(status: Mapping[str, Any]) -> str:
    rows, lanes, alerts = status["services"], status["lanes"].values(), status["alerts"]
    running = sum(1 for row in rows if row.get("state") == "RUNNING")
    waiting = sum(lane["queue"]["queued"] + lane["queue"]["running"] for lane in lanes)
    figures = (
        ("services up", f"{running} of {len(rows)}" if rows else "unknown"),
        ("in the queue", str(waiting)),
        ("applied", str(status["totals"]["applied"])),
        ("rejected or failed", str(status["totals"]["rejected"] + status["totals"]["failed"])),
        ("open alerts", str(len(alerts))),
    )
    told = "".join(f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>" for name, value in figures)
    why = status["daemon"].get("why", "")
    reason = f'<p class="why">{text(why)}</p>' if why else ""
    return f'<h2 class="sr">Overview</h2><p class="overall">{sign(status["overall_status"])}</p>{reason}<dl>{told}</dl>'


def _alerts(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    items = "".join(
        f"<li>{sign(row['severity'])} {text(row['title'])} {_time(row['opened_at'])}</li>" for row in rows[:10]
    )
    return f"<h2>Alerts</h2><ul>{items}</ul>"


def _lanes(lanes: Mapping[str, Mapping[str, Any]]) -> str:
    rows = (
        (
            f"<b>{text(name)}</b>",
            f"<code>{text(lane['branch'])}</code>",
            sign("paused" if lane["paused"] else lane["executor"]),
            *(str(lane["queue"][state]) for state in ("queued", "running", "held", "applied", "rejected", "failed")),
        )
        for name, lane in lanes.items()
    )
    heads = ("Lane", "Branch", "Executor", "Queued", "Running", "Held", "Applied", "Rejected", "Failed")
    return "<h2>Lanes</h2>" + _table(heads, rows, "No lane is configured.", figures=6, words=1)


def _patches(rows: Sequence[Mapping[str, Any]]) -> str:
    cells = (
        (
            sign(row["status"]),
            _patch(row),
            text(row["lane"]),
            f"<code>{text(row['commit'][:10])}</code>" if row["commit"] else "–",
            f'<a href="{text(row["summary_url"], 500)}">summary</a>' if row["summary_url"] else "–",
            _time(row["finished_at"] or row["received_at"]),
        )
        for row in rows
    )
    heads = ("State", "Patch", "Lane", "Commit", "Summary", "When (UTC)")
    return "<h2>Latest patches</h2>" + _table(heads, cells, "No patch has come yet. Try: ghost apply fix.yaml", words=1)


def _patch(row: Mapping[str, Any]) -> str:
    link = f'<a href="/api/patches/{quote(str(row["id"]), safe="()+")}">{text(row["id"])}</a>'
    return f'{link}<span class="title">{text(row["title"])}</span>{_error(row["error"])}'


def _error(error: Mapping[str, Any] | None) -> str:
    if not error:
        return ""
    return f'<span class="title">{text(error.get("kind", ""))}: {text(error.get("message", ""))}</span>'


def _services(status: Mapping[str, Any]) -> str:
    rows = (
        (
            f"<b>{text(row['name'])}</b>",
            sign(row["state"]),
            text(row.get("why") or "–"),
            text(row.get("pid") or "–"),
            _uptime(row.get("uptime_s")),
            text(row.get("restarts", 0)),
            _memory(row.get("memory_bytes")),
        )
        for row in status["services"]
    )
    heads = ("Service", "State", "Why", "Pid", "Up for", "Restarts", "Memory")
    empty = "The supervisor does not answer, so the services' states are not known. Try: ghostd start"
    return "<h2>Services</h2>" + _table(heads, rows, empty, figures=4, words=2)


def _events(rows: Sequence[Mapping[str, Any]]) -> str:
    items = "".join(
        f"<li>{_time(row['time'])}<b>{text(row['type'].removeprefix('ghost.'))}</b><span>{text(row['subject'])}</span></li>"
        for row in reversed(rows)
    )
    return f"<h2>Latest events</h2><ol>{items}</ol>" if items else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], empty: str, *, words: int, figures: int = 0) -> str:
    """A table whose last `figures` columns are numbers; the column `words` takes the room that is left, and breaks."""
    kinds = [
        ' class="w"' if i == words else ' class="n"' if i >= len(heads) - figures else "" for i in range(len(heads))
    ]
    lines = ("".join(f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds, row, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    if not body:
        return f'<p class="empty">{text(empty)}</p>'
    head = "".join(f'<th scope="col"{kind}>{name}</th>' for kind, name in zip(kinds, heads, strict=True))
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _time(stamp: str) -> str:
    return f'<time datetime="{text(stamp)}">{text(stamp[:19].replace("T", " "))}</time>'


def _uptime(seconds: float | None) -> str:
    if not seconds:
        return "–"
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    return f"{hours // 24} d" if hours >= 48 else f"{hours} h" if hours else f"{minutes} min" if minutes else "< 1 min"  # noqa: PLR2004 - two days


def _memory(size: float | None) -> str:
    return f"{size / 2**20:.0f} MiB" if size else "–"
