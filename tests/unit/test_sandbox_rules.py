"""Which layers a command gets, from what the machine has and what the policy asks for."""

from __future__ import annotations

import dataclasses

import pytest

from ghostd.base.errors import Cannot
from ghostd.sandbox.rules import (
    FILTER,
    KILL,
    LANDLOCK,
    LAYERS,
    MEMORY,
    NETWORK,
    PRIVILEGES,
    RLIMITS,
    VIEW,
    Found,
    Machine,
    Plan,
    View,
    decide,
    found,
    missing,
)

YES, NO = Found(there=True, why="yes"), Found(there=False, why="no")
ALL = Machine(
    root=False, namespaces=YES, network=YES, bubblewrap=NO, no_new_privs=YES, seccomp=YES, landlock=YES, abi=7,
    other_user=YES, controllers=frozenset({"memory"}), controllers_why="cgroup v2",
)  # fmt: skip
WRAPPED = dataclasses.replace(ALL, namespaces=NO, network=NO, bubblewrap=YES)
NOTHING = dataclasses.replace(
    ALL, namespaces=NO, network=NO, no_new_privs=NO, seccomp=NO, landlock=NO, abi=0, controllers=frozenset()
)


def test_every_layer_that_is_found_is_explained():
    assert set(found(ALL)) == set(LAYERS)


@pytest.mark.parametrize("machine", [ALL, WRAPPED])
def test_required_takes_all_that_is_there(machine: Machine):
    plan = decide(machine, "required", network=False)
    assert plan.layers == (VIEW, NETWORK, KILL, PRIVILEGES, FILTER, LANDLOCK, MEMORY, RLIMITS)
    assert plan.own_network
    # A loopback of its own: servers that tests start work.
    assert plan.inet
    assert plan.view is (View.OWN if machine is ALL else View.BUBBLEWRAP)


@pytest.mark.parametrize(
    ("machine", "lacking"),
    [
        (dataclasses.replace(ALL, namespaces=NO), (VIEW, KILL)),
        (dataclasses.replace(ALL, namespaces=NO, seccomp=NO), (VIEW, NETWORK, KILL, FILTER)),
        (dataclasses.replace(ALL, network=NO, seccomp=NO), (NETWORK, FILTER)),
        (dataclasses.replace(ALL, network=NO), ()),  # seccomp refuses the sockets
        (dataclasses.replace(ALL, no_new_privs=NO), (PRIVILEGES,)),
        (dataclasses.replace(ALL, seccomp=NO), (FILTER,)),
        (dataclasses.replace(ALL, landlock=NO, abi=0), ()),
        (dataclasses.replace(ALL, other_user=NO, controllers=frozenset()), ()),
        (NOTHING, (VIEW, NETWORK, KILL, PRIVILEGES, FILTER)),
    ],
)
def test_required_names_what_is_missing(machine: Machine, lacking: tuple[str, ...]):
    assert missing(machine, "required") == lacking
    assert missing(machine, "best-effort") == missing(machine, "off") == ()
    if lacking:
        with pytest.raises(Cannot) as caught:
            decide(machine, "required", network=False)
        assert caught.value.details["layers"] == list(lacking)
        assert all(LAYERS[name].get in caught.value.hint for name in lacking)


def test_without_a_network_namespace_no_internet_socket_is_made():
    plan = decide(dataclasses.replace(ALL, network=NO), "required", network=False)
    assert (plan.own_network, plan.inet, plan.tcp) == (False, False, False)
    assert NETWORK in plan.layers


@pytest.mark.parametrize("machine", [ALL, WRAPPED, NOTHING])
@pytest.mark.parametrize("policy", ["best-effort", "required"])
def test_a_command_that_may_use_the_network_is_not_said_to_be_without(machine: Machine, policy: str):
    if machine is NOTHING and policy == "required":
        return
    plan = decide(machine, policy, network=True)
    assert (plan.own_network, plan.inet, plan.tcp) == (False, True, True)
    assert NETWORK not in plan.layers


def test_best_effort_says_truly_that_nothing_holds():
    plan = decide(NOTHING, "best-effort", network=False)
    assert plan.layers == (RLIMITS,)
    assert plan.view is View.NONE


def test_no_filter_and_no_landlock_without_no_new_privs():
    plan = decide(dataclasses.replace(ALL, no_new_privs=NO), "best-effort", network=False)
    assert (plan.seccomp, plan.landlock) == (False, 0)


def test_off_is_limits_only():
    assert decide(ALL, "off", network=False) == Plan(
        view=View.NONE, controllers=ALL.controllers, layers=(MEMORY, RLIMITS)
    )


@pytest.mark.parametrize(
    ("machine", "other", "privileged"),
    [
        (dataclasses.replace(ALL, root=True), True, True),
        (dataclasses.replace(ALL, root=True, other_user=NO), False, True),
        (dataclasses.replace(NOTHING, root=True), False, True),  # capabilities go even where nothing else can be done
        (ALL, False, True),  # of its user namespace
        (WRAPPED, False, False),  # bubblewrap has dropped them
        (NOTHING, False, False),
    ],
)
def test_who_the_command_runs_as(machine: Machine, other: bool, privileged: bool):
    plan = decide(machine, "best-effort", network=False)
    assert (plan.other_user, plan.privileged) == (other, privileged)
