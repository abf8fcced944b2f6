"""PaddleHub-compatible Trainer on top of this package's training loop."""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import paddle
from paddle import nn

from pannsdist.audio.batches import Shard
from pannsdist.contracts import Tracker
from pannsdist.contracts.network import Network, training_mode
from pannsdist.distributed import fleet
from pannsdist.hub.devices import use_device
from pannsdist.hub.items import Collate, InputSpec, Items, TrainingRows, evaluation_rows, opened
from pannsdist.hub.locking import lock_for
from pannsdist.hub.module import TASK, Module
from pannsdist.hub.optimizers import OptimizerSchedule
from pannsdist.hub.records import TrainRequest, model_record
from pannsdist.hub.scores import SPLIT, Compare, HubBest, NoEvaluation, hub_metrics
from pannsdist.hub.tracking import open_visualdl
from pannsdist.inference.bundle import BundleRecord, record_beside, write_bundle
from pannsdist.run.folder import load_latest
from pannsdist.runtime import console, launcher_logs, outputs, storage
from pannsdist.runtime.errors import BadBundle, BadRunFolder, UserError
from pannsdist.training.background import BackgroundWriter
from pannsdist.training.checkpoint import CheckpointStore, Snapshot
from pannsdist.training.evaluator import Evaluator, SplitToEvaluate
from pannsdist.training.fit_context import ResultSinks, TrainingData
from pannsdist.training.optimization.losses import TrainingLoss
from pannsdist.training.run_length import RunLength
from pannsdist.training.state import Progress
from pannsdist.training.tracking import ConsoleTracker
from pannsdist.training.train_step import Learner
from pannsdist.training.trainer import Trainer as Loop
from pannsdist.weights import load_into, read_paddle, read_weights

SEED = 0
ALL = 10**9
"""Number of checkpoints to keep: all of them, as in PaddleHub."""
MODEL_FILE, OPTIMIZER_FILE, RECORD_FILE = "model.pdparams", "model.pdopt", "bundle.json"
HOOKS = ("training_step", "validation_step", "optimizer_step", "learning_rate_step", "optimizer_zero_grad")


@cache
def connected(use_gpu: bool) -> fleet.World:
    """Connect the launcher's processes once; the connection is closed at exit."""
    launcher_logs.close()
    world = fleet.connect(use_gpu)
    atexit.register(world.close)
    return world


