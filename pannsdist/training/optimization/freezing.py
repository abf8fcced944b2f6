"""Stages of a network: which of them train in which epoch, and at what share of the learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import paddle

from pannsdist.runtime.errors import BrokenPlugin, SettingsError, candidates_line

BODY = "body"
"""In the settings: every stage but the head."""


@dataclass(frozen=True)
class Stage:
    """Layers that are frozen together: those whose structured names begin with one of the prefixes."""

    name: str
    prefixes: tuple[str, ...]

    def reach(self, name: str) -> int:
        """The length of the longest prefix that covers a structured name, 0 for none."""
        covering = [prefix for prefix in self.prefixes if name == prefix or name.startswith(f"{prefix}.")]
        return max(map(len, covering), default=0)


def stages_of(layer: paddle.nn.Layer, head: str, declared: Mapping[str, Sequence[str]] | None = None) -> list[Stage]:
    """The stages from the input to the head, which is the last.

    Those that the model declares, else its top-level parts in the order of their definition. Raises BrokenPlugin where
    a declaration leaves a parameter out.
    """
    names = [name for name, _ in layer.named_parameters()]
    body = declared or {name.partition(".")[0]: (name.partition(".")[0],) for name in names}
    stages = [Stage(name, tuple(prefixes)) for name, prefixes in body.items() if tuple(prefixes) != (head,)]
    stages.append(Stage(next((name for name, prefixes in body.items() if tuple(prefixes) == (head,)), head), (head,)))
    lost = [name for name in names if stage_of(name, stages) is None]
    if lost:
        raise BrokenPlugin(f"the model's stages leave out {len(lost)} parameters, such as {lost[0]}")
    return [stage for stage in stages if any(stage_of(name, stages) is stage for name in names)]


def stage_of(name: str, stages: Sequence[Stage]) -> Stage | None:
    """The stage that a structured name belongs to: the one with the longest prefix."""
    best = max(stages, key=lambda stage: stage.reach(name), default=None)
    return best if best and best.reach(name) else None


def choose_stages(asked: Sequence[str], stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages that `train.freeze` names. Raises SettingsError for an unknown one, and where none is left."""
    names = [stage.name for stage in stages]
    for name in asked:
        if name not in (*names, BODY):
            right = candidates_line(name, [*names, BODY], "stages of the model")
            raise SettingsError(f"unknown stage '{name}' in train.freeze", right)
    chosen = {*asked, *(names[:-1] if BODY in asked else ())}
    if chosen >= set(names):
        raise SettingsError("train.freeze names every stage of the model", "leave at least the head to train")
    return tuple(stage for stage in stages if stage.name in chosen)


class Freezing:
    """Which parameters stand still in which epoch: a function of the epoch alone, so that a restored run agrees.

    `stages` are all of the network's, `frozen` those that stand still before `unfreeze_epoch`, or for good where it is
    None. Frozen for good, they are out of the optimizer from the start; else it holds their state all along.
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
        self._parts = [part for name, part in layer.named_sublayers() if stage_of(name, stages) in frozen]
        self._still = False
        if unfreeze_epoch is None:
            self.begin(1)

    def begin(self, epoch: int) -> bool:
        """Freeze or thaw as this epoch has it; gives whether anything changed. Every process."""
        still = bool(self._parameters) and (self._unfreeze_epoch is None or epoch < self._unfreeze_epoch)
        changed = still != self._still
        self._still = still
        if changed:
            for parameter in self._parameters:
                parameter.stop_gradient = still
            for part in self._parts:
                part.training = not still and self._layer.training
        return changed

    def hold(self) -> None:
        """Keep frozen parts in the mode of evaluation, whoever called `train()`: batch norm and dropout stand still.

        Dropout that the network itself applies between its stages goes on.
        """
        if self._still:
            for part in self._parts:
                part.training = False


def rate_scales(stages: Sequence[Stage], layer_decay: float, head_lr_factor: float) -> dict[str, float]:
    """The share of the learning rate by stage: `layer_decay` to the power of the distance from the head.

    As for BEiT (Bao et al. 2022, arXiv 2106.08254). The head learns at `head_lr_factor`.
    """
    last = len(stages) - 1
    scales = {stage.name: layer_decay ** (last - number) for number, stage in enumerate(stages)}
    return {**scales, stages[last].name: head_lr_factor}


def apply_scales(layer: paddle.nn.Layer, stages: Sequence[Stage], scales: Mapping[str, float]) -> None:
    """Have every optimizer of Paddle multiply its learning rate by the scale of a parameter's stage."""
    for name, parameter in layer.named_parameters():
        stage = stage_of(name, stages)
        if stage is not None and not parameter.stop_gradient:
            parameter.optimize_attr = {**(parameter.optimize_attr or {}), "learning_rate": scales[stage.name]}


def rate_groups(scales: Mapping[str, float], head: str) -> dict[str, float]:
    """The scales as they are reported: `all` where they are one, `body` and `head` where two will do."""
    body = {scale for name, scale in scales.items() if name != head}
    if body <= {scales[head]}:
        return {"all": scales[head]}
    return {"body": body.pop(), "head": scales[head]} if len(body) == 1 else dict(scales)
