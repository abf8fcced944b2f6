"""What each step of a world of any size sees, and its losses over 50 steps. Arguments: folder for results.

Run it under the launcher, or alone for what the processes together are compared with. Each rank writes what it saw.
"""

import json
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from pannsdist.runtime import console, cpu

cpu.use_fast_kernels()
console.quiet_paddle()

import paddle  # noqa: E402
from paddle import nn  # noqa: E402

from pannsdist.audio.augmentation import Augmentation  # noqa: E402
from pannsdist.audio.batches import Shard, TrainingPlan, clip_table  # noqa: E402
from pannsdist.audio.clip_lengths import lengths_s  # noqa: E402
from pannsdist.audio.clip_reader import ClipReader  # noqa: E402
from pannsdist.audio.frame_targets import FrameGrid  # noqa: E402
from pannsdist.audio.length_groups import length_groups  # noqa: E402
from pannsdist.audio.loader import Loader  # noqa: E402
from pannsdist.audio.mixup import Mixup  # noqa: E402
from pannsdist.builtin.augmentations.band_limit import BandLimit  # noqa: E402
from pannsdist.builtin.augmentations.equaliser import RandomEqualiser  # noqa: E402
from pannsdist.builtin.augmentations.gain import Gain  # noqa: E402
from pannsdist.builtin.augmentations.noise import Noise  # noqa: E402
from pannsdist.builtin.augmentations.reverb import Reverb  # noqa: E402
from pannsdist.builtin.augmentations.speed import Speed  # noqa: E402
from pannsdist.builtin.augmentations.time_roll import TimeRoll  # noqa: E402
from pannsdist.builtin.logmel import LogMel, LogMelParams  # noqa: E402
from pannsdist.builtin.panns.blocks import Part, conv_block  # noqa: E402
from pannsdist.builtin.panns.networks import NetworkConfig, normed_bins  # noqa: E402
from pannsdist.builtin.panns.tagger import Description, Tagger  # noqa: E402
from pannsdist.builtin.tones import Tones, TonesParams  # noqa: E402
from pannsdist.contracts import Event  # noqa: E402
from pannsdist.contracts.feature_augmentation import spec_augment_mask  # noqa: E402
from pannsdist.contracts.frame_head import FrameHead, of_length  # noqa: E402
from pannsdist.contracts.network import Network  # noqa: E402
from pannsdist.distributed import fleet  # noqa: E402
from pannsdist.runtime import seeding  # noqa: E402
from pannsdist.training.optimization.losses import EventLoss, TrainingLoss  # noqa: E402
from pannsdist.training.optimization.mean_teacher import Consistency  # noqa: E402
from pannsdist.training.optimization.optimizers import build_optimizer  # noqa: E402
from pannsdist.training.optimization.schedules import Schedule  # noqa: E402
from pannsdist.training.train_step import Learner, StepOptions  # noqa: E402

STEPS, BATCH, SEED, BINS = 50, 8, 11, 32
TONES = Tones(TonesParams(clips_per_class=20, classes=3, sample_rate_hz=8000))
TABLE = clip_table(TONES.clips("train"), TONES.labels, False)
GRID = FrameGrid.of(4 * 128, 8000, TONES.labels)
FEATURE = LogMelParams(8000, 256, 128, 256, mel_bins=BINS, high_hz=4000.0)
AUGMENTATIONS = tuple(
    Augmentation(plugin.__name__, 0.7, plugin(plugin.Params()))
    for plugin in (Gain, TimeRoll, Noise, Speed, RandomEqualiser, Reverb, BandLimit)
)
OPTIMIZERS = {"panns": ("SGD", 0.2), "averaging": ("AdamW", 3e-3), "by frame": ("AdamW", 1e-2)}
KEPT = []
"""Wrapped layers: Paddle 3.3.1 may crash where one is dropped before the next is made."""


def training(table=TABLE, **how):
    return TrainingPlan(table, BATCH, SEED, ClipReader(8000, 4000), augmentations=AUGMENTATIONS, **how)


def by_length(world):
    """Batches of clips of 0.1 to 0.7 s, grouped by the lengths that rank 0 finds."""
    clips = [replace(clip, duration_s=0.1 + 0.01 * number) for number, clip in enumerate(TABLE.clips)]
    found = world.on_main(lambda: lengths_s(clips))
    return training(replace(TABLE, clips=clips), groups=length_groups(found, 8000, 4000, 800))


