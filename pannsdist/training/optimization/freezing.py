"""Stages of a network: which of them are frozen in which epoch, and their learning rate factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import paddle

from pannsdist.runtime.errors import BrokenPlugin, SettingsError, candidates_line

BODY = "body"
"""In the settings: every stage but the head."""


@dataclass(frozen=True)
class Stage:
    """Layers that are frozen together: those whose structured names start with one of the prefixes."""

    name: str
    prefixes: tuple[str, ...]

    def match_length(self, name: str) -> int:
        """The length of the longest prefix that matches a structured name, 0 for none."""
        matching = [prefix for prefix in self.prefixes if name == prefix or name.startswith(f"{prefix}.")]
        return max(map(len, matching), default=0)


def stages_of(layer: paddle.nn.Layer, head: str, declared: Mapping[str, Sequence[str]] | None = None) -> list[Stage]:
    """The stages from the input to the head, which is last.

    They are those the model declares, else its top-level sublayers in definition order. Raises BrokenPlugin if a
    parameter belongs to no declared stage.
    """
    names = [name for name, _ in layer.named_parameters()]
    body = declared or {name.partition(".")[0]: (name.partition(".")[0],) for name in names}
    stages = [Stage(name, tuple(prefixes)) for name, prefixes in body.items() if tuple(prefixes) != (head,)]
    stages.append(Stage(next((name for name, prefixes in body.items() if tuple(prefixes) == (head,)), head), (head,)))
    found = {name: stage_of(name, stages) for name in names}
    unassigned = [name for name, stage in found.items() if stage is None]
    if unassigned:
        raise BrokenPlugin(f"the model's stages leave out {len(unassigned)} parameters, such as {unassigned[0]}")
    return [stage for stage in stages if stage in found.values()]


def stage_of(name: str, stages: Sequence[Stage]) -> Stage | None:
    """The stage that a structured name belongs to: the one with the longest matching prefix."""
    best = max(stages, key=lambda stage: stage.match_length(name), default=None)
    return best if best and best.match_length(name) else None


def choose_stages(names: Sequence[str], stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages that `train.freeze` names. Raises SettingsError for an unknown name, and if no stage would train."""
    known = [stage.name for stage in stages]
    for name in names:
        if name not in (*known, BODY):
            right = candidates_line(name, [*known, BODY], "stages of the model")
            raise SettingsError(f"unknown stage '{name}' in train.freeze", right)
    chosen = {*names, *(known[:-1] if BODY in names else ())}
    if chosen >= set(known):
        raise SettingsError("train.freeze names every stage of the model", "leave at least the head to train")
    return tuple(stage for stage in stages if stage.name in chosen)


class Freezing:
    """Freezes parameters as a function of the epoch alone, so that a restored run agrees.

    `stages` are all stages of the network; `frozen` are those frozen before `unfreeze_epoch`, or permanently if it is
    None. Permanently frozen parameters are never in the optimizer; otherwise it holds their state from the start.
    """

    def __init__(
        self,
        layer: paddle.nn.Layer,
        stages: Sequence[Stage] = (),
        frozen: Sequence[Stage] = (),
        unfreeze_epoch: int | None = None,
    ) -> None:
        self._layer, self._unfreeze_epoch = layer, unfreeze_epoch
        trainable = [(name, parameter) for name, parameter in layer.named_parameters() if not parameter.stop_gradient]
        self._parameters = [parameter for name, parameter in trainable if stage_of(name, stages) in frozen]
        self._sublayers = [part for name, part in layer.named_sublayers() if stage_of(name, stages) in frozen]
        self._frozen_by_owner: list[paddle.nn.Layer] = []
        self._is_frozen = False
        if unfreeze_epoch is None:
            self.set_epoch(1)

    def set_epoch(self, epoch: int) -> bool:
        """Freeze or unfreeze for an epoch; returns whether anything changed. All processes must call this.

        A sublayer that was in evaluation mode before, such as a batch norm that its owner froze, is so afterwards too.
        """
        is_frozen = bool(self._parameters) and (self._unfreeze_epoch is None or epoch < self._unfreeze_epoch)
        changed = is_frozen != self._is_frozen
        self._is_frozen = is_frozen
        if changed:
            for parameter in self._parameters:
                parameter.stop_gradient = is_frozen
            if is_frozen and self._layer.training:
                self._frozen_by_owner = [part for part in self._sublayers if not part.training]
            kept = {id(part) for part in self._frozen_by_owner}
            for part in self._sublayers:
                part.training = not is_frozen and self._layer.training and id(part) not in kept
        return changed

    def keep_frozen_in_eval_mode(self) -> None:
        """Set frozen sublayers to eval mode, undoing `train()`: no dropout, no update of running statistics.

        Dropout that the network applies between its stages is not affected.
        """
        if self._is_frozen:
            for part in self._sublayers:
                part.training = False


def stage_lr_factors(stages: Sequence[Stage], layer_decay: float, head_lr_factor: float) -> dict[str, float]:
    """The learning rate factor of each stage: `layer_decay` to the power of its distance from the head.

    As in BEiT (Bao et al. 2022, arXiv 2106.08254). The head's factor is `head_lr_factor`.
    """
    last = len(stages) - 1
    factors = {stage.name: layer_decay ** (last - number) for number, stage in enumerate(stages)}
    return {**factors, stages[last].name: head_lr_factor}


def apply_lr_factors(layer: paddle.nn.Layer, stages: Sequence[Stage], factors: Mapping[str, float]) -> None:
    """Set each parameter's learning rate factor to that of its stage; every Paddle optimizer applies it."""
    for name, parameter in layer.named_parameters():
        stage = stage_of(name, stages)
        if stage is not None and not parameter.stop_gradient:
            parameter.optimize_attr = {**(parameter.optimize_attr or {}), "learning_rate": factors[stage.name]}


def reported_lr_factors(factors: Mapping[str, float], head: str) -> dict[str, float]:
    """The factors for reports: `all` if they are equal, `body` and `head` if the body's are, else every stage."""
    body = {factor for name, factor in factors.items() if name != head}
    if body <= {factors[head]}:
        return {"all": factors[head]}
    return {"body": body.pop(), "head": factors[head]} if len(body) == 1 else dict(factors)
