"""What is said of steps that were skipped because a loss or the gradient was not finite."""

from __future__ import annotations

from collections.abc import Iterable

from pannsdist.runtime.errors import NotFinite
from pannsdist.training.checkpoint import checkpoint_name
from pannsdist.training.counters import Counters


def bad_step_line(step: int, ids: Iterable[str]) -> str:
    """The line of `bad_steps.txt` about a step on the clips with these ids."""
    return f"step {step} was skipped, its loss or gradient is not finite; its clips: {', '.join(ids)}"


def not_finite(counters: Counters, last: int) -> NotFinite:
    """The error after step `last`, the last one of too many consecutive bad steps."""
    first = last - counters.consecutive_bad_steps + 1
    wrong = f"the loss or the gradient was not finite in steps {first} to {last}; all of them were skipped"
    if counters.saved_step:
        weights = f"checkpoints/{checkpoint_name(counters.saved_step)}/model.pdparams"
        right = (
            f"the last good weights are in {weights} of the run's folder: start a run under another name from them,\n"
        )
        right += "as model.weights, with a lower optimizer.learning_rate; "
    else:
        right = "no checkpoint was written before: try a lower optimizer.learning_rate; "
    return NotFinite(wrong, right + "the clips of each step are listed in bad_steps.txt")