def batches(plan, loader, world):
    """This process's part of each of the first 50 steps, over as many epochs as that takes."""
    epochs = range(1, -(-STEPS // plan.steps) + 1)
    requests = [request for epoch in epochs for request in plan.requests(epoch, Shard(world.rank, world.size))]
    yield from loader.read(requests[:STEPS])


def with_events():
    """Of ten clips eight have events, one the labels of the whole clip, and of one nothing is known."""

    def clip(number, one):
        if number % 10 > 1:
            onset_s = 0.01 * (number % 7)
            return replace(one, events=(Event(onset_s, onset_s + 0.9, one.labels[0]),))
        return one if number % 10 == 1 else replace(one, labels=(), is_labelled=False)

    return clip_table([clip(number, one) for number, one in enumerate(TABLE.clips)], TONES.labels, True)


def checksum(array):
    return zlib.crc32(np.ascontiguousarray(array).tobytes())


def seen(batch):
    """All that a step knows of each clip that comes out of it: which, how it sounds, what masks it, its partner."""
    masks = spec_augment_mask(paddle.to_tensor(batch.augment_noise), 30, BINS).numpy()
    ids = batch.ids + batch.further_ids
    rows = []
    for row, target in enumerate(batch.targets):
        known = target.tolist() if target.ndim < 2 else checksum(target)  # NaN equals nothing
        rows.append([ids[row], len(batch.waveforms[row]), checksum(batch.waveforms[row]), checksum(masks[row]), known])
        if batch.partners is not None:
            partner, mix_weight = int(batch.partners[row]), float(batch.mix_weights[row])
            rows[-1] += [ids[partner], checksum(batch.waveforms[partner]), checksum(masks[partner]), mix_weight]
    return rows


class Averaging(nn.Layer):
    """A network that leaves mixup to others: the mean over time, and two linear layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(BINS, 16), nn.ReLU(), nn.Linear(16, len(TONES.labels)))

    def forward(self, image):
        return self.layers(0.02 * (image.mean(axis=[1, 2]) + 50.0))


class ByFrame(nn.Layer):
    """A network that answers for frames of four hops."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Linear(BINS, 16), FrameHead(16, len(TONES.labels))

    def forward(self, image):
        hidden = nn.functional.relu(self.body(0.02 * (image.squeeze(1) + 50.0)))
        frames = nn.functional.avg_pool1d(hidden.transpose([0, 2, 1]), 4).transpose([0, 2, 1])
        return self.head(of_length(frames, image, 4))


def network(kind):
    """One of PANNs' kind in small, with stripes and mixup after the first batch norm; or one without either."""
    paddle.seed(seeding.initial_seed(SEED))
    if kind == "by frame":
        return Network(LogMel(FEATURE).build(), ByFrame(), spec_augment=True, head="head")
    if kind == "averaging":
        return Network(LogMel(FEATURE).build(), Averaging(), spec_augment=True)
    parts = [
        *normed_bins(NetworkConfig(len(TONES.labels), BINS, spec_augment=True)),
        Part("conv_block1", conv_block(1, 8), 0.2),
    ]
    layer = Tagger(Description(parts, 8, 8), len(TONES.labels))
    layer.bn0._mean.set_value(np.full(BINS, -50.0, np.float32))
    layer.bn0._variance.set_value(np.full(BINS, 400.0, np.float32))
    return Network(LogMel(FEATURE).build(), layer)


def run(world, loader, plan, kind, accumulate_steps=1):
    """(what each step saw, this process's sum of losses over all clips of each step)."""
    made, (name, rate) = network(kind), OPTIMIZERS[kind]
    optimizer = build_optimizer(name, {}, rate, made.model)
    loss, options = TrainingLoss(multi_label=False), StepOptions(accumulate_steps)
    if kind == "by frame":
        loss = EventLoss(TrainingLoss(multi_label=True), weak_weight=0.5)
        options = replace(options, ema_decay=0.9, consistency=Consistency(0.1, ramp_steps=20))
    learner = Learner(world, made, loss, optimizer, Schedule("constant", rate, STEPS), options=options)
    KEPT.append(learner)
    made.eval()  # dropout off, batch norm by its running statistics: what is left to differ is the order of sums
    steps, losses = [], []
    for number, batch in enumerate(batches(plan, loader, world), start=1):
        (clips,) = world.all_reduce_sum(float(len(batch.ids)))
        outcome = learner.step(batch, number, int(clips), SEED)
        steps.append(seen(batch))
        losses.append(float(outcome.loss) / clips)
    return steps, losses


def main(folder):
    world = fleet.connect()
    loader = Loader(1)
    classes = len(TONES.labels)
    pairs = training(sampling="balanced", mixup=Mixup(1.0, "panns", "features", classes))
    free = training(mixup=Mixup(0.5, "free", "features", classes))
    events = training(with_events(), mixup=Mixup(0.1, "free", "features", classes), grid=GRID)
    waves = training(sampling="weighted", mixup=Mixup(0.5, "free", "waveform", classes))
    results = {
        "events": run(world, loader, events, "by frame"),
        "events accumulated": run(world, loader, events, "by frame", accumulate_steps=2),
        "pairs with SGD": run(world, loader, pairs, "panns"),
        "free with AdamW": run(world, loader, free, "averaging"),
        "waveforms": ([seen(batch) for batch in batches(waves, loader, world)], []),
        "by length": ([seen(batch) for batch in batches(by_length(world), loader, world)], []),
    }
    (folder / f"seen.{world.rank}of{world.size}.json").write_text(json.dumps(results))
    loader.close()
    world.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
