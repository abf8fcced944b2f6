"""A batch in parts: each clip stays what it was, partners included."""

import numpy as np

from pannsdist.contracts.batch import Batch


def mixed():
    generator = np.random.default_rng(0)
    return Batch(
        tuple("abcd"),
        generator.random((6, 5), dtype=np.float32),
        generator.random((4, 3), dtype=np.float32),
        augment_noise=generator.random((6, 8), dtype=np.float32),
        partners=np.array([4, 0, 5, 3]),
        mix_weights=np.array([0.1, 0.2, 0.3, 1.0], np.float32),
        further_ids=("e", "f"),
    )


def seen(batch):
    """Each clip, how it sounds and what masks it; its target; and the same of its partner."""
    names = batch.ids + batch.further_ids
    for row, partner in enumerate(batch.partners):
        pair = [(names[at], batch.waveforms[at].tolist(), batch.augment_noise[at].tolist()) for at in (row, partner)]
        yield pair, float(batch.mix_weights[row]), batch.targets[row].tolist()


def test_the_parts_of_a_batch_hold_the_same_clips_with_the_same_partners():
    whole = mixed()
    parts = [whole.part(rows) for rows in np.array_split(np.arange(4), 2)]
    assert [row for part in parts for row in seen(part)] == list(seen(whole))
    assert [part.further_ids for part in parts] == [("e",), ("f",)]
    assert [len(part.waveforms) for part in parts] == [3, 3]


def test_a_part_takes_a_partner_along_that_is_in_another_part():
    part = mixed().part(np.array([1]))
    assert (part.ids, part.further_ids, part.partners.tolist()) == (("b",), ("a",), [1])
    np.testing.assert_array_equal(part.waveforms, mixed().waveforms[[1, 0]])


def test_a_batch_without_mixup_is_divided_by_rows():
    plain = Batch(tuple("ab"), np.ones((2, 5), np.float32), np.array([0, 1]))
    part = plain.part(np.array([1]))
    assert (part.ids, part.targets.tolist(), part.model_kwargs) == (("b",), [1], {})
    assert part.waveforms.shape == (1, 5)
