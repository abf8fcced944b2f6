"""`pannsdist publish`: a model folder to a hub or a folder, with a model card and checksums."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pannsdist.runtime import paddle_import


def add(commands: Any) -> None:
    """Add the subcommand to the parser."""
    what = "publish a model folder with a model card: on the Hugging Face Hub, ModelScope, or in a folder"
    parser: argparse.ArgumentParser = commands.add_parser("publish", help=what)
    parser.add_argument("--model", type=Path, required=True, help="model folder, such as runs/NAME/best_model")
    where = "hf://USER/NAME[@BRANCH], modelscope://USER/NAME[@BRANCH], or a folder"
    parser.add_argument("--to", required=True, metavar="PLACE", help=where)
    parser.add_argument("--private", action="store_true", help="a repository that only you and your group can read")
    stated = "licence of the model, such as apache-2.0 or cc-by-4.0 (default: none is stated)"
    parser.add_argument("--licence", default="", metavar="ID", help=stated)
    parser.add_argument("--message", default="", help="message of the commit")
    parser.add_argument("--dry-run", action="store_true", help="print the card and the files, and publish nothing")
    parser.set_defaults(run=_publish)


def _publish(chosen: argparse.Namespace) -> None:
    paddle_import.import_paddle()
    from pannsdist.registry import Catalog
    from pannsdist.run.publishing.publish import PublishRequest, publish

    how = (chosen.licence, chosen.private, chosen.message, chosen.dry_run)
    print(publish(PublishRequest(chosen.model, chosen.to, *how), Catalog.installed()))
