"""`pannsdist plugins`: list, show, check and create plugins."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pannsdist import contracts, settings
from pannsdist.registry import Catalog, Entry, Origin
from pannsdist.registry.catalog import LIST_COMMAND
from pannsdist.runtime.errors import UnknownPlugin, UserError, candidates_line, shell_command
from pannsdist.runtime.redaction import without_credentials

KINDS = ", ".join(contracts.GROUPS)
BROKEN = "broken: "


def add(commands: Any) -> None:
    """The sub-commands for argparse."""
    plugins = commands.add_parser("plugins", help="list, show, check and create plugins")
    plugins = plugins.add_subparsers(required=True, metavar="COMMAND")
    listing = plugins.add_parser("list", help="list the installed plugins and their distributions")
    listing.add_argument("kind", nargs="?", help=f"only one of {KINDS}")
    listing.add_argument("--search", default="", metavar="TEXT", help="only those with TEXT in name or distribution")
    listing.add_argument("--long", action="store_true", help="import each, and show its description or load error")
    listing.set_defaults(run=run_list)
    showing = plugins.add_parser("show", help="show a plugin's params, front end and published weights")
    _add_name(showing)
    showing.add_argument(
        "overrides", nargs="*", metavar="key=value", help="params, to show the front end that they give"
    )
    showing.set_defaults(run=run_show)
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


def run_list(chosen: argparse.Namespace) -> bool:
    """Print kind, name, distribution, version and further names of the chosen plugins.

    With --long, import each plugin and print its description too; returns False if one fails to load. Raises
    UnknownPlugin if none is chosen.
    """
    catalog = Catalog.installed()
    found = list(_grouped(catalog.registry(chosen.kind) if chosen.kind else catalog))
    groups = [group for group in found if chosen.search.lower() in _searched(group)]
    if not groups:
        for kind in [chosen.kind] if chosen.kind else contracts.KINDS:
            catalog.registry(kind).refuse_missing(chosen.search)
        line = candidates_line(chosen.search, [entry.name for group in found for entry in group], "installed")
        raise UnknownPlugin(f"no plugin has '{chosen.search}' in its name or distribution", line, LIST_COMMAND)
    rows = [
        (first.kind, first.name, str(first.origin), _description(first) if chosen.long else "", _also(others))
        for first, *others in groups
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, [*widths, 0], strict=True)).rstrip())
    return not any(row[3].startswith(BROKEN) for row in rows)


def _grouped(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """The names of one class together, those in lower case first."""
    groups: dict[tuple[str, Origin, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.kind, entry.origin, entry.target), []).append(entry)
    names = [
        sorted(group, key=lambda entry: (entry.name != entry.name.lower(), entry.name)) for group in groups.values()
    ]
    kinds = list(contracts.GROUPS)
    yield from sorted(names, key=lambda group: (kinds.index(group[0].kind), group[0].name))


def _searched(group: Iterable[Entry]) -> str:
    return "\n".join(f"{entry.name}\n{entry.origin.distribution}" for entry in group).lower()


def _also(others: Iterable[Entry]) -> str:
    names = ", ".join(entry.name for entry in others)
    return f"also {names}" if names else ""


def _description(entry: Entry) -> str:
    """The first line of its docstring, or why it fails to load."""
    try:
        return _documentation(entry.load()).partition("\n")[0]
    except UserError as error:
        return f"{BROKEN}{error.wrong.rpartition(' is broken: ')[2]}"


def _documentation(plugin: type[Any]) -> str:
    return (inspect.getdoc(plugin) or "") if plugin.__doc__ else ""


def run_show(chosen: argparse.Namespace) -> None:
    """Print everything about one plugin; imports it. Raises SettingsError for unsuitable params."""
    entry = Catalog.installed().registry(chosen.kind).find(chosen.name)
    plugin = entry.load()
    facts = list(_of_its_kind(entry, plugin, settings.parsed(chosen.overrides)))
    print(f"{entry.kind} {entry.name}: {_documentation(plugin)}")
    print(f"  from {entry.origin} ({entry.target})\n  file {inspect.getsourcefile(plugin)}")
    print("  params" + ("" if dataclasses.fields(plugin.Params) else ": none"))
    for item, (key, default, doc) in zip(
        dataclasses.fields(plugin.Params), settings.describe(plugin.Params), strict=True
    ):
        allowed = settings.allowed_range(item.metadata) if _is_limited(item.metadata) else ""
        print("   ".join(filter(None, (f"    {key} = {default}", doc, f"({allowed})" if allowed else ""))))
    for line in facts:
        print(f"  {without_credentials(line)}")


def _is_limited(metadata: Mapping[str, Any]) -> bool:
    return bool({"low", "high", "above", "choices"} & metadata.keys())


def _of_its_kind(entry: Entry, plugin: type[Any], given: Mapping[str, Any]) -> Iterator[str]:
    """The facts specific to a kind of plugin, with the given params. Raises SettingsError if they are unsuitable."""
    try:
        params = settings.fill_params(plugin.Params, given, settings.SettingsOrigin(), f"{entry.kind}.params")
    except UserError:
        if given:
            raise
        params = None
    if given:
        yield "with " + ", ".join(f"{key}={value}" for key, value in given.items())
    if entry.kind == "feature":
        yield (
            "front end: depends on the params"
            if params is None
            else f"front end: {_described(plugin(params).front_end)}"
        )
    if entry.kind == "model":
        feature_params = ", ".join(f"{key}={value}" for key, value in plugin.feature_params.items())
        yield f"uses feature {plugin.feature}" + (f" ({feature_params})" if feature_params else "")
        yield f"front end: {_described(plugin.front_end)}"
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


def _described(front_end: contracts.FrontEnd) -> str:
    """A front end in words, with frames in milliseconds too."""
    rate_hz = front_end.sample_rate_hz
    window, hop = (
        f"{name} {count} samples ({1000 * count / rate_hz:g} ms)"
        for name, count in (("window", front_end.window_samples), ("hop", front_end.hop_samples))
    )
    details = "".join(f", {name} {value}" for name, value in front_end.details)
    return (
        f"{front_end.kind}, {rate_hz} Hz, {window}, {hop}, FFT {front_end.fft_samples}, "
        f"{front_end.bins} bins from {front_end.low_hz:g} to {front_end.high_hz:g} Hz{details}"
    )


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
