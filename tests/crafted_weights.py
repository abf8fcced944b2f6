"""Weight files made to harm their reader, by name, each with what its refusal must say (None: it is read).

The pickles are written instruction by instruction, since no pickler makes such things.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
FLOATS = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
ORDERED = b"ccollections\nOrderedDict\n"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"
DTYPE = b"cnumpy\ndtype\n"
Crafted = dict[str, tuple[bytes, str | None]]


def text(value: str) -> bytes:
    """A string."""
    raw = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    """An integer of any size."""
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<i", len(raw)) + raw


def numbers(values) -> bytes:
    """A tuple of integers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def binary(raw: bytes) -> bytes:
    """Bytes."""
    return b"B" + struct.pack("<I", len(raw)) + raw


def laughs(first: bytes = b"K\x01\x85", levels: int = 60) -> bytes:
    """A tuple of two tuples of two tuples ...: 2 ** levels items when printed, hashed, compared or copied."""
    made = first
    for level in range(levels):
        place = struct.pack("<I", 1000 + level)
        made += b"r" + place + b"j" + place + b"\x86"
    return made


def deep(depth: int) -> bytes:
    """A tuple in a tuple in a tuple ..."""
    return b")" + b"\x85" * depth


def entry(value: bytes, key: bytes | None = None) -> bytes:
    """A dict of one item."""
    return b"}" + (text("w") if key is None else key) + value + b"s"


def pickled(code: bytes, protocol: int = 2) -> bytes:
    """A whole pickle."""
    return b"\x80" + bytes([protocol]) + code + b"."


def zipped(tree: bytes, members: dict[str, bytes] | None = None, **more) -> bytes:
    """A PyTorch zip file around a pickle."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", more.get("compression", zipfile.ZIP_STORED)) as archive:
        archive.writestr("archive/data.pkl", pickled(tree))
        archive.writestr("archive/byteorder", "little")
        for name, raw in (members or {}).items():
            archive.writestr(f"archive/data/{name}", raw)
    return made.getvalue()


SYSTEM = b"}(" + text("little_endian") + b"\x88u"
NO_KEYS = b"]"


def legacy(tree: bytes, system: bytes = SYSTEM, keys: bytes = NO_KEYS, rest: bytes = b"") -> bytes:
    """A file of PyTorch before 1.6."""
    return MAGIC + pickled(b"M\xe9\x03") + pickled(system) + pickled(tree) + pickled(keys) + rest


def storage(key: bytes = text("0"), kind: bytes = FLOATS, count: bytes = b"K\x04") -> bytes:
    """A persistent id of a storage."""
    return b"(" + text("storage") + kind + key + text("cpu") + count + b"tQ"


def tensor(store: bytes, shape: bytes, strides: bytes, offset: bytes = b"K\x00") -> bytes:
    """A tensor as a view."""
    return REBUILD + b"(" + store + offset + shape + strides + b"\x89" + ORDERED + b")RtR"


ONE = numbers([1])


def view(shape, strides, offset: int = 0) -> bytes:
    """A zip with one tensor on four floats."""
    return zipped(entry(tensor(storage(), numbers(shape), numbers(strides), number(offset))), {"0": bytes(16)})


def dtype(code: str, state: bytes | None = None) -> bytes:
    """A numpy type with its state."""
    if state is None:
        state = b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
    return DTYPE + b"(" + text(code) + b"\x89\x88tR" + state + b"b"


def array(shape: bytes, kind: bytes, raw: bytes) -> bytes:
    """A numpy array."""
    return ARRAY + b"(K\x01" + shape + kind + b"\x89" + raw + b"tb"


def tensors(header: object, values: bytes = b"") -> bytes:
    """A safetensors file."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + values


