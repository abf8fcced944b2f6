"""The installed plugins that tests/contract checks, and how much of each."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import numpy as np
import paddle
import pytest
import soundfile

from pannsdist.cli.command_line import main
from pannsdist.contracts.network import Network
from pannsdist.devkit import Subject
from pannsdist.devkit.checks.feature import noise
from pannsdist.devkit.checks.model_building import built as built_of
from pannsdist.registry import Catalog, Entry

__all__ = [
    "BIG",
    "CATALOG",
    "LAUNCHED",
    "LONG",
    "MINIATURES",
    "PLUGINS",
    "STATIC_GRAPHS",
    "built",
    "checked_by_its_own_tests",
    "chosen",
    "noise",
    "opened",
]

CATALOG = Catalog.installed()
PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
BIG = {
    "ast_base": "its computing is that of ast_tiny, on fifteen times the weights; its tests hold its numbers",
    "ast_small": "its computing is that of ast_tiny, on four times the weights; its tests hold its numbers",
    "efficientat_mn20": "its computing is that of efficientat_mn10, on four times the weights",
    "efficientat_mn30": "its computing is that of efficientat_mn10, on nine times the weights",
    "efficientat_mn40": "its computing is that of efficientat_mn10, on sixteen times the weights",
    **{f"frame_mn{width}": "its computing is that of frame_mn10" for width in ("06", "20", "30")},
    "efficientat_mn10_fc_s2221": "its computing is that of efficientat_mn10_fc and efficientat_mn10_fc_s2211",
    **{
        f"efficientat_mn10_{image}": "its network is that of efficientat_mn10"
        for image in ("hop_5", "hop_15", "hop_20", "hop_25", "mels_40", "mels_64", "mels_256")
    },
    **{
        f"panns_{name}": "60 million weights or more; tests/unit/builtin holds its numbers against the original's"
        for name in (
            *("cnn14", "cnn14_16k", "cnn14_8k", "cnn14_mel32", "cnn14_mel128", "resnet22", "resnet38", "resnet54"),
            *("cnn14_emb512", "cnn14_emb128", "cnn14_emb32", "res1dnet31", "res1dnet51"),
            *("wavegram_cnn14", "wavegram_logmel_cnn14", "wavegram_logmel128_cnn14"),
            *("cnn14_decisionlevelmax", "cnn14_decisionlevelavg", "cnn14_decisionlevelatt"),
        )
    },
}
"""Models of which only the declarations are checked, and why."""
LONG = ("efficientat_mn01", "efficientat_mn02", "efficientat_mn05")
"""Models that differ from efficientat_mn10 in their widths alone: `make test-long` computes with them."""
LAUNCHED = {"panns_mobilenetv2": (), "ast_tiny": (), "efficientat_mn04": (pytest.mark.long,)}
"""Models that two processes train for a step here, with marks; tests/runs trains efficientat_mn04 too."""
STATIC_GRAPHS = ("panns_cnn6", "panns_mobilenetv1", "panns_leenet11", "panns_dainet19", "efficientat_mn04", "ast_tiny")
"""Small models that test_static_graphs.py compares with both engines, so the devkit's check of one is left out."""


def sounds_in_folders(folder):
    """Params of `folder` for a miniature: two classes of three sounds."""
    for number in range(6):
        path = folder / ("high", "low")[number % 2] / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, 4000), 8000)
    return {"root": str(folder)}


def table_of_folds(folder):
    """Params of `manifest` for a miniature: two classes, in two folds and in two splits."""
    sounds_in_folders(folder)
    rows = [(("high", "low")[n % 2], n, ("train", "valid")[n // 2], 1 + n // 2) for n in range(4)]
    lines = [f"{label}/{number}.wav,{label},{split},{fold}" for label, number, split, fold in rows]
    (folder / "clips.csv").write_text("\n".join(["path,label,split,fold", *lines, ""]), encoding="utf-8")
    return {"path": str(folder / "clips.csv"), "valid_fold": 1}


def packed(folder):
    """Params of `shards` for the same miniature."""
    data = {"name": "manifest", "params": table_of_folds(folder)}
    (folder / "data.json").write_text(json.dumps({"name": "m", "model": {"name": "panns_cnn6"}, "data": data}))
    command = ["data", "pack", "-c", str(folder / "data.json"), "-o", str(folder / "packed"), "--workers", "0"]
    assert main(command) in (None, 0, True)
    return {"root": str(folder / "packed"), "valid_fold": 1}


MINIATURES = {"folder": sounds_in_folders, "manifest": table_of_folds, "shards": packed}
"""Params for the built-in datasets that need a place. The datasets of plugins have their own, in their own tests."""


def chosen(kind: str) -> list[Entry]:
    """The plugins of a kind, each once: a published name such as `Cnn14` is another name of the same plugin."""
    return [entry for entry in CATALOG.registry(kind) if entry.name == entry.name.lower()]


def checked_by_its_own_tests(entry: Entry) -> bool:
    """Whether the tests in the plugin's own folder call `conformance` on its class, or test it as a corpus."""
    attribute = entry.target.rpartition(":")[2]
    calls = rf"(conformance\(|^    plugin = ){attribute}\b"
    return re.search(calls, _tests_of(entry.origin.distribution), re.MULTILINE) is not None


@cache
def _tests_of(distribution: str) -> str:
    """The source of a shipped plugin's tests; empty for the built-in plugins."""
    files = sorted((PLUGINS / distribution / "tests").glob("test_*.py"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def opened(entry: Entry, **params: object):
    """The plugin with these params, the others at their defaults."""
    return Subject(entry, params, CATALOG).plugin()


def built(entry: Entry, classes: int = 2, seed: int = 0) -> Network:
    """Feature and model of a plugin, for so many classes."""
    paddle.seed(seed)
    return built_of(Subject(entry, {}, CATALOG), classes, seed)
