"""SSH signatures, made and checked by ssh-keygen: the form that git writes and checks with `gpg.format = ssh`.

No agent and no configuration has a say, and nothing is ever asked for: a key with a passphrase can not sign by itself.
What goes in and out lies in a private folder of the system's temporary one; a kill may leave it there, and it holds
nothing secret.

Format: https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import tempfile
from pathlib import Path

from ghostd.base import process
from ghostd.base.errors import Cannot
from ghostd.base.files import PRIVATE_FILE
from ghostd.base.log import one_line
from ghostd.repo import seal

#: What git calls the signatures of its own objects.
GIT = "git"
BEGIN = "-----BEGIN SSH SIGNATURE-----"

#: A hardware key waits for a finger; nothing of ours has one.
_TIMEOUT = 30.0
_WHO = "ghost"
_NAMESPACE = re.compile(r"[a-z][a-z-]*")
_PUBLIC = re.compile(r"(?P<key>[a-z0-9@.-]+ [A-Za-z0-9+/]+=*)(?:\s.*)?", re.DOTALL)

#: What ssh-keygen says, and what to do about it.
_HINTS = (
    ("passphrase", "use a key of its own without one: ssh-keygen -t ed25519 -N '' -f FILE"),
    ("UNPROTECTED", "chmod 600 that file"),
    ("No such file", "check signing_key in [git], or make one: ssh-keygen -t ed25519 -N '' -f FILE"),
    ("No private key", "name the private key's file in signing_key"),
)


def sign(data: bytes, namespace: str, key: Path) -> str:
    """An armoured SSH signature of `data` by a private key without passphrase. Raises Cannot of kind signing-failed.

    An Ed25519 or RSA key gives the same signature each time.
    """
    done = _keygen(key, "-Y", "sign", "-f", str(key), "-n", _checked(namespace), stdin=data)
    text = done.stdout.decode("ascii", "replace")
    if done.status or not text.startswith(BEGIN):
        raise _failed(f"sign with {key}", key, done)
    return text


def verify(data: bytes, signature: str, namespace: str, key: Path) -> bool:
    """Whether this is the key's signature of `data`. `key` is the public key's file, or the private one's."""
    allowed = f'{_WHO} namespaces="{_checked(namespace)}" {public_key(key)}\n'
    with tempfile.TemporaryDirectory(prefix="ghost-sign-") as folder:
        signers = _put(Path(folder, "allowed"), allowed)
        sealed = _put(Path(folder, "signature"), signature)
        words = ("-f", signers, "-I", _WHO, "-n", namespace, "-s", sealed)
        return _keygen(key, "-Y", "verify", *words, stdin=data).status == 0


def public_key(key: Path) -> str:
    """The public half as `<type> <base64>`, from either half's file. Raises Cannot of kind signing-failed."""
    found = _public_in(key)
    if found is None:
        done = _keygen(key, "-y", "-P", "", "-f", str(key))
        beside = key.with_name(f"{key.name}.pub")
        found = _public(done.stdout.decode("utf-8", "replace")) if done.status == 0 else _public_in(beside)
        if found is None:
            raise _failed(f"read the key {key}", key, done)
    return found


def fingerprint(public: str) -> str:
    """`SHA256:…` of what `public_key` gives, as `ssh-keygen -l` prints it. Raises ValueError for anything else."""
    raw = base64.b64decode(public.split(" ")[1], validate=True)
    return "SHA256:" + base64.b64encode(hashlib.sha256(raw).digest()).decode().rstrip("=")


def _public_in(file: Path) -> str | None:
    """What a public key's file says; None for any other file, and where there is none."""
    try:
        return _public(file.read_text("utf-8", "replace"))
    except OSError:
        return None


def _public(text: str) -> str | None:
    found = _PUBLIC.fullmatch(text.strip())
    if found is None:
        return None
    kind, _, data = found["key"].partition(" ")
    try:
        raw = base64.b64decode(data, validate=True)
    except binascii.Error:
        return None
    # The type stands in the data once more, after its length.
    return found["key"] if raw[4:].startswith(kind.encode()) else None


def _checked(namespace: str) -> str:
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(f"not a namespace of ours: {namespace!r}")
    return namespace


def _put(file: Path, text: str) -> str:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(fd, "wb") as stream:
        stream.write(text.encode("utf-8", "replace"))
    return str(file)


def _keygen(key: Path, *arguments: str, stdin: bytes = b"") -> process.Completed:
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": seal.NOWHERE,
        "LC_ALL": "C",
        "SSH_ASKPASS_REQUIRE": "never",
    }
    try:
        return process.run(["ssh-keygen", *arguments], env=env, stdin=stdin, timeout=_TIMEOUT)
    except FileNotFoundError as error:
        raise Cannot(
            f"use the key {key}: ssh-keygen is not installed",
            kind="signing-failed",
            hint="install OpenSSH's client (Debian: openssh-client), or take signing_key out of the configuration",
        ) from error


def _failed(what: str, key: Path, done: process.Completed) -> Cannot:
    said = done.stderr.decode("utf-8", "replace")
    why = "it took too long" if done.timed_out else one_line(said.removeprefix("Signing data on standard input"))
    if not key.is_file():
        why = "No such file"
    hint = next((hint for mark, hint in _HINTS if mark in why), "check signing_key in [git]")
    return Cannot(f"{what}: {why}", kind="signing-failed", hint=hint, key=str(key))
