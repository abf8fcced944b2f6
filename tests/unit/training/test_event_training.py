"""Training and evaluation by frame: the loss leaves out what nobody labelled, and all processes get the same scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn

from pannsdist.audio.batch_reading import read_batch
from pannsdist.audio.batches import EvaluationPlan, Shard, clip_table
from pannsdist.audio.clip_reader import ClipReader
from pannsdist.audio.frame_targets import FrameGrid
from pannsdist.contracts import Clip, Event, Samples, labels_of_events
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.clip_lists import ClipList
from pannsdist.contracts.frame_head import FrameHead
from pannsdist.contracts.network import Network
from pannsdist.distributed.fleet import SingleProcessWorld
from pannsdist.runtime.errors import BadDataset
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate
from pannsdist.training.optimization.losses import EventLoss, TrainingLoss
from pannsdist.training.optimization.mean_teacher import Consistency
from pannsdist.training.train_step import Learner, StepOptions

RATE_HZ, FRAME, LABELS = 1000, 100, ("cat", "dog")
GRID = FrameGrid.of(FRAME, RATE_HZ, LABELS)


class Levels(nn.Layer):
    """Waveform (B, S) -> (B, 1, T, 2): the level of each frame, and its square."""

    def forward(self, waveform):
        level = waveform.reshape([waveform.shape[0], -1, FRAME]).abs().mean(axis=2)
        return paddle.stack([level, level.square()], axis=2).unsqueeze(1)


class ByFrame(nn.Layer):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.body, self.dropout, self.head = nn.Linear(2, 8), nn.Dropout(dropout), FrameHead(8, 2)

    def forward(self, features):
        return self.head(self.dropout(nn.functional.relu(self.body(features.squeeze(1)))))


def network(dropout=0.0):
    paddle.seed(1)
    return Network(Levels(), ByFrame(dropout), head="head")


def learner(loss=None, **options):
    made = network()
    optimizer = paddle.optimizer.SGD(0.1, parameters=made.parameters())
    loss = loss or EventLoss(TrainingLoss(True), 0.5)
    return Learner(SingleProcessWorld(), made, loss, optimizer, Constant(), options=StepOptions(**options))


class Constant:
    def rate(self, step):  # noqa: ARG002
        return 0.1


def clip(number: int, kind: str) -> Clip:
    sound = np.random.default_rng(number).normal(0, 0.2, RATE_HZ).astype(np.float32)
    source = Samples(sound, RATE_HZ)
    if kind == "weak":
        return Clip(f"{number:02}", source, ("dog",), duration_s=1.0)
    if kind == "unlabelled":
        return Clip(f"{number:02}", source, (), duration_s=1.0, is_labelled=False)
    events = (Event(0.1 * (number % 5), 0.1 * (number % 5) + 0.35, "cat"),) if number % 3 else ()
    return Clip(f"{number:02}", source, labels_of_events(events), duration_s=1.0, events=events)


def batch(*kinds: str) -> Batch:
    clips = ClipList.of([clip(number, kind) for number, kind in enumerate(kinds)])
    plan = EvaluationPlan(clip_table(clips, LABELS, True), len(kinds), ClipReader(RATE_HZ, RATE_HZ), grid=GRID)
    (found,) = map(read_batch, plan.requests(Shard(0, 1)))
    return found


def part(whole: Batch, *rows: int) -> Batch:
    return whole.part(np.array(rows))


def moved(made, given, all_clips, step=1):
    before = made.network.arrays()
    made.step(given, step, all_clips, seed=0)
    return {name: array - before[name] for name, array in made.network.arrays().items()}


def test_the_loss_is_the_binary_cross_entropy_of_frames_plus_the_weighted_one_of_the_clip():
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (3, 5, 2)).astype(np.float32)
    targets = generator.uniform(0, 1, (3, 5, 2)).astype(np.float32)
    targets[1, :-1], targets[2] = np.nan, np.nan
    found = EventLoss(TrainingLoss(True), 0.3)(paddle.to_tensor(logits), paddle.to_tensor(targets)).numpy()
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    terms = -targets * np.log(p) - (1 - targets) * np.log(1 - p)
    expected = [terms[0, :-1].mean() + 0.3 * terms[0, -1].mean(), 0.3 * terms[1, -1].mean(), 0.0]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_clip_without_labels_has_no_gradient():
    changes = moved(learner(), batch("unlabelled", "unlabelled"), 2)
    assert not any(change.any() for change in changes.values())


def test_frames_that_nobody_labelled_do_not_matter_while_those_of_the_clip_do():
    weak = batch("weak", "strong", "weak", "strong")
    loss = EventLoss(TrainingLoss(True), 0.0)
    whole = moved(learner(loss), weak, 4)
    alone = moved(learner(loss), part(weak, 1, 3), 4)
    for name in whole:
        np.testing.assert_allclose(whole[name], alone[name], atol=1e-7)
    other = moved(learner(), weak, 4)
    assert any(np.abs(other[name] - whole[name]).max() > 1e-5 for name in whole)


@pytest.mark.parametrize("consistency", [None, Consistency(2.0)])
def test_accumulation_gives_the_gradient_of_the_whole_batch(consistency):
    whole = batch("weak", "strong", "unlabelled", "strong")
    options = {"ema_decay": 0.9, "consistency": consistency}
    once, in_parts = (moved_twice(learner(accumulate_steps=steps, **options), whole) for steps in (1, 4))
    for name in once:
        np.testing.assert_allclose(in_parts[name], once[name], rtol=1e-4, atol=1e-7)


def moved_twice(made, given):
    """After the first step the moving average differs from the weights."""
    moved(made, given, len(given.ids), step=1)
    return moved(made, given, len(given.ids), step=2)


def test_a_teacher_teaches_on_clips_without_labels():
    unlabelled = batch("unlabelled", "unlabelled")
    strong = batch("strong", "strong")
    made = learner(ema_decay=0.99, consistency=Consistency(5.0))
    for step in range(1, 9):
        made.step(strong, step, 2, seed=0)
    before = gap(made, unlabelled)
    for step in range(100, 200):
        made.step(unlabelled, step, 2, seed=0)
    assert gap(made, unlabelled) < 0.5 * before


def gap(made, given) -> float:
    """How far the network is from its average, in probabilities."""
    inputs = paddle.to_tensor(given.waveforms)
    own = nn.functional.sigmoid(made.network(inputs)).numpy()
    with made.averaged_weights():
        teacher = nn.functional.sigmoid(made.network(inputs)).numpy()
    return float(np.abs(own - teacher).max())


def test_a_teacher_has_no_gradient_of_its_own():
    made, given = learner(ema_decay=0.5, consistency=Consistency(1.0)), batch("unlabelled")
    first = moved(made, given, 1)
    assert not any(change.any() for change in first.values())  # network and average are the same yet


def test_the_weight_of_consistency_rises_over_its_ramp():
    consistency = Consistency(2.0, ramp_steps=100)
    factors = [consistency.factor(step) for step in (1, 50, 100, 500)]
    assert factors == sorted(factors)
    assert factors[0] == pytest.approx(2 * np.exp(-5 * 0.99**2))
    assert factors[2:] == [2.0, 2.0]


@pytest.mark.parametrize("kind", ["strong", "weak", "unlabelled"])
@pytest.mark.parametrize("consistency", [None, Consistency(1.0)])
def test_a_sound_that_is_no_number_changes_nothing_whatever_is_known_of_it(kind, consistency):
    made, given = learner(ema_decay=0.9, consistency=consistency), batch("strong", kind)
    made.step(given, 1, 2, seed=0)
    given.waveforms[1, 5] = np.nan
    before, state = made.network.arrays(), made.state()
    assert not made.step(given, 2, 2, seed=0).finite
    for one, other in ((before, made.network.arrays()), (state, made.state())):
        for name, array in one.items():
            np.testing.assert_array_equal(other[name], array, err_msg=name)


def evaluated(kinds, processes=1, order=None):
    """The predictions and scores of a split whose batches so many processes share."""
    clips = ClipList.of([clip(number, kind) for number, kind in enumerate(kinds)])
    plan = EvaluationPlan(clip_table(clips, LABELS, True), 2, ClipReader(RATE_HZ, RATE_HZ), grid=GRID)
    shards = [Shard(rank, processes) for rank in range(processes)]
    batches = [read_batch(request) for shard in shards for request in plan.requests(shard)]
    chosen = [batches[place] for place in order] if order else batches
    split = SplitToEvaluate("valid", plan.ids, lambda: chosen, events=plan.events, frame_s=plan.frame_s)
    return Evaluator(SingleProcessWorld(), network(), LABELS, True).evaluate(split)


KINDS = ("strong", "weak", "strong", "unlabelled", "strong", "weak", "strong")


def test_an_evaluation_has_the_clip_in_one_place_and_its_frames_in_another():
    found = evaluated(KINDS)
    predictions = found.predictions
    assert predictions.ids == ("00", "01", "02", "04", "05", "06")  # without labels there is no score
    assert predictions.frames.ids == ("00", "02", "04", "06")
    assert predictions.frames.logits.shape == (4, 10, 2)
    assert predictions.frames.frame_s == 0.1
    assert predictions.frames.durations_s.tolist() == [1.0] * 4
    assert predictions.frames.events[1] == clip(2, "strong").events
    made = network()
    made.eval()
    logits = made(paddle.to_tensor(clip(2, "strong").source.array[None])).numpy()[0]
    np.testing.assert_allclose(predictions.frames.logits[1], logits[:-1], atol=1e-6)
    np.testing.assert_allclose(predictions.logits[2], logits[-1], atol=1e-6)


@pytest.mark.parametrize(("processes", "order"), [(2, None), (4, None), (1, (3, 1, 0, 2))])
def test_scores_and_frames_do_not_depend_on_who_computed_them(processes, order):
    one, other = evaluated(KINDS), evaluated(KINDS, processes, order)
    assert one.scores == other.scores
    first, second = (found.predictions.sorted_by_id() for found in (one, other))
    assert first.ids == second.ids and first.frames.events == second.frames.events
    np.testing.assert_array_equal(first.frames.logits, second.frames.logits)


def test_references_end_where_the_evaluated_part_of_a_clip_ends():
    long = replace(clip(1, "strong"), events=(Event(0.1, 0.8, "cat"), Event(0.6, 0.9, "dog")), labels=("cat", "dog"))
    plan = EvaluationPlan(clip_table(ClipList.of([long]), LABELS, True), 1, ClipReader(RATE_HZ, 500), grid=GRID)
    batches = [read_batch(request) for request in plan.requests(Shard(0, 1))]
    split = SplitToEvaluate("valid", plan.ids, lambda: batches, events=plan.events, frame_s=plan.frame_s)
    frames = Evaluator(SingleProcessWorld(), network(), LABELS, True).evaluate(split).predictions.frames
    assert frames.events == ((Event(0.1, 0.5, "cat"),),)
    assert frames.durations_s.tolist() == [0.5]


def test_a_split_without_labels_is_refused():
    with pytest.raises(BadDataset, match="no clip of valid is labelled"):
        evaluated(("unlabelled", "unlabelled"))
