"""THE table of the configuration: each key of each section with its kind and its meaning. One more key is one more row.

Defaults are not here: they stand beside their fields in `model.settings`, and `reference.py` reads them from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ghostd.config import kinds
from ghostd.config.kinds import Key, Kind, list_of, number, one_of, table, whole
from ghostd.config.presets import PRESETS
from ghostd.model import service, settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A table of the file; `named` ones come in any number: `[lane.MAIN]`, `[lane.CYOPS]`."""

    path: tuple[str, ...]
    make: Callable[..., Any]
    means: str
    keys: tuple[Key, ...]
    named: bool = False

    @property
    def title(self) -> str:
        return ".".join((*self.path, "X") if self.named else self.path)


def _later(name: str, kind: Kind, means: str) -> Key:
    return Key(name=name, kind=kind, means=means, effect=False)


def _make_limits(base: service.Limits) -> Callable[..., service.Limits]:
    """What is not written stays as the shipped default has it."""
    from dataclasses import replace

    return lambda **given: replace(base, **given)


LIMIT_KEYS = (
    Key(name="memory", kind=kinds.SIZE, means="Address space of each process."),
    Key(name="cpu", kind=kinds.SHARE, means="Share of one core; needs cgroups.", effect=False, field="cpu"),
    Key(name="pids", kind=whole(1), means="Processes and threads."),
    Key(name="nofile", kind=whole(16), means="Open files."),
    Key(name="core", kind=kinds.SIZE, means="Size of a core dump."),
    Key(name="cpu_time", kind=kinds.PERIOD, means="CPU time in all."),
)
LIMITS = table(service.Limits, *LIMIT_KEYS)
_GATE_DEFAULT = settings.GateSettings(name="", run=()).limits
_OWN_DEFAULT = settings.Settings.__dataclass_fields__["own_limits"].default_factory
_GATE_LIMIT_KEYS = (
    Key(name="memory", kind=kinds.SIZE, means="Memory of all its processes; without cgroups address space of each."),
    Key(name="cpu", kind=kinds.SHARE, means="Share of one core; needs cgroups, which `ghost doctor` looks for."),
    *LIMIT_KEYS[2:],
)
GATE_LIMITS = table(_make_limits(_GATE_DEFAULT), *_GATE_LIMIT_KEYS)
OWN_LIMITS = table(_make_limits(_OWN_DEFAULT()), *LIMIT_KEYS)  # type: ignore[operator]  # it has a factory

READY = table(
    service.Ready,
    Key(name="after", kind=kinds.DURATION, means="Ready when it has lived this long."),
    Key(name="notify", kind=kinds.FLAG, means="Ready when it sends READY=1 to $NOTIFY_SOCKET."),
    _later("fd", whole(3), "Ready when the service writes a newline to this descriptor."),
    _later("tcp", kinds.HOST_PORT, "Ready when something listens there."),
    _later("http", kinds.URL, "Ready when this answers 2xx or 3xx."),
    _later("exec", kinds.COMMAND, "Ready when this command succeeds."),
    _later("log", kinds.PATTERN, "Ready when a line of its output matches."),
    Key(name="timeout", kind=kinds.PERIOD, means="Not ready by then is a failed start."),
)
HEALTH = table(
    dict,
    Key(name="tcp", kind=kinds.HOST_PORT, means="Well when something listens there."),
    Key(name="http", kind=kinds.URL, means="Well when this answers 2xx or 3xx."),
    Key(name="exec", kind=kinds.COMMAND, means="Well when this command succeeds."),
    Key(name="log", kind=kinds.PATTERN, means="Well when a line of its output matches."),
    Key(name="fd", kind=whole(3), means="Well when it has written a newline to this descriptor."),
    Key(name="notify", kind=kinds.FLAG, means="Well as long as it says so."),
    Key(name="after", kind=kinds.DURATION, means="Not asked before it has lived this long."),
    Key(name="interval", kind=kinds.PERIOD, means="Between two looks."),
    Key(name="timeout", kind=kinds.PERIOD, means="No answer by then is a bad answer."),
    Key(name="failures", kind=whole(1), means="So many bad answers in a row mean a restart."),
)
BACKOFF = table(
    service.Backoff,
    Key(name="initial", kind=kinds.DURATION, means="Pause before the first restart in a row."),
    Key(name="factor", kind=number(1, 100), means="Each further pause is longer by this."),
    Key(name="max", kind=kinds.DURATION, means="Longest pause."),
    Key(name="jitter", kind=number(0, 1), means="Share by which a pause varies."),
)
START_LIMIT = table(
    service.StartLimit,
    Key(name="burst", kind=whole(1), means="So many starts are made …"),
    Key(name="interval", kind=kinds.PERIOD, means="… within this time; one more is FATAL."),
)
STOP = table(
    service.Stop,
    Key(name="signal", kind=kinds.SIGNAL, means="Asks the service to end."),
    Key(name="timeout", kind=kinds.DURATION, means="Grace before SIGKILL."),
    Key(name="group", kind=kinds.FLAG, means="Signal its whole process group."),
)
LOG = table(
    service.LogFile,
    Key(name="max_size", kind=kinds.SIZE, means="The log is rotated at this size."),
    Key(name="backups", kind=whole(0), means="Old logs that are kept."),
    _later("format", one_of("plain", "json"), "How lines are written."),
    _later("rotate", kinds.PERIOD, "The log is rotated at this age."),
    _later("timestamps", kinds.FLAG, "Put the time before each line."),
)

