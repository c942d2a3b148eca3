"""The summary of a finished job: Markdown with YAML front matter, for the author and for whoever reads it later.

Every value of the front matter is written as JSON, which is YAML too, so no text of a stranger can break out of it.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ghostd.base.clock import rfc3339
from ghostd.base.files import make_dir, write_atomic
from ghostd.base.log import one_line, printable
from ghostd.model.job import Job
from ghostd.model.settings import Places
from ghostd.pipeline.rules import Said, Verdict

_LOG = logging.getLogger(__name__)

_FRONT = ("id", "status", "lane", "branch", "commit", "tree", "digest", "attempts", "duration_ms", "worktree")


def render(job: Job, result: Mapping[str, Any], *, finished_at: float, verdicts: Sequence[Verdict] = ()) -> str:
    """The summary's text. `result` is the job's RESULT."""
    front = {key: result.get(key) for key in _FRONT} | {
        "kind": job.kind.value,
        "origin": {"door": job.origin.door, "source": job.origin.source},
        "received": rfc3339(job.received_at),
        "finished": rfc3339(finished_at),
        "stat": result.get("stat"),
        "gates": result.get("gates", []),
        "warnings": result.get("warnings", []),
        "error": result.get("error"),
    }
    head = "\n".join([f"{key}: {_as_json(value)}" for key, value in front.items()])
    parts = [
        f"---\n{head}\n---",
        f"# {_title(job, result)}",
        _told(job, result),
        *_gates(job.id, verdicts),
        _next(job, result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _as_json(value: Any) -> str:
    """As the encoder writes it, which for what is empty or a number would take longer than for all the rest."""
    if type(value) is int:
        return str(value)
    return "null" if value is None else "[]" if value == [] else _JSON.encode(value)


_JSON = json.JSONEncoder(default=str)


def place(places: Places, job: Job) -> str:
    """Where the contract says that the summary of a job is."""
    return f"{_folder(places, job.lane)}/summary-{job.id}.md"


@functools.lru_cache(maxsize=64)
def _folder(places: Places, lane: str) -> Path:
    return places.summary(lane, "").parent


def write(places: Places, job: Job, text: str) -> Path:
    """Put the summary where the contract says, whole or not at all. After a power cut `recover` writes it anew."""
    path = Path(place(places, job))
    try:
        write_atomic(path, text.encode(), synced=False)
    except FileNotFoundError:
        make_dir(path.parent)
        write_atomic(path, text.encode(), synced=False)
    return path


def is_written(places: Places, job: Job, text: str) -> bool:
    """Whether the summary's file holds this text."""
    try:
        return places.summary(job.lane, job.id).read_bytes() == text.encode()
    except FileNotFoundError:
        return False


def try_write(places: Places, job: Job, text: str) -> bool:
    """Write it if the folder allows; False (and a log line) where it does not."""
    try:
        write(places, job, text)
    except OSError as error:
        _LOG.warning("cannot write the summary of %s: %s; it will be tried again", job.id, error)
        return False
    return True


def _title(job: Job, result: Mapping[str, Any]) -> str:
    return f"{job.id}: {result['status']}"


def _told(job: Job, result: Mapping[str, Any]) -> str:
    lines = [_quoted(job.title)] if job.title else []
    if result.get("commit"):
        lines.append(f"Commit `{result['commit']}` on branch `{job.branch}`.")
    if stat := result.get("stat"):
        lines.append(f"{stat['files']} files, {stat['insertions']} lines in, {stat['deletions']} lines out.")
    if error := result.get("error"):
        lines.append(_quoted(str(error.get("message", ""))))
        if hint := error.get("hint"):
            lines.append(_quoted(f"Next: {hint}"))
    return "\n\n".join(lines)


def _quoted(text: str) -> str:
    """A stranger's line as a quotation: no heading, no fence, no HTML of theirs takes effect."""
    return "> " + one_line(text, 2000).replace("<", "&lt;").replace("`", "'")


def _gates(id: str, verdicts: Sequence[Verdict]) -> list[str]:
    if not verdicts:
        return []
    rows = [f"| {v.name} | {v.said.value}{_marks(v)} | {v.runs} | {v.duration_ms} |" for v in verdicts]
    table = "\n".join(["| gate | verdict | runs | ms |", "|---|---|---|---|", *rows])
    whole = f"All that a gate printed: `ghost show {id} --gate NAME`."
    return ["## Gates", table, whole, *(_output(verdict) for verdict in verdicts if verdict.said is not Said.PASSED)]


def _marks(verdict: Verdict) -> str:
    marks = {"flaky": verdict.flake, "cached": verdict.cached}
    return "".join(f" ({name})" for name, so in marks.items() if so)


def _output(verdict: Verdict) -> str:
    tail = printable(verdict.output)[-4000:]
    # Indented code can not be closed from within, a fence could.
    body = "\n".join("    " + line for line in tail.splitlines()) or "    (no output)"
    return f"### {verdict.name}: {verdict.ended}\n\n{body}"


def _next(job: Job, result: Mapping[str, Any]) -> str:
    match result["status"]:
        case "applied":
            return f"Take it back with `ghost rollback {job.id}`."
        case "failed":
            return f"Try it again with `ghost queue requeue {job.id}`."
        case "rejected":
            return "Nothing was changed. Mend the patch and send it under a new id."
        case _:
            return ""
