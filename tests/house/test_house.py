"""The rules of the house: who may import whom, what imports without Paddle, how long a file may be."""

import ast
import configparser
import importlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from architecture import floors

from pannsdist.settings import describe
from pannsdist.settings.schema import Settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "pannsdist"

FLOORS = floors()
"""The rooms of each floor: the table of docs/en/architecture.md is where they are written down."""
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
ROOF = max(FLOORS) + 1
"""Where the package's own __init__ stands: what it offers it imports only when asked for it."""
MAX_ENTRIES = 18
COMPUTING = (
    "contracts/layers.py",
    "contracts/frame_head.py",
    "contracts/network.py",
    "contracts/spectrum.py",
    "distributed/averaging.py",
    "distributed/fleet.py",
    "distributed/joining.py",
    "distributed/single.py",
    "distributed/world.py",
)
"""Modules of the lower floors that need Paddle, because they compute."""
MAX_FILE_LINES, MAX_FUNCTION_LINES = 300, 40

SETTINGS_KEYS = [
    "name",
    "runs",
    "seed",
    "task",
    "model.name",
    "model.params",
    "model.weights",
    "feature.name",
    "feature.params",
    "data.name",
    "data.params",
    "data.workers",
    "data.on_bad_clip",
    "data.on_change",
    "data.min_clip_s",
    "data.cache",
    "data.cache_dtype",
    "data.cache_features",
    "data.cache_limit_gb",
    "train.epochs",
    "train.batch_size",
    "train.crop_s",
    "train.max_steps",
    "train.max_minutes",
    "train.patience_epochs",
    "train.max_bad_steps",
    "train.limit_steps",
    "train.overfit_batches",
    "train.all_clips",
    "train.sampling",
    "train.group_by_length",
    "train.spec_augment",
    "train.accumulate_steps",
    "train.clip_norm",
    "train.amp",
    "train.cpu_kernels",
    "train.to_static",
    "train.ema_decay",
    "train.swa_epochs",
    "train.freeze",
    "train.unfreeze_epoch",
    "train.recompute",
    "train.sync_batch_norm",
    "augment",
    "mixup.alpha",
    "mixup.pairs",
    "mixup.domain",
    "valid.batch_size",
    "valid.crop_s",
    "valid.limit_batches",
    "optimizer.name",
    "optimizer.learning_rate",
    "optimizer.params",
    "optimizer.layer_decay",
    "optimizer.head_lr_factor",
    "schedule.name",
    "schedule.params",
    "schedule.warmup_epochs",
    "schedule.warmup_steps",
    "schedule.hold_epochs",
    "schedule.final_lr_factor",
    "schedule.milestones",
    "schedule.every_epochs",
    "schedule.gamma",
    "loss.name",
    "loss.label_smoothing",
    "loss.class_weights",
    "loss.label_weights",
    "loss.focal_gamma",
    "events.pooling",
    "events.weak_weight",
    "events.consistency_weight",
    "events.consistency_ramp_epochs",
    "metrics",
    "select.metric",
    "select.test",
    "save.every_steps",
    "save.every_minutes",
    "save.keep",
    "save.keep_best",
    "log.every_steps",
    "log.worst_clips",
    "log.curves",
    "log.histograms_every_epochs",
    "distributed.hang_timeout_s",
    "distributed.comm_buffer_mb",
    "trackers",
]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def core_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def plugin_files() -> list[Path]:
    return sorted(path for path in (ROOT / "plugins").glob("*/*/**/*.py") if "tests" not in path.parts)


def room(path: Path) -> str:
    """`audio` for a module of that package, `train` for train.py, nothing for the package's own __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "" if parts[0].startswith("__") else parts[0]


def imported(path: Path) -> Iterator[str]:
    """The dotted names of every module that a file imports, also inside functions and for type checking alone."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide which floor is meant"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    names = [name.split(".") for name in imported(path) if name.startswith("pannsdist.")]
    return {parts[1] for parts in names if not parts[1].startswith("__")}


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; a package bears its own."""
    named = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in core_files()}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


def modules_imported(path: Path) -> set[str]:
    """The modules of the package that a file takes something from."""
    found = set()
    for name in imported(path):
        parts = name.split(".")
        heads = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
        found.update([head for head in heads if head in modules()][:1])
    return found


def dotted(node: ast.AST) -> str:
    """`paddle.save` for that attribute, `eval` for that name, nothing for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    inner = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{inner}.{node.attr}" if inner else ""


