"""The settings of a run: their schema, and how they are loaded."""

from pannsdist.settings.loading import (
    COMMAND_LINE,
    Layer,
    Source,
    allowed_range,
    describe,
    documented,
    fill_params,
    load,
    parsed,
    read_yaml,
    to_dict,
    to_yaml,
    trial_overrides,
)

__all__ = [
    "COMMAND_LINE",
    "Layer",
    "Source",
    "allowed_range",
    "describe",
    "documented",
    "fill_params",
    "load",
    "parsed",
    "read_yaml",
    "to_dict",
    "to_yaml",
    "trial_overrides",
]
