"""The sentences in which a service's fate is told."""

from __future__ import annotations

import errno

import pytest

from ghostd.model.service import Limits, Ready, ServiceSpec
from ghostd.supervise import words

SPEC = ServiceSpec(name="web", command=("/srv/web", "--port", "80"), cwd="/srv/data", ready=Ready(timeout=1.5))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "exit status 0"),
        (127, "exit status 127"),
        (-9, "killed by SIGKILL"),
        (-15, "killed by SIGTERM"),
        (-24, "killed by SIGXCPU"),
        (-63, "killed by signal 63"),
        (None, "exit status unknown (ended while unwatched)"),
    ],
)
def test_how_a_process_ended(code, said):
    assert words.ended(code, SPEC) == said


def test_a_used_up_cpu_limit_is_told_as_that():
    limited = ServiceSpec(name="web", command=("web",), limits=Limits(cpu_time=60))
    assert words.ended(-24, limited) == "out of CPU time (limit 60 s)"


@pytest.mark.parametrize(
    ("code", "stage", "said"),
    [
        (errno.ENOENT, "exec", "cannot run /srv/web: No such file or directory"),
        (errno.EACCES, "exec", "cannot run /srv/web: Permission denied"),
        (errno.ENOENT, "cwd", "cannot change to its folder /srv/data: No such file or directory"),
        (errno.EPERM, "user", "cannot become its user: Operation not permitted"),
        (errno.EAGAIN, "fork", "cannot run /srv/web: Resource temporarily unavailable"),
    ],
)
def test_why_a_process_could_not_be_started(code, stage, said):
    assert words.not_started(SPEC, code, stage) == said


def test_a_service_that_says_nothing():
    assert words.not_ready(SPEC) == "not ready within 1.5 s"


@pytest.mark.parametrize(("name", "number"), [("TERM", 15), ("SIGINT", 2), ("usr1", 10), ("9", 9), ("NONSENSE", 15)])
def test_signals_by_any_name(name, number):
    assert words.signal_number(name) == number


def test_limits_that_rlimits_can_not_give_are_told_with_who_asks():
    asking = [
        ServiceSpec(name="a", command=("a",), limits=Limits(cpu=0.5, pids=9)),
        ServiceSpec(name="b", command=("b",), limits=Limits(pids=9), user="www"),
        ServiceSpec(name="c", command=("c",), limits=Limits(memory=1)),
    ]
    assert words.not_enforced(asking) == {"cpu": ["a"], "pids": ["a"]}
