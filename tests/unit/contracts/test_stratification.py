"""Stratified parts: even by label, the same everywhere, and groups stay whole."""

import random
from collections import Counter

import pytest

from pannsdist.contracts.stratification import stratified, units_of


def test_the_assignment_is_fixed():
    """A change of these numbers would change the folds of everyone: it needs a new setting, not a new algorithm."""
    labels = [(f"c{number % 3}",) for number in range(12)]
    single = stratified(units_of(labels, [f"{number}.wav" for number in range(12)]), (1, 1, 1), seed=7)
    assert "".join(str(single[f"{number}.wav"]) for number in range(12)) == "101022212010"
    groups = [f"g{number % 5}" for number in range(12)]
    several = [(f"c{number % 3}", f"c{number % 4}") if number % 3 != number % 4 else () for number in range(12)]
    grouped = stratified(units_of(several, groups), (2, 3), seed=0)
    assert "".join(str(grouped[f"g{number}"]) for number in range(5)) == "01101"


def test_single_labels_are_divided_as_evenly_as_possible():
    labels = [("rare",)] * 7 + [("common",)] * 93
    names = [f"{number}" for number in range(100)]
    parts = stratified(units_of(labels, names), (1,) * 5, seed=3)
    for first, last in ((0, 7), (7, 100), (0, 100)):
        sizes = Counter(parts[name] for name in names[first:last])
        assert max(sizes.values()) - min(sizes.values()) <= 1, sizes


def test_several_labels_are_divided_evenly_each():
    chance = random.Random(1)
    labels = [tuple(sorted(chance.sample("abcdefgh", chance.randrange(4)))) for _ in range(400)]
    names = [f"{number}" for number in range(400)]
    parts = stratified(units_of(labels, names), (1,) * 4, seed=0)
    for label in "abcdefgh":
        counts = Counter(parts[name] for name, own in zip(names, labels, strict=True) if label in own)
        assert max(counts.values()) - min(counts.values()) <= 3, (label, counts)


def test_weights_are_the_fractions_and_every_label_is_kept():
    labels = [("a",)] * 100 + [("b",)] * 2 + [("c",)]
    names = [f"{number}" for number in range(103)]
    parts = stratified(units_of(labels, names), (4, 1), seed=0, keep=1)
    assert Counter(parts[name] for name in names[:100]) == {0: 81, 1: 19}  # 82 of 103 with one of b
    assert {parts[name] for name in names[100:102]} == {0, 1}
    assert parts["102"] == 1


def several_labels(clips, classes, most, seed):
    """Labels of clips: `most` or fewer of each, the first class in many clips and the last in few."""
    chance = random.Random(seed)
    names, frequencies = [f"c{number}" for number in range(classes)], [1 / (number + 1) for number in range(classes)]
    drawn = (chance.choices(names, frequencies, k=chance.randrange(most + 1)) for _ in range(clips))
    return [tuple(sorted(set(own))) for own in drawn]


def worst_label(labels, held_out, fraction):
    """By how many clips the label that is held out worst is off."""
    totals = Counter(label for own in labels for label in own)
    found = Counter(label for number in held_out for label in labels[number])
    return max(abs(found[label] - fraction * total) for label, total in totals.items())


@pytest.mark.parametrize("tenths", [1, 3])
@pytest.mark.parametrize("most", [1, 3, 6])
@pytest.mark.parametrize(("clips", "classes"), [(20, 2), (60, 3), (100, 10), (100, 40), (400, 30)])
def test_a_held_out_fraction_is_right_to_a_clip_and_each_label_about(clips, classes, most, tenths):
    for seed in range(2):
        labels = several_labels(clips, classes, most, seed)
        units = units_of(labels, map(str, range(clips)))
        parts = stratified(units, (tenths, 10 - tenths), seed, keep=1)
        held_out = [number for number in range(clips) if parts[str(number)] == 0]
        assert abs(len(held_out) - clips * tenths / 10) <= 1
        assert {label for own in labels for label in own} == {
            label for number in set(range(clips)) - set(held_out) for label in labels[number]
        }
        # With as few as four clips of a label one clip more or less is a quarter of it.
        assert worst_label(labels, held_out, tenths / 10) <= 2.5 + 0.01 * clips


@pytest.mark.parametrize("folds", [2, 3, 5, 10])
@pytest.mark.parametrize(("clips", "classes", "most"), [(60, 30, 1), (100, 10, 3), (100, 40, 5), (300, 90, 4)])
def test_folds_are_of_one_size_to_a_clip(clips, classes, most, folds):
    labels = several_labels(clips, classes, most, folds)
    parts = stratified(units_of(labels, map(str, range(clips))), (1,) * folds, seed=0)
    sizes = Counter(parts.values())
    assert all(abs(sizes[fold] - clips / folds) <= 1 for fold in range(folds)), sizes


@pytest.mark.parametrize("tenths", [1, 2, 4])
def test_groups_are_held_out_whole_and_right_to_a_group(tenths):
    for seed in range(5):
        labels, chance = several_labels(600, 20, 3, seed), random.Random(seed)
        groups = [f"g{chance.randrange(40)}" for _ in labels]
        units = units_of(labels, groups)
        parts = stratified(units, (tenths, 10 - tenths), seed, keep=1)
        held_out = sum(unit.clips for name, unit in units.items() if parts[name] == 0)
        assert abs(held_out - 60 * tenths) <= 600 / len(units)


def test_many_classes_of_few_clips_are_held_out_too():
    """Of each class 0.4 clips are to be held out: rounded for each alone, that would be none at all."""
    labels = [(f"c{number // 4}",) for number in range(200)]
    parts = stratified(units_of(labels, map(str, range(200))), (1, 9), seed=0, keep=1)
    held_out = Counter(number // 4 for number in range(200) if parts[str(number)] == 0)
    assert 19 <= sum(held_out.values()) <= 21
    assert set(held_out.values()) == {1}


def test_a_label_of_one_clip_stays_where_it_is_kept_whatever_the_fraction():
    labels = [(f"c{number}", "all") for number in range(20)]
    parts = stratified(units_of(labels, map(str, range(20))), (1, 1), seed=0, keep=1)
    assert set(parts.values()) == {1}


def test_no_part_is_empty_where_groups_are_as_many_as_parts():
    labels = [("a", "b")] * 50 + [("a",), ("b",)]
    units = units_of(labels, ["big"] * 50 + ["x", "y"])
    assert sorted(stratified(units, (1, 1, 1), seed=0).values()) == [0, 1, 2]


def test_the_order_of_the_clips_does_not_matter_and_the_seed_does():
    clips = [((f"c{number % 4}",), f"g{number % 17}") for number in range(200)]
    turned = clips[::-1]
    before = stratified(units_of(*zip(*clips, strict=True)), (1,) * 5, seed=0)
    assert stratified(units_of(*zip(*turned, strict=True)), (1,) * 5, seed=0) == before
    assert stratified(units_of(*zip(*clips, strict=True)), (1,) * 5, seed=1) != before
