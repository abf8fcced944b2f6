"""Whole runs, as train.py makes them, after which each rank writes its weights. Arguments: config, key=value ...

The argument `--` begins another run in the same processes.
"""

import sys
from itertools import groupby
from pathlib import Path

import numpy as np

from pannsdist import settings
from pannsdist.runtime import console, cpu, launcher

cpu.use_fast_kernels()
console.quiet_paddle()

from pannsdist.audio.loader import Loader  # noqa: E402
from pannsdist.distributed import fleet  # noqa: E402
from pannsdist.registry import Catalog  # noqa: E402
from pannsdist.run import building  # noqa: E402
from pannsdist.run.data_record import data_record  # noqa: E402
from pannsdist.run.folder import RunFolder  # noqa: E402
from pannsdist.run.planning.decide import decide  # noqa: E402

KEPT = []
"""Wrapped layers: Paddle 3.3.1 may crash where one is dropped before the next is made."""


def fit(world, config, overrides):
    chosen, origin = settings.load(config, overrides)
    plan = decide(chosen, origin, Catalog.installed(), launcher.size())
    folder = world.agree(lambda: RunFolder.open(chosen, data_record(plan.data)) if world.is_main else None)
    network = building.build_network(plan)
    loader = Loader(plan.workers)
    parts = building.build_parts(plan, world, network, loader)
    KEPT.append(parts)
    progress = parts.trainer.restore(None)
    with (
        parts.entered(),
        building.opened_results(plan, world, network, folder, progress) as (sinks, _),
    ):
        parts.trainer.fit(progress, parts.data, parts.split, sinks)
    loader.close()
    np.savez(f"{chosen.name}.{world.rank}.npz", **network.arrays())


def main(arguments):
    world = fleet.connect()
    config, *rest = arguments
    for is_mark, overrides in groupby(rest, key=lambda item: item == "--"):
        if not is_mark:
            fit(world, Path(config), list(overrides))
    world.close()


if __name__ == "__main__":
    main(sys.argv[1:])
