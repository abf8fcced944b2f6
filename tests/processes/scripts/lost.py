"""Rank 1 fails in the middle of a step, while the others wait for its gradient. Arguments: the error's text."""

import sys

import paddle

from pannsdist.distributed import fleet
from pannsdist.runtime import console


def main(text):
    console.quiet_paddle()
    console.delay_sigterm()  # the launcher sends it when it has seen that rank 1 has ended
    world = fleet.connect()
    try:
        layer = paddle.nn.Linear(2, 2)
        wrapped = world.wrap_model(layer)
        for number in range(2):
            with world.averaging(wrapped, layer.parameters()):
                loss = wrapped(paddle.ones([1, 2])).sum()
                if number and not world.is_main:
                    raise KeyError(text)
                loss.backward()
    finally:
        world.close()


if __name__ == "__main__":
    sys.exit(console.exit_code(lambda: main(sys.argv[1])))
