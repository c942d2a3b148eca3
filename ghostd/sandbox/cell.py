"""What a command may see and reach, and which of the machine's layers shut it in: the door of this room."""

from __future__ import annotations

from ghostd.sandbox import probe, rules
from ghostd.sandbox.rules import Cell, Layer

__all__ = ["Cell", "Layer", "layers", "missing"]


def layers() -> tuple[Layer, ...]:
    """The layers of this machine, found by trying, once in a process."""
    return tuple(Layer(name=name, there=one.there, why=one.why) for name, one in rules.found(probe.machine()).items())


def missing(policy: str) -> tuple[str, ...]:
    """Names of the layers that `required` needs and this machine lacks; none where the policy asks for none."""
    return rules.missing(probe.machine(), policy) if policy == "required" else ()