def one(**changes) -> dict[str, object]:
    """A safetensors header of one tensor of four bytes."""
    return {"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4], **changes}}


STEPS = "more than [0-9,]+ instructions"
CANNOT_BE_KEY = "a key that is neither text nor a number"
AXES = "more than 32 axes"
SIZE = "not a list of whole numbers from 0 to 2\\^63"
MEMORY = "would take more memory than a file of this size needs"
DEPTH = "nested more than 100 deep, or contain themselves"


def pickles() -> dict[str, tuple[bytes, str]]:
    """Values that do harm inside a pickle of any format, and what is said about them."""
    bomb = laughs()
    return {
        "a deep tuple as key": (entry(b"N", deep(100_000)), CANNOT_BE_KEY),
        "a tuple as key": (entry(b"N", b"K\x01\x85"), CANNOT_BE_KEY),
        "a bomb as key": (entry(b"N", bomb), CANNOT_BE_KEY),
        "a deep tuple as value": (entry(deep(100_000)), DEPTH),
        "a deep list": (entry(b"]" * 100_000 + b"a" * 99_999), DEPTH),
        "a deep dict": (
            b"}" + b"".join(text("k") + b"}" for _ in range(30_000)) + b"s" * 30_000,
            DEPTH,
        ),
        "a list in itself": (entry(b"]q\x00h\x00a"), DEPTH),
        "a dict in itself": (b"}q\x00" + text("w") + b"h\x00s", DEPTH),
        "a bomb as value": (entry(bomb), "is of type tuple"),
        "a bomb as numpy type": (entry(DTYPE + b"(" + bomb + b"\x89\x88tR"), "a numpy type that is not text"),
        "a bomb as state of a numpy type": (entry(dtype("f4", bomb)), "not a plain little-endian number"),
        "a bomb as byte order": (
            entry(dtype("f4", b"(K\x03" + bomb + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t")),
            "not a plain little-endian number",
        ),
        "a bomb as state of an array": (entry(ARRAY + bomb + b"b"), "a numpy array without shape, type and bytes"),
        "a bomb as shape of an array": (entry(array(bomb, dtype("f4"), binary(b""))), SIZE),
        "a bomb as pairs": (entry(ORDERED + b"(" + bomb + b"tR"), CANNOT_BE_KEY),
        "a bomb of three as pairs": (
            entry(ORDERED + b"((" + bomb * 3 + b"t\x85tR"),
            "something other than pairs of key and value",
        ),
        "a bomb as encoding": (
            entry(b"c_codecs\nencode\n(" + text("x") + bomb + b"tR"),
            "an encoding other than latin1",
        ),
        "a bomb as text to encode": (
            entry(b"c_codecs\nencode\n(" + bomb + text("latin1") + b"tR"),
            "an encoding other than latin1",
        ),
        "a bomb called": (entry(bomb + b")R"), "a call of something that is not callable"),
        "a bomb as name": (entry(bomb + text("x") + b"\x93"), "a global whose name is not text"),
        "an array of many axes": (entry(array(numbers([1] * 100_000), dtype("f4"), binary(bytes(4)))), AXES),
        "an array of huge sizes": (
            entry(array(numbers([2**60] * 30), dtype("f4"), binary(bytes(4)))),
            "that does not fit its bytes",
        ),
        "an array with a size of 8000 bits": (
            entry(array(numbers([2**8000, 0]), dtype("f4"), binary(b""))),
            SIZE,
        ),
        "an array of negative sizes": (entry(array(numbers([-1, -4]), dtype("f4"), binary(bytes(16)))), SIZE),
        "a text longer than the file": (entry(b"X\xf0\xff\xff\xff"), "truncated"),
        "bytes longer than the file": (entry(b"\x8e" + b"\xff" * 7 + b"\x0f"), "truncated"),
        "a negative length": (entry(b"T\xff\xff\xff\xff"), "truncated"),
        "a place of the memo out of the air": (entry(b"]j\xff\xff\xff\x7f"), "a place of its memo that it never wrote"),
        "nothing on the stack": (b"00000", "an empty stack|is not supported"),
        "a mark that was not set": (b"t", "an empty stack"),
        "structured numpy type": (entry(dtype("V8")), "a numpy type 'V8'"),
        "numpy objects": (entry(dtype("O8")), "a numpy type 'O8'"),
        "big-endian numpy type": (
            entry(dtype("f4", b"(K\x03" + text(">") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t")),
            "not a plain little-endian number",
        ),
        "numpy type with fields": (
            entry(dtype("f4", b"(K\x03" + text("|") + b"N" + b"(" + text("a") + b"t" + b"NK\x04K\x01K\x00t")),
            "not a plain little-endian number",
        ),
        "a name that needs escapes": (
            entry(b"c" + b"os\x1b[31m\nsystem\x07\n"),
            r"refers to 'os\\x1b\[31m\.system\\x07'",
        ),
        "a key that needs escapes": (entry(b"]", text("\x1b]0;x\x07\n" + "k" * 500_000)), r"'\\x1b\]0;x\\x07\\nkkk"),
        "a lone surrogate as key": (entry(b"]", text("\ud800")), r"'\\ud800' is of type list"),
        "eval": (entry(b"cbuiltins\neval\n(" + text("1") + b"tR"), r"refers to 'builtins\.eval'; only tensors"),
    }  # fmt: skip


def long_pickles() -> dict[str, tuple[bytes, str]]:
    """Values that take long, or much memory, one format for each: what counts them is the same in all."""
    many = b"(" + (b"]" * 1000) + b"t"
    return {
        "much text of four bytes a letter": (
            entry(b"(" + text("\U0001f600" + "a" * 60_000) * 350 + b"t"),
            MEMORY,
        ),
        "pairs called for again and again": (
            b"(" + ORDERED + b"q\x01](" + (b"K\x01K\x02\x86" * 2000) + b"eq\x02\x85q\x03"
            + b"h\x01h\x03R" * 20_000 + b"t",
            STEPS,
        ),
        "many lists": (entry(b"(" + b"]" * 400_000 + b"t"), STEPS),
        "many dicts of one item": (entry(b"(" + b"}K\x00Ns" * 120_000 + b"t"), STEPS),
        "many memo entries": (
            entry(b"]" + b"".join(b"r" + struct.pack("<I", n) for n in range(310_000))),
            STEPS,
        ),
        "lists that hold each other": (entry(many + b"q\x00" + b"](h\x00h\x00h\x00e" * 60_000), f"{STEPS}|{MEMORY}"),
        "a number of a megabyte": (entry(number(1 << 8_000_000)), "a number of 1000001 bytes"),
        "wide text": (entry(text("a" * 1_000_000 + "\U0001f600")), "text of 1000004 bytes outside of Latin-1"),
        "booleans scanned again and again": (
            entry(
                b"(" + dtype("b1") + b"q\x01" + binary(bytes(3_000_000)) + b"q\x02"
                + b"(K\x01" + numbers([3_000_000]) + b"h\x01\x89h\x02tq\x03"
                + ARRAY + b"h\x03b" * 100_000 + b"t"
            ),
            MEMORY,
        ),
    }  # fmt: skip


def torch_files() -> Crafted:
    """What only a PyTorch file can do."""
    bomb = laughs()
    types = [b"ctorch\n%sStorage\n" % kind for kind in (b"Byte", b"Char", b"Bool", b"Half", b"BFloat16")]
    return {
        "a boolean that is neither": (
            zipped(
                entry(tensor(storage(kind=b"ctorch\nBoolStorage\n"), numbers([4]), numbers([1]))),
                {"0": b"\x00\x01\x02\x01"},
            ),
            "boolean values other than 0 and 1",
        ),
        "keys of storages that are deep": (legacy(b"}", keys=b"](" + deep(100_000) + b"e"), "a key of a storage"),
        "keys of storages without end": (legacy(b"}", keys=deep(3_000_000)), STEPS),
        "keys of storages that are a bomb": (legacy(b"}", keys=bomb), "a key of a storage|keys of its storages"),
        "keys that contain themselves": (legacy(b"}", keys=b"]q\x00h\x00a"), "a key of a storage"),
        "a key of a storage twice": (
            legacy(
                entry(tensor(storage(), ONE, ONE)),
                keys=b"](" + text("0") * 2 + b"e",
                rest=((4).to_bytes(8, "little") + bytes(16)) * 2,
            ),
            "a key of a storage that is unknown, or not text: 0",
        ),
        "a machine that is a bomb": (legacy(b"}", system=bomb), "byte order of the machine"),
        "a bomb as persistent id": (zipped(entry(bomb + b"Q")), "a persistent object that is not a storage"),
        "a bomb as key of a storage": (zipped(entry(storage(bomb))), "a storage without type and key"),
        "a deep tuple as key of a storage": (legacy(entry(storage(deep(50_000)))), "a storage without type and key"),
        "a bomb as type of a storage": (zipped(entry(storage(kind=bomb))), "a storage without type and key"),
        "a bomb as count of a storage": (zipped(entry(storage(count=bomb))), "without a plain number of values"),
        "a count of 8000 bits": (
            zipped(entry(tensor(storage(count=number(2**8000)), *map(numbers, ([4], [1])))), {"0": bytes(16)}),
            "without a plain number of values",
        ),
        "a bomb as shape": (zipped(entry(tensor(storage(), bomb, numbers([1]))), {"0": bytes(16)}), SIZE),
        "a bomb as strides": (zipped(entry(tensor(storage(), numbers([1]), bomb)), {"0": bytes(16)}), SIZE),
        "a bomb as size": (zipped(entry(b"ctorch\nSize\n(" + bomb + b"tR")), SIZE),
        "many axes": (view([1] * 300_000, [1] * 300_000), f"{AXES}|{STEPS}"),
        "forty axes": (view([1] * 40, [1] * 40), AXES),
        "sizes that multiply to 2^1800": (view([2**62] * 30, [0] * 30), "does not fit into its 4 stored values"),
        "zero beside huge sizes": (view([0, 2**62, 2**62, 2**62], [1, 1, 1, 1]), "sizes that no array can have"),
        "a shape larger than its storage": (view([5], [1]), "does not fit into its 4 stored values"),
        "a view that leaves its storage": (view([4], [1], 1), "does not fit into its 4 stored values"),
        "strides that leave the storage": (view([2, 2], [3, 1]), "does not fit into its 4 stored values"),
        "stride zero": (view([2**40], [0]), "does not fit into its 4 stored values"),
        "a huge stride": (view([2], [2**62]), "does not fit into its 4 stored values"),
        "a negative stride": (view([2], [-1], 1), SIZE),
        "an offset behind the end": (view([1], [1], 5), "inconsistent"),
        "an offset of 8000 bits": (view([1], [1], 2**8000), "a tensor without a storage"),
        "a negative offset": (view([1], [1], -1), "a tensor without a storage"),
        "more strides than axes": (view([1], [1, 1]), "inconsistent"),
        "one storage under many types": (
            zipped(
                entry(b"(" + b"".join(tensor(storage(kind=kind, count=number(n)), ONE, ONE)
                                      for kind, n in zip(types, (4, 4, 4, 2, 2), strict=True)) + b"t"),
                {"0": bytes(4)},
            ),
            "storage '0' has two types or sizes",
        ),
        "one storage under thousands of names": (
            zipped(
                b"}(" + b"".join(text(f"w{n}") + tensor(storage(count=number(1_000_000)), numbers([1_000_000]), ONE)
                                 for n in range(2000)) + b"u",
                {"0": bytes(4_000_000)},
            ),
            "its tensors share their values",
        ),
    }  # fmt: skip


def zip_files() -> Crafted:
    """What a zip file can do."""
    whole = zipped(entry(tensor(storage(), numbers([4]), numbers([1]))), {"0": b"abcd" * 4})
    values = whole.index(b"abcd" * 4)
    central = whole.index(b"PK\x01\x02")
    end = whole.index(b"PK\x05\x06")
    encrypted = bytearray(whole)
    encrypted[central + 8] |= 1
    return {
        "a whole zip": (whole, None),
        "a wrong check sum": (whole[:values] + b"X" + whole[values + 1 :], "check sum of 'archive/data/0' is wrong"),
        "an encrypted member": (bytes(encrypted), "an encrypted member"),
        "a compressed member": (
            zipped(entry(text("x" * 9_000_000)), compression=zipfile.ZIP_DEFLATED),
            "a compressed member",
        ),
        "a member twice": (
            zipped(b"}", {"0": b"a", "1": b"b"}).replace(b"data/1", b"data/0"),
            "a member stands twice in its table",
        ),
        "a member under another name": (
            whole.replace(b"data/0", b"data/1", 1),
            "a member whose header is not that of the table",
        ),
        "many members": (many_members(60_000), "a table of 60001 members"),
        "members over each other": (overlapping(), "members that overlap"),
        "a member behind the end": (
            whole[: central + 20] + struct.pack("<2L", 2**31, 2**31) + whole[central + 28 :],
            "members that overlap",
        ),
        "a table longer than the file": (
            whole[: end + 12] + struct.pack("<2L", 2**31, 0) + whole[end + 20 :],
            "its table of members is truncated",
        ),
        "fewer members than it says": (
            whole[: end + 8] + struct.pack("<2H", 9, 9) + whole[end + 12 :],
            "its table of members is truncated",
        ),
        "zip64 that lies": (zip64(whole, 2**60), "a table of 1152921504606846976 members"),
        "zip64 that points nowhere": (zip64(whole, 3, at=2**62), "its table of members is truncated"),
        "a cut zip": (whole[: end + 5], "its table of members is truncated"),
        "a zip in a zip": (zip_of({"other/readme.txt": b"x"}), "a zip file that PyTorch did not write"),
        "two pickles": (zip_of({"a/data.pkl": b"x", "b/data.pkl": b"x"}), "a zip file that PyTorch did not write"),
    }  # fmt: skip


def zip_of(members: dict[str, bytes]) -> bytes:
    """A plain zip file."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return made.getvalue()


def many_members(count: int) -> bytes:
    """A zip of empty members, written by hand: zipfile takes seconds for it."""
    name = b"a/data.pkl"
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, 0, 0, 0, len(name), 0) + name
    table = b"".join(central_entry(b"a/data/%d" % n, 0, 0, 0) for n in range(count))
    table = central_entry(name, 0, 0, 0) + table
    found = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count + 1, count + 1, len(table), len(local))
    where = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(local) + len(table), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return local + table + found + where + end


def central_entry(name: bytes, size: int, offset: int, check: int) -> bytes:
    """One line of a zip's table."""
    return struct.pack(
        "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, check, size, size, len(name), 0, 0, 0, 0, 0, offset
    ) + name  # fmt: skip


def overlapping() -> bytes:
    """A zip whose members are one and the same bytes under many names."""
    pickle, raw = pickled(b"}"), bytes(1_000_000)
    made, table = b"", b""
    for name, content in ((b"a/data.pkl", pickle), (b"a/data/0", raw)):
        head = struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 20, 0, 0, 0, 0, zlib.crc32(content), len(content), len(content), len(name), 0
        )
        table += central_entry(name, len(content), len(made), zlib.crc32(content))
        at = len(made)
        made += head + name + content
    table += b"".join(central_entry(b"a/data/%d" % n, len(raw), at, zlib.crc32(raw)) for n in range(1, 3000))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 3001, 3001, len(table), len(made), 0)
    return made + table + end


def zip64(whole: bytes, entries: int, at: int | None = None) -> bytes:
    """A zip whose zip64 record gives another number of members, or stands elsewhere."""
    end = whole.index(b"PK\x05\x06")
    size, start = struct.unpack_from("<2L", whole, end + 12)
    found = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, start)
    where = struct.pack("<4sLQL", b"PK\x06\x07", 0, end if at is None else at, 1)
    last = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return whole[:end] + found + where + last


def paddle_files() -> Crafted:
    """What only a Paddle file can do."""
    kind = dtype("u2") + b"q\x01"
    shared = binary(bytes(2_000_000)) + b"q\x02"
    first = array(numbers([1_000_000]), kind, shared)
    more = b"".join(text(f"w{n}") + array(numbers([1_000_000]), b"h\x01", b"h\x02") for n in range(600))
    again = b"".join(text(f"w{n}") + b"h\x05" for n in range(6000))
    return {
        "uint16 arrays on the same bytes": (pickled(b"}(" + text("w") + first + more + b"u", 4), "share their values"),
        "one uint16 array under many names": (
            pickled(b"}(" + text("w") + first + b"q\x05" + again + b"u", 4),
            "share their values",
        ),
        "a uint16 array under three names": (
            pickled(
                b"}(" + text("w") + first + b"q\x05" + b"".join(text(f"w{n}") + b"h\x05" for n in range(2)) + b"u", 4
            ),
            "share their values",
        ),
        "a bomb as tensor": (
            pickled(entry(b"cbuiltins\ntuple\n(" + laughs() + b"tR")),
            "a tuple that is not a Paddle tensor",
        ),
        "bytes behind the end": (pickled(entry(b"N")) + b"x" * 100_000, "100000 bytes after its end"),
        "a list": (pickled(b"]"), "it contains a list, not named values"),
        "a persistent object": (pickled(entry(b"NQ")), "refers to 'a persistent object'"),
    }


def safetensors_files() -> Crafted:
    """What a safetensors file can do."""
    values = bytes(4)
    return {
        "many axes": (tensors(one(shape=[1] * 1_000_000), values), f"{AXES}|a header of"),
        "fifty axes": (tensors(one(shape=[1] * 50), values), AXES),
        "huge sizes": (tensors(one(shape=[2**62] * 30), values), "4 bytes for a tensor of shape"),
        "huge sizes beside zero": (
            tensors(one(shape=[2**62, 2**62, 0], data_offsets=[0, 0])),
            "sizes that no array can have",
        ),
        "a size of 4000 digits": (tensors(one(shape=[10**4000]), values), SIZE),
        "a size of a million digits": (
            tensors(b'{"a": {"dtype": "U8", "shape": [' + b"9" * 1_000_000 + b'], "data_offsets": [0, 4]}}', values),
            "not JSON: .*digits",
        ),
        "negative sizes": (tensors(one(shape=[-2, -2]), values), SIZE),
        "sizes that are not whole": (tensors(one(shape=[4.0]), values), SIZE),
        "sizes that are true": (tensors(one(shape=[True, 4]), values), SIZE),
        "a deep header": (tensors(b'{"a": ' + b"[" * 200_000), "a header is nested too deeply"),
        "a deep header of dicts": (tensors(b'{"a": ' * 20_000), "a header is nested too deeply"),
        "a header of many lists": (tensors(b'{"a": [' + b"[]," * 1_300_000 + b"0]}"), "parts in its JSON"),
        "a header of 5 MB": (tensors(b'{"a": "' + b"x" * 5_000_000 + b'"}'), "a header of 5,000,00. bytes"),
        "a header longer than the file": (
            (2**62).to_bytes(8, "little") + b"{}",
            "is not a weight file",
        ),
        "a name twice": (
            tensors(b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "a": {}}', values),
            "a name twice in its JSON",
        ),
        "offsets twice": (
            tensors({**one(), "b": one()["a"]}, values),
            "overlap, leave a gap, or are truncated",
        ),
        "a gap": (tensors(one(data_offsets=[1, 4], shape=[3]), values), "overlap, leave a gap, or are truncated"),
        "offsets behind the end": (tensors(one(data_offsets=[0, 9]), values), "overlap, leave a gap, or are truncated"),
        "offsets backwards": (tensors(one(data_offsets=[4, 0]), values), "end before they start"),
        "a huge offset": (tensors(one(data_offsets=[0, 2**70]), values), SIZE),
        "negative offsets": (tensors(one(data_offsets=[-4, 0]), values), SIZE),
        "an empty header": (tensors(b"{}", values), "4 bytes that belong to no tensor"),
        "an empty tensor beside bytes": (
            tensors(one(shape=[0], data_offsets=[0, 0]), values),
            "4 bytes that belong to no tensor",
        ),
        "one offset": (tensors(one(data_offsets=[0]), values), "1 offsets of a tensor in place of two"),
        "a shape that is text": (tensors(one(shape="4"), values), SIZE),
        "a shape larger than its bytes": (tensors(one(shape=[2**62, 4]), values), "4 bytes for a tensor of shape"),
        "bytes of no tensor": (tensors(one(), values + b"x"), "1 bytes that belong to no tensor"),
        "a type that is a list": (tensors(one(dtype=[["U8"]]), values), "values of type list are not supported"),
        "a type unknown": (tensors(one(dtype="F8_E4M3\x1b"), values), r"'F8_E4M3\\x1b' are not supported"),
        "an entry that is a number": (tensors({"a": 1}, values), "its entry is of type int"),
        "an entry without a shape": (tensors({"a": {"dtype": "U8", "data_offsets": [0, 4]}}, values), SIZE),
        "a header that is a list of bytes": (tensors(b"{" + b"\xff" * 50, values), "not JSON|not UTF-8"),
        "a name of a megabyte": (
            tensors({"\x1b[2J" + "n" * 1_000_000: {"dtype": "U8", "shape": [5], "data_offsets": [0, 4]}}, values),
            r"4 bytes for a tensor of shape",
        ),
        "a short name that needs escapes": (tensors({"\x1b[2J": one()["a"]}, values), r"names a tensor '\\x1b\[2J'"),
        "a long name": (tensors({"n" * 301: one()["a"]}, values), r"names a tensor 'n+\.\.\.', of 301 letters"),
        "a name of a megabyte that needs escapes": (
            tensors({"\x1b[2J\n" + "n" * 1_000_000: one()["a"]}, values),
            r"names a tensor '\\x1b\[2J\\nnnn",
        ),
    }


def other_files() -> Crafted:
    """Files of no format that is read."""
    tar = io.BytesIO()
    import tarfile

    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
    return {
        "the tar files of PyTorch 0.1": (tar.getvalue(), "is not a weight file"),
        "escapes at the start": (b"\x1b[2J\x07" * 10, "is not a weight file"),
        "nothing": (b"", "is empty"),
    }


def crafted() -> Crafted:
    """All of them, each with the format in its name."""
    found: Crafted = {}
    for name, (code, said) in pickles().items():
        found[f"zip: {name}"] = (zipped(code), said)
        found[f"legacy: {name}"] = (legacy(code), said)
        found[f"paddle: {name}"] = (pickled(code, 4), said)
    for number, (name, (code, said)) in enumerate(long_pickles().items()):
        made = (zipped, legacy, lambda code: pickled(code, 4))[number % 3]
        found[f"long: {name}"] = (made(code), said)
    groups = {"torch": torch_files, "zip": zip_files, "paddle": paddle_files, "safetensors": safetensors_files}
    for kind, group in {**groups, "other": other_files}.items():
        found |= {f"{kind} file: {name}": made for name, made in group().items()}
    return found
