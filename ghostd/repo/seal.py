"""What Git may see of this machine: nothing. No inherited variable, no configuration but the repository's own.

That one is still read (object format, file modes); the overrides below outrank it, and this room runs only commands
that read no further program name out of it.
"""

from __future__ import annotations

import os

import pygit2
from pygit2.enums import ConfigLevel, Option

NAME = "ghost"
MAIL = "ghost@localhost"
NOWHERE = "/nonexistent"

#: Configuration that outranks the repository's.
OVERRIDES: tuple[tuple[str, str], ...] = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", os.devnull),
    ("core.excludesFile", os.devnull),
    ("core.pager", "cat"),
    ("core.editor", "false"),
    ("core.askPass", "false"),
    ("core.sshCommand", "false"),
    ("core.gitProxy", ""),
    ("core.alternateRefsCommand", "false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("core.quotePath", "false"),
    ("credential.helper", ""),
    ("diff.external", ""),
    ("gc.auto", "0"),
    ("gpg.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.x509.program", "false"),
    ("log.showSignature", "false"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("safe.bareRepository", "explicit"),
    ("submodule.recurse", "false"),
    ("user.name", NAME),
    ("user.email", MAIL),
)

#: Variables that point Git elsewhere; a wrapper that adds to our own environment (GitPython) has to blank them.
POINTERS = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG_PARAMETERS",
    "GIT_NAMESPACE",
    "GIT_EXTERNAL_DIFF",
    "GIT_SSH_COMMAND",
)


def environment(durability: str) -> dict[str, str]:
    """The whole environment of a Git process."""
    fixed = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": NOWHERE,
        "XDG_CONFIG_HOME": NOWHERE,
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        # A replaced object would be one thing to the binary and another to libgit2.
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
    return fixed | _as_variables((*OVERRIDES, ("core.fsync", "all" if durability == "power" else "none")))


def _as_variables(config: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Configuration as the variables that Git reads like `-c`, visible to nobody in a process list."""
    variables = {"GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


def seal_libgit2(durability: str) -> None:
    """Set libgit2's process-wide switches. It runs no command by itself; only its look at the machine has to end."""
    for level in (ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        pygit2.settings.search_path[level] = ""
    # `open_repository` checks the owner itself: libgit2 would look for safe.directory in the files sealed off above.
    pygit2.option(Option.SET_OWNER_VALIDATION, False)
    if durability == "power":
        # One switch for the whole process, so it is only ever turned on.
        pygit2.option(Option.ENABLE_FSYNC_GITDIR, True)
