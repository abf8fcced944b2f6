"""`pannsdist data mix`: labelled soundscapes of isolated sounds and backgrounds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.cli.arguments import add_workers
from pannsdist.cli.progress import bar_of, listed
from pannsdist.runtime.errors import shell_command

if TYPE_CHECKING:
    from pannsdist.run.mixing.mix import Mixture


def add(commands: Any) -> None:
    """Add the subcommand to the parser of `data`."""
    parser = commands.add_parser("mix", help="make labelled soundscapes of isolated sounds and backgrounds")
    where = "recipe (YAML), or recipe:soundscapes/NAME"
    parser.add_argument("-c", "--config", type=Path, required=True, help=where)
    again = "folder for the soundscapes; one that is not complete is continued"
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", required=True, help=again)
    add_workers(parser)
    parser.add_argument("--keys", action=_Keys, nargs=0, help="print all keys of a recipe, and exit")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of keys of the recipe")
    parser.set_defaults(run=run_mix)


class _Keys(argparse.Action):
    """Prints the keys of a recipe, their defaults and what they mean, as `config show` does of settings."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print them, and end the process."""
        from pannsdist import settings
        from pannsdist.run.mixing.recipe import Recipe

        for key, default, doc in settings.describe(Recipe):
            print(f"{key} = {default}   # {doc}")
        parser.exit()


def run_mix(chosen: argparse.Namespace) -> None:
    """Make the soundscapes of a recipe, and print what is in them."""
    from pannsdist.registry import Catalog
    from pannsdist.run.mixing.mix import MixOrder, mix
    from pannsdist.run.mixing.recipe import load_recipe

    checked = load_recipe(chosen.config, chosen.overrides)
    made = mix(checked, Catalog.installed(), MixOrder(chosen.output, chosen.workers, bar_of))
    print("\n".join(_lines(made)))


def _lines(made: Mixture) -> Iterator[str]:
    old = sum(not one.is_new for one in made.every)
    yield f"{len(made.every)} soundscapes in {made.folder}" + (f"; {old} of them were there" if old else "")
    for split, of_split in made.soundscapes.items():
        yield f"{split}: {len(of_split)} soundscapes, {sum(len(one.events) for one in of_split)} events"
    yield "events: " + ", ".join(f"{label} {count}" for label, count in sorted(made.labels.items()))
    without, silent = (
        sum(counts) for counts in zip(*((one.without_place, one.silent) for one in made.every), strict=True)
    )
    yield f"events left out for want of a place (events.most_at_once, events.label_gap_s): {without or 'none'}"
    if silent:
        yield f"events left out since their part of the source is digital silence: {silent}"
    yield f"soundscapes scaled down so as not to clip: {sum(one.scale < 1 for one in made.every) or 'none'}"
    yield from listed("clips left out", made.left_out) if made.left_out else ()
    manifest = f"data.params.path={made.manifest}"
    yield f"to train on it: {shell_command('data.name=manifest', manifest)}"
