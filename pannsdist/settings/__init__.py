"""The settings of a run: their schema, and how they are loaded."""

from pannsdist.settings.loading import (
    COMMAND_LINE,
    Layer,
    SettingsOrigin,
    allowed_range,
    describe,
    documented,
    fill_params,
    load,
    parsed,
    read_yaml,
    subset_overrides,
    to_dict,
    to_yaml,
)

__all__ = [
    "COMMAND_LINE",
    "Layer",
    "SettingsOrigin",
    "allowed_range",
    "describe",
    "documented",
    "fill_params",
    "load",
    "parsed",
    "read_yaml",
    "subset_overrides",
    "to_dict",
    "to_yaml",
]
