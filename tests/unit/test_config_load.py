"""Every problem of a configuration is told at once, with its place; what is right becomes settings."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path

import pytest

from ghostd.base.errors import Cannot
from ghostd.config import rules
from ghostd.config.load import check, find_workspace, load
from ghostd.config.presets import PRESETS
from ghostd.config.problems import BadConfig
from ghostd.model.service import RestartWhen

LANE = "[lane.MAIN]\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty `.ghost/conf/`."""
    conf = tmp_path / "project" / ".ghost" / "conf"
    conf.mkdir(parents=True)
    return conf


def problems(place: Path, text: str | bytes, *, level: str = "error") -> list[str]:
    """`line: key: problem` of each problem in a file with this text."""
    data = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
    (place / "ghost.toml").write_bytes(data)
    return [f"{p.line}: {p.key}: {p.problem}" for p in check(place / "ghost.toml") if p.level == level]


def settings(place: Path, text: str):
    (place / "ghost.toml").write_text(textwrap.dedent(text))
    return load(place.parent).settings


# text after one lane -> what is said, with the line counted in the whole file
WRONG = {
    "unknown section": ("[lanes.X]\n", "2: lanes: unknown section; did you mean lane?"),
    "unknown top key": ("", None),
    "unknown key": ("brnach = 'x'\n", "2: lane.MAIN.brnach: unknown key; did you mean branch?"),
    "unknown and far": ("zzz = 1\n", "2: lane.MAIN.zzz: unknown key"),
    "unknown in a nested table": (
        "[service.a]\ncommand='x'\nstop = {signl = 'TERM'}\n",
        "4: service.a.stop.signl: unknown key; did you mean signal?",
    ),
    "unknown under alert": ("[alert.rout.x]\n", "2: alert.rout: unknown section; did you mean route?"),
    "a secret": (
        "[security]\nwebhook_secret = 'hunter2'\n",
        (
            "3: security.webhook_secret: unknown key; secrets never stand here: "
            "put them into state/secrets/ or the environment"
        ),
    ),
    "a number for a text": ("branch = 5\n", "2: lane.MAIN.branch: expected a name that Git takes for a branch, got 5"),
    "a text for a flag": ("strict = 'yes'\n", '2: lane.MAIN.strict: expected true or false, got "yes"'),
    "a flag for a number": ("max_queue = true\n", "2: lane.MAIN.max_queue: expected a whole number from 1, got true"),
    "too small": ("max_queue = 0\n", "2: lane.MAIN.max_queue: expected a whole number from 1, got 0"),
    "a text for a list": (
        "aliases = 'A'\n",
        (
            "2: lane.MAIN.aliases: expected a list, each item a name of letters, digits, dots, dashes and underscores, "
            'got "A"'
        ),
    ),
    "one bad item": (
        "gates = [\n  'ok',\n  5,\n]\n[gate.ok]\nrun = 'true'\n",
        "4: lane.MAIN.gates[1]: expected a name of letters, digits, dots, dashes and underscores, got 5",
    ),
    "a bad time": (
        "cooldown = '5 seconds'\n",
        '2: lane.MAIN.cooldown: expected a time such as "30s", "100ms" or "1h", got "5 seconds"',
    ),
    "a bare number for a time": (
        "cooldown = 5\n",
        '2: lane.MAIN.cooldown: expected a time such as "30s", "100ms" or "1h", got 5',
    ),
    "no time at all": (
        "[monitor]\ninterval = '0s'\n",
        '3: monitor.interval: expected a time such as "30s", more than nothing, got "0s"',
    ),
    "a bad size": (
        "[security]\nmax_body = '512KB'\n",
        '3: security.max_body: expected a size such as "512M" or "64KiB", got "512KB"',
    ),
    "a bad rate": (
        "[security]\nrate_limit = '60'\n",
        '3: security.rate_limit: expected a rate such as "60/minute", got "60"',
    ),
    "a bad word": (
        "match = 'fuzy'\n",
        '2: lane.MAIN.match: expected one of "exact", "whitespace", "unicode", "indent", got "fuzy"',
    ),
    "a near word": (
        "[ghost]\nenvironment = 'prodution'\n",
        (
            '3: ghost.environment: expected one of "development", "staging", "production", got "prodution"; '
            "did you mean production?"
        ),
    ),
    "a bad port": (
        "[listen]\nstatus = '127.0.0.1:70000'\n",
        '3: listen.status: expected "host:port", or "" for off, got "127.0.0.1:70000"',
    ),
    "a port alone": (
        "[listen]\nstatus = '8080'\n",
        '3: listen.status: expected "host:port", or "" for off, got "8080"',
    ),
    "one address twice": (
        "[listen]\nstatus = '127.0.0.1:5555'\n",
        "3: listen.status: 127.0.0.1:5555 is the address of gateway already",
    ),
    "a bad umask": (
        "[service.a]\ncommand='x'\numask = '999'\n",
        '4: service.a.umask: expected an octal mask such as "022", got "999"',
    ),
    "a bad signal": (
        "[service.a]\ncommand='x'\nstop={signal='NOPE'}\n",
        '4: service.a.stop.signal: expected a signal such as "TERM", got "NOPE"',
    ),
    "no command": (
        "[service.a]\nautostart = true\n",
        "2: service.a: has no command, which is needed (What to run; no shell is involved.)",
    ),
    "an empty command": (
        "[service.a]\ncommand = []\n",
        "3: service.a.command: expected a command, as a list of texts or as one text, and not an empty one",
    ),
    "an open quote": (
        '[service.a]\ncommand = "say \'hi"\n',
        "3: service.a.command: can not be split into words: No closing quotation",
    ),
    "no gate of that name": (
        "gates = ['tset']\n[gate.test]\nrun='true'\n",
        "2: lane.MAIN.gates[0]: there is no gate tset; did you mean test?",
    ),
    "no service of that name to watch": (
        "services = ['wbe']\n[service.web]\ncommand='x'\n",
        "2: lane.MAIN.services[0]: there is no service wbe; did you mean web?",
    ),
    "a gate without a command": (
        "[gate.a]\ntimeout = '1m'\n",
        "2: gate.a: has no run and no preset; one is needed",
    ),
    "no preset of that name": (
        "[gate.a]\npreset = 'ruf'\n",
        "3: gate.a.preset: expected one of "
        + ", ".join(f'"{name}"' for name in PRESETS)
        + ', got "ruf"; did you mean ruff?',
    ),
    "a loan from outside": (
        "[gate.a]\nrun = 'x'\nborrow = ['../x']\n",
        '4: gate.a.borrow[0]: expected a path inside the repository, got "../x"',
    ),
    "an alias that is a lane": (
        "aliases = ['DEV']\n[lane.DEV]\n",
        "2: lane.MAIN.aliases[0]: DEV is the name or an alias of lane DEV already",
    ),
    "an alias twice": (
        "aliases = ['A']\n[lane.B]\naliases = ['A']\n",
        "4: lane.B.aliases[0]: A is the name or an alias of lane MAIN already",
    ),
    "two defaults": (
        "default = true\n[lane.B]\ndefault = true\n",
        "4: lane.B.default: lane MAIN is the default already",
    ),
    "a service named like ours": (
        "[service.gateway]\ncommand='x'\n",
        "2: service.gateway: is the name of one of ghost's own services",
    ),
    "a service named like an executor": (
        "[service.executor-MAIN]\ncommand='x'\n",
        "2: service.executor-MAIN: is the name of one of ghost's own services",
    ),
    "an unknown service": (
        "[service.a]\ncommand='x'\nrequires=['gatway']\n",
        "4: service.a.requires[0]: there is no service gatway; did you mean gateway?",
    ),
    "a circle": (
        "[service.b]\ncommand='x'\nrequires=['a']\n[service.a]\ncommand='x'\nafter=['b']\n",
        "7: service.a.after: goes in a circle: a → b → a",
    ),
    "itself": (
        "[service.a]\ncommand='x'\nrequires=['a']\n",
        "4: service.a.requires: goes in a circle: a → a",
    ),
    "a missing env_file": (
        "[service.a]\ncommand='x'\nenv_file='gone.env'\n",
        "4: service.a.env_file: can not read {base}/gone.env: No such file or directory",
    ),
    "a bad variable": (
        "[service.a]\ncommand='x'\nenv = {'A-B' = 'x'}\n",
        "4: service.a.env.A-B: is no name for an environment variable",
    ),
    "a number as a variable": (
        "[service.a]\ncommand='x'\nenv = {A = 1}\n",
        "4: service.a.env.A: expected a text, got 1",
    ),
    "no such user": (
        "[service.a]\ncommand='x'\nuser = 'nobody-of-that-name'\n",
        '4: service.a.user: no user "nobody-of-that-name" on this machine',
    ),
    "a relative prefix": (
        "path_prefixes = ['x']\n",
        '2: lane.MAIN.path_prefixes[0]: expected an absolute path, got "x"',
    ),
    "a webhook without url": (
        "[alert.channel.p]\ntype='webhook'\n",
        "2: alert.channel.p: has no url, which a webhook needs",
    ),
    "a url of another kind": (
        "[alert.channel.p]\ntype='webhook'\nurl='file:///etc/passwd'\n",
        '4: alert.channel.p.url: expected an http or https address, got "file:///etc/passwd"',
    ),
    "an unknown channel": (
        "[alert.channel.log]\n[alert.route.r]\nchannels=['lgo']\n",
        "4: alert.route.r.channels[0]: there is no channel lgo; did you mean log?",
    ),
    "a value for a section": ("[alert]\nchannel = 5\n", "3: alert.channel: expected a section, got 5"),
    "a bad name": (
        "[lane.'a/b']\n",
        '2: lane.a/b: expected a name of letters, digits, dots, dashes and underscores, got "a/b"',
    ),
}


