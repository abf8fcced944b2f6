"""Fine-tuning of pretrained audio networks on PaddlePaddle, with exact data-parallel training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pannsdist.inference.model import load_model

__all__ = ["__version__", "load_model"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Lazy import of `load_model`; Paddle is imported only when it is called."""
    if name != "load_model":
        raise AttributeError(f"module 'pannsdist' has no attribute '{name}'")
    from pannsdist.inference.model import load_model

    return load_model
