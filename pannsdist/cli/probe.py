"""`pannsdist probe`: a classifier on the embeddings of a pretrained network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pannsdist.runtime import console, paddle_import

KINDS = ("linear", "mlp", "knn")


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    what = "train only the head, with scikit-learn, on embeddings that are computed once: the first thing to try"
    parser: argparse.ArgumentParser = commands.add_parser("probe", help=what)
    parser.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML), or recipe:NAME")
    kinds = "linear: logistic regression; mlp: one hidden layer; knn: nearest clips, without a model (default: linear)"
    parser.add_argument("--kind", choices=KINDS, default=KINDS[0], help=kinds)
    folds = "cross-validate over the folds of the dataset, then train the model on all of them"
    parser.add_argument("--folds", action="store_true", help=folds)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> None:
    console.quiet_compiler()
    paddle_import.import_paddle()
    from pannsdist.registry import Catalog
    from pannsdist.run.launching.one_node import refuse_launcher
    from pannsdist.run.probing.plan import ProbeRequest
    from pannsdist.run.probing.probe import probe

    refuse_launcher()
    probe(ProbeRequest(chosen.config, tuple(chosen.overrides), chosen.kind, chosen.folds), Catalog.installed())