@pytest.mark.parametrize(
    ("text", "said"), [v for v in WRONG.values() if v[1]], ids=[k for k, v in WRONG.items() if v[1]]
)
def test_what_is_wrong_is_told_with_its_place(place, text, said):
    assert said.replace("{base}", str(place.parent)) in problems(place, LANE + text)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "1: : has no lane; one is needed, for example [lane.MAIN]"),
        (b"x = 1\n[lane.MAIN]\n", "1: x: unknown key"),
        (b"[lane.MAIN]\nrepo = \n", "2: : is no TOML: Invalid value"),
        (b"[lane.MAIN\n", "1: : is no TOML: Expected ']' at the end of a table declaration"),
        (b"[lane.MAIN]\nx = 'a", '2: : is no TOML: Expected "\'"'),
        (b"[lane.MAIN]\n[lane.MAIN]\n", "2: : is no TOML: Cannot declare ('lane', 'MAIN') twice"),
        (b"[lane.MAIN]\n# caf\xe9\n", "2: : is not UTF-8"),
        (b"x = " + b"[" * 5000 + b"]" * 5000, "1: : is nested too deeply"),
        (b"#" * (1 << 20) + b"\n", "1: : is larger than 1 MiB"),
        (b"lane = 5\n", "1: lane: expected a section, got 5"),
        (b"[lane]\nMAIN = 5\n", "2: lane.MAIN: expected a section [lane.NAME], got 5"),
        (b"[[lane]]\n", "1: lane: expected a section, got a list"),
    ],
)
def test_a_file_that_is_no_configuration_says_so_once(place, data, said):
    """No cascade of what seems to be missing behind a file that could not be read."""
    found = problems(place, data)
    assert any(one.startswith(said) for one in found), found
    assert len(found) <= 2


