"""Facts of a node on which all is well, to be exchanged one by one."""

from dataclasses import replace

from pannsdist.run.doctor.facts import CardState, Facts, Folder, Gpus, Machine, Network, Paddle, SettingsFile, Software
from pannsdist.run.doctor.wheel import PYPI_ARCHS, Card

GIB = 1 << 30
PLUGINS = {"model panns_cnn6": "pannsdist 0.1.0", "dataset esc50": "pannsdist-esc50 0.1.0"}
CPU_WHEEL = Paddle({"paddlepaddle": "3.3.1"}, "3.3.1")
PYPI_WHEEL = Paddle({"paddlepaddle-gpu": "2.6.2"}, "2.6.2", "11.8", "8.6.0", "", PYPI_ARCHS)
A100 = CardState(
    *(Card("0", "NVIDIA A100", 80), "550.54.14", 40960.0, 40500.0, "Enabled", 0.0, 400.0, 400.0),
)
WELL = Facts(
    Software("3.11.7", CPU_WHEEL, {"pannsdist": "0.1.0", "numpy": "1.26.4"}, PLUGINS),
    Gpus(),
    Machine(8, 8 * GIB, 2 * GIB, 2 * GIB, "", 65536, None, 1.8e9, True),
    Network("node-a", ("10.0.0.1",)),
    SettingsFile("a.yaml", {"name": "run", "train.batch_size": "32"}),
    Folder("runs/run", True, "", "ext4", 100 * GIB, "", "", "", 0.0, -5.0),
)


def exchanged(facts=WELL, **parts):
    """The facts with fields of their parts exchanged: `machine={"shm_size": 1}`."""
    return replace(facts, **{name: replace(getattr(facts, name), **fields) for name, fields in parts.items()})


def on_gpu(state=A100, paddle=PYPI_WHEEL, **fields):
    """A node with one GPU."""
    libraries = {"cuDNN": "nvidia-cudnn-cu11 8.6", "NCCL": "nvidia-nccl-cu11 2.19"}
    return exchanged(
        software={"paddle": paddle, "packages": {"numpy": "1.26.4", "protobuf": "6.33.0"}},
        gpus={"states": (replace(state, **fields),), "libraries": libraries},
    )
