"""Every way out of a cell is tried: through all layers, through each layer by itself, and without any to show it works.

Each attack is a short Python program that ends with 0 when it got through. A canary waits at the other end.
"""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ghostd.base.errors import Cannot
from ghostd.model.service import Limits
from ghostd.sandbox import probe
from ghostd.sandbox.cell import Cell, layers, missing
from ghostd.sandbox.layers import Finished, run_limited
from ghostd.sandbox.rules import FILTER, KILL, LANDLOCK, NETWORK, PRIVILEGES, USER, VIEW, Found, Machine

ABSENT = Found(there=False, why="taken away")
HOME = Path(__file__).parents[2]


@dataclass(frozen=True)
class Attack:
    name: str
    script: str
    #: The settings below that have to stop it.
    stopped_by: str
    #: Whether it is harmless to let it through where nothing stops it.
    harmless: bool = True
    #: The Landlock version that knows of it.
    since: int = 1


ATTACKS = [
    Attack("write-outside", "open(E['CANARY'] + '/written', 'w')", "whole bubblewrap landlock"),
    Attack("write-the-system", "open('/usr/share/ghost-was-here', 'w')", "whole bubblewrap landlock", harmless=False),
    Attack("read-a-secret", "assert open(E['CANARY'] + '/secret').read() == 'secret'", "whole bubblewrap landlock"),
    Attack("read-the-ledger", "assert open(E['STATE'] + '/ghost.db').read() == 'ledger'", "whole bubblewrap landlock"),
    Attack("see-the-ledger", "os.stat(E['STATE'] + '/ghost.db')", "whole bubblewrap"),
    Attack("read-the-shadow-file", "assert open('/etc/shadow').read()", "whole bubblewrap landlock"),
    Attack("follow-a-link", "os.symlink(E['CANARY'], 'link'); open('link/secret')", "whole bubblewrap landlock"),
    Attack("climb-by-proc", "open(f'/proc/{os.getppid()}/root{E[\"CANARY\"]}/secret')", "whole bubblewrap landlock"),
    Attack("connect-loopback", "socket.create_connection(('127.0.0.1', int(E['PORT'])), 2)",
           "whole bubblewrap seccomp landlock", since=4),
    Attack("connect-abstract", "socket.socket(socket.AF_UNIX).connect('\\0' + E['ABSTRACT'])",
           "whole bubblewrap landlock", since=6),
    Attack("connect-unix", "socket.socket(socket.AF_UNIX).connect(E['CANARY'] + '/socket')", "whole bubblewrap"),
    Attack("send-datagram", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))",
           "whole bubblewrap seccomp"),
    Attack("packet-socket", "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "whole bubblewrap seccomp"),
    Attack("kill", "os.kill(int(E['VICTIM']), 9)", "whole bubblewrap landlock", since=6),
    Attack("see-processes", "os.stat('/proc/' + E['VICTIM'])", "whole bubblewrap"),
    Attack("read-environ", "assert b'VICTIMS=1' in open('/proc/' + E['VICTIM'] + '/environ', 'rb').read()",
           "whole bubblewrap landlock"),
    Attack("ptrace", "call('ptrace', 16, int(E['VICTIM']), 0, 0)", "whole bubblewrap seccomp landlock"),
    Attack("mount", "call('mount', b'x', b'.', b'tmpfs', 0, None)", "whole bubblewrap seccomp", harmless=False),
    Attack("new-user-namespace", "call('unshare', 0x10000000)", "whole bubblewrap seccomp"),
    Attack("clone-user-namespace", "child = call('syscall', 56 if os.uname().machine == 'x86_64' else 220,"
           " 0x10000000 | 17, 0, 0, 0, 0); child or os._exit(0)", "whole bubblewrap seccomp"),
    Attack("keyring", "call('syscall', 250 if os.uname().machine == 'x86_64' else 219, 0, -3, 1)",
           "whole bubblewrap seccomp"),
    Attack("change-the-kernel", "os.open('/proc/sys/vm/overcommit_memory', os.O_WRONLY)", "whole bubblewrap landlock"),
    Attack("make-a-device", "os.mknod('disk', 0o600 | 0o060000, os.makedev(253, 0))", "whole bubblewrap",
           harmless=False),
    Attack("become-root", "os.setresuid(0, 0, 0); assert open('/etc/gshadow').read()", "whole bubblewrap landlock"),
    Attack("chroot", "os.chroot('.')", "whole bubblewrap", harmless=False),
    Attack("descriptors", "assert set(os.listdir('/proc/self/fd')) - {'0', '1', '2', '3'}", "whole bubblewrap",
           harmless=False),
]  # fmt: skip
#: Attacks that are none for an ordinary user, who can not do them anyway.
ROOTS = {
    "mount",
    "climb-by-proc",
    "read-the-shadow-file",
    "change-the-kernel",
    "become-root",
    "write-the-system",
    "packet-socket",
}
#: All that the whole cell stops, the view stops by itself, without filter and Landlock, but for these.
FILTERED = {"new-user-namespace", "clone-user-namespace", "keyring"}
BEGIN = "import ctypes, os, socket\nE = os.environ\n" + textwrap.dedent("""
    def call(name, *args):
        libc = ctypes.CDLL(None, use_errno=True)
        answer = getattr(libc, name)(*args)
        if answer < 0:
            raise OSError(ctypes.get_errno(), name)
        return answer
    """)


