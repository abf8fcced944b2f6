"""Settings of a run: schema, loading and validation."""

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
