"""What is observed of a node, as plain data: gathered by `probing`, judged by the checks, sent as JSON.

A fact that could not be found out is None or empty; no check looks at the machine itself.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pannsdist.run.doctor.wheel import Card
from pannsdist.runtime.foreign import excerpt

T = TypeVar("T")
MAX_ITEMS, MAX_LETTERS = 5000, 20_000


@dataclass(frozen=True)
class Paddle:
    """The installed Paddle: its distributions with their versions, and what its version file says.

    `archs`: machine code for these compute capabilities (times 10); None where the wheel does not tell. The versions of
    CUDA, cuDNN and NCCL are empty in a wheel for the CPU. `fault`: why it cannot be imported.
    """

    distributions: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    cuda: str = ""
    cudnn: str = ""
    nccl: str = ""
    archs: tuple[int, ...] | None = None
    fault: str = ""

    @property
    def is_for_gpus(self) -> bool:
        """Whether the wheel is built for GPUs."""
        return bool(self.cuda)


@dataclass(frozen=True)
class Software:
    """Python, packages and plugins (`kind name` -> `distribution version`); `broken` plugins with the reason."""

    python: str
    paddle: Paddle
    packages: Mapping[str, str] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CardState:
    """A GPU and what nvidia-smi says of it now: memory in MiB, power in W, None where it does not tell."""

    card: Card
    driver: str = ""
    memory_mib: float | None = None
    free_mib: float | None = None
    ecc: str = ""
    ecc_errors: float | None = None
    power_w: float | None = None
    default_power_w: float | None = None


@dataclass(frozen=True)
class Gpus:
    """The GPUs; CUDA_VISIBLE_DEVICES, None if unset; where cuDNN and NCCL are, by name."""

    states: tuple[CardState, ...] = ()
    visible: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Machine:
    """Cores, memory, /dev/shm and limits of a process (None: unlimited); sizes in bytes.

    `memfd` is why a process cannot make memory that others share, `clock_s` the time since 1970, `clock_synchronised`
    what the kernel says of it.
    """

    cores: int
    memory_free: int
    shm_size: int | None
    shm_free: int | None
    memfd: str
    open_files: int | None
    locked_memory: int | None
    clock_s: float
    clock_synchronised: bool | None = None


@dataclass(frozen=True)
class Master:
    """HOST:PORT of `--master`: its addresses, whether one is of this node, and what binding the port there says."""

    host: str
    port: int
    addresses: tuple[str, ...] = ()
    is_here: bool = False
    refused: str = ""


@dataclass(frozen=True)
class Network:
    """This node's name, the addresses that the name resolves to, and the rendezvous of the nodes."""

    host: str
    addresses: tuple[str, ...] = ()
    master: Master | None = None


@dataclass(frozen=True)
class SettingsFile:
    """The settings of `-c`: every key with its value as text, without secrets; or what is wrong with them."""

    given: str
    values: Mapping[str, str] = field(default_factory=dict)
    wrong: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Folder:
    """A run folder, or the folder above that exists; each of `locks`, `renames`, `links` is empty where it works.

    `clock_ahead_s`: how far the clock of its file system is ahead of this node's. `newest_ahead_s`: the same of the
    newest file in it.
    """

    path: str
    exists: bool
    unwritable: str = ""
    kind: str = ""
    free: int | None = None
    locks: str = ""
    renames: str = ""
    links: str = ""
    clock_ahead_s: float | None = None
    newest_ahead_s: float | None = None


@dataclass(frozen=True)
class RunRecord:
    """What the run in a run folder was started with: versions, plugin distributions, and settings that differ now."""

    versions: Mapping[str, str] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    other_settings: Mapping[str, str] = field(default_factory=dict)
    unreadable: str = ""


@dataclass(frozen=True)
class Facts:
    """Everything observed of one node."""

    software: Software
    gpus: Gpus
    machine: Machine
    network: Network
    settings: SettingsFile | None = None
    folder: Folder | None = None
    record: RunRecord | None = None


def to_plain(facts: object) -> Any:
    """Facts as dictionaries and lists for JSON."""
    return dataclasses.asdict(facts)  # type: ignore[call-overload]


def from_plain(kind: type[T], plain: Any) -> T:
    """An instance of a dataclass of this module from parsed JSON of another node. Raises ValueError."""
    value: T = _value(kind, plain, kind.__name__)
    return value


def _value(kind: Any, plain: Any, where: str) -> Any:
    origin = typing.get_origin(kind)
    if origin in (types.UnionType, typing.Union):
        rest = [one for one in typing.get_args(kind) if one is not type(None)]
        return None if plain is None else _value(rest[0], plain, where)
    if dataclasses.is_dataclass(kind):
        return _record(kind, plain, where)
    if origin is tuple:
        return tuple(_value(typing.get_args(kind)[0], one, where) for one in _bounded(plain, list, where))
    if origin is not None:  # a Mapping of text to text
        items = _bounded(plain, dict, where).items()
        return {_value(str, key, where): _value(str, value, where) for key, value in items}
    if kind is float and type(plain) is int:
        return float(plain)
    if type(plain) is not kind or (kind is str and len(plain) > MAX_LETTERS):
        raise ValueError(f"{where} is {excerpt(plain)}, which is no {kind.__name__}")
    return plain


def _record(kind: Any, plain: Any, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    given = _bounded(plain, dict, where)
    names = [item.name for item in dataclasses.fields(kind)]
    if given.keys() != set(names):
        raise ValueError(f"{where} has other parts than here")
    return kind(**{name: _value(hints[name], given[name], f"{where}.{name}") for name in names})


def _bounded(plain: Any, kind: type[T], where: str) -> T:
    if not isinstance(plain, kind) or len(plain) > MAX_ITEMS:  # type: ignore[arg-type]
        raise ValueError(f"{where} is no {kind.__name__} of up to {MAX_ITEMS} items")
    return plain