SERVICE_KEYS = (
    Key(name="command", kind=kinds.COMMAND, required=True, means="What to run; no shell is involved."),
    Key(name="autostart", kind=kinds.FLAG, means="Start it with ghostd."),
    Key(
        name="restart",
        kind=one_of("always", "on-failure", "never", as_type=service.RestartWhen),
        means="When it ends by itself.",
    ),
    Key(name="exit_codes", kind=list_of(whole(0, 255)), means="Exit statuses that are no failure."),
    Key(name="backoff", kind=BACKOFF, means="Pauses between restarts."),
    Key(name="start_limit", kind=START_LIMIT, means="When to give up."),
    Key(name="ready", kind=READY, means="When it counts as ready."),
    Key(name="requires", kind=kinds.NAMES, means="Started after these are ready, stopped before them."),
    Key(name="after", kind=kinds.NAMES, means="Started after these, if they are started at all."),
    Key(name="limits", kind=LIMITS, means="What it may use."),
    Key(name="stop", kind=STOP, means="How it is stopped."),
    Key(name="exit_on_failure", kind=kinds.FLAG, means="Its FATAL ends ghostd with its status."),
    Key(name="env", kind=kinds.ENVIRONMENT, means="Environment variables; they win over env_file."),
    Key(name="env_file", kind=kinds.ENV_FILE, means="A file of KEY=VALUE lines."),
    Key(name="user", kind=kinds.USER, means="Who it runs as; needs root."),
    Key(
        name="cwd",
        kind=kinds.PATH,
        means="Its working folder; by itself the one that holds .ghost/, else the workspace.",
        fixed_default=False,
    ),
    Key(name="umask", kind=kinds.OCTAL, means="Permissions that new files do not get."),
    Key(name="nice", kind=whole(-20, 19), means="Its niceness."),
    Key(name="log", kind=LOG, means="Its log file."),
    _later("health", HEALTH, "Looks that it must pass, or it is restarted."),
    _later("watchdog", kinds.PERIOD, "It sends WATCHDOG=1 at least this often, or it is restarted."),
    _later("instances", whole(1), "So many of it, each with GHOST_INSTANCE."),
    _later("schedule", kinds.TEXT, "Run it at these times, as in a crontab."),
    _later("oneshot", kinds.FLAG, "It runs once and ends; ended well is ready."),
    _later("sockets", list_of(kinds.TEXT), "Addresses that are bound for it and handed over (LISTEN_FDS)."),
    _later("events", kinds.TEXTS, "Makes it a supervisor event listener for these events."),
)

