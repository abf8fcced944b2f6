"""Runs of 60 steps that stop in the middle of an epoch, and go on in a world of another size."""

import launching

STEPS = 60
STOPS = {2: 22, 1: 41, 3: STEPS}
"""The step at which each number of processes stops, in turn."""
KINDS = {
    "SGD": ("optimizer.name=SGD", "optimizer.learning_rate=0.05"),
    "AdamW": ("optimizer.name=AdamW", "optimizer.learning_rate=1e-3"),
    "frozen": ("optimizer.name=SGD", "optimizer.learning_rate=0.05", "train.freeze=[body]"),
    "events": (
        *("task=events", "model.name=tiny_by_frame", "data.name=manifest", "data.params.unlisted=unlabelled"),
        *("data.params.multi_label=true", "train.epochs=10", "train.crop_s=1.5", "optimizer.name=SGD"),
        *("optimizer.learning_rate=0.3", "augment.time_roll={}", "mixup.alpha=0.2", "mixup.pairs=free"),
        *("train.ema_decay=0.9", "events.consistency_weight=0.5", "events.consistency_ramp_epochs=2"),
        "metrics.event_f1={}",
    ),
}
SETTINGS = (
    *("model.name=tiny", "model.params.plain=true", "data.name=noted", "data.workers=0", "train.batch_size=6"),
    *("train.crop_s=0.3", "train.epochs=15", "valid.batch_size=2", "save.every_steps=10", "trackers.visualdl=null"),
    *launching.CONSTANT,
)
"""No batch norm and no dropout: only the order of sums depends on the number of processes."""


def sounds(place):
    """The folder of the sounds with events."""
    return place / "changing_sounds"


def part(place, processes):
    """The part of each run that so many processes do."""
    return _commands(place, "changing", STOPS[processes])


def whole(place):
    """The runs that nothing stops, of one process."""
    return _commands(place, "undisturbed", STEPS)


def _commands(place, kind, until):
    return {
        f"{kind} {name}": launching.training(
            *("tones_cnn6.yaml", *SETTINGS, *options, f"name={name}", f"train.max_steps={until}"),
            *((f"data.params.path={sounds(place) / 'clips.jsonl'}",) if name == "events" else ()),
            cwd=place / kind,
        )
        for name, options in KINDS.items()
    }
