"""Weight files by seed: small valid ones with random changes, and pickles of random instructions."""

from __future__ import annotations

import io
import random

import crafted_weights as crafted
import numpy as np

from pannsdist.weights.formats import writing

STATE = {
    "conv.weight": np.arange(12, dtype=np.float32).reshape(2, 1, 2, 3),
    "half": np.array([0.5, -2], np.float16),
    "count": np.array(7, np.int64),
    "mask": np.array([True, False]),
    "nothing": np.zeros((0, 3), np.float32),
}
INTERESTING = (
    0,
    1,
    2,
    3,
    4,
    5,
    16,
    31,
    32,
    33,
    64,
    255,
    256,
    2**16,
    2**31 - 1,
    2**31,
    2**32,
    2**62,
    2**63,
    2**64,
    -1,
    -4,
)
BYTES = bytes((0, 1, 0x7F, 0x80, 0xFF))


def valid_files() -> dict[str, bytes]:
    """A small file of each format."""
    found = {}
    for name, write in (("zip", writing.write_torch), ("safetensors", writing.write_safetensors)):
        made = io.BytesIO()
        write(made, STATE)
        found[name] = made.getvalue()
    made = io.BytesIO()
    writing.write_paddle(made, {**STATE, "bf16": np.arange(4, dtype=np.uint16)})
    found["paddle"] = made.getvalue()
    tensors = crafted.tensor(crafted.storage(), crafted.numbers([2, 2]), crafted.numbers([2, 1]))
    rest = (4).to_bytes(8, "little") + bytes(16)
    found["legacy"] = crafted.legacy(crafted.entry(tensors), keys=b"]" + crafted.text("0") + b"a", rest=rest)
    encoded = b"c_codecs\nencode\n(" + crafted.text("\xff" * 8) + crafted.text("latin1") + b"tR"
    kind = crafted.dtype("f4")
    found["paddle 2"] = crafted.pickled(crafted.entry(crafted.array(crafted.numbers([2]), kind, encoded)))
    return found


def changed(data: bytes, chance: random.Random) -> bytes:
    """A copy with one to eight changes: bytes, numbers, parts cut, doubled, moved or taken from elsewhere."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at, length = chance.randrange(len(made) + 1), chance.choice((1, 1, 2, 4, 8, 30))
        part = bytes(made[at : at + length])
        other = chance.randrange(len(made) + 1)
        match chance.randrange(7):
            case 0:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                made[at : at + 1] = bytes([chance.choice(BYTES)])
            case 2:
                wide = chance.choice((2, 4, 8))
                number = chance.choice(INTERESTING) % (1 << 8 * wide)
                made[at : at + wide] = number.to_bytes(wide, "little")
            case 3:
                del made[at : at + length]
            case 4:
                made[at:at] = part * chance.choice((1, 2, 50))
            case 5:
                made[other : other + length] = part
            case 6:
                made = made[:at] if chance.random() < 0.2 else made
        made = made or bytearray(data)
    return bytes(made)


def random_pickle(chance: random.Random) -> bytes:
    """A pickle of up to 300 random instructions of those that readers follow, with names that they know."""
    number = lambda: chance.choice(INTERESTING)  # noqa: E731
    place = lambda: bytes([chance.randrange(6)])  # noqa: E731
    shape = lambda: crafted.numbers([number() for _ in range(chance.choice((0, 1, 2, 3, 40)))])  # noqa: E731
    words = ("w", "storage", "0", "cpu", "latin1", "f4", "b1", "<", "module.w", "model", "state_dict", "\x1b", "")
    makers = [
        lambda: crafted.number(number()),
        lambda: crafted.text(chance.choice(words)),
        lambda: crafted.binary(bytes(chance.choice((0, 1, 4, 16, 5000)))),
        lambda: chance.choice((b"N", b"\x88", b"\x89", b")", b"]", b"}", b"(", b"G" + bytes(8))),
        lambda: chance.choice((b"\x85", b"\x86", b"\x87", b"t", b"a", b"e", b"s", b"u", b"R", b"b", b"Q", b"\x94")),
        lambda: b"q" + place(),
        lambda: b"h" + place(),
        lambda: b"h" + place() + b"h" + place(),
        lambda: chance.choice((crafted.FLOATS, crafted.REBUILD, crafted.ORDERED, crafted.DTYPE, crafted.ARRAY)),
        lambda: chance.choice((b"ctorch\nSize\n", b"c_codecs\nencode\n", b"ctorch\nBFloat16Storage\n")),
        shape,
        lambda: crafted.dtype(chance.choice(("f4", "u2", "b1", "i8", "c16"))),
        lambda: crafted.array(shape(), crafted.dtype("f4"), crafted.binary(bytes(16))),
        lambda: crafted.storage(count=crafted.number(number())),
        lambda: crafted.tensor(crafted.storage(), shape(), shape(), crafted.number(number())),
    ]
    made = b"".join(chance.choice(makers)() for _ in range(chance.choice((3, 10, 30, 300))))
    first = (b"]", b"}", b")", crafted.text("w"), crafted.ORDERED, crafted.binary(bytes(16)))
    remembered = b"".join(value + b"q" + bytes([n]) for n, value in enumerate(first))
    return remembered + (crafted.entry(made) if chance.random() < 0.7 else made)


def file_of(seed: int) -> tuple[str, bytes]:
    """Name and content of the file of a seed."""
    chance = random.Random(seed)
    files = valid_files()
    kind = chance.choice(sorted(files))
    if chance.random() < 0.6:
        return f"seed {seed}: changed {kind}", changed(files[kind], chance)
    code = random_pickle(chance)
    form = chance.choice(("zip", "legacy", "paddle"))
    made = {
        "zip": lambda: crafted.zipped(code, {"0": bytes(16)}),
        "legacy": lambda: crafted.legacy(
            code, keys=b"]" + crafted.text("0") + b"a", rest=(4).to_bytes(8, "little") + bytes(16)
        ),
        "paddle": lambda: crafted.pickled(code, 4),
    }
    return f"seed {seed}: random pickle as {form}", made[form]()
