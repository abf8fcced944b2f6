"""Private words that the field's own have replaced: none of them comes back as a name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from pannsdist.settings import describe
from pannsdist.settings.schema import Settings

ROOT = Path(__file__).resolve().parents[2]

RETIRED = {
    # modules
    *("ahead", "as_tests", "assembly", "augmenting", "contradictions", "deciders", "fresh", "launched", "made_up_run"),
    *("mixing", "recognition", "scoring", "step_parts", "stopping", "terminal", "told", "trial"),
    # classes
    *("Agreed", "Asked", "Course", "Deciders", "Heard", "Listener", "Listening", "Manner", "Moment", "Outlets"),
    *("Session", "Share", "Sound", "Source", "Tally", "Wishes"),
    # functions, methods, parameters, settings
    *("_meet", "accumulate", "agree_on", "answering", "apart", "chances", "draws", "exchange", "final_share", "gather"),
    *("head_multiplier", "mixed", "share", "share_arrays", "share_norms", "shares", "stripes", "thaw_epoch", "total"),
    "wrap",
}
RETIRED_WORDS = {"chances", "deciders", "listener", "outlets", "share", "shares", "stripes", "tally", "thaw", "wishes"}
"""No name contains one of these as a word, either: `rate_share`, `thaw_all`."""

Named = tuple[str, str]
"""Where a name stands, and the name."""


def files() -> list[Path]:
    core = (ROOT / "pannsdist").rglob("*.py")
    shipped = (path for path in (ROOT / "plugins").glob("*/*/**/*.py") if "tests" not in path.parts)
    return sorted([*core, *shipped])


def names_of(path: Path, root: Path = ROOT) -> Iterator[Named]:
    """Module, classes, functions, methods, and the parameters of public functions and methods."""
    place = path.relative_to(root).as_posix()
    yield place, path.parent.name if path.stem == "__init__" else path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield f"{place}:{node.lineno}", node.name
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{place}:{node.lineno}", node.name
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if not node.name.startswith("_") or node.name in ("__init__", "__call__"):
                yield from ((f"{place}:{argument.lineno}", argument.arg) for argument in every)


def retired(found: Iterator[Named]) -> list[str]:
    words = ((place, name, set(name.lower().split("_"))) for place, name in found)
    return [f"{place}: {name}" for place, name, parts in words if name in RETIRED or parts & RETIRED_WORDS]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_retired_name_is_a_module_class_function_or_parameter(path):
    assert retired(names_of(path)) == []


def test_no_retired_name_is_a_settings_key():
    keys = ((key, part) for key, _, _ in describe(Settings) for part in key.split("."))
    assert retired(keys) == []


def test_the_walk_finds_every_kind_of_name(tmp_path):
    path = tmp_path / "trial.py"
    path.write_text("class Tally:\n    def wrap(self, chances): ...\ndef lr_share(x): ...\n", encoding="utf-8")
    found = {line.rpartition(" ")[2] for line in retired(names_of(path, tmp_path))}
    assert found == {"trial", "Tally", "wrap", "chances", "lr_share"}
