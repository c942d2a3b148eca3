"""From a service's specification to the order that the keeper gets: user, environment, limits, descriptors."""

from __future__ import annotations

import os
import pwd
import resource
from collections.abc import Mapping
from dataclasses import dataclass

from ghostd.model.service import ServiceSpec
from ghostd.sandbox.limits import rlimits
from ghostd.supervise.link import Order
from ghostd.supervise.procfs import MARK

#: Of our own environment a service gets these, and no others: what we know is not for everybody.
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Unrunnable(Exception):  # noqa: N818 - it is a verdict
    """This service can not be started as long as its configuration and we are what we are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all services of a workspace share."""

    workspace: str
    #: `unix://…` of the control socket.
    server_url: str
    environ: Mapping[str, str]


def order(spec: ServiceSpec, site: Site, *, nonce: str, notify: str | None) -> Order:
    """Everything that the keeper needs to start this service. Raises Unrunnable."""
    who = _user(spec)
    return Order(
        name=spec.name,
        argv=spec.command,
        env=_environment(
            spec, site, who, {MARK: f"{spec.name}:{nonce}"} | ({"NOTIFY_SOCKET": notify} if notify else {})
        ),
        cwd=spec.cwd,
        umask=spec.umask,
        user=_identity(who),
        nice=spec.nice,
        rlimits=_limits(spec, apart=who is not None),
    )


def _user(spec: ServiceSpec) -> pwd.struct_passwd | None:
    """Who it runs as, None for ourselves."""
    if spec.user is None:
        return None
    try:
        who = pwd.getpwuid(int(spec.user)) if spec.user.isdigit() else pwd.getpwnam(spec.user)
    except KeyError:
        raise Unrunnable(f"cannot run as {spec.user}: there is no such user") from None
    if who.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise Unrunnable(f"cannot run as {spec.user}: only root can change users, and ghostd does not run as root")
    if spec.ready.notify:
        # The notify socket lies in our private folder, which another user can not enter.
        raise Unrunnable(f"cannot be ready by notify as {spec.user}: use ready.after for a service of another user")
    return who


def _identity(who: pwd.struct_passwd | None) -> tuple[int, int, tuple[int, ...]] | None:
    if who is None:
        return None
    return who.pw_uid, who.pw_gid, tuple(os.getgrouplist(who.pw_name, who.pw_gid))


def _environment(
    spec: ServiceSpec, site: Site, who: pwd.struct_passwd | None, engine: Mapping[str, str]
) -> dict[str, str]:
    passed = {key: value for key, value in site.environ.items() if key in _PASSED or key.startswith("LC_")}
    passed.setdefault("PATH", _DEFAULT_PATH)
    if who is not None:
        passed |= {"HOME": who.pw_dir, "USER": who.pw_name, "LOGNAME": who.pw_name, "SHELL": who.pw_shell}
    return {
        **passed,
        "GHOST_HOME": site.workspace,
        "SUPERVISOR_ENABLED": "1",
        "SUPERVISOR_SERVER_URL": site.server_url,
        "SUPERVISOR_PROCESS_NAME": spec.name,
        "SUPERVISOR_GROUP_NAME": spec.name,
        **spec.env,
        **engine,
    }


def _limits(spec: ServiceSpec, *, apart: bool) -> tuple[tuple[int, int], ...]:
    """RLIMIT_NPROC counts all processes of a user, so only a service with a user of its own can have it."""
    pids = ((resource.RLIMIT_NPROC, spec.limits.pids),) if apart and spec.limits.pids is not None else ()
    return (*rlimits(spec.limits), *pids)
