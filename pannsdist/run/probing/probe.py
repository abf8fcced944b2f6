"""A probe from settings to folder: embeddings once, a classifier for each fold, and one that is written.

Axes: N clips, E size of the embedding, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing, nullcontext

import numpy as np
import paddle

from pannsdist.audio.batches import ClipTable
from pannsdist.cache.arrays import ArrayCache, cache_folder
from pannsdist.contracts.network import Network, evaluation_mode
from pannsdist.contracts.predictions import Predictions
from pannsdist.inference.heads import TOLERANCE, agree, last_linear, require_linear_head, set_weights, without_head
from pannsdist.inference.identification import load_or_name
from pannsdist.registry import Catalog
from pannsdist.run.evaluation_output import EvaluatedSplit
from pannsdist.run.planning.data import TEST, TRAIN, VALID, Data
from pannsdist.run.planning.metrics import plugin_metrics
from pannsdist.run.probing import folder
from pannsdist.run.probing.choosing import Chosen, Training, train
from pannsdist.run.probing.embedding import Divided, Embeddings, embed, recipe
from pannsdist.run.probing.plan import ProbePlan, ProbeRequest, decide, plan_table
from pannsdist.run.probing.results import Division, Results
from pannsdist.run.probing.solvers import KINDS, Fitted, Task
from pannsdist.runtime import console, seeding
from pannsdist.runtime.errors import BadDataset, UserError
from pannsdist.runtime.folder_lock import FolderLock
from pannsdist.training.evaluator import Evaluation
from pannsdist.training.metrics import scored
from pannsdist.weights import read_weights

CHECKED_CLIPS = 4
"""Clips whose logits are computed by the network itself before it is written."""


def probe(request: ProbeRequest, catalog: Catalog) -> Results:
    """Run a probe, print its results, and write its folder; of `knn` there is no model folder. One process.

    Raises UserError for settings, data or a network that a probe cannot use.
    """
    plan = decide(request, catalog)
    console.print_main(plan_table(plan))
    divided = _divided(plan, catalog)
    require_linear_head(divided.network, divided.head, plan.reader.crop_samples)
    with (
        closing(FolderLock.acquire(plan.folder)),
        ArrayCache(cache_folder(), recipe(plan, divided), plan.settings.data.cache_limit_gb) as cache,
    ):
        started_s = time.monotonic()
        embeddings = embed(plan, divided, cache)
        console.print_main(_embedding_line(embeddings, time.monotonic() - started_s))
        final = _final(plan, embeddings)
        if not _is_exact(plan, divided, final[1].fitted, embeddings):
            console.note_main("embeddings of the cache or of the inference engine differ: computed again without both")
            cache.forget()
            embeddings = embed(plan, divided, cache, "dygraph")
            final = _final(plan, embeddings)
            if not _is_exact(plan, divided, final[1].fitted, embeddings):
                raise UserError("the network gives other logits each time", "it has a random part outside of training")
        return _finish(plan, divided.network, embeddings, final)


def _divided(plan: ProbePlan, catalog: Catalog) -> Divided:
    """The network in evaluation mode with the weights that it starts from."""
    paddle.seed(seeding.initial_seed(plan.settings.seed))
    plugin = plan.plugins.model.plugin
    network = Network(plan.plugins.feature.plugin.build(), plugin.build(plan.data.labels, plan.plugins.front_end))
    if plan.weights is not None:
        report = load_or_name(network.model, read_weights(plan.weights), plugin.head, catalog)
        console.print_main(f"{'weights':<10} {report}")
    network.eval()
    return Divided(network, last_linear(network.model, plugin.head))


def _task(plan: ProbePlan) -> Task:
    return Task(plan.data.labels, plan.data.multi_label, plan.settings.seed)


def _training(embeddings: Embeddings, tables: Sequence[ClipTable]) -> Training:
    """Training clips of several tables, without those that were skipped."""
    rows = [embeddings.rows(table) for table in tables]
    if not sum(map(len, rows)):
        raise BadDataset("no clip of train could be read", "see what `pannsdist data check` says about them")
    clips = [table.clips[row] for table, own in zip(tables, rows, strict=True) for row in own]
    groups = [clip.group or clip.id for clip in clips] if any(clip.group for clip in clips) else []
    vectors = [embeddings.of(table, own) for table, own in zip(tables, rows, strict=True) if len(own)]
    targets = np.concatenate([table.targets[own] for table, own in zip(tables, rows, strict=True)])
    return Training(np.concatenate(vectors), targets, groups)


def _division(plan: ProbePlan, name: str, data: Data, embeddings: Embeddings) -> Division:
    training = _training(embeddings, [data.splits[TRAIN]])
    chosen = train(KINDS[plan.request.kind], _task(plan), training)
    predictions = _predictions(plan, chosen.fitted, data.splits[VALID], embeddings, VALID)
    return Division(name, chosen, predictions, _evaluation(plan, predictions, VALID), len(training.embeddings))


def _final(plan: ProbePlan, embeddings: Embeddings) -> tuple[list[Division], Chosen]:
    """The result of each division, and the classifier that is kept: with folds one of all clips but those of test."""
    divisions = [_division(plan, name, data, embeddings) for name, data in plan.divisions.items()]
    if not plan.request.folds:
        return divisions, divisions[0].chosen
    everything = _training(embeddings, [plan.data.splits[TRAIN], plan.data.splits[VALID]])
    return divisions, train(KINDS[plan.request.kind], _task(plan), everything)


def _predictions(plan: ProbePlan, fitted: Fitted, table: ClipTable, embeddings: Embeddings, split: str) -> Predictions:
    rows = embeddings.rows(table)
    if not len(rows):
        raise BadDataset(f"no clip of {split} could be read", "see what `pannsdist data check` says about them")
    clips = [table.clips[row] for row in rows]
    groups = tuple(clip.group or clip.id for clip in clips) if any(clip.group for clip in clips) else ()
    logits = fitted.logits(embeddings.of(table, rows)).astype(np.float32)
    ids = tuple(clip.id for clip in clips)
    return Predictions(ids, logits, table.targets[rows], plan.data.labels, plan.data.multi_label, groups)


def _evaluation(plan: ProbePlan, predictions: Predictions, split: str) -> Evaluation:
    found = scored(predictions, split, plugin_metrics(plan.metrics))
    return Evaluation(found.scores, (), predictions, found.classes)


def _is_exact(plan: ProbePlan, divided: Divided, fitted: Fitted, embeddings: Embeddings) -> bool:
    """Whether the network itself gives what was computed for some clips: logits, or for a kNN the embeddings.

    Its head has the weights of the classifier afterwards.
    """
    clips = [clip for table in plan.tables for clip in table.clips if clip.id in embeddings.vectors]
    clips = [clips[place] for place in np.linspace(0, len(clips) - 1, min(CHECKED_CLIPS, len(clips))).astype(int)]
    vectors = np.stack([embeddings.vectors[clip.id] for clip in clips])
    network, head = divided.network, divided.head
    if fitted.layers:
        set_weights(network, head, fitted.layers)
    with nullcontext() if fitted.layers else without_head(network, head), evaluation_mode(network), paddle.no_grad():
        waveforms = [plan.reader.read(clip, None) for clip in clips]
        found = np.concatenate([network(paddle.to_tensor(one[None])).numpy() for one in waveforms])
    if not fitted.layers:
        return agree(found, vectors)
    return bool((np.abs(found - fitted.logits(vectors.astype(np.float64))) <= TOLERANCE).all())


def _finish(plan: ProbePlan, network: Network, embeddings: Embeddings, final: tuple[list[Division], Chosen]) -> Results:
    """Evaluate the test split, print the scores, and write the folder."""
    divisions, chosen = final
    test = None
    if plan.data.test is not None:
        predictions = _predictions(plan, chosen.fitted, plan.data.test, embeddings, TEST)
        test = EvaluatedSplit(TEST, _evaluation(plan, predictions, TEST), predictions)
    results = Results(divisions, chosen, test)
    console.print_main(f"\n{results.text(plan)}\n")
    for bad in embeddings.bad:
        console.note_main(f"left out: {bad.wrong}")
    console.print_main(folder.write(plan, network, results))
    return results


def _embedding_line(embeddings: Embeddings, seconds: float) -> str:
    count = len(embeddings.vectors)
    size = len(next(iter(embeddings.vectors.values()))) if count else 0
    computed = count - embeddings.cached
    return (
        f"{'embeddings':<10} {size} numbers a clip; {computed} computed in {seconds:.1f} s, {embeddings.cached} cached"
    )
