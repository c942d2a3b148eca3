"""Every setting of `conf/ghost.toml`, typed and frozen, with its default and the reason under each field.

Durations are seconds, sizes bytes. Paths are absolute: the loader resolved them against the workspace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ghostd.model.service import Limits, ServiceSpec

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class GhostSettings:
    #: Shown in status and alerts; the workspace's folder name where it is not set.
    name: str = "ghost"
    environment: str = "development"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSettings:
    """One queue with its executor. Lanes may share a repository and a branch; then they take turns."""

    name: str
    repo: Path
    branch: str = "ghost/work"
    aliases: tuple[str, ...] = ()
    default: bool = False
    gates: tuple[str, ...] = ()
    #: Highest matching level that a patch may use: exact, whitespace, unicode, indent.
    match: str = "indent"
    #: Sets all seven flags of a patch's validation and refuses --no-gates.
    strict: bool = False
    #: Let a patch bring shell commands of its own; they run only where the sandbox shuts them in.
    allow_shell: bool = False
    #: required: refuse to run anything where a layer is missing; best-effort: with the layers that are there; off.
    sandbox: str = "best-effort"
    path_prefixes: tuple[str, ...] = ()
    #: Bring the checked-out files up to date after a commit.
    checkout: bool = True
    #: Pause between two patches; the original's was 10 s, which only hid its races.
    cooldown: float = 0.0
    #: A full queue refuses politely instead of growing for ever.
    max_queue: int = 10_000
    executors: int = 1
    #: Services that have to be well for patches with requireServiceUptime; none means all of the user's own.
    services: tuple[str, ...] = ()
    #: How long they have to stay well after such a patch before it counts; else it is taken back.
    watch: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """A check that a patch has to pass, run in a throw-away copy of the resulting tree."""

    name: str
    #: argv; a string in the configuration is ("/bin/sh", "-c", string).
    run: tuple[str, ...]
    #: Ten minutes let a usual test suite end and still free a lane from a hung one.
    timeout: float = 600.0
    limits: Limits = field(
        default_factory=lambda: Limits(memory=4 * 1024 * MIB, pids=512, nofile=4096, core=0, cpu_time=3600.0)
    )
    when: str = "post"
    required: bool = True
    #: Only for patches that touch a path matching one of these globs; empty for all.
    paths: tuple[str, ...] = ()
    #: Reuse a pass on the same files with the same tool.
    cache: bool = False
    #: What tells the tool's version: a command whose output is a part of the cache's key; none for the file's own hash.
    version: tuple[str, ...] = ()
    #: A gate that needs the network says so; all others have none.
    network: bool = False
    #: What is beside the files of Git in the repository's own folder, and has to be for the tool: it may be read only.
    borrow: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """`host:port` for each listener; "" switches one off, port 0 takes a free one."""

    gateway: str = "127.0.0.1:5555"
    runner: str = "127.0.0.1:5051"
    status: str = "127.0.0.1:8789"
    telemetry: str = "127.0.0.1:8788"
    trigger: str = "127.0.0.1:8790"
    dashboard: str = "127.0.0.1:3002"
    monitor: str = "127.0.0.1:3001"


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeSettings:
    """A chat transcript that the bridge follows."""

    name: str
    files: tuple[Path, ...] = ()
    formats: str = "auto"
    roles: tuple[str, ...] = ("assistant",)
    #: A fallback: changes are noticed at once.
    poll: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SecuritySettings:
    #: Reading from this machine needs no token, so that the first look at the page just works.
    open_loopback: bool = True
    cors_origins: tuple[str, ...] = ()
    #: Requests and their window in seconds.
    rate_limit: tuple[int, float] = (60, 60.0)
    max_body: int = 512 * KIB
    request_timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """Where an alert goes: `log`, or `webhook` with its URL."""

    name: str
    type: str = "log"
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteSettings:
    """Which alerts go to which channels; the first route that fits takes it."""

    name: str
    #: Least severity: info, warning, critical.
    severity: str = "info"
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertSettings:
    channels: Mapping[str, ChannelSettings] = field(default_factory=dict)
    routes: Mapping[str, RouteSettings] = field(default_factory=dict)
    #: An alert that could not be delivered is tried again with growing pauses, this often.
    max_attempts: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    #: Between two looks; the original's heartbeat file was as old as that at most.
    interval: float = 10.0
    #: A patch that is not terminal after this is stale; the original's fifteen minutes.
    stale_after: float = 900.0
    #: Less free space than this is an alert, because a full disk stops the ledger.
    disk_free: int = 256 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSettings:
    #: "power": what was acknowledged survives a power cut; "process": a killed process.
    durability: str = "power"
    #: Waiting for somebody else's Git lock.
    lock_timeout: float = 5.0
    #: Private SSH key (or its public half, with an agent) that signs phase tags, proofs and checkpoints; None for none.
    signing_key: Path | None = None
    #: Tag each commit with its patch's id.
    tag_patches: bool = False
    #: Beyond so many loose objects or packs they are packed anew, off the path of patches.
    max_loose: int = 5000
    max_packs: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    #: Largest patch text that is read.
    max_patch: int = 1 * MIB
    #: A worker renews its lease each third of it; the backstop for a hung worker on this or another machine.
    lease: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration of one workspace."""

    #: The folder with `conf/` and `state/`.
    workspace: Path
    ghost: GhostSettings = field(default_factory=GhostSettings)
    lanes: Mapping[str, LaneSettings] = field(default_factory=dict)
    gates: Mapping[str, GateSettings] = field(default_factory=dict)
    services: Mapping[str, ServiceSpec] = field(default_factory=dict)
    #: Limits of our own services by name.
    own_limits: Limits = field(default_factory=lambda: Limits(memory=4 * 1024 * MIB, pids=256, nofile=4096, core=0))
    listen: ListenSettings = field(default_factory=ListenSettings)
    bridges: Mapping[str, BridgeSettings] = field(default_factory=dict)
    security: SecuritySettings = field(default_factory=SecuritySettings)
    alerts: AlertSettings = field(default_factory=AlertSettings)
    monitor: MonitorSettings = field(default_factory=MonitorSettings)
    git: GitSettings = field(default_factory=GitSettings)
    store: StoreSettings = field(default_factory=StoreSettings)

    @property
    def default_lane(self) -> LaneSettings:
        """The lane of a patch that names none."""
        return next((lane for lane in self.lanes.values() if lane.default), next(iter(self.lanes.values())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Every path of a workspace that the contract names."""

    workspace: Path

    @property
    def conf(self) -> Path:
        return self.workspace / "conf" / "ghost.toml"

    @property
    def services(self) -> Path:
        """Files with one service each."""
        return self.workspace / "conf" / "services"

    @property
    def state(self) -> Path:
        return self.workspace / "state"

    @property
    def marker(self) -> Path:
        """Written by `ghostd init`: this folder's `state/` is a workspace's."""
        return self.state / ".workspace"

    @property
    def ledger(self) -> Path:
        return self.state / "ghost.db"

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def wake(self) -> Path:
        """Datagram sockets of those who wait."""
        return self.run / "wake"

    @property
    def control(self) -> Path:
        return self.run / "ghostd.sock"

    @property
    def api(self) -> Path:
        return self.run / "api.sock"

    @property
    def secrets(self) -> Path:
        return self.state / "secrets"

    @property
    def worktrees(self) -> Path:
        return self.state / "worktrees"

    @property
    def dumps(self) -> Path:
        return self.state / "dumps"

    @property
    def summaries(self) -> Path:
        return self.state / "summaries"

    @property
    def heartbeat(self) -> Path:
        return self.summaries / "_heartbeat"

    def summary(self, lane: str, job: str) -> Path:
        return self.summaries / lane / f"summary-{job}.md"

    def drop(self, lane: str) -> Path:
        """The lane's drop folder; `.completed`, `.failed` and `.archive` are inside."""
        return self.state / "lanes" / lane / "patches"
