"""Rank 1 comes to a meeting later than gloo's limit. Arguments: folder for results, seconds."""

import json
import sys
import time
from pathlib import Path

from pannsdist.distributed import fleet
from pannsdist.runtime import console


def main(folder, late_s):
    console.quiet_paddle()
    world = fleet.connect()
    time.sleep(late_s * world.rank)
    gathered = world.all_gather_after_barrier(f"item of {world.rank}")
    (folder / f"late.{world.rank}.json").write_text(json.dumps([gathered, world.all_reduce_sum(1.0)]))
    world.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
