"""Scores of a split: every clip counts once, missing and duplicate predictions are errors."""

from contextlib import nullcontext

import numpy as np
import paddle
import pytest
from small_parts import FEATURE_PARAMS, SmallLayer, tone_clips

from pannsdist.audio.batch_reading import read_batch
from pannsdist.audio.batches import EvaluationPlan, Shard, clip_table
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.runtime.errors import BadClip, BadDataset
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate

LABELS = ("high", "low")


def network():
    paddle.seed(1)
    return Network(LogMel(LogMelParams(**FEATURE_PARAMS)).build(), SmallLayer(16, len(LABELS)))


def batches(count=7, batch_size=3):
    plan = EvaluationPlan(clip_table(tone_clips(count), LABELS, False), batch_size, ClipReader(8000, 1600))
    return [read_batch(request) for request in plan.requests(Shard(0, 1))]


def evaluate(parts, ids=None, made=None):
    ids = [name for part in parts for name in part.ids] if ids is None else ids
    evaluator = Evaluator(SingleProcessWorld(), made or network(), LABELS, False)
    return evaluator.evaluate(SplitToEvaluate("valid", ids, lambda: parts))


def without(batch, row, error=None):
    keep = [number for number in range(len(batch.ids)) if number != row]
    ids = tuple(batch.ids[number] for number in keep)
    bad = (*batch.bad, error) if error else batch.bad
    return Batch(ids, batch.waveforms[keep], batch.targets[keep], bad)


def test_scores_are_those_of_all_predictions_together():
    made, parts = network(), batches()
    evaluation = evaluate(parts, made=made)
    made.eval()
    with paddle.no_grad():
        logits = np.concatenate([made(paddle.to_tensor(part.waveforms)).numpy() for part in parts])
    truth = np.concatenate([part.targets for part in parts])
    assert evaluation.scores["valid/accuracy"] == pytest.approx(np.mean(logits.argmax(axis=1) == truth))
    assert all(name.startswith("valid/") for name in evaluation.scores)
    assert evaluation.bad == ()


def test_scores_hardly_depend_on_the_batch_size():
    one, other = (evaluate(batches(batch_size=size)).scores for size in (1, 7))
    assert one.keys() == other.keys()
    assert one["valid/loss"] == pytest.approx(other["valid/loss"], rel=1e-5)


def test_an_evaluation_changes_no_weights_and_restores_training_mode():
    made = network()
    before = made.arrays()
    evaluate(batches(), made=made)
    assert made.training
    assert made.model.norm.training
    for name, array in made.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def failing(parts):
    yield parts[0]
    raise OSError("the disk is gone")


def modes(layer):
    return {name: part.training for name, part in layer.named_sublayers(include_self=True)}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("frozen", ["", "model.norm", "model", "everything"])
def test_every_mode_is_as_before_an_evaluation_also_after_an_error(frozen, fails):
    made, parts, during = network(), batches(), []
    layers = dict(made.named_sublayers())
    (made if frozen == "everything" else layers.get(frozen, paddle.nn.Identity())).eval()
    before = modes(made)
    made.model.norm.register_forward_pre_hook(lambda *_: during.append(set(modes(made).values())))
    evaluator = Evaluator(SingleProcessWorld(), made, LABELS, False)
    ids = [name for part in parts for name in part.ids]
    with pytest.raises(OSError, match="the disk is gone") if fails else nullcontext():
        evaluator.evaluate(SplitToEvaluate("valid", ids, lambda: failing(parts) if fails else parts))
    assert modes(made) == before
    assert during and all(seen == {False} for seen in during)


def test_a_missing_prediction_is_an_error():
    parts = batches()
    ids = [*[name for part in parts for name in part.ids], "forgotten"]
    with pytest.raises(RuntimeError, match="valid: 8 clips, but 7 predictions and 0 bad clips"):
        evaluate(parts, ids)


def test_a_duplicate_prediction_is_an_error():
    parts = batches()
    ids = [name for part in parts for name in part.ids]
    with pytest.raises(RuntimeError, match=r"duplicate or unknown: \['clip000'"):
        evaluate([*parts, parts[0]], ids)


def test_a_duplicate_in_place_of_another_clip_is_an_error():
    parts = batches(count=4, batch_size=2)
    with pytest.raises(RuntimeError, match=r"duplicate or unknown: .'clip000'"):
        evaluate([parts[0], parts[0]], ["clip000", "clip001", "clip002", "clip003"])


def test_a_prediction_for_a_clip_of_another_split_is_an_error():
    parts = batches()
    ids = [name for part in parts for name in part.ids]
    with pytest.raises(RuntimeError, match=r"duplicate or unknown: .'clip006'"):
        evaluate(parts, [*ids[:-1], "other"])


def test_skipped_clips_are_returned_and_the_others_scored():
    parts = batches()
    ids = [name for part in parts for name in part.ids]
    error = BadClip("clip 'clip001' is bad")
    evaluation = evaluate([without(parts[0], 1, error), *parts[1:]], ids)
    assert evaluation.bad == (error,)
    assert evaluation.scores.keys() == evaluate(parts).scores.keys()


def test_a_batch_of_only_skipped_clips_is_allowed():
    parts = batches(count=4, batch_size=2)
    errors = (BadClip("a"), BadClip("b"))
    empty = Batch((), np.zeros((0, 1600), np.float32), np.zeros(0, np.int64), errors)
    evaluation = evaluate([empty, parts[1]], ["clip000", "clip001", "clip002", "clip003"])
    assert evaluation.bad == errors


def test_a_split_without_a_clip_that_can_be_read_is_refused():
    empty = Batch((), np.zeros((0, 1600), np.float32), np.zeros(0, np.int64), (BadClip("a"),))
    with pytest.raises(BadDataset, match="no clip of valid could be read"):
        evaluate([empty], ["clip000"])


def test_each_prediction_has_the_group_of_its_clip_in_whatever_order_they_come():
    parts = batches(count=5, batch_size=2)
    ids = [name for part in parts for name in part.ids]
    group_of = dict(zip(ids, "abbca", strict=True))
    split = SplitToEvaluate("valid", ids, lambda: parts[::-1], list(group_of.values()))
    found = Evaluator(SingleProcessWorld(), network(), LABELS, False).evaluate(split).predictions
    assert found.ids != tuple(ids)
    assert dict(zip(found.ids, found.groups, strict=True)) == group_of
