"""A note that a proof log had so many entries with such a root at such a time, signed where there is a key. Pure.

Four lines, a blank one, then the armoured SSH signature of the lines; the first three are those of a checkpoint of
https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md, whose signatures are of another kind.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from ghostd.base.errors import Cannot
from ghostd.pipeline.proof import Anchor

NAMESPACE = "ghost-checkpoint"
_TEXT = re.compile(
    r"(?P<text>ghost proofs of (?P<branch>\S+)\n(?P<size>\d+)\n(?P<root>[A-Za-z0-9+/]{43}=)\ntime (?P<time>\S+)\n)"
    r"(?:\n(?P<signature>-----BEGIN SSH SIGNATURE-----\n.+))?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One checkpoint without its signature."""

    branch: str
    anchor: Anchor
    #: RFC 3339, of the machine's own clock.
    time: str

    @property
    def text(self) -> bytes:
        """What is signed."""
        root = base64.b64encode(bytes.fromhex(self.anchor.root)).decode()
        return f"ghost proofs of {self.branch}\n{self.anchor.size}\n{root}\ntime {self.time}\n".encode()


def dump(note: Note, signature: str | None) -> bytes:
    """The file's bytes."""
    return note.text + (b"" if signature is None else b"\n" + signature.encode())


def load(data: bytes) -> tuple[Note, str | None]:
    """A note and its signature, which is not checked. Raises Cannot(proof-damaged)."""
    found = _TEXT.fullmatch(data.decode("utf-8", "replace"))
    if found is None:
        raise Cannot("read a checkpoint: it is none", kind="proof-damaged", hint="ghost verify lists what does not fit")
    root = base64.b64decode(found["root"]).hex()
    anchor = Anchor(size=int(found["size"]), root=root)
    return Note(branch=found["branch"], anchor=anchor, time=found["time"]), found["signature"]
