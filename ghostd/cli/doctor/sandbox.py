"""The layers that shut commands in, and whether a lane asks for more than this machine has."""

from __future__ import annotations

from collections.abc import Iterator

from ghostd.cli.doctor.check import Check, State
from ghostd.model.settings import Settings
from ghostd.sandbox import cell, probe
from ghostd.sandbox.rules import LAYERS

_GROUP = "sandbox"


def sandbox(settings: Settings | None) -> Iterator[Check]:
    """Each layer, and bubblewrap beside them."""
    needing = (
        [lane.name for lane in settings.lanes.values() if _needs(lane.sandbox, shell=lane.allow_shell)]
        if settings
        else []
    )
    for layer in cell.layers():
        known = LAYERS[layer.name]
        lacking = State.MISSING if known.required and needing else State.WARNING
        get = known.get + (f" (needed by {', '.join(needing)})" if known.required and needing else "")
        state = State.OK if layer.there else lacking
        yield Check(group=_GROUP, name=layer.name, state=state, found=layer.why, purpose=known.purpose, get=get)
    wrap = probe.bubblewrap()
    # Only a second way to the same view.
    other_way = wrap.there or any(layer.there for layer in cell.layers()[:1])
    yield Check(
        group=_GROUP,
        name="bubblewrap",
        state=State.OK if other_way else State.WARNING,
        found=wrap.why,
        purpose="makes the view where own namespaces are not allowed",
        get="install bubblewrap",
    )


def _needs(policy: str, *, shell: bool) -> bool:
    # A patch's own shell runs in the required set or not at all, whatever the lane says of its gates.
    return policy == "required" or shell
