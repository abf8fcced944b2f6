"""Steps, gradients and scores of a tiny network; each rank writes its arrays. Arguments: folder for results.

Run it under the launcher, or alone for what the processes together are compared with.
"""

import json
import sys
from pathlib import Path

import numpy as np

from pannsdist.runtime import console, cpu

cpu.use_fast_kernels()
console.quiet_paddle()

import paddle  # noqa: E402

from pannsdist.audio.batch_reading import read_batch  # noqa: E402
from pannsdist.audio.batches import ClipTable, EvaluationPlan, Shard, TrainingPlan, clip_table  # noqa: E402
from pannsdist.audio.clip_reader import ClipReader  # noqa: E402
from pannsdist.builtin.logmel import LogMel, LogMelParams  # noqa: E402
from pannsdist.builtin.panns import Cnn6  # noqa: E402
from pannsdist.builtin.tones import Tones, TonesParams  # noqa: E402
from pannsdist.contracts.batch import Batch  # noqa: E402
from pannsdist.contracts.network import Network  # noqa: E402
from pannsdist.distributed import fleet  # noqa: E402
from pannsdist.kernels import install  # noqa: E402
from pannsdist.kernels.choice import Choice, Wanted, choose  # noqa: E402
from pannsdist.run.same_run import refuse_different_kernels  # noqa: E402
from pannsdist.runtime.errors import SettingsError  # noqa: E402
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate  # noqa: E402
from pannsdist.training.optimization.losses import TrainingLoss  # noqa: E402
from pannsdist.training.optimization.optimizers import build_optimizer  # noqa: E402
from pannsdist.training.optimization.schedules import Schedule  # noqa: E402
from pannsdist.training.optimization.static_graph import enable_static_graph  # noqa: E402
from pannsdist.training.train_step import Learner  # noqa: E402

TONES = Tones(TonesParams(clips_per_class=4, valid_clips_per_class=4, classes=3))
READER = ClipReader(32000, 16000)
KEPT = []
"""Wrapped layers: Paddle 3.3.1 may crash where one is dropped before the next is made."""


class Recording(paddle.optimizer.SGD):
    """An optimizer that keeps the gradients of a step and leaves the weights alone."""

    def step(self):
        self.gradients = {parameter.name: parameter.grad.numpy() for parameter in self._parameter_list}


def network(seed, kernels="paddle"):
    paddle.seed(seed)
    feature = LogMel(LogMelParams())
    model = Cnn6(Cnn6.Params()).build(TONES.labels, feature.front_end)
    install(model, choose(Wanted(kernels, "none"), "cpu"))
    return Network(feature.build(), model)


def own_batches(world, batch_size):
    plan = TrainingPlan(clip_table(TONES.clips("train"), TONES.labels, False), batch_size, 0, READER)
    return [read_batch(request) for request in plan.requests(1, Shard(world.rank, world.size))]


def without(batch, ids):
    """The batch as if the clips with these ids could not be read."""
    kept = [row for row, name in enumerate(batch.ids) if name not in ids]
    return Batch(tuple(batch.ids[row] for row in kept), batch.waveforms[kept], batch.targets[kept])


def steps(world, kernels):
    """Weights and statistics after three steps, from weights that differ at first; statistics before and after.

    `kernels`: `static` for a static graph of Paddle's own.
    """
    layer = network(world.rank, "paddle" if kernels == "static" else kernels)
    if kernels == "static":
        enable_static_graph(layer.model)
    optimizer = build_optimizer("AdamW", {}, 1e-3, layer.model)
    learner = Learner(
        world, layer, TrainingLoss(multi_label=False), optimizer, Schedule("constant", 1e-3, total_steps=3)
    )
    KEPT.append(learner)
    layer.train()
    for number, batch in enumerate(own_batches(world, 4), start=1):
        learner.step(batch, number, 4, seed=0)
    before = layer.arrays()
    world.sync_statistics(layer)
    return {
        **{f"before/{key}": a for key, a in before.items()},
        **{f"after/{key}": a for key, a in layer.arrays().items()},
    }


