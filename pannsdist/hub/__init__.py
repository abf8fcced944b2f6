"""PaddleHub's names for fine-tuning, over the trainer of this package: `from pannsdist import hub`.

Signatures, defaults and results are PaddleHub's (2.x, audio classification); docs/en/paddlehub.md says what differs.
"""

from pannsdist.runtime import console, cpu

cpu.use_fast_kernels()  # before paddle is imported, where this import comes first
console.quiet_paddle()

from pannsdist.hub import datasets, env  # noqa: E402
from pannsdist.hub.module import Module  # noqa: E402
from pannsdist.hub.trainer import Trainer  # noqa: E402

__all__ = ["Module", "Trainer", "datasets", "env"]