def only(machine: Machine, **there: Found | int) -> Machine:
    """The machine with nothing but what is named."""
    nothing = dict.fromkeys(("namespaces", "network", "bubblewrap", "seccomp", "landlock", "other_user"), ABSENT)
    return dataclasses.replace(machine, **(nothing | {"abi": 0} | there))  # type: ignore[arg-type]


def settings() -> dict[str, Machine]:
    machine = probe.machine()
    found = {
        "whole": machine if machine.namespaces.there else None,
        "bubblewrap": dataclasses.replace(machine, namespaces=ABSENT, bubblewrap=probe.bubblewrap())
        if probe.bubblewrap().there
        else None,
        "view": only(machine, namespaces=machine.namespaces, network=machine.network, other_user=machine.other_user)
        if machine.namespaces.there
        else None,
        "landlock": only(machine, landlock=machine.landlock, abi=machine.abi) if machine.landlock.there else None,
        "seccomp": only(machine, seccomp=machine.seccomp) if machine.seccomp.there else None,
    }
    return {name: one for name, one in found.items() if one is not None}


def settings_of(attack: Attack) -> list[str]:
    return [*attack.stopped_by.split(), *([] if attack.name in FILTERED else ["view"])]


@dataclass(frozen=True)
class Scene:
    work: Path
    canary: Path
    env: dict[str, str]
    victim: subprocess.Popen[bytes]

    def attack(self, attack: Attack, cell: Cell | None) -> Finished:
        return self.run(BEGIN + attack.script, cell)

    def run(self, code: str, cell: Cell | None, *, limits: Limits | None = None) -> Finished:
        argv = [sys.executable, "-I", "-S", "-c", code]
        return run_limited(argv, cwd=self.work, env=self.env, limits=limits or Limits(), timeout=30, cell=cell)

    def cell(self, policy: str = "best-effort", **more: object) -> Cell:
        return Cell(writable=(self.work,), policy=policy, **more)  # type: ignore[arg-type]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    state, canary = tmp_path / "ws" / "state", tmp_path / "home"
    work = state / "worktrees" / "pool-1" / "files"
    for folder in (work, canary):
        folder.mkdir(parents=True)
    (state / "ghost.db").write_text("ledger")
    (canary / "secret").write_text("secret")
    abstract = f"ghost-{os.getpid()}-{tmp_path.name}"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as hidden,
        socket.socket(socket.AF_UNIX) as named,
        subprocess.Popen(["sleep", "300"], env={"PATH": os.environ["PATH"], "VICTIMS": "1"}) as victim,
    ):
        hidden.bind("\0" + abstract)
        hidden.listen()
        here = os.open(canary, os.O_PATH)
        named.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        named.listen()
        env = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "CANARY": str(canary), "STATE": str(state),
            "PORT": str(server.getsockname()[1]), "ABSTRACT": abstract, "VICTIM": str(victim.pid),
        }  # fmt: skip
        yield Scene(work, canary, env, victim)
        victim.kill()


