"""Build the learner of a run from its plan: loss, schedule, stages, optimizer."""

from __future__ import annotations

import paddle

from pannsdist.contracts.network import Network
from pannsdist.distributed.world import World
from pannsdist.kernels.choice import amp_note
from pannsdist.run.embeddings.features import refuse_unsuitable
from pannsdist.run.embeddings.frozen_body import examined, remark
from pannsdist.run.planning.data import TRAIN
from pannsdist.run.planning.frozen_body import obstacle
from pannsdist.run.planning.plan import Plan
from pannsdist.run.planning.training_plugins import built_optimizer, guarded_lr_factor
from pannsdist.runtime import console
from pannsdist.training.optimization.freezing import (
    Freezing,
    Stage,
    apply_lr_factors,
    choose_stages,
    reported_lr_factors,
    stage_lr_factors,
    stages_of,
)
from pannsdist.training.optimization.losses import EventLoss, TrainingLoss, balanced_class_weights, class_weights
from pannsdist.training.optimization.mean_teacher import Consistency
from pannsdist.training.optimization.optimizers import build_optimizer
from pannsdist.training.optimization.recomputing import enable_recompute
from pannsdist.training.optimization.schedules import PluginSchedule, Schedule
from pannsdist.training.optimization.static_graph import enable_static_graph
from pannsdist.training.train_step import Learner, LearningRateSchedule, StepOptions


def build_learner(plan: Plan, world: World, network: Network, schedule: LearningRateSchedule | None = None) -> Learner:
    """The learner of the settings around a network with its initial weights. All processes must call this.

    Raises SettingsError for a stage that the model does not have.
    """
    optimizer, options = world.agree(lambda: _optimizer_and_options(plan, world, network))
    loss = world.agree(lambda: build_loss(plan))
    schedule = schedule or world.agree(lambda: build_schedule(plan))
    return Learner(world, network, loss, optimizer, schedule, options=options)


def _optimizer_and_options(
    plan: Plan, world: World, network: Network
) -> tuple[paddle.optimizer.Optimizer, StepOptions]:
    """The optimizer of a network whose stages are prepared for it, and the options of its steps."""
    chosen = plan.settings
    if chosen.train.sync_batch_norm:
        network.model = world.convert_sync_batchnorm(network.model)
    model = network.model
    stages, frozen = _stages(plan, model)
    freezing = Freezing(model, stages, frozen, chosen.train.unfreeze_epoch)
    lr_factors = stage_lr_factors(stages, chosen.optimizer.layer_decay, chosen.optimizer.head_lr_factor)
    apply_lr_factors(model, stages, lr_factors)
    if chosen.train.recompute:
        enable_recompute(model, stages)
    if chosen.train.to_static:
        enable_static_graph(model)
    rate, part = chosen.optimizer.learning_rate, plan.plugins.optimizer
    if part is None:
        optimizer = build_optimizer(chosen.optimizer.name, chosen.optimizer.params, rate, model)
    else:
        optimizer = built_optimizer(part, rate, model)
    swa_first_epoch = chosen.train.epochs - chosen.train.swa_epochs + 1 if chosen.train.swa_epochs else None
    return optimizer, StepOptions(
        accumulate_steps=chosen.train.accumulate_steps,
        clip_norm=chosen.train.clip_norm,
        amp=chosen.train.amp,
        ema_decay=chosen.train.ema_decay,
        swa_first_epoch=swa_first_epoch,
        freezing=freezing,
        lr_factors=reported_lr_factors(lr_factors, stages[-1].name),
        consistency=_consistency(plan),
    )


def _consistency(plan: Plan) -> Consistency | None:
    """The mean teacher of a run that learns sound events."""
    chosen = plan.settings.events
    if plan.frames is None or not chosen.consistency_weight:
        return None
    return Consistency(chosen.consistency_weight, round(chosen.consistency_ramp_epochs * plan.lengths.epoch_steps))


def rehearse(plan: Plan) -> None:
    """Raise SettingsError for what only a built network shows: unknown stages, or nothing to recompute or to keep.

    Prints why a frozen body is computed in every step, where that is the network's part.
    """
    chosen = plan.settings.train
    if plan.settings.data.cache_features:
        refuse_unsuitable(plan, plan.plugins.feature.plugin.build())
    if chosen.freeze or chosen.recompute:
        model = plan.build_model()
        stages, frozen = _stages(plan, model)
        if plan.freezes_body and not obstacle(plan):
            Freezing(model, stages, frozen)
            network = Network(plan.plugins.feature.plugin.build(), model, head=plan.plugins.model.plugin.head)
            if (found := examined(plan, network)).reason:
                console.print_main(remark(found))
        if chosen.recompute:
            enable_recompute(model, stages)


def _stages(plan: Plan, model: paddle.nn.Layer) -> tuple[list[Stage], tuple[Stage, ...]]:
    """All stages of the model, and the frozen ones among them."""
    plugin = plan.plugins.model.plugin
    stages = stages_of(model, plugin.head, getattr(plugin, "stages", None))
    return stages, choose_stages(plan.settings.train.freeze, stages)


def remarks(plan: Plan, world: World) -> list[str]:
    """Notes on settings that have no effect on this device."""
    note = amp_note(plan.kernels, plan.settings.train.amp, world.device)
    return [note] if note else []


def build_schedule(plan: Plan) -> Schedule | PluginSchedule:
    """The learning rate schedule of the run, warm-up included."""
    chosen, lengths, plugin = plan.settings.schedule, plan.lengths, plan.plugins.schedule
    peak, steps, epochs = plan.settings.optimizer.learning_rate, lengths.epoch_steps, plan.settings.train.epochs
    if plugin is not None:
        return PluginSchedule(guarded_lr_factor(plugin), peak, lengths.total_steps, steps, lengths.warmup_steps)
    every = chosen.every_epochs
    drops = chosen.milestones or (range(every, epochs, every) if every else ())
    return Schedule(
        chosen.name,
        peak,
        total_steps=lengths.total_steps,
        warmup_steps=lengths.warmup_steps,
        final_lr_factor=chosen.final_lr_factor,
        hold_steps=lengths.hold_steps,
        drops=tuple(epoch * steps for epoch in drops),
        gamma=chosen.gamma,
    )


def build_loss(plan: Plan) -> TrainingLoss | EventLoss:
    """The training loss with its class weights."""
    chosen, data = plan.settings.loss, plan.data
    if chosen.class_weights == "balanced":
        counts = data.splits[TRAIN].clips_of_class(len(data.labels))
        weights = balanced_class_weights(counts.astype("float32") if data.multi_label else counts)
    else:
        weights = class_weights(chosen.label_weights, data.labels)
    gamma = chosen.focal_gamma if chosen.name == "focal" else 0.0
    loss = TrainingLoss(data.multi_label, chosen.label_smoothing, weights, gamma)
    return loss if plan.frames is None else EventLoss(loss, plan.settings.events.weak_weight)
