"""Everything that processes do in common, once; each rank writes what it got. Arguments: folder for results."""

import json
import sys
from pathlib import Path

import numpy as np
import paddle

from pannsdist.distributed import fleet
from pannsdist.runtime import console
from pannsdist.runtime.errors import BadClip, UserError

MISTAKE = BadClip("clip 'a' (a.wav): the file is empty", "mend it", "ls")


def outcome(work):
    """The value of some work, or its error as kind and text."""
    try:
        return {"value": work()}
    except UserError as error:
        return {"error": type(error).__name__, "text": str(error)}
    except Exception as error:  # noqa: BLE001 - that is what is looked at
        return {"error": type(error).__name__, "text": str(error)}


def fail(error):
    raise error


def by_rank(world, *work):
    """The work of this process's rank."""
    return work[world.rank]


def arrays():
    """Of the types and shapes that a checkpoint may hold."""
    return {
        "float32": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3),
        "float64": np.array([1 / 3, np.pi]),
        "int64": np.array([2**40, -1]),
        "int32": np.array([[7]], np.int32),
        "uint8": np.array([0, 255], np.uint8),
        "no axis": np.array(0.9, np.float32),
        "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }


def main(folder):
    console.quiet_paddle()
    world = fleet.connect()
    me = world.rank
    facts = {
        "who": [world.rank, world.size, world.is_main],
        "gather": outcome(lambda: world.all_gather({"rank": me, "items": list(range(me))})),
        "total": outcome(lambda: world.all_reduce_sum(1.5 * (me + 1), me, -(2.0**40))),
        "agree": outcome(lambda: world.agree(lambda: f"own value of {me}")),
        "mistake in 1": outcome(lambda: world.agree(by_rank(world, lambda: 0, lambda: fail(MISTAKE)))),
        "mistake in both": outcome(lambda: world.agree(lambda: fail(UserError(f"mistake of {me}")))),
        "surprise in 1": outcome(lambda: world.agree(by_rank(world, lambda: 0, lambda: fail(KeyError("key 41"))))),
        "surprise in 0, mistake in 1": outcome(
            lambda: world.agree(by_rank(world, lambda: fail(KeyError("key 41")), lambda: fail(MISTAKE)))
        ),
        "on main": outcome(
            lambda: world.on_main(by_rank(world, lambda: "main's value", lambda: fail(KeyError("never"))))
        ),
        "mistake on main": outcome(lambda: world.on_main(by_rank(world, lambda: fail(MISTAKE), lambda: 0))),
        "surprise on main": outcome(lambda: world.on_main(by_rank(world, lambda: fail(KeyError("key 41")), lambda: 0))),
    }
    shared = world.broadcast_arrays(arrays() if world.is_main else None)
    facts["arrays"] = {name: [str(a.dtype), list(a.shape), a.tolist()] for name, a in shared.items()}
    empty = {"empty": np.zeros((0, 3), np.float32)} if world.is_main else None
    facts["empty array"] = outcome(lambda: [list(array.shape) for array in world.broadcast_arrays(empty).values()])
    facts["collective within work"] = outcome(lambda: world.agree(lambda: world.all_gather(me)))
    facts["buffer"] = world.wrap_model(paddle.nn.Linear(2, 2)).comm_buffer_size
    facts["still together"] = outcome(lambda: world.all_gather(me))
    (folder / f"world.{me}.json").write_text(json.dumps(facts))
    world.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