def test_windows_line_ends_are_fine(place):
    assert problems(place, b'[lane.MAIN]\r\nbranch = "x"\r\n') == []


def test_a_missing_file_is_told(tmp_path):
    (only,) = check(tmp_path / "conf" / "ghost.toml")
    assert only.problem == "can not be read: No such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_told(place):
    (place / "ghost.toml").write_text(LANE)
    (place / "ghost.toml").chmod(0)
    (only,) = check(place / "ghost.toml")
    assert only.problem == "can not be read: Permission denied"


def test_a_folder_in_place_of_the_file_is_told(place):
    (place / "ghost.toml").mkdir()
    assert check(place / "ghost.toml")[0].problem == "can not be read: Is a directory"


def test_all_problems_come_at_once_in_the_order_of_the_file(place):
    found = problems(
        place,
        """\
        [lane.MAIN]
        brnach = "x"
        match = 7
        gates = ["no"]
        [monitor]
        interval = "soon"
        """,
    )
    assert [one.split(":")[0] for one in found] == ["2", "3", "4", "6"]


def test_loading_a_bad_file_raises_one_error_with_all_problems(place):
    (place / "ghost.toml").write_text(LANE + "a = 1\nb = 2\n")
    with pytest.raises(BadConfig) as caught:
        load(place.parent)
    assert caught.value.kind == "bad-config"
    assert len(caught.value.problems) == 2
    assert f"{place}/ghost.toml:2: lane.MAIN.a: unknown key (and 1 more)" in str(caught.value)
    assert caught.value.as_json()["problems"][1]["line"] == 3


LATER = """\
[lane.MAIN]
sandbox = "required"
executors = 2
[gate.g]
run = "true"
cache = true
[service.web]
command = "x"
health = {http = "http://127.0.0.1/", interval = "5s", timeout = "2s", failures = 3}
watchdog = "10s"
instances = 2
schedule = "*/5 * * * *"
oneshot = true
sockets = ["127.0.0.1:8080"]
events = ["PROCESS_STATE"]
log = {format = "json", rotate = "1d", timestamps = true}
ready = {tcp = "127.0.0.1:80"}
limits = {cpu = "50%"}
[git]
tag_patches = true
"""


