"""Counts how often this process reads a value from the device, each of which would be a wait for a GPU."""

from contextlib import contextmanager

import paddle

READS = ("numpy", "item", "tolist", "cpu", "__bool__", "__float__", "__int__", "__index__", "__array__", "__format__")


@contextmanager
def counted_reads():
    """The names of the methods of Tensor that have read a value within the block, in order.

    One that calls another, as `tolist` calls `numpy`, counts once.
    """
    reads, within, originals = [], [], {name: getattr(paddle.Tensor, name) for name in READS}

    def counting(name, original):
        def method(self, *args, **kwargs):
            if not within:
                reads.append(name)
            within.append(name)
            try:
                return original(self, *args, **kwargs)
            finally:
                within.pop()

        return method

    try:
        for name, original in originals.items():
            setattr(paddle.Tensor, name, counting(name, original))
        yield reads
    finally:
        for name, original in originals.items():
            setattr(paddle.Tensor, name, original)