def gradient(world, unread, kernels="paddle"):
    """The gradient of the first batch of eight clips, of which the first `unread` cannot be read."""
    layer = network(0, kernels)
    trainable = [parameter for parameter in layer.model.parameters() if not parameter.stop_gradient]
    optimizer = Recording(learning_rate=0.0, parameters=trainable)
    learner = Learner(
        world, layer, TrainingLoss(multi_label=False), optimizer, Schedule("constant", 1e-3, total_steps=1)
    )
    KEPT.append(learner)
    layer.eval()  # each process normalises by its own clips, so that only without batch statistics the two are one sum
    batch = own_batches(world, 8)[0]
    ids = [name for part in world.all_gather(batch.ids) for name in part]
    learner.step(without(batch, ids[:unread]), 1, len(ids) - unread, seed=0)
    names = {parameter.name: name for name, parameter in layer.model.named_parameters()}
    return {names[name]: array for name, array in optimizer.gradients.items()}


class Corrupted(Learner):
    """On the last rank the synchronised gradient becomes infinite, as by a fault of its memory."""

    def _backward(self, batch, step, all_clips):
        losses = super()._backward(batch, step, all_clips)
        if self._world.rank == self._world.size - 1:
            with paddle.no_grad():
                self._parameters[-1].grad.scale_(float("inf"))
        return losses


def poisoned(world, learner_type, is_asynchronous):
    """Arrays before and after a step that is not finite on the last rank alone.

    With Learner its loss is not finite and every gradient is; with Corrupted it is its gradient. `is_asynchronous`:
    the device decides, as on a GPU.
    """
    world.is_asynchronous = is_asynchronous

    def loss(logits, targets):
        losses = TrainingLoss(multi_label=False)(logits, targets)
        is_bad = learner_type is Learner and world.rank == world.size - 1
        return losses + float("inf") if is_bad else losses

    layer = network(seed=0)
    optimizer = build_optimizer("AdamW", {}, 1e-3, layer.model)
    learner = learner_type(world, layer, loss, optimizer, Schedule("constant", 1e-3, total_steps=1))
    KEPT.append(learner)
    layer.train()
    before = {name: array.copy() for name, array in layer.arrays().items()}
    outcome = learner.step(own_batches(world, 4)[0], 1, 4, seed=0)
    return {
        "finite": outcome.finite,
        "gradient_norm": np.nan if outcome.gradient_norm is None else outcome.gradient_norm,
        **{f"before/{key}": a for key, a in before.items()},
        **{f"after/{key}": a for key, a in layer.arrays().items()},
    }


def scores(world):
    """Scores of eleven clips in batches of three: four batches, the last one of two."""
    clips = TONES.clips("valid")[:11]
    table = clip_table(clips, TONES.labels, False)
    plan = EvaluationPlan(ClipTable(clips, table.targets), 3, READER)

    def batches():
        return map(read_batch, plan.requests(Shard(world.rank, world.size)))

    evaluator = Evaluator(world, network(seed=0), TONES.labels, False)
    evaluation = evaluator.evaluate(SplitToEvaluate("valid", [clip.id for clip in clips], batches))
    return {name: repr(value) for name, value in evaluation.scores.items()}


def different_kernels(world):
    """What is said where the last process would compute with other kernels; empty if nothing is."""
    own = Choice("onednn" if world.rank == world.size - 1 else "paddle", "float32", "")
    try:
        refuse_different_kernels(world, own)
    except SettingsError as error:
        return error.wrong
    return ""


def main(folder):
    world = fleet.connect()
    name = f"{world.rank}of{world.size}"
    for kernels in ("paddle", "auto"):
        np.savez(folder / f"steps {kernels}.{name}.npz", **steps(world, kernels))
        np.savez(folder / f"gradient {kernels}.{name}.npz", **gradient(world, 0, kernels))
    np.savez(folder / f"steps static.{name}.npz", **steps(world, "static"))
    for what, kind in (("poisoned", Learner), ("corrupted", Corrupted)):
        for decides in ("host", "device"):
            np.savez(folder / f"{what} {decides}.{name}.npz", **poisoned(world, kind, decides == "device"))
    world.is_asynchronous = False
    for unread in (0, 1, 4):
        np.savez(folder / f"gradient{unread}.{name}.npz", **gradient(world, unread))
    (folder / f"kernels.{name}.json").write_text(json.dumps(different_kernels(world)))
    (folder / f"scores.{name}.json").write_text(json.dumps(scores(world)))
    world.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
