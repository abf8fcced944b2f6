"""PaddleHub-compatible Trainer on top of this package's training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import paddle
from paddle import nn

from pannsdist.audio.batches import Shard
from pannsdist.contracts import Tracker
from pannsdist.contracts.network import Network, training_mode
from pannsdist.hub.dataset_record import EVALUATED, TRAINED, KnownData, require_choice
from pannsdist.hub.devices import connected, use_device
from pannsdist.hub.items import Collate, InputSpec, Items, TrainingRows, evaluation_rows, opened
from pannsdist.hub.locking import lock_for
from pannsdist.hub.module import trainable
from pannsdist.hub.optimizers import OptimizerSchedule
from pannsdist.hub.records import TrainRequest, best_record, model_record
from pannsdist.hub.scores import SPLIT, Compare, HubBest, hub_metrics
from pannsdist.hub.tracking import open_visualdl
from pannsdist.inference.bundle import BundleRecord, record_beside, write_bundle
from pannsdist.run.changed_data import STOP
from pannsdist.run.folder import load_latest
from pannsdist.runtime import console, outputs, reading, storage
from pannsdist.runtime.errors import BadRunFolder, UserError
from pannsdist.runtime.figures import score
from pannsdist.training.background import BackgroundWriter
from pannsdist.training.checkpoint import CheckpointStore, Origin, Snapshot
from pannsdist.training.evaluator import Evaluator, NoEvaluation, SplitToEvaluate
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
        self.model = trainable(model, kwargs)
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
        self._data = KnownData(self.checkpoint_dir)
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
        *,
        on_data_change: str = STOP,
    ) -> None:
        """Train until `epochs` epochs are done in total, evaluating after each. All processes must call this.

        Items are (features (T, F), label) or (waveform (S,), label); the latter need an attribute `sample_rate` of the
        dataset. `batch_size` is per process. A checkpoint is written every `save_interval` epochs and after the last
        one; `best_model` is written for each new best epoch. Without `eval_dataset` it is the newest epoch, unless an
        evaluated one is there, which stays. A module in evaluation mode is trained and is in it again afterwards;
        sublayers in evaluation mode, such as a frozen batch norm, stay so.

        Raises BadRunFolder if the datasets (`dataset_record.record_of`) have changed since the newest checkpoint,
        unless `on_data_change` is 'continue'. `eval_dataset` may be left out and given again.
        """
        require_choice(on_data_change)
        request = TrainRequest(epochs, batch_size, log_interval, save_interval)
        items = Items(train_dataset, self._input_spec, collate_fn)
        rows = TrainingRows(len(items), batch_size, self._shard, SEED)
        if not rows.steps:
            raise UserError(f"the training set has {len(items)} items", f"at least {self.nranks}, one for each process")
        self._take_data(train_dataset, eval_dataset, epochs, on_data_change)
        with (
            training_mode(self.model),
            opened(items, num_workers) as loader,
            self._split(eval_dataset, batch_size, num_workers, collate_fn) as split,
        ):
            data = TrainingData(lambda epoch, first: loader.read(rows.epoch(epoch, first)), rows.steps)
            console.print_main(f"{len(items)} items, {rows}, {epochs} epochs")
            self._record = self._world.agree(lambda: self._described(items, eval_dataset, request))
            self._fit(data, split, request, self._record)

    def evaluate(
        self, eval_dataset: Any, batch_size: int = 1, num_workers: int = 0, collate_fn: Collate | None = None
    ) -> dict[str, Any]:
        """{'metrics': {'acc', ...}, 'loss'} over all items, equal in all processes. All processes must call this."""
        with self._split(eval_dataset, batch_size, num_workers, collate_fn) as split, self._world.watched():
            evaluation = self._evaluator().evaluate(split)
        metrics = hub_metrics(evaluation.scores)
        console.print_main("evaluation  " + "  ".join(f"{name} {score(value)}" for name, value in metrics.items()))
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

    def _store(self, data_digest: str = "") -> CheckpointStore:
        return CheckpointStore(self.checkpoint_dir / "checkpoints", ALL, Origin(data_digest))

    def _restored(self) -> Progress:
        """Restore the newest checkpoint in `checkpoint_dir`, if there is one. All processes must call this."""
        snapshot = self._world.agree(lambda: self._newest() if self._world.is_main else None)
        try:
            progress = self._loop(RunLength(0, 1, SEED, 1)).restore(snapshot)
        except BadRunFolder as error:
            right = "give another checkpoint_dir, or the model and the optimizer that it was trained with"
            raise BadRunFolder(f"{self.checkpoint_dir}: {error.wrong}", right) from error
        record = self._world.on_main(lambda: best_record(self._best_model / MODEL_FILE)) if progress.epoch else None
        if record is not None:
            self.model.describe(record.labels, record.crop_s, record.pads_to_crop)
        return progress

    def _newest(self) -> Snapshot | None:
        """The newest checkpoint. Rank 0 only."""
        storage.make_folder(self._store().folder)
        storage.recover_folder(self._best_model)
        found = load_latest(self._store())
        self._data.digest = found.origin.data if found.snapshot else None
        return found.snapshot

    def _take_data(self, train_dataset: Any, eval_dataset: Any, epochs: int, on_change: str) -> None:
        """Compare the datasets with those of the newest checkpoint; the best score of other items is forgotten."""
        datasets = {TRAINED: train_dataset, **({} if eval_dataset is None else {EVALUATED: eval_dataset})}

        def compare() -> bool:
            self._check_folder()
            return self._data.compare(datasets, self.current_epoch, on_change)

        if not self._world.on_main(compare) and self.current_epoch < epochs:
            self._best.forget()

    def _fit(self, data: TrainingData, split: SplitToEvaluate, request: TrainRequest, record: BundleRecord) -> None:
        with ExitStack() as stack:
            sinks = self._world.agree(lambda: self._sinks(record, request, stack))
            ahead = self._progress.step - self._progress.epoch * data.steps  # of epochs of another number of steps
            run_length = RunLength(request.epochs, data.steps, SEED, request.log_interval, offset=ahead)
            loop = self._loop(run_length, evaluated=len(split.ids) > 0)
            with self._world.watched():
                self._progress = loop.fit(self._progress, data, split, sinks)
        which = f"best model from epoch {self._best.epoch}" if self._best.epoch else "newest model"
        console.print_main(f"{self._progress.epoch} epochs done; {which}: {self._best_model}")

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
                self._store(self._data.record.digest).write(snapshot)
                self._data.write()

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
        outputs.require_folder(folder, "save_dir")
        other = [name for name in reading.names_in(folder) if name not in ours]
        if other:
            right = "use a separate folder for save_model"
            raise UserError(f"{folder} contains other files, such as {other[0]}", right)
        record = self._record or model_record(self.model, self.optimizer, None, {})
        write_bundle(folder, record, self._network.arrays(), {OPTIMIZER_FILE: self._learner.state()})

    def _load(self, folder: Path) -> None:
        record = record_beside(folder / MODEL_FILE)
        if record is not None:
            self.model.describe(record.labels, record.crop_s, record.pads_to_crop)
        load_into(self.model.network, read_weights(folder / MODEL_FILE), head=self.model.part.plugin.head)
        if reading.exists(folder / OPTIMIZER_FILE):
            self._learner.restore(read_paddle(folder / OPTIMIZER_FILE))
