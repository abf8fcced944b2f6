"""Settings of a run: schema, loading and validation."""

from pannsdist.settings.description import describe, documented
from pannsdist.settings.loading import (
    allowed_range,
    as_written,
    fill_params,
    load,
    read_yaml,
    subset_overrides,
    to_dict,
    to_yaml,
)
from pannsdist.settings.plain import NotPlain
from pannsdist.settings.recipe_list import trainable_recipes
from pannsdist.settings.sources import COMMAND_LINE, Layer, SettingsOrigin, parsed

__all__ = [
    "COMMAND_LINE",
    "Layer",
    "NotPlain",
    "SettingsOrigin",
    "allowed_range",
    "as_written",
    "describe",
    "documented",
    "fill_params",
    "load",
    "parsed",
    "read_yaml",
    "subset_overrides",
    "to_dict",
    "to_yaml",
    "trainable_recipes",
]