def calls(path: Path) -> set[str]:
    return {dotted(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}


def answer(code: str) -> list[str]:
    """What a fresh Python prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_every_room_stands_on_a_floor():
    rooms = {room(path) for path in core_files()} - {""}
    assert rooms == set(FLOOR_OF), "a new room is given its floor in docs/en/architecture.md"
    entries = [path for path in PACKAGE.iterdir() if not path.name.startswith("__") and path.name != "py.typed"]
    assert len(entries) <= MAX_ENTRIES, sorted(path.name for path in entries)


@pytest.mark.parametrize("path", core_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_floors_or_its_own_room(path):
    own = room(path)
    for other in sorted(rooms_imported(path) - {own}):
        assert FLOOR_OF[other] < FLOOR_OF.get(own, ROOF), f"{own or '__init__'} (floor {FLOOR_OF.get(own)}) -> {other}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: modules_imported(path) - {name} for name, path in modules().items()}
    while free := [name for name, targets in graph.items() if not targets & graph.keys()]:
        for name in free:
            del graph[name]
    assert not graph, f"a circle is among {sorted(graph)}"


def test_the_walk_sees_imports_wherever_they_stand(tmp_path):
    path = tmp_path / "sample.py"
    path.write_text("from pannsdist import audio, __version__\ndef f():\n    import pannsdist.cli\n", encoding="utf-8")
    assert rooms_imported(path) == {"audio", "cli"}


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "builtin").rglob("*.py")) + plugin_files(), ids=lambda path: path.stem
)
def test_a_plugin_knows_of_pannsdist_only_the_contracts(path):
    own = "pannsdist.builtin" if path.is_relative_to(PACKAGE) else path.relative_to(ROOT / "plugins").parts[1]
    foreign = [name for name in imported(path) if name.split(".")[0].startswith("pannsdist")]
    foreign = [name for name in foreign if not name.startswith(own) and not name.startswith("pannsdist.contracts.")]
    assert foreign == []


def test_nobody_imports_the_plugins():
    packages = {path.relative_to(ROOT / "plugins").parts[1] for path in plugin_files()}
    assert packages, "the plugins are looked for in the wrong place"
    for path in core_files():
        outside = room(path) != "builtin"
        assert not (outside and "builtin" in rooms_imported(path)), path
        assert not packages & {name.split(".")[0] for name in imported(path)}, path


def test_only_distributed_names_paddle_distributed():
    naming = set()
    for path in core_files() + plugin_files():
        names = set(imported(path)) | {dotted(node) for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)}
        if any(f"{name}.".startswith("paddle.distributed.") for name in names):
            naming.add(path.name)
    assert naming == {"fleet.py", "joining.py"}


def test_only_the_devkit_imports_pytest_and_only_when_it_is_asked():
    naming = {path.relative_to(PACKAGE).as_posix() for path in core_files() if "pytest" in set(imported(path))}
    assert naming == {"devkit/pytest_api.py"}
    code = """
import json, sys
import pannsdist.devkit.pytest_plugin, pannsdist.devkit.pytest_api
print(json.dumps([name for name in ("pytest", "paddle") if name in sys.modules]))"""
    assert answer(code) == []


def test_the_lower_floors_import_without_paddle():
    computing = {PACKAGE / name for name in COMPUTING}
    rooms = ("runtime", "cache", "contracts", "settings", "distributed", "registry", "audio", "weights", "cli", "train")
    light = [name for name, path in modules().items() if room(path) in rooms and path not in computing]
    assert len(light) > 40
    light += [
        "pannsdist.run.python_api",
        "pannsdist.inference.model",
    ]  # whose functions are called before Paddle is there
    light += [f"pannsdist.builtin.{name}" for name in ("panns", "logmel", "waveform", "folder", "manifest", "tones")]
    augmentations = ("gain", "time_roll", "noise", "speed", "equaliser", "reverb", "band_limit", "codec")
    light += [f"pannsdist.builtin.augmentations.{name}" for name in augmentations]
    light += [f"pannsdist.builtin.visualdl{name}" for name in ("", ".log", ".records")]
    code = f"""
import importlib, json, sys
guilty = []
for name in {light!r}:
    importlib.import_module(name)
    if "paddle" in sys.modules:
        guilty.append(name)
        break
print(json.dumps(guilty))"""
    assert answer(code) == []


def test_importing_pannsdist_imports_nothing_heavy():
    code = """
import json, sys
import pannsdist
print(json.dumps([name for name in ("paddle", "numpy", "omegaconf", "entrypoints") if name in sys.modules]))"""
    assert answer(code) == []


def test_listing_plugins_imports_neither_paddle_nor_a_plugin():
    code = """
import json, sys
from pannsdist.cli.command_line import main
assert main(["plugins", "list"]) == 0
loaded = [name for name in sys.modules if name == "paddle" or name.startswith(("pannsdist.builtin", "pannsdist_"))]
print(json.dumps([name for name in loaded if "editable" not in name]))"""
    assert answer(code) == []


def test_no_module_bears_the_name_of_a_standard_module():
    names = {part for path in core_files() for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not names & sys.stdlib_module_names, "train.py is run by path, with its folder first on sys.path"


@pytest.mark.parametrize("path", core_files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_keep_their_budget(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_FILE_LINES, f"{path} has {lines} lines"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{path}:{node.lineno}: {node.name} has {length} lines"


def test_no_error_is_swallowed():
    for path in core_files() + plugin_files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{path}:{node.lineno}: bare except"
                silent = all(isinstance(line, ast.Pass) for line in node.body)
                broad = dotted(node.type) in ("Exception", "BaseException")
                assert not (silent and broad), f"{path}:{node.lineno}: everything is passed over"


def test_a_home_folder_is_looked_for_in_one_place_since_there_may_be_none():
    for path in core_files() + plugin_files():
        found = {name.rpartition(".")[2] for name in calls(path) - {"cache.home", "home"}}
        found &= {"expanduser", "home", "getuser", "getpwuid"}
        is_place = path == PACKAGE / "runtime" / "names.py"
        assert found <= ({"expanduser"} if is_place else set()), path


COMMAND = re.compile(r"(pannsdist|python|pip|uv|ls|cat|rm|mv|cp|df|du|mkdir|chmod|find|tar) [a-z-]")


def commands_written_by_hand(path):
    """Lines with a command that holds a value which is not quoted for the shell."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant) and len(node.values) > 1:
            text = node.values[0].value
            if COMMAND.match(text) or text in {f"{name} " for name in ("ls", "cat", "rm", "df", "mkdir")}:
                yield node.lineno


def test_every_command_with_a_value_is_quoted_in_one_place():
    for path in core_files() + plugin_files():
        assert list(commands_written_by_hand(path)) == [], path
        quoting = "shlex" in {name.split(".")[0] for name in imported(path)}
        assert quoting == (path == PACKAGE / "runtime" / "errors.py"), path


def test_the_walk_sees_commands_written_by_hand(tmp_path):
    (tmp_path / "a.py").write_text('f"ls {p}"\nf"pannsdist weights inspect {p}"\n"ls configs"\nf"lsof {p}"\nf"{p}"\n')
    assert list(commands_written_by_hand(tmp_path / "a.py")) == [1, 2]


def test_weights_are_saved_in_two_places_and_nothing_runs_what_a_file_brings():
    savers = {str(path.relative_to(PACKAGE)) for path in core_files() if "paddle.save" in calls(path)}
    assert savers == {"training/checkpoint.py", "inference/bundle.py"}
    running = {"paddle.load", "numpy.load", "np.load", "eval", "exec"}
    for path in core_files() + plugin_files():
        assert not calls(path) & running, path
        modules = {name.split(".")[0] for name in imported(path)}
        if path.is_relative_to(PACKAGE / "audio" / "workers"):  # between a process and its workers, and never in a file
            continue
        assert not modules & {"pickle", "dill", "cloudpickle", "shelve", "marshal"}, path
        assert not set(imported(path)) & running, path


def test_no_file_names_a_place_on_one_machine():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so what belongs to the project is not known")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    places = ["/" + name for name in ("work/", "root/", "home/", "tmp/v/")]
    found = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        text = path.read_bytes().decode("utf-8", "replace") if path.is_file() else ""
        found += [f"{name}: {place}" for place in places if place in text]
    assert found == []


def test_every_built_in_entry_point_loads():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = "\n".join(config["options.entry_points"].values()).split("\n")
    targets = dict(line.split(" = ") for line in lines if line)
    assert {"panns_cnn6", "logmel", "folder", "manifest", "tones", "pannsdist"} <= targets.keys()
    for target in targets.values():
        module, _, attribute = target.partition(":")
        loaded = importlib.import_module(module)
        assert not attribute or callable(getattr(loaded, attribute)), target


def test_the_settings_keys_are_those_that_were_promised():
    keys = [key for key, _, _ in describe(Settings)]
    assert keys == SETTINGS_KEYS, "a key is a promise: settings files out there use it"


def test_every_setting_says_what_it_is():
    assert [key for key, _, doc in describe(Settings) if not doc] == []


def test_no_two_test_files_bear_one_name():
    files = [path for folder in ("tests", "plugins") for path in (ROOT / folder).rglob("test_*.py")]
    double = [name for name, count in Counter(path.name for path in files).items() if count > 1]
    assert double == [], "pytest imports test files by their name alone"
