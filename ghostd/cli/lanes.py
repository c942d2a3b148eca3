"""Lanes by what people call them."""

from __future__ import annotations

from ghostd.base.errors import Cannot
from ghostd.model.settings import LaneSettings, Settings
from ghostd.pipeline.rules import lane_for


def chosen(settings: Settings, name: str | None) -> LaneSettings:
    """The lane of a name or alias, the default lane for None. Raises Cannot(unknown-lane)."""
    lane, warning = lane_for(settings, name)
    if warning:
        known = ", ".join(settings.lanes)
        raise Cannot(f"use lane {name}: it is unknown", kind="unknown-lane", hint=f"known lanes: {known}")
    return lane
