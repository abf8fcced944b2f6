"""Every process evaluates its part of sounds with events; each writes the scores that it got. Argument: a folder."""

import json
import sys
from pathlib import Path

import numpy as np

from pannsdist.runtime import console, cpu

cpu.use_fast_kernels()
console.quiet_paddle()

import event_sounds  # noqa: E402
import pannsdist_sed_scores as scores  # noqa: E402
from paddle import nn  # noqa: E402

from pannsdist.audio.batches import EvaluationPlan, Shard, clip_table  # noqa: E402
from pannsdist.audio.clip_reader import ClipReader  # noqa: E402
from pannsdist.audio.frame_targets import FrameGrid  # noqa: E402
from pannsdist.audio.loader import Loader  # noqa: E402
from pannsdist.builtin.logmel import LogMel, LogMelParams  # noqa: E402
from pannsdist.builtin.manifest import Manifest, ManifestParams  # noqa: E402
from pannsdist.contracts.frame_head import FrameHead, of_length  # noqa: E402
from pannsdist.contracts.network import Network  # noqa: E402
from pannsdist.distributed import fleet  # noqa: E402
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate  # noqa: E402
from pannsdist.training.metrics import Metric  # noqa: E402

RATE_HZ, BINS, STRIDE = event_sounds.RATE_HZ, 32, 4
FEATURE = LogMelParams(RATE_HZ, 256, 128, 256, mel_bins=BINS, high_hz=4000.0)
OWN_BINS = {"high": range(24, 29), "hiss": range(15, 21), "low": range(6, 11)}
LOUD_DB = {"high": -28.0, "hiss": -32.0, "low": -24.0}
METRICS = {
    "event_f1": scores.EventF1,
    "segment_f1": scores.SegmentF1,
    "segment_error_rate": scores.SegmentErrorRate,
    "intersection_f1": scores.IntersectionF1,
    "psds1": scores.Psds1,
    "psds2": scores.Psds2,
    "segment_mpauc": scores.SegmentMpauc,
}


class Bands(nn.Layer):
    """A network that needs no training: a class sounds where its own bins are loud."""

    def __init__(self, labels):
        super().__init__()
        of_bins = [np.isin(np.arange(BINS), OWN_BINS[label]) / len(OWN_BINS[label]) for label in labels]
        self.bands, self.head = nn.Linear(BINS, len(labels), bias_attr=False), FrameHead(len(labels), len(labels))
        self.bands.weight.set_value(np.stack(of_bins, axis=1).astype(np.float32))
        self.head.frames.weight.set_value(0.2 * np.eye(len(labels), dtype=np.float32))
        self.head.frames.bias.set_value(np.array([-0.2 * LOUD_DB[label] for label in labels], np.float32))
        self.head.attention.weight.set_value(np.zeros((len(labels), len(labels)), np.float32))

    def forward(self, image):
        levels = self.bands(image.squeeze(1)).transpose([0, 2, 1])
        return self.head(of_length(nn.functional.avg_pool1d(levels, STRIDE).transpose([0, 2, 1]), image, STRIDE))


def main(folder):
    world, loader = fleet.connect(), Loader(1)
    sounds = Manifest(ManifestParams(str(folder / "clips.jsonl"), multi_label=True, unlisted="unlabelled"))
    grid = FrameGrid.of(STRIDE * FEATURE.hop_samples, RATE_HZ, sounds.labels)
    reader = ClipReader(RATE_HZ, round(event_sounds.LONGEST_S * RATE_HZ))
    plan = EvaluationPlan(clip_table(sounds.clips("valid"), sounds.labels, True), 2, reader, grid=grid)
    network = Network(LogMel(FEATURE).build(), Bands(sounds.labels), head="head", frame_samples=grid.frame_samples)

    def batches():
        return loader.read(list(plan.requests(Shard(world.rank, world.size))))

    split = SplitToEvaluate("valid", plan.ids, batches, events=plan.events, frame_s=plan.frame_s)
    metrics = [Metric(name, plugin(plugin.Params())) for name, plugin in METRICS.items()]
    found = Evaluator(world, network, sounds.labels, True, metrics).evaluate(split).scores
    (folder / f"scores.{world.rank}of{world.size}.json").write_text(json.dumps(found))
    loader.close()
    world.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
