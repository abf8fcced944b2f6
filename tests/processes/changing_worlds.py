"""Runs of 60 steps that stop in the middle of an epoch, and go on in a world of another size."""

import launching

STEPS = 60
STOPS = {2: 22, 1: 41, 3: STEPS}
"""The step at which each number of processes stops, in turn."""
KINDS = {
    "SGD": ("optimizer.name=SGD", "optimizer.learning_rate=0.05"),
    "AdamW": ("optimizer.name=AdamW", "optimizer.learning_rate=1e-3"),
    "frozen": ("optimizer.name=SGD", "optimizer.learning_rate=0.05", "train.freeze=[body]"),
}
SETTINGS = (
    *("model.name=tiny", "model.params.plain=true", "data.name=noted", "data.workers=0", "train.batch_size=6"),
    *("train.crop_s=0.3", "train.epochs=15", "valid.batch_size=2", "save.every_steps=10", "trackers.visualdl=null"),
    *launching.CONSTANT,
)
"""No batch norm and no dropout: only the order of sums depends on the number of processes."""


def part(place, processes):
    """The part of each run that so many processes do."""
    return _commands(place, "changing", STOPS[processes])


def whole(place):
    """The runs that nothing stops, of one process."""
    return _commands(place, "undisturbed", STEPS)


def _commands(place, kind, until):
    return {
        f"{kind} {name}": launching.training(
            *("tones_cnn6.yaml", *SETTINGS, *options),
            *(f"name={name}", f"train.max_steps={until}"),
            cwd=place / kind,
        )
        for name, options in KINDS.items()
    }
