"""Stratified parts: even by label, the same everywhere, and groups stay whole."""

import random
from collections import Counter

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
    assert Counter(parts[name] for name in names[:100]) == {0: 80, 1: 20}
    assert {parts[name] for name in names[100:102]} == {0, 1}
    assert parts["102"] == 1


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
