"""`pannsdist plugins`: list, show, check and create plugins."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pannsdist import contracts, settings
from pannsdist.registry import Catalog, Entry
from pannsdist.runtime.errors import UserError, shell_command
from pannsdist.runtime.redaction import without_credentials

KINDS = ", ".join(contracts.GROUPS)


def add(commands: Any) -> None:
    """The sub-commands for argparse."""
    plugins = commands.add_parser("plugins", help="list, show, check and create plugins")
    plugins = plugins.add_subparsers(required=True, metavar="COMMAND")
    listing = plugins.add_parser("list", help="list all installed plugins and their distributions")
    listing.add_argument("--long", action="store_true", help="import each, and show its description or load error")
    listing.set_defaults(run=lambda chosen: list_plugins(Catalog.installed(), chosen.long))
    showing = plugins.add_parser("show", help="show a plugin's params, front end and published weights")
    _add_name(showing)
    showing.set_defaults(run=lambda chosen: show_plugin(Catalog.installed(), chosen.kind, chosen.name))
    checking = plugins.add_parser("check", help="run the conformance checks on a plugin; exit code 2 if one fails")
    _add_name(checking)
    checking.add_argument("--skip-slow", action="store_true", help="skip checks that launch several processes")
    checking.add_argument("overrides", nargs="*", metavar="key=value", help="params of the plugin")
    checking.set_defaults(run=check_plugin)
    writing = plugins.add_parser("new", help="create a folder with a working example plugin")
    writing.add_argument("kind", help=KINDS)
    writing.add_argument("name", help="lower-case letters, digits and _")
    writing.add_argument("-o", "--output", type=Path, default=Path(), help="parent folder (default: current folder)")
    writing.set_defaults(run=run_new)


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", help=KINDS)
    parser.add_argument("name", help="name of the plugin, or DISTRIBUTION:NAME")


def list_plugins(catalog: Catalog, long: bool = False) -> bool:
    """Print kind, name, distribution and version of each plugin.

    With `long`, import each plugin and print its description too; returns False if one fails to load.
    """
    rows = [(entry.kind, entry.name, str(entry.origin), *(_description(entry) if long else ())) for entry in catalog]
    widths = [max(len(str(row[column])) for row in rows) for column in range(3)]
    for row in rows:
        line = f"{row[0]:<12} {row[1]:<{widths[1]}}  {row[2]:<{widths[2] if long else 0}}"
        print(f"{line}  {row[3]}" if long else line)
    return not any(len(row) > 3 and str(row[3]).startswith("broken: ") for row in rows)


def _description(entry: Entry) -> tuple[str]:
    """The first line of its docstring, or why it fails to load."""
    try:
        plugin = entry.load()
    except UserError as error:
        return (f"broken: {error.wrong.rpartition(' is broken: ')[2]}",)
    return (_first_line(plugin),)


def _first_line(plugin: type[Any]) -> str:
    return (inspect.getdoc(plugin) or "").partition("\n")[0] if plugin.__doc__ else ""


def show_plugin(catalog: Catalog, kind: str, name: str) -> None:
    """Print everything about one plugin; imports it."""
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
        print(f"  {without_credentials(line)}")


def _is_limited(metadata: Mapping[str, Any]) -> bool:
    return bool({"low", "high", "above", "choices"} & metadata.keys())


def _of_its_kind(entry: Entry, plugin: type[Any]) -> Iterator[str]:
    """The facts specific to a kind of plugin."""
    if entry.kind == "feature":
        try:
            params = settings.fill_params(plugin.Params, {}, settings.SettingsOrigin(), "feature.params")
        except UserError as error:
            yield f"front end depends on params: {error.wrong}"
            return
        yield f"front end {plugin(params).front_end}"
    if entry.kind == "model":
        feature_params = ", ".join(f"{key}={value}" for key, value in plugin.feature_params.items())
        yield f"uses feature {plugin.feature}" + (f" ({feature_params})" if feature_params else "")
        yield f"front end {plugin.front_end}"
        yield "weights" + ("" if plugin.weights else ": none published; use model.weights=FILE")
        for tag, weights in plugin.weights.items():
            yield f"  {tag}: {weights.classes} classes, {weights.licence}, {weights.url}\n      {weights.source}"
    if entry.kind == "metric":
        better = "higher" if plugin.higher_is_better else "lower"
        yield f"{better} is better; added under metrics, it is the score valid/{entry.name}"
    if entry.kind == "tracker" and plugin.look:
        yield f"view a run: {plugin.look}"
    if entry.kind == "dataset" and hasattr(plugin, "fold_param"):
        yield f"folds selected by {plugin.fold_param}"


def check_plugin(chosen: argparse.Namespace) -> bool:
    """Print one line per check, then a summary; returns False if a check fails."""
    from pannsdist.devkit import Cost, Outcome, Subject, Verdict, checks_of, known_gaps_of, run_check

    catalog = Catalog.installed()
    entry = catalog.registry(chosen.kind).find(chosen.name)
    checks = checks_of(chosen.kind)
    subject = Subject(entry, settings.parsed(chosen.overrides), catalog)
    entry.load()  # raises for a broken plugin
    gaps = known_gaps_of(subject, {}, checks)
    print(f"{chosen.kind} {entry.name} of {entry.origin}", flush=True)
    width = max(len(check.sentence) for check in checks)
    counts = dict.fromkeys(Verdict, 0)
    for check in checks:
        skipped = chosen.skip_slow and check.cost is Cost.LAUNCHES
        outcome = Outcome(check, Verdict.SKIPPED, "--skip-slow") if skipped else run_check(check, subject, gaps)
        counts[outcome.verdict] += 1
        print(f"{outcome.verdict.value:<14}  {check.sentence:<{width}}  {outcome.reason}", flush=True)
    print(", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count))
    return not counts[Verdict.FAIL]


def run_new(chosen: argparse.Namespace) -> None:
    """Create the folder, and print the next commands."""
    from pannsdist.devkit.scaffold import write_plugin

    folder = write_plugin(chosen.kind, chosen.name, chosen.output, Catalog.installed())
    print(f"{chosen.kind} '{chosen.name}' created: {folder}")
    install = shell_command("python", "-m", "pip", "install", "-e", folder)
    print(f"  next: {install} && {shell_command('pannsdist', 'plugins', 'check', chosen.kind, chosen.name)}")
