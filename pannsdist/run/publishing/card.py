"""The model card: README.md of a published model, with the metadata that the hubs read at its head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

from pannsdist.run.publishing import limits
from pannsdist.run.publishing.facts import Facts, SplitScores
from pannsdist.run.publishing.markdown import cell, code, table
from pannsdist.runtime.errors import shell_command
from pannsdist.runtime.figures import score
from pannsdist.settings.plain import flat

HEADLINE = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "micro_f1",
    "mean_average_precision",
    "roc_auc",
    "event_f1",
    "segment_f1",
)
"""The scores in the metadata, in this order; all are in the card."""
TRAINING = (
    "seed",
    "train.epochs",
    "train.batch_size",
    "train.crop_s",
    "train.sampling",
    "train.freeze",
    "train.spec_augment",
    "train.amp",
    "train.all_clips",
    "mixup.alpha",
    "optimizer.name",
    "optimizer.learning_rate",
    "optimizer.layer_decay",
    "schedule.name",
    "loss.name",
    "loss.label_smoothing",
    "select.metric",
)
LISTED_CLASSES = 60


def card(facts: Facts, name: str, place: str, licence: str) -> str:
    """The text of the card of a model `name` that is loaded from `place`; `licence` is empty where none was stated."""
    head = yaml.safe_dump(metadata(facts, name, licence), sort_keys=False, allow_unicode=True, width=1 << 16)
    body = "\n".join("\n".join(section) for section in _sections(facts, name, place, licence) if section)
    return f"---\n{head}---\n\n{body}\n"


def metadata(facts: Facts, name: str, licence: str) -> dict[str, Any]:
    """The head of the card, in the format of the hubs."""
    record, used = (
        facts.record,
        sorted({metric for one in facts.splits for metric in _headline(one)}, key=HEADLINE.index),
    )
    kind = "sound-event-detection" if record.frame_samples else "sound-classification"
    found: dict[str, Any] = {"license": licence} if licence else {}
    found |= {"library_name": "pannsdist", "pipeline_tag": "audio-classification"}
    found["tags"] = ["audio", kind, "paddlepaddle", "pannsdist", record.model.name]
    if facts.hub_dataset:
        found["datasets"] = [facts.hub_dataset]
    if used:
        found["metrics"] = used
        found["model-index"] = [{"name": name, "results": [_result(facts, one) for one in facts.splits]}]
    return found


def _result(facts: Facts, scored: SplitScores) -> dict[str, Any]:
    dataset = {"type": facts.hub_dataset or facts.record.dataset.name, "name": facts.record.dataset.name}
    metrics = [
        {"type": metric, "value": round(scored.scores[metric], 6), "name": _named(metric, scored)}
        for metric in _headline(scored)
    ]
    task = {"type": "audio-classification", "name": "Audio Classification"}
    return {"task": task, "dataset": {**dataset, "split": scored.split}, "metrics": metrics}


def _headline(scored: SplitScores) -> list[str]:
    return [metric for metric in HEADLINE if metric in scored.scores]


def _named(metric: str, scored: SplitScores) -> str:
    words = f"{metric} on {scored.split}"
    return f"{words}, 95 % interval {_range(metric, scored)}" if metric in scored.ranges else words


def _range(metric: str, scored: SplitScores) -> str:
    return "{} to {}".format(*map(score, scored.ranges[metric])) if metric in scored.ranges else ""


def _sections(facts: Facts, name: str, place: str, licence: str) -> Iterator[Sequence[str]]:
    yield _summary(facts, name)
    yield _usage(facts, place)
    yield _scores(facts)
    yield _data(facts)
    yield _network(facts)
    yield _decisions(facts)
    yield _training(facts)
    yield ["## What it was not tested on", "", *(f"- {line}" for line in limits.untested(facts)), ""]
    yield _licences(facts, licence)
    yield ["## Software", "", *table(("", "version"), _software(facts))]


def _summary(facts: Facts, name: str) -> list[str]:
    record = facts.record
    what = (
        "Several labels for a sound, each with a probability of its own"
        if record.multi_label
        else "One label for a sound"
    )
    frames = f"; it answers by frames of {1000 * record.frame_samples / record.front_end.sample_rate_hz:g} ms"
    lines = [
        f"# {cell(name)}",
        "",
        f"{what}, out of {len(record.labels)} classes{frames if record.frame_samples else ''}.",
    ]
    shown = ", ".join(map(cell, record.labels[:LISTED_CLASSES]))
    more = (
        f", and {len(record.labels) - LISTED_CLASSES} more, in `bundle.json`"
        if len(record.labels) > LISTED_CLASSES
        else ""
    )
    lines += [f"Network `{record.model.name}`, fine-tuned with pannsdist on PaddlePaddle.", ""]
    return [*lines, f"Classes: {shown}{more}.", ""]


def _usage(facts: Facts, place: str) -> list[str]:
    plugins = {one.origin.distribution for one in (facts.record.model, facts.record.feature)} - {"pannsdist"}
    extra = "[cpu,hf]" if place.startswith("hf://") else "[cpu,modelscope]" if "://" in place else "[cpu]"
    commands = [
        shell_command("pip", "install", f"pannsdist{extra}", *sorted(plugins)),
        shell_command("pannsdist", "predict", "--model", place, "a.wav"),
    ]
    python = ["from pannsdist import load_model", "", f'model = load_model("{place}")', 'print(model.predict("a.wav"))']
    return ["## Use", "", *code("", commands), "", *code("python", python), ""]


def _scores(facts: Facts) -> list[str]:
    lines = ["## Scores", ""]
    if not facts.splits:
        return [*lines, "The model folder holds no scores.", ""]
    for one in facts.splits:
        clips = facts.clips.get(one.split)
        lines += [
            f"Split `{one.split}` of `{facts.record.dataset.name}`" + (f", {clips} clips" if clips else "") + ":",
            "",
        ]
        if one.folds:
            lines += [
                f"These are means over {one.folds} folds, each of a model of its own; this one saw all clips.",
                "",
            ]
        rows = [(metric, score(value), _range(metric, one)) for metric, value in one.scores.items()]
        lines += [*table(("score", "value", "95 % interval"), rows), ""]
    if any(one.ranges for one in facts.splits):
        lines += [
            "Intervals: percentile bootstrap over the clips. They do not contain the variation between trainings."
        ]
    else:
        lines += ["Intervals are not known: the predictions of the run were not beside the model folder."]
    return [*lines, ""]


def _data(facts: Facts) -> list[str]:
    record = facts.record
    origin = record.dataset.origin
    lines = ["## Data", "", f"Dataset `{record.dataset.name}` of {origin.distribution} {origin.version}."]
    params = {key: value for key, value in flat(dict(record.dataset.params)).items() if value not in (None, "", {}, [])}
    if params:
        lines += ["", *table(("parameter", "value"), [(key, str(value)) for key, value in params.items()])]
    if not facts.clips:
        return [
            *lines,
            "",
            "The clips of each split are not known: the folder of the run was not beside the model.",
            "",
        ]
    rows = [
        (label, *(f"{facts.class_clips[split][label]:,}" for split in facts.clips))
        for label in record.labels[:LISTED_CLASSES]
    ]
    rows.append(("all clips", *(f"{count:,}" for count in facts.clips.values())))
    return [*lines, "", "Clips by class and split:", "", *table(("class", *facts.clips), rows), ""]


def _network(facts: Facts) -> list[str]:
    record, front = facts.record, facts.record.front_end
    rate = front.sample_rate_hz
    rows = [
        ("front end", f"{front.kind}, computed in the network"),
        ("sample rate", f"{rate:,} Hz, mono; other sounds are mixed and resampled"),
        ("window and hop", f"{1000 * front.window_samples / rate:g} ms and {1000 * front.hop_samples / rate:g} ms"),
        ("bins", f"{front.bins}, {front.low_hz:g} to {front.high_hz:g} Hz"),
        ("length", f"{record.crop_s:g} s; longer sounds are cut into windows, whose probabilities are averaged"),
        ("shorter sounds", "padded with silence to that length" if record.pads_to_crop else "taken as they are"),
        ("started from", facts.weights),
    ]
    return ["## Network", "", *table(("", ""), rows), ""]


def _decisions(facts: Facts) -> list[str]:
    found = facts.record.decisions
    if found is None:
        what = "Not calibrated: probabilities are those of the network, and no class has a threshold of its own."
        return ["## Decisions", "", what, ""]
    goal = found.goal if found.goal == "f1" else f"{found.goal} {found.goal_value:g}"
    rows = [
        ("fitted on", f"{found.clips} clips ({found.fitted_on}), for {goal}"),
        ("temperature", f"{found.temperature:.4g}"),
        ("common threshold", score(found.threshold)),
    ]
    if found.min_energy is not None:
        least = f"a sound whose energy is below {found.min_energy:.4g} is none of these"
        rows.append(("none of these", f"{least}; {100 * found.rejected:g} % of known clips were"))
    applied = "Applied by every command, unless `--raw` is given; the scores above are without them."
    return ["## Decisions", "", *table(("", ""), rows), "", applied, ""]


def _training(facts: Facts) -> list[str]:
    if facts.probe is not None:
        kind, parameter, value = (facts.probe.get(key) for key in ("kind", "parameter", "value"))
        what = f"A classifier (`{kind}`, {parameter} = {value}) on the embeddings of the frozen network."
        return ["## Training", "", what, ""]
    known = flat(dict(facts.record.settings))
    rows = [(f"`{key}`", str(known[key])) for key in TRAINING if known.get(key) not in (None, "", {}, [])]
    rows += [(f"`{key}`", str(value or "as by default")) for key, value in known.items() if key.startswith("augment.")]
    rows.append(("epoch of the model", str(facts.record.epoch)))
    return ["## Training", "", *table(("setting", "value"), rows), "", "All settings are in `bundle.json`.", ""]


def _licences(facts: Facts, licence: str) -> list[str]:
    own = f"`{licence}`" if licence else "none was stated; ask its publisher before you use it"
    data = facts.data or "not known to its plugin"
    return [
        "## Licences",
        "",
        *table(("", ""), [("this model", own), ("started from", facts.weights), ("data", data)]),
        "",
    ]


def _software(facts: Facts) -> list[tuple[str, str]]:
    record = facts.record
    found = dict(record.versions)
    for one in (record.model, record.feature, record.dataset, *record.further.values()):
        found.setdefault(one.origin.distribution, one.origin.version)
    return list(found.items())