def test_keys_of_later_versions_are_known_and_told(place):
    """The contract names them; silence would let one believe that they work."""
    assert problems(place, LATER) == []
    warned = {one.split(": ")[1] for one in problems(place, LATER, level="warning")}
    service = {"health", "watchdog", "instances", "schedule", "oneshot", "sockets", "events"}
    service |= {"log.format", "log.rotate", "log.timestamps", "ready.tcp", "limits.cpu"}
    others = {"lane.MAIN.executors"}
    assert warned == {f"service.web.{key}" for key in service} | others


def test_keys_of_later_versions_are_checked_all_the_same(place):
    assert problems(place, "[lane.MAIN]\n[service.web]\ncommand='x'\nwatchdog = 5\n") == [
        '4: service.web.watchdog: expected a time such as "30s", more than nothing, got 5'
    ]


def test_what_is_written_becomes_settings(place):
    found = settings(
        place,
        """\
        [ghost]
        environment = "staging"
        limits = {memory = "1G"}
        [lane.MAIN]
        branch = "work/x"
        aliases = ["BRAUN"]
        gates = ["t"]
        cooldown = "100ms"
        [lane.CYOPS]
        repo = "../../other"
        default = true
        [gate.t]
        run = "make test"
        limits = {memory = "1G"}
        [service.web]
        command = "python3 -m 'http server'"
        restart = "always"
        ready = {notify = true}
        umask = "022"
        stop = {signal = "SIGINT"}
        [security]
        rate_limit = "5/second"
        max_body = "1M"
        [bridge.chat]
        files = "chat.md"
        """,
    )
    main, cyops = found.lanes["MAIN"], found.lanes["CYOPS"]
    project = place.parent.parent
    assert (main.repo, main.branch, main.aliases, main.cooldown) == (project, "work/x", ("BRAUN",), 0.1)
    assert cyops.repo == project.parent / "other"
    assert found.default_lane is cyops
    assert found.ghost.name == "project"
    assert found.own_limits.memory == 1 << 30
    assert found.own_limits.pids == 256, "what is not written stays as shipped"
    assert found.gates["t"].run == ("/bin/sh", "-c", "make test")
    assert found.gates["t"].limits.nofile == 4096
    web = found.services["web"]
    assert web.command == ("python3", "-m", "http server")
    assert (web.restart, web.ready.notify, web.umask, web.stop.signal) == (RestartWhen.ALWAYS, True, 0o022, "INT")
    assert web.cwd == str(project)
    assert found.security.rate_limit == (5, 1.0)
    assert found.security.max_body == 1 << 20
    assert found.bridges["chat"].files == (place.parent / "chat.md",)


def test_an_env_file_is_read_and_env_wins(place):
    (place.parent / ".env").write_text("# comment\n\nexport A=file\nB = no\n")
    text = "[lane.MAIN]\n[service.web]\ncommand='x'\nenv_file='.env'\nenv={A='toml'}\n"
    assert problems(place, text) == [f"4: service.web.env_file: {place.parent}/.env:4 is not KEY=VALUE"]
    (place.parent / ".env").write_text("# comment\n\nexport A=file\nB='quoted # text'\nC=\n")
    assert settings(place, text).services["web"].env == {"A": "toml", "B": "quoted # text", "C": ""}


def test_services_may_have_files_of_their_own(place):
    (place / "ghost.toml").write_text(LANE + "[service.web]\ncommand = 'x'\n")
    (place / "services").mkdir()
    (place / "services" / "db.toml").write_text("command = 'redis-server'\nrequires = ['web']\n")
    (place / "services" / "more.toml").write_text("[service.one]\ncommand = 'y'\n[service.two]\ncommand = 'z'\n")
    assert sorted(load(place.parent).settings.services) == ["db", "one", "two", "web"]


def test_a_problem_in_a_service_file_names_that_file(place):
    (place / "ghost.toml").write_text(LANE + "[service.web]\ncommand = 'x'\n")
    (place / "services").mkdir()
    (place / "services" / "db.toml").write_text("command = 'x'\ncmmand = 1\nrequires = ['nope']\n")
    (place / "services" / "web.toml").write_text("command = 'x'\n")
    (place / "services" / "x.toml").write_text("[service.x]\ncommand = 'x'\n[lane.B]\n")
    found = [str(problem) for problem in check(place / "ghost.toml")]
    assert found == [
        f"{place}/services/db.toml:2: cmmand: unknown key; did you mean command?",
        f"{place}/services/db.toml:3: requires[0]: there is no service nope",
        f"{place}/services/web.toml:1: is written a second time; the first is in {place}/ghost.toml:2",
        f"{place}/services/x.toml:3: lane: only [service.NAME] sections may stand in this file",
    ]


