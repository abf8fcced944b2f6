"""What a model was not tested on, as far as its records say."""

from __future__ import annotations

from collections.abc import Iterator

from pannsdist.run.planning.data import TEST
from pannsdist.run.publishing.facts import Facts
from pannsdist.run.publishing.markdown import cell

FEW_CLIPS = 10
NAMED = 10


def untested(facts: Facts) -> Iterator[str]:
    """One sentence for each limit."""
    record, front = facts.record, facts.record.front_end
    if not facts.splits:
        yield "No scores are known, so nothing is."
    else:
        splits = " and ".join(f"`{one.split}`" for one in facts.splits)
        yield (
            f"All scores are of {splits} of the dataset `{record.dataset.name}`: no other collection, room, microphone"
            " or way of recording was tested."
        )
    if facts.splits and all(one.split != TEST for one in facts.splits) and facts.probe is None:
        yield f"The epoch was chosen by {record.metric}, and no other split was scored: new clips may score lower."
    yield from _of_clips(facts)
    yield (
        f"Sounds are resampled to {front.sample_rate_hz:,} Hz and described between {front.low_hz:g} and"
        f" {front.high_hz:g} Hz; what lies beyond is not heard. The rates of the clips are not in the records."
    )
    yield (
        f"Clips were scored at up to {record.crop_s:g} s. Longer sounds, cut into windows, were not scored"
        + (", nor were single frames or windows of `detect`." if not record.frame_samples else ".")
    )
    yield _of_unknown(facts)


def _of_clips(facts: Facts) -> Iterator[str]:
    """Classes with few clips among those that were scored."""
    for one in facts.splits:
        counts = facts.class_clips.get(one.split)
        few = [label for label in facts.record.labels if counts is not None and counts[label] < FEW_CLIPS]
        if few and len(few) == len(facts.record.labels):
            fewest = min(counts[label] for label in few) if counts else 0
            yield f"Every class has fewer than {FEW_CLIPS} clips in `{one.split}`, the smallest {fewest}."
        elif few:
            named = ", ".join(f"{cell(label)} ({counts[label] if counts else 0})" for label in few[:NAMED])
            more = f", and {len(few) - NAMED} more" if len(few) > NAMED else ""
            yield f"Classes with fewer than {FEW_CLIPS} clips in `{one.split}`, whose scores say little: {named}{more}."


def _of_unknown(facts: Facts) -> str:
    record = facts.record
    if record.multi_label:
        return "Sounds of other classes were not tested; they may reach the threshold of a class that they resemble."
    if record.decisions is None or record.decisions.min_energy is None:
        return f"Sounds of none of the {len(record.labels)} classes were not tested; they get one of them all the same."
    return "Sounds of none of the classes: those of low energy are rejected, and how many others are was not tested."
