"""How many nodes: N or MIN:MAX, and whether every such number of processes divides a batch equally."""

from __future__ import annotations

import math
import re

from pannsdist.runtime.errors import SettingsError
from pannsdist.settings.schema import TrainSettings

MOST = 1024


def parse_nodes(text: str) -> tuple[int, int]:
    """The fewest and the most nodes of `N` or `MIN:MAX`. Raises SettingsError."""
    found = re.fullmatch(r"(\d{1,4})(?::(\d{1,4}))?", text, re.ASCII)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most <= MOST:
        right = f"the number of nodes, from 1 to {MOST}; or MIN:MAX to go on with fewer nodes, such as 2:3"
        raise SettingsError(f"--nodes is {text!r}", right)
    return least, most


def refuse_uneven_batch(train: TrainSettings, nodes: range, nproc: int) -> None:
    """Raise SettingsError unless every number of nodes, of `nproc` processes each, divides a batch equally."""
    steps = train.accumulate_steps
    unit = math.lcm(*(count * nproc for count in nodes)) * steps
    bad = [count for count in nodes if train.batch_size % (count * nproc * steps)]
    if not bad:
        return
    nearest = [size for size in (train.batch_size // unit * unit, -(-train.batch_size // unit) * unit) if size]
    accumulated = f", in {steps} steps (train.accumulate_steps)" if steps > 1 else ""
    each = f"{nproc} process{'es' if nproc > 1 else ''} each"
    wrong = f"train.batch_size is {train.batch_size}, which {bad[0]} {_nodes(bad[0])} of {each} do not divide equally"
    right = f"it is the batch of all nodes together{accumulated}; nearest: {' or '.join(map(str, nearest))}"
    if len(nodes) > 1:
        right = f"every number of nodes in {nodes[0]}:{nodes[-1]} must divide it\n{right}"
    raise SettingsError(wrong, right)


def _nodes(count: int) -> str:
    return "node" if count == 1 else "nodes"
