"""Fine-tuning of pretrained audio networks on PaddlePaddle, with exact data-parallel training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pannsdist.inference.model import load_model
    from pannsdist.run.python_api import train
    from pannsdist.run.run_results import Run

__all__ = ["Run", "__version__", "load_model", "train"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Lazy imports: each name loads its module when it is first used."""
    if name == "load_model":
        from pannsdist.inference.model import load_model

        return load_model
    if name == "train":
        from pannsdist.run.python_api import train

        return train
    if name == "Run":
        from pannsdist.run.run_results import Run

        return Run
    raise AttributeError(f"module 'pannsdist' has no attribute '{name}'")