SECTIONS = (
    Section(
        path=("ghost",),
        make=dict,
        means="The workspace as a whole.",
        keys=(
            Key(
                name="name",
                kind=kinds.NAME,
                means="Shown in status and alerts; the folder's name by itself.",
                fixed_default=False,
            ),
            Key(
                name="environment",
                kind=one_of("development", "staging", "production"),
                means="Shown in status and alerts.",
            ),
            Key(name="limits", kind=OWN_LIMITS, means="What each of ghost's own services may use."),
        ),
    ),
    Section(
        path=("lane",),
        named=True,
        make=settings.LaneSettings,
        means="A queue of patches with its executor. The first lane, or the one with `default`, takes what names none.",
        keys=(
            Key(name="repo", kind=kinds.PATH, means="The repository; the one that holds .ghost/ by itself."),
            Key(name="branch", kind=kinds.BRANCH, means="Working branch; made from HEAD at the first patch."),
            Key(name="aliases", kind=kinds.NAMES, means="Other names that patches may use."),
            Key(name="default", kind=kinds.FLAG, means="Takes patches that name no lane, or an unknown one."),
            Key(name="gates", kind=kinds.NAMES, means="Checks that every patch has to pass, in this order."),
            Key(
                name="match",
                kind=one_of("exact", "whitespace", "unicode", "indent"),
                means="Loosest way in which a search text may fit.",
            ),
            Key(name="strict", kind=kinds.FLAG, means="Sets all seven flags of a patch; refuses --no-gates."),
            Key(
                name="allow_shell",
                kind=kinds.FLAG,
                means="Let patches bring shell commands; they need a sandbox.",
            ),
            Key(
                name="sandbox",
                kind=one_of("required", "best-effort", "off"),
                means="How gates and patches' own commands are shut in.",
            ),
            Key(name="path_prefixes", kind=list_of(kinds.ABSOLUTE), means="Taken off absolute paths in patches."),
            Key(name="checkout", kind=kinds.FLAG, means="Bring checked-out files up to date after a commit."),
            Key(name="cooldown", kind=kinds.DURATION, means="Pause between two patches."),
            Key(name="max_queue", kind=whole(1), means="Patches that may wait; more are refused."),
            Key(name="executors", kind=whole(1), means="Workers of this lane.", effect=False, field="executors"),
            Key(name="services", kind=kinds.NAMES, means="What requireServiceUptime watches; all of yours by itself."),
            Key(name="watch", kind=kinds.DURATION, means="They have to stay well this long after such a patch."),
        ),
    ),
    Section(
        path=("gate",),
        named=True,
        make=settings.GateSettings,
        means="A check, run in a throw-away copy of the files as the patch leaves them.",
        keys=(
            Key(
                name="preset",
                kind=one_of(*PRESETS),
                means="A ready-made gate; the keys here win over its own.",
                fixed_default=False,
            ),
            Key(name="run", kind=kinds.SCRIPT, means="A list is run as it is, a text by /bin/sh -c; or a preset runs."),
            Key(name="timeout", kind=kinds.PERIOD, means="Everything that it started is killed then."),
            Key(name="limits", kind=GATE_LIMITS, means="What it may use."),
            Key(name="when", kind=one_of("post", "pre"), means="After the patch, or on the files before it."),
            Key(name="required", kind=kinds.FLAG, means="No patch and no command line can skip it."),
            Key(name="paths", kind=kinds.TEXTS, means="Only for patches that touch a path matching one of these."),
            Key(name="cache", kind=kinds.FLAG, means="Reuse a pass on the same files with the same tool."),
            Key(name="version", kind=kinds.COMMAND, means="Its output is the tool's version for the cache."),
            Key(name="network", kind=kinds.FLAG, means="It may use the network; no other gate can."),
            Key(
                name="borrow",
                kind=list_of(kinds.INSIDE),
                means="Paths of the repository's own folder, not in Git, that it may read: `node_modules`.",
            ),
        ),
    ),
    Section(
        path=("service",),
        named=True,
        make=service.ServiceSpec,
        means="A program of yours that is kept alive. Also one per file in `conf/services/`.",
        keys=SERVICE_KEYS,
    ),
    Section(
        path=("listen",),
        make=settings.ListenSettings,
        means='Where ghost listens: `host:port`; "" switches one off, port 0 takes a free one (`ghostd status` tells).',
        keys=(
            Key(name="gateway", kind=kinds.LISTENER, means="Signed webhooks; the only door for the internet."),
            Key(name="runner", kind=kinds.LISTENER, means="The same, for clients of the original's main runner."),
            Key(name="status", kind=kinds.LISTENER, means="The API, its streams and metrics."),
            Key(name="telemetry", kind=kinds.LISTENER, means="Metrics alone."),
            Key(name="trigger", kind=kinds.LISTENER, means="Pause, resume and scan lanes."),
            Key(name="dashboard", kind=kinds.LISTENER, means="The dashboard."),
            Key(name="monitor", kind=kinds.LISTENER, means="The page of both lanes side by side."),
        ),
    ),
    Section(
        path=("bridge",),
        named=True,
        make=settings.BridgeSettings,
        means="A chat transcript that is followed; its fenced patches are submitted.",
        keys=(
            Key(name="files", kind=kinds.PATHS, required=True, means="The transcripts."),
            Key(name="formats", kind=one_of("auto"), means="How they are read."),
            Key(name="roles", kind=kinds.TEXTS, means="Whose blocks count."),
            Key(name="poll", kind=kinds.PERIOD, means="A fallback: changes are noticed at once."),
        ),
    ),
    Section(
        path=("security",),
        make=settings.SecuritySettings,
        means="The doors. Secrets are files in `state/secrets/` or environment variables, never keys here.",
        keys=(
            Key(name="open_loopback", kind=kinds.FLAG, means="Reading from this machine needs no token."),
            Key(name="cors_origins", kind=list_of(kinds.ORIGIN), means="Web pages that may call the API."),
            Key(name="rate_limit", kind=kinds.RATE, means="Requests of one address."),
            Key(name="max_body", kind=kinds.SIZE, means="Largest request."),
            Key(name="request_timeout", kind=kinds.PERIOD, means="Longest request."),
        ),
    ),
    Section(
        path=("alerts",),
        make=dict,
        means="How alerts are delivered.",
        keys=(Key(name="max_attempts", kind=whole(1), means="Tries for one delivery, with growing pauses."),),
    ),
    Section(
        path=("alert", "channel"),
        named=True,
        make=settings.ChannelSettings,
        means="Where alerts go.",
        keys=(
            Key(name="type", kind=one_of("log", "webhook"), means="`log` writes a line, `webhook` posts JSON."),
            Key(name="url", kind=kinds.URL, means="The webhook's address."),
        ),
    ),
    Section(
        path=("alert", "route"),
        named=True,
        make=settings.RouteSettings,
        means="Which alerts go where; the first route that fits takes it.",
        keys=(
            Key(name="severity", kind=one_of("info", "warning", "critical"), means="Least severity."),
            Key(name="channels", kind=kinds.NAMES, required=True, means="Names of channels."),
        ),
    ),
    Section(
        path=("monitor",),
        make=settings.MonitorSettings,
        means="What the monitor looks at.",
        keys=(
            Key(name="interval", kind=kinds.PERIOD, means="Between two looks."),
            Key(name="stale_after", kind=kinds.PERIOD, means="A patch that is not done by then is an alert."),
            Key(name="disk_free", kind=kinds.SIZE, means="Less free space than this is an alert."),
        ),
    ),
    Section(
        path=("git",),
        make=settings.GitSettings,
        means="How commits are written.",
        keys=(
            Key(
                name="durability",
                kind=one_of("power", "process"),
                means="What a commit survives: a power cut, or a killed process.",
            ),
            Key(name="lock_timeout", kind=kinds.DURATION, means="Wait for somebody else's Git lock."),
            Key(name="signing_key", kind=kinds.PATH, means="SSH key that signs phase tags, proofs and checkpoints."),
            Key(name="tag_patches", kind=kinds.FLAG, means="Tag each commit with its patch's id."),
            Key(name="max_loose", kind=whole(1), means="More loose objects than this are packed in a quiet moment."),
            Key(name="max_packs", kind=whole(2), means="More packs than this are put together in a quiet moment."),
        ),
    ),
    Section(
        path=("store",),
        make=settings.StoreSettings,
        means="The ledger.",
        keys=(
            Key(name="max_patch", kind=kinds.SIZE, means="Largest patch, as text."),
            Key(name="lease", kind=kinds.PERIOD, means="A worker that is silent for this long has lost its patch."),
        ),
    ),
)