@pytest.mark.parametrize(
    ("attack", "setting"),
    [pytest.param(a, setting, id=f"{a.name}-{setting}") for a in ATTACKS for setting in settings_of(a)],
)
def test_an_attack_fails(attack: Attack, setting: str, scene: Scene, monkeypatch) -> None:
    if setting not in settings():
        pytest.skip(f"this machine has no {setting}")
    machine = settings()[setting]
    if setting == "landlock" and machine.abi < attack.since:
        pytest.skip(f"Landlock {machine.abi} does not know of this")
    monkeypatch.setattr(probe, "machine", lambda: machine)
    finished = scene.attack(attack, scene.cell())
    assert finished.status == 1, finished
    assert b"Error" in finished.output
    assert not (scene.canary / "written").exists()
    assert scene.victim.poll() is None


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.harmless], ids=lambda attack: attack.name)
def test_without_a_cell_the_attack_works(attack: Attack, scene: Scene) -> None:
    if attack.name in ROOTS and os.geteuid() != 0:
        pytest.skip("only root can do that")
    finished = scene.attack(attack, None)
    if finished.status != 0 and attack.name in {"send-datagram", "new-user-namespace", "clone-user-namespace"}:
        pytest.skip("this machine refuses it by itself")
    assert finished.status == 0, finished.output


@pytest.fixture
def whole() -> Machine:
    if missing("required"):
        pytest.skip(f"this machine lacks {', '.join(missing('required'))}")
    return probe.machine()


def test_the_work_goes_on_in_a_cell(scene: Scene, whole: Machine) -> None:
    code = """
import os, socket, sys, tempfile, threading
open("made", "w").write("x"); os.chmod("made", 0o755); os.rename("made", "kept")
tempfile.TemporaryFile(); open("/dev/shm/x", "w"); open("/dev/null", "w").write("x")
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
threading.Thread(target=print).start()
os.system("true"); print(sys.version_info[:2], os.getpid() < 10)
master, slave = os.openpty(); os.ttyname(slave)
"""
    finished = scene.run(code, scene.cell("required"))
    assert finished.status == 0, finished
    assert (scene.work / "kept").stat().st_uid == os.geteuid()
    assert (scene.work / "kept").stat().st_mode & 0o777 == 0o755
    assert {VIEW, NETWORK, KILL, PRIVILEGES, FILTER} <= set(finished.layers)


def test_as_root_the_command_is_somebody_else(scene: Scene, whole: Machine) -> None:
    if os.geteuid() != 0 or not whole.other_user.there:
        pytest.skip("we are no root, or have no idmapped mounts")
    finished = scene.run("import os; print(os.getuid(), os.stat('.').st_uid)", scene.cell("required"))
    assert finished.output.split() == [b"65534", b"65534"]
    assert USER in finished.layers


def test_a_private_file_of_ours_can_be_read_where_it_is_named(scene: Scene, whole: Machine, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "private" / "tool").write_text("tool")
    (tmp_path / "private" / "tool").chmod(0o600)
    tool = tmp_path / "private" / "tool"
    code = f"print(open({str(tool)!r}).read()); open({str(tool) + '2'!r}, 'w')"
    finished = scene.run(code, scene.cell("required", readable=(tmp_path / "private",)))
    assert finished.output.endswith(b"tool\n")
    assert b"Read-only file system" in finished.output


def test_what_is_hidden_is_covered_where_something_readable_holds_it(
    scene: Scene, whole: Machine, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / ".git").mkdir(parents=True)
    (source / ".git" / "config").write_text("secret")
    (source / "key").write_text("secret")
    code = f"import os; print(os.listdir({str(source / '.git')!r}), open({str(source / 'key')!r}).read() == '')"
    finished = scene.run(code, scene.cell("required", readable=(source,), hidden=(source / "key",)))
    assert b"secret" not in finished.output
    assert finished.output.startswith(b"[]")


def test_with_the_network_a_socket_of_this_machine_is_reached(scene: Scene, whole: Machine) -> None:
    attack = next(one for one in ATTACKS if one.name == "connect-loopback")
    assert scene.attack(attack, scene.cell("required", network=True)).status == 0


def test_memory_beyond_the_limit_ends_the_command(scene: Scene, whole: Machine) -> None:
    finished = scene.run("x = b'x' * (400 << 20); print('through')", scene.cell(), limits=Limits(memory=128 << 20))
    assert finished.status != 0
    assert b"through" not in finished.output


