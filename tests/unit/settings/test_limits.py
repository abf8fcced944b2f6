"""Every limit of the settings, and of the params of every installed plugin, at its edges.

The limits stand here a second time: a limit that moves by one is a change of what settings files may say.
"""

import dataclasses
import math

import pytest

from pannsdist.registry import Catalog
from pannsdist.runtime.errors import SettingsError, UserError
from pannsdist.settings import SettingsOrigin, fill_params
from pannsdist.settings.schema import Settings

LIMITS = {
    "seed": "[0, 4294967295]",
    "task": "auto|clips|events",
    "events.pooling": "attention|linear_softmax",
    "events.weak_weight": "[0, inf)",
    "events.consistency_weight": "[0, inf)",
    "events.consistency_ramp_epochs": "[0, 100000]",
    "data.workers": "auto|[0, 256]",
    "data.on_bad_clip": "stop|skip",
    "data.on_change": "stop|continue",
    "data.min_clip_s": "[0, 3600]",
    "data.cache_dtype": "exact|int16",
    "data.cache_limit_gb": "[0, 1000000]",
    "train.epochs": "[1, inf)",
    "train.batch_size": "[1, inf)",
    "train.crop_s": "(0, 3600]",
    "train.max_steps": "[1, inf)",
    "train.max_minutes": "(0, inf)",
    "train.patience_epochs": "[1, inf)",
    "train.max_bad_steps": "[1, inf)",
    "train.limit_steps": "[1, inf)",
    "train.overfit_batches": "[1, inf)",
    "train.sampling": "shuffled|balanced|weighted",
    "train.accumulate_steps": "[1, inf)",
    "train.clip_norm": "(0, inf)",
    "train.amp": "none|fp16|bf16",
    "train.cpu_kernels": "auto|paddle|onednn",
    "train.ema_decay": "[0, 0.99999]",
    "train.swa_epochs": "[0, inf)",
    "train.unfreeze_epoch": "[2, inf)",
    "mixup.alpha": "[0, 4]",
    "mixup.pairs": "panns|free",
    "mixup.domain": "features|waveform",
    "valid.batch_size": "[1, inf)",
    "valid.crop_s": "(0, 3600]",
    "valid.limit_batches": "[1, inf)",
    "optimizer.learning_rate": "(0, 100]",
    "optimizer.layer_decay": "(0, 1]",
    "optimizer.head_lr_factor": "(0, 1000]",
    "schedule.warmup_epochs": "[0, inf)",
    "schedule.warmup_steps": "[0, inf)",
    "schedule.hold_epochs": "[0, inf)",
    "schedule.final_lr_factor": "[0, 1]",
    "schedule.every_epochs": "[0, inf)",
    "schedule.gamma": "(0, 1]",
    "loss.name": "auto|cross_entropy|binary_cross_entropy|focal",
    "loss.label_smoothing": "[0, 0.99]",
    "loss.class_weights": "none|balanced",
    "loss.focal_gamma": "(0, 10]",
    "save.every_steps": "[1, inf)",
    "save.every_minutes": "(0, inf)",
    "save.keep": "[1, inf)",
    "save.keep_best": "[1, inf)",
    "log.every_steps": "[1, inf)",
    "log.worst_clips": "[0, 20]",
    "log.histograms_every_epochs": "[0, inf)",
    "distributed.hang_timeout_s": "[1, 86400]",
    "distributed.comm_buffer_mb": "[1, 1024]",
}
"""The values that each key allows: choices, or an interval in mathematical notation."""
NAMED = {"model": {"name": "x"}, "data": {"name": "x"}}
BOUNDS = ("low", "above", "high", "choices")


def limited_fields(schema, prefix=""):
    """(key, class, field) of every setting with a limit."""
    for item in dataclasses.fields(schema):
        section = item.default_factory
        if isinstance(section, type) and dataclasses.is_dataclass(section):
            yield from limited_fields(section, f"{prefix}{item.name}.")
        elif item.metadata.keys() & set(BOUNDS):
            yield f"{prefix}{item.name}", schema, item


def limited_params():
    """The same of the params of every installed plugin."""
    for registry in Catalog.installed().registries.values():
        for name, entries in registry.entries.items():
            for entry in entries:
                for key, schema, item in limited_fields(entry.load().Params):
                    yield f"{registry.kind} {name} {key}", schema, item


FIELDS = {key: (schema, item) for key, schema, item in (*limited_fields(Settings), *limited_params())}


def written(item):
    """The limits of a field in the notation of the table."""
    limits = item.metadata
    choices = "|".join(limits.get("choices", ()))
    if choices and "low" not in limits:
        return choices
    start = f"[{limits['low']!r}" if "low" in limits else f"({limits['above']!r}" if "above" in limits else "(-inf"
    numbers = f"{start}, {limits['high']!r}]" if "high" in limits else f"{start}, inf)"
    return f"{choices}|{numbers}" if choices else numbers


def is_integer(item):
    return "int" in str(item.type)


def neighbour(item, value, towards):
    """The next value of the field's type."""
    step = 1 if towards > value else -1
    return int(value) + step if is_integer(item) else math.nextafter(float(value), towards)


def edges(item):
    """(values that are allowed, values that are refused) around the limits of a field."""
    limits = item.metadata
    allowed, refused = [], [] if is_integer(item) or "choices" in limits else [math.nan, math.inf, -math.inf]
    if "choices" in limits:
        allowed, refused = list(limits["choices"]), ["", "no such choice", f"{limits['choices'][0]} "]
    if "low" in limits:
        allowed.append(limits["low"])
        refused.append(neighbour(item, limits["low"], -math.inf))
    if "above" in limits:
        allowed.append(neighbour(item, limits["above"], math.inf))
        refused.append(limits["above"])
    if "high" in limits:
        allowed.append(limits["high"])
        refused.append(neighbour(item, limits["high"], math.inf))
    return allowed, refused


def filled(schema, item, value):
    """The value as it arrives where only this field is set."""
    if schema is Settings:
        return getattr(fill_params(schema, {**NAMED, item.name: value}, SettingsOrigin(), ""), item.name)
    required = {other.name: "x" for other in dataclasses.fields(schema) if other.default == "???"}
    required |= {
        other.name: {"str": "x", "int": 1, "float": 1.0}[str(getattr(other.type, "__name__", other.type))]
        for other in dataclasses.fields(schema)
        if other.default is dataclasses.MISSING and other.default_factory is dataclasses.MISSING
    }
    return getattr(fill_params(schema, {**required, item.name: value}, SettingsOrigin(), "section"), item.name)


def test_the_limits_of_the_settings_are_those_of_the_table():
    assert {key: written(item) for key, _, item in limited_fields(Settings)} == LIMITS


@pytest.mark.parametrize("key", FIELDS)
def test_a_limit_allows_its_edge_and_refuses_what_is_next_to_it(key):
    schema, item = FIELDS[key]
    allowed, refused = edges(item)
    for value in allowed:
        try:
            assert filled(schema, item, value) == value
        except UserError as error:  # a plugin may refuse it beside its other params, but not by this limit
            assert "__post_init__" in vars(schema) or not isinstance(error, SettingsError), error
    for value in refused:
        with pytest.raises(UserError, match=r"allowed: |must be|is "):
            filled(schema, item, value)