class Trainer:
    """`hub.Trainer(model, optimizer, checkpoint_dir=...)`: resumes from the newest checkpoint there, if any.

    All processes must create it, with the same arguments, and call every method; gradients are averaged over them.
    `compare_metrics(old, new)` returns whether the new metrics are better; the default compares `acc`. Raises TypeError
    if `model` is not a layer, UserError for unsupported arguments.
    """

    def __init__(  # noqa: PLR0913, PLR0917 PaddleHub's signature
        self,
        model: nn.Layer,
        optimizer: paddle.optimizer.Optimizer,
        use_gpu: bool = False,
        use_vdl: bool = True,
        checkpoint_dir: str | Path | None = None,
        compare_metrics: Compare | None = None,
        **kwargs: Any,
    ) -> None:
        self.model = _trainable(model, kwargs)
        self.optimizer, self.use_vdl, self.compare_metrics = optimizer, use_vdl, compare_metrics
        self._world = connected(use_gpu)
        use_device(model, use_gpu)
        self.nranks, self.local_rank = self._world.size, self._world.rank
        name = self._world.on_main(lambda: str(checkpoint_dir or f"ckpt_{time.time()}"))
        self.checkpoint_dir = Path(name)
        lock = self._world.agree(lambda: lock_for(self, self.checkpoint_dir) if self._world.is_main else None)
        self._check_folder: Callable[[], None] = lock or (lambda: None)
        self._input_spec = InputSpec(self.model.front_end, self.model.minimum_samples, self.model.num_class)
        self._network = Network(self.model.feature, self.model.network)
        self._best = HubBest(compare_metrics)
        schedule = OptimizerSchedule(optimizer)
        self._learner = Learner(self._world, self._network, TrainingLoss(multi_label=False), optimizer, schedule)
        self._record: BundleRecord | None = None
        self._progress = self._restored()
        if self._progress.epoch:
            console.print_main(f"resuming {self.checkpoint_dir} after epoch {self._progress.epoch}")

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        overridden = [name for name in HOOKS if name in vars(cls)]
        if overridden:
            right = "the loss is cross entropy, and the optimizer's own scheduler is stepped once per batch"
            raise UserError(f"hub.Trainer does not call {', '.join(overridden)}", right)

    @property
    def current_epoch(self) -> int:
        """Completed epochs, including those of earlier sessions."""
        return self._progress.epoch

    @property
    def best_metrics(self) -> dict[str, float]:
        """The metrics of the best epoch."""
        return dict(self._best.metrics)

    def train(  # noqa: PLR0913, PLR0917 PaddleHub's signature
        self,
        train_dataset: Any,
        epochs: int = 1,
        batch_size: int = 1,
        num_workers: int = 0,
        eval_dataset: Any = None,
        log_interval: int = 10,
        save_interval: int = 10,
        collate_fn: Collate | None = None,
    ) -> None:
        """Train until `epochs` epochs are done in total, evaluating after each. All processes must call this.

        Items are (features (T, F), label) or (waveform (S,), label); the latter need an attribute `sample_rate` of the
        dataset. `batch_size` is per process. A checkpoint is written every `save_interval` epochs and after the last
        one; `best_model` is written for each new best epoch. Without `eval_dataset` it is the newest epoch, unless an
        evaluated one is there, which stays. A module in evaluation mode is trained and is in it again afterwards;
        sublayers in evaluation mode, such as a frozen batch norm, stay so.
        """
        request = TrainRequest(epochs, batch_size, log_interval, save_interval)
        items = Items(train_dataset, self._input_spec, collate_fn)
        rows = TrainingRows(len(items), batch_size, self._shard, SEED)
        if not rows.steps:
            raise UserError(f"the training set has {len(items)} items", f"at least {self.nranks}, one for each process")
        with (
            training_mode(self.model),
            opened(items, num_workers) as loader,
            self._split(eval_dataset, batch_size, num_workers, collate_fn) as split,
        ):
            data = TrainingData(lambda epoch, first: loader.read(rows.epoch(epoch, first)), rows.steps)
            console.print_main(f"{len(items)} items, {rows}, {epochs} epochs")
            record = self._record = self._world.agree(lambda: self._described(items, eval_dataset, request))
            with ExitStack() as stack:
                sinks = self._world.agree(lambda: self._sinks(record, request, stack))
                ahead = self._progress.step - self._progress.epoch * rows.steps  # of epochs of another number of steps
                run_length = RunLength(epochs, rows.steps, SEED, log_interval, offset=ahead)
                loop = self._loop(run_length, evaluated=eval_dataset is not None)
                self._progress = loop.fit(self._progress, data, split, sinks)
        which = f"best model from epoch {self._best.epoch}" if self._best.epoch else "newest model"
        console.print_main(f"{self._progress.epoch} epochs done; {which}: {self._best_model}")

    def evaluate(
        self, eval_dataset: Any, batch_size: int = 1, num_workers: int = 0, collate_fn: Collate | None = None
    ) -> dict[str, Any]:
        """{'metrics': {'acc', ...}, 'loss'} over all items, equal in all processes. All processes must call this."""
        with self._split(eval_dataset, batch_size, num_workers, collate_fn) as split:
            evaluation = self._evaluator().evaluate(split)
        metrics = hub_metrics(evaluation.scores)
        console.print_main("evaluation  " + "  ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
        return {"metrics": metrics, "loss": metrics["loss"]}

    def save_model(self, save_dir: str | Path) -> None:
        """Write the model and the optimizer state into a folder. Rank 0 writes; all processes must call this.

        The folder works with `pannsdist predict --model`. Raises UserError if it contains other files.
        """
        self._world.on_main(lambda: self._save(Path(save_dir)))

    def load_model(self, load_dir: str | Path) -> None:
        """Load a folder written by `save_model`, with the optimizer state if present. All processes must call this."""
        self._world.agree(lambda: self._load(Path(load_dir)))

    @property
    def _shard(self) -> Shard:
        return Shard(self._world.rank, self._world.size)

    @property
    def _best_model(self) -> Path:
        return self.checkpoint_dir / "best_model"

    @property
    def _store(self) -> CheckpointStore:
        return CheckpointStore(self.checkpoint_dir / "checkpoints", ALL)

    def _restored(self) -> Progress:
        """Restore the newest checkpoint in `checkpoint_dir`, if there is one. All processes must call this."""
        snapshot = self._world.agree(lambda: self._newest() if self._world.is_main else None)
        try:
            progress = self._loop(RunLength(0, 1, SEED, 1)).restore(snapshot)
        except BadRunFolder as error:
            right = "give another checkpoint_dir, or the model and the optimizer that it was trained with"
            raise BadRunFolder(f"{self.checkpoint_dir}: {error.wrong}", right) from error
        record = self._world.on_main(self._best_record) if progress.epoch else None
        if record is not None:
            self.model.describe(record.labels, record.crop_s, record.pads_to_crop)
        return progress

    def _best_record(self) -> BundleRecord | None:
        """The record of the best model of earlier sessions, for its labels. A damaged one is named. Rank 0 only."""
        try:
            return record_beside(self._best_model / MODEL_FILE)
        except BadBundle as error:
            console.print_main(f"not used: {error.wrong}")
            return None

    def _newest(self) -> Snapshot | None:
        """The newest checkpoint. Rank 0 only."""
        storage.make_folder(self._store.folder)
        storage.recover_folder(self._best_model)
        return load_latest(self._store).snapshot

    def _loop(self, run_length: RunLength, evaluated: bool = True) -> Loop:
        evaluator = self._evaluator(Evaluator if evaluated else NoEvaluation)
        return Loop(self._world, self._learner, evaluator, self._best, run_length)

    def _evaluator(self, kind: type[Evaluator] = Evaluator) -> Evaluator:
        return kind(self._world, self._network, self.model.labels, False)

    @contextmanager
    def _split(self, dataset: Any, batch_size: int, workers: int, collate: Collate | None) -> Iterator[SplitToEvaluate]:
        if dataset is None:
            yield SplitToEvaluate(SPLIT, (), lambda: ())
            return
        items = Items(dataset, self._input_spec, collate)
        if not len(items) or batch_size < 1:
            wrong = f"the evaluation set has {len(items)} items, and batch_size is {batch_size}"
            raise UserError(wrong, "allowed: 1 or more")
        with opened(items, workers) as loader:
            rows = partial(evaluation_rows, len(items), batch_size, self._shard)
            yield SplitToEvaluate(SPLIT, [str(row) for row in range(len(items))], lambda: loader.read(rows()))

    def _sinks(self, record: BundleRecord, request: TrainRequest, stack: ExitStack) -> ResultSinks:
        """The result sinks of rank 0, closed with the stack; empty on other ranks."""
        if not self._world.is_main:
            return ResultSinks()
        trackers: list[Tracker] = [ConsoleTracker()]
        stack.callback(trackers[0].close)
        if self.use_vdl:
            step, weights = self._progress.step, self._network.arrays
            trackers += stack.enter_context(open_visualdl(self.checkpoint_dir, step, record.settings, weights))

        def write(snapshot: Snapshot, best_weights: Any) -> None:
            self._check_folder()
            epoch, scores = snapshot.progress.epoch, snapshot.progress.scores
            if best_weights is not None:
                write_bundle(self._best_model, replace(record, epoch=epoch, scores=scores), best_weights)
            if epoch % request.save_interval == 0 or epoch == request.epochs:
                self._store.write(snapshot)

        def save_snapshot(*arguments: Any) -> None:
            for tracker in trackers:
                tracker.flush()
            writer.submit(lambda: write(*arguments))

        writer = BackgroundWriter()
        stack.callback(writer.wait)
        return ResultSinks(trackers, save_snapshot, writer=writer)

    def _described(self, items: Items, eval_dataset: Any, request: TrainRequest) -> BundleRecord:
        """Take labels and clip length of the training's datasets, and give the record for model folders."""
        evaluated = items if eval_dataset is None else replace(items, dataset=eval_dataset)
        labels = getattr(items.dataset, "label_list", None) or self.model.labels
        self.model.describe(labels, evaluated.seconds())
        return model_record(self.model, self.optimizer, evaluated, vars(request))

    def _save(self, folder: Path) -> None:
        ours = {MODEL_FILE, OPTIMIZER_FILE, RECORD_FILE}
        other = sorted(path.name for path in folder.glob("*") if path.name not in ours)
        if other:
            raise UserError(
                f"{folder} contains other files, such as {other[0]}", "use a separate folder for save_model"
            )
        outputs.require_folder(folder, "save_dir")
        record = self._record or model_record(self.model, self.optimizer, None, {})
        write_bundle(folder, record, self._network.arrays(), {OPTIMIZER_FILE: self._learner.state()})

    def _load(self, folder: Path) -> None:
        record = record_beside(folder / MODEL_FILE)
        if record is not None:
            self.model.describe(record.labels, record.crop_s, record.pads_to_crop)
        load_into(self.model.network, read_weights(folder / MODEL_FILE), head=self.model.part.plugin.head)
        if (folder / OPTIMIZER_FILE).exists():
            self._learner.restore(read_paddle(folder / OPTIMIZER_FILE))


def _trainable(model: nn.Layer, kwargs: dict[str, Any]) -> Module:
    if not isinstance(model, nn.Layer):
        raise TypeError(f"the model is a {type(model).__name__}, not a paddle.nn.Layer")
    if kwargs:
        raise TypeError(f"hub.Trainer has no arguments {', '.join(kwargs)}")
    if not isinstance(model, Module):
        raise UserError(f"the model is a {type(model).__name__}", "hub.Trainer trains instances of hub.Module")
    if model.task != TASK:
        raise UserError(f"the model was created with task={model.task!r}", f"training needs task={TASK!r}")
    return model