def test_processes_beyond_the_limit_are_refused(scene: Scene, whole: Machine) -> None:
    if "pids" not in whole.controllers and os.geteuid() == 0:
        pytest.skip("no pids controller of ours, and root is not counted")
    code = "import os, time\nfor _ in range(40):\n    if os.fork() == 0:\n        time.sleep(60)\nprint('through')"
    finished = scene.run(code, scene.cell(), limits=Limits(pids=20))
    assert b"through" not in finished.output
    assert finished.status == 1


def test_the_environment_is_only_what_was_given(scene: Scene, whole: Machine) -> None:
    finished = scene.run("import os; print(sorted(os.environ))", scene.cell("required"))
    assert finished.output.decode().strip() == str(sorted([*scene.env, "LC_CTYPE"])) or (
        finished.output.decode().strip() == str(sorted(scene.env))
    )


def test_a_command_that_is_not_there_is_told(scene: Scene, whole: Machine) -> None:
    finished = run_limited(
        ["missing-tool"], cwd=scene.work, env=scene.env, limits=Limits(), timeout=5, cell=scene.cell("required")
    )
    assert (finished.status, finished.error) == (None, "missing-tool: No such file or directory")


def test_time_is_up_in_a_cell_too(scene: Scene, whole: Machine) -> None:
    finished = run_limited(
        ["/bin/sh", "-c", "setsid sleep 300 & trap '' TERM; sleep 300"],
        cwd=scene.work, env=scene.env, limits=Limits(), timeout=0.3, cell=scene.cell("required"),
    )  # fmt: skip
    assert finished.timed_out
    assert finished.status == -9


@pytest.mark.parametrize(
    ("taken", "name"),
    [
        ({"namespaces": ABSENT, "bubblewrap": ABSENT}, VIEW),
        ({"namespaces": ABSENT, "bubblewrap": ABSENT}, KILL),
        ({"network": ABSENT, "seccomp": ABSENT}, NETWORK),
        ({"no_new_privs": ABSENT}, PRIVILEGES),
        ({"seccomp": ABSENT}, FILTER),
    ],
)
def test_required_runs_nothing_where_a_layer_is_missing(taken, name: str, scene: Scene, monkeypatch) -> None:
    machine = dataclasses.replace(probe.machine(), **taken)
    monkeypatch.setattr(probe, "machine", lambda: machine)
    with pytest.raises(Cannot) as caught:
        scene.run("open('ran', 'w')", scene.cell("required"))
    assert caught.value.kind == "sandbox-missing"
    assert name in caught.value.message
    assert name in missing("required")
    assert not (scene.work / "ran").exists()
    assert missing("best-effort") == missing("off") == ()


def test_best_effort_runs_with_nothing_at_all(scene: Scene, monkeypatch) -> None:
    machine = dataclasses.replace(only(probe.machine()), no_new_privs=ABSENT)
    monkeypatch.setattr(probe, "machine", lambda: machine)
    finished = scene.run("open('ran', 'w')", scene.cell())
    assert finished.status == 0
    assert not {VIEW, NETWORK, KILL, PRIVILEGES, FILTER, LANDLOCK} & set(finished.layers)


def test_the_layers_are_told_with_their_reasons() -> None:
    told = layers()
    assert {VIEW, NETWORK, KILL, PRIVILEGES, FILTER, LANDLOCK} <= {layer.name for layer in told}
    assert all(layer.why for layer in told)


def test_a_private_umask_of_ours_keeps_nobody_out(scene: Scene, whole: Machine) -> None:
    before = os.umask(0o077)
    try:
        finished = scene.run("open('made', 'w')", scene.cell("required"))
    finally:
        os.umask(before)
    assert finished.status == 0, finished
    assert (scene.work / "made").stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no tmpfs at hand")
def test_the_work_may_lie_on_a_tmpfs_below_a_folder_of_the_view(whole: Machine) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        finished = run_limited(
            ["/bin/sh", "-c", "echo x >made && ls /dev/shm"],
            cwd=Path(name), env={"PATH": "/usr/bin:/bin"}, limits=Limits(), timeout=20,
            cell=Cell(writable=(Path(name),), policy="required"),
        )  # fmt: skip
        assert finished.output.split() == [Path(name).name.encode()]
        assert (Path(name) / "made").read_text() == "x\n"