def test_outside_of_a_ghost_folder_a_lane_needs_its_repo(tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "ghost.toml").write_text("[lane.A]\n[lane.B]\nrepo = '/srv/b'\n")
    with pytest.raises(BadConfig) as caught:
        load(tmp_path)
    assert [str(one) for one in caught.value.problems] == [
        f"{tmp_path}/conf/ghost.toml:1: lane.A: has no repo, which is needed outside of a .ghost folder"
    ]
    assert check(tmp_path / "conf" / "ghost.toml") == (), "a template is no workspace yet"


@pytest.mark.parametrize(
    ("edges", "circles"),
    [
        ({}, []),
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, []),
        ({"a": ["a"]}, [("a", "a")]),
        ({"c": ["a"], "a": ["b"], "b": ["c"]}, [("a", "b", "c", "a")]),
        ({"x": ["b"], "b": ["a"], "a": ["b"], "d": ["d"]}, [("a", "b", "a"), ("d", "d")]),
        ({"a": ["gone"]}, []),
    ],
)
def test_circles_are_found_once_each(edges, circles):
    assert rules.cycles(edges) == circles


def test_a_long_chain_is_no_problem_for_the_search():
    edges = {str(n): [str(n + 1)] for n in range(5000)}
    assert rules.cycles(edges) == []


@pytest.mark.parametrize(
    ("branch", "good"),
    [
        ("ghost/work", True),
        ("a", True),
        ("feature/é", True),
        ("", False),
        ("-x", False),
        ("a..b", False),
        ("a//b", False),
        ("/a", False),
        ("a/", False),
        ("a.", False),
        ("a.lock", False),
        ("a.lock/b", False),
        ("a/.b", False),
        ("a b", False),
        ("a~1", False),
        ("a^", False),
        ("a:b", False),
        ("a?", False),
        ("a*", False),
        ("a[", False),
        ("a\\\\b", False),
        ("a@{1}", False),
        ("@", False),
        ("HEAD", False),
    ],
)
def test_a_branch_is_what_git_takes_for_one(place, branch, good):
    assert (problems(place, f'[lane.MAIN]\nbranch = "{branch}"\n') == []) is good


class TestFinding:
    def test_the_nearest_ghost_folder_upward_is_found(self, tmp_path):
        (tmp_path / ".ghost" / "conf").mkdir(parents=True)
        (tmp_path / ".ghost" / "conf" / "ghost.toml").touch()
        (tmp_path / "a" / "b").mkdir(parents=True)
        assert find_workspace(tmp_path / "a" / "b", None) == tmp_path / ".ghost"
        assert find_workspace(tmp_path / ".ghost" / "conf", None) == tmp_path / ".ghost"

    def test_a_folder_counts_only_when_init_has_marked_it(self, tmp_path):
        """So that the project's own checkout, which has conf/ and state/, is none."""
        (tmp_path / "conf").mkdir()
        (tmp_path / "conf" / "ghost.toml").touch()
        (tmp_path / "state").mkdir()
        assert find_workspace(tmp_path, None) is None
        (tmp_path / "state" / ".workspace").touch()
        assert find_workspace(tmp_path / "state", None) == tmp_path

    def test_a_folder_of_that_name_without_a_configuration_is_passed_by(self, tmp_path):
        (tmp_path / ".ghost").mkdir()
        assert find_workspace(tmp_path, None) is None

    def test_a_named_one_is_taken_outright(self, tmp_path):
        assert find_workspace(tmp_path, Path("x/../y")) == tmp_path / "y"
        assert find_workspace(tmp_path, tmp_path / "z") == tmp_path / "z"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_somebody_elses_configuration_is_refused_unless_it_is_named(self, tmp_path, monkeypatch):
        """It names commands, which would run as us."""
        conf = tmp_path / ".ghost" / "conf" / "ghost.toml"
        conf.parent.mkdir(parents=True)
        conf.touch()
        os.chown(conf, 12345, 12345)
        with pytest.raises(Cannot) as caught:
            find_workspace(tmp_path, None)
        assert caught.value.kind == "foreign-workspace"
        assert find_workspace(tmp_path, tmp_path / ".ghost") == tmp_path / ".ghost"
