"""`pannsdist plugins`: what is installed, what one of them is, whether it keeps the contract, and a new one."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pannsdist import contracts, settings
from pannsdist.registry import Catalog, Entry
from pannsdist.runtime.errors import UserError

KINDS = ", ".join(contracts.GROUPS)


def add(commands: Any) -> None:
    """The sub-commands for argparse."""
    plugins = commands.add_parser("plugins", help="what is installed, checked, or written anew")
    plugins = plugins.add_subparsers(required=True, metavar="COMMAND")
    listing = plugins.add_parser("list", help="every plugin of every kind, and where it comes from")
    listing.add_argument("--long", action="store_true", help="import each, and say what it is or why it is broken")
    listing.set_defaults(run=lambda chosen: list_plugins(Catalog.installed(), chosen.long))
    showing = plugins.add_parser("show", help="one plugin: its params, its front end, its weights")
    _add_name(showing)
    showing.set_defaults(run=lambda chosen: show_plugin(Catalog.installed(), chosen.kind, chosen.name))
    checking = plugins.add_parser("check", help="whether a plugin keeps the contract; exit code 2 where it does not")
    _add_name(checking)
    checking.add_argument("--skip-slow", action="store_true", help="leave out what starts several processes")
    checking.add_argument("overrides", nargs="*", metavar="key=value", help="its params")
    checking.set_defaults(run=run_check)
    writing = plugins.add_parser("new", help="a folder with a plugin that works, and that is yours to change")
    writing.add_argument("kind", help=KINDS)
    writing.add_argument("name", help="small letters, digits and _")
    writing.add_argument("-o", "--output", type=Path, default=Path(), help="where the folder is made (default: here)")
    writing.set_defaults(run=run_new)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", help=KINDS)
    parser.add_argument("name")


def list_plugins(catalog: Catalog, long: bool = False) -> bool:
    """A line for each plugin: kind, name, distribution and version. Imports none of them, unless `long`.

    With `long` each is followed by what it says of itself; gives False where one of them is broken.
    """
    rows = [(entry.kind, entry.name, str(entry.origin), *(_said(entry) if long else ())) for entry in catalog]
    widths = [max(len(str(row[column])) for row in rows) for column in range(3)]
    for row in rows:
        line = f"{row[0]:<12} {row[1]:<{widths[1]}}  {row[2]:<{widths[2] if long else 0}}"
        print(f"{line}  {row[3]}" if long else line)
    return not any(len(row) > 3 and str(row[3]).startswith("broken: ") for row in rows)


def _said(entry: Entry) -> tuple[str]:
    """The first line of its docstring, or why it is broken."""
    try:
        plugin = entry.load()
    except UserError as error:
        return (f"broken: {error.wrong.rpartition(' is broken: ')[2]}",)
    return (_first_line(plugin),)


def _first_line(plugin: type[Any]) -> str:
    return (inspect.getdoc(plugin) or "").partition("\n")[0] if plugin.__doc__ else ""


def show_plugin(catalog: Catalog, kind: str, name: str) -> None:
    """One plugin in full; imports it."""
    entry = catalog.registry(kind).find(name)
    plugin = entry.load()
    print(f"{kind} {entry.name}: {(inspect.getdoc(plugin) or '') if plugin.__doc__ else ''}")
    print(f"  from {entry.origin} ({entry.target})\n  file {inspect.getsourcefile(plugin)}")
    print("  params" + ("" if dataclasses.fields(plugin.Params) else ": none"))
    for item, (key, default, doc) in zip(
        dataclasses.fields(plugin.Params), settings.describe(plugin.Params), strict=True
    ):
        allowed = settings.allowed_range(item.metadata) if _is_limited(item.metadata) else ""
        print("   ".join(filter(None, (f"    {key} = {default}", doc, f"({allowed})" if allowed else ""))))
    for line in _of_its_kind(entry, plugin):
        print(f"  {line}")


def _is_limited(metadata: Mapping[str, Any]) -> bool:
    return bool({"low", "high", "above", "choices"} & metadata.keys())


def _of_its_kind(entry: Entry, plugin: type[Any]) -> Iterator[str]:
    """What a plugin has beside its params."""
    if entry.kind == "feature":
        try:
            params = settings.fill_params(plugin.Params, {}, settings.SettingsOrigin(), "feature.params")
        except UserError as error:
            yield f"front end depends on its params: {error.wrong}"
            return
        yield f"front end {plugin(params).front_end}"
    if entry.kind == "model":
        made_for = ", ".join(f"{key}={value}" for key, value in plugin.feature_params.items())
        yield f"made for feature {plugin.feature}" + (f" ({made_for})" if made_for else "")
        yield f"front end {plugin.front_end}"
        yield "weights" + ("" if plugin.weights else ": none published; give a file as model.weights=FILE")
        for tag, weights in plugin.weights.items():
            yield f"  {tag}: {weights.classes} classes, {weights.licence}, {weights.url}\n      {weights.source}"
    if entry.kind == "metric":
        better = "higher" if plugin.higher_is_better else "lower"
        yield f"{better} is better; named under metrics it is the score valid/{entry.name}"
    if entry.kind == "tracker" and plugin.look:
        yield f"look at a run: {plugin.look}"
    if entry.kind == "dataset" and hasattr(plugin, "fold_param"):
        yield f"folds by {plugin.fold_param}"


def run_check(chosen: argparse.Namespace) -> bool:
    """A line for each check as it is done, and a last one; gives False where one fails."""
    from pannsdist.devkit import Cost, Outcome, Subject, Verdict, checks_of, judge, known_gaps_of

    catalog = Catalog.installed()
    entry = catalog.registry(chosen.kind).find(chosen.name)
    checks = checks_of(chosen.kind)
    subject = Subject(entry, settings.parsed(chosen.overrides), catalog)
    entry.load()  # a broken plugin is refused as everywhere
    gaps = known_gaps_of(subject, {}, checks)
    print(f"{chosen.kind} {entry.name} of {entry.origin}", flush=True)
    width = max(len(check.sentence) for check in checks)
    counts = dict.fromkeys(Verdict, 0)
    for check in checks:
        left_out = chosen.skip_slow and check.cost is Cost.LAUNCHES
        outcome = Outcome(check, Verdict.LEFT_OUT, "--skip-slow") if left_out else judge(check, subject, gaps)
        counts[outcome.verdict] += 1
        print(f"{outcome.verdict.value:<14}  {check.sentence:<{width}}  {outcome.reason}", flush=True)
    print(", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count))
    return not counts[Verdict.FAIL]


def run_new(chosen: argparse.Namespace) -> None:
    """Write the folder, and say what to type next."""
    from pannsdist.devkit.scaffold import write_plugin

    folder = write_plugin(chosen.kind, chosen.name, chosen.output, Catalog.installed())
    print(f"{chosen.kind} '{chosen.name}' written: {folder}")
    print(f"  next: python -m pip install -e {folder} && pannsdist plugins check {chosen.kind} {chosen.name}")
