"""Which engine runs a model: the user's, else that of the machine's table, else that of the package's."""

import json
from concurrent.futures import ThreadPoolExecutor

import paddle
import pytest
import tiny_sounds
from paddle import nn
from small_parts import SmallLayer
from tiny_sounds import noise

from pannsdist.inference.engines import kinds, selection, table
from pannsdist.inference.engines.compiled import Compiled, CompiledLater
from pannsdist.inference.engines.dygraph import Dygraph
from pannsdist.inference.engines.family import family
from pannsdist.inference.engines.onednn import OneDNN
from pannsdist.inference.engines.selection import EngineWish, build, choose
from pannsdist.inference.engines.table import Row, machine_file, machine_rows, measured_row, package_rows, remember
from pannsdist.kernels.choice import FLOAT, HALF, refusal
from pannsdist.runtime import cpu
from pannsdist.runtime.errors import UserError

onednn = pytest.mark.skipif(bool(refusal(FLOAT)), reason=refusal(FLOAT))
half = pytest.mark.skipif(bool(refusal(HALF)), reason=refusal(HALF))


class ImageLayer(SmallLayer):
    """A network of two dimensional convolutions; grouped ones where `GROUPS` says so."""

    GROUPS = 1

    def __init__(self, bins, classes):
        super().__init__(bins, classes)
        self.block = nn.Sequential(
            nn.Conv2D(1, 16, 3, padding=1),
            nn.BatchNorm2D(16),
            nn.ReLU(),
            nn.Conv2D(16, 16, 3, padding=1, groups=self.GROUPS),
            nn.AvgPool2D(2),
        )
        self.last = nn.Linear(16, classes)

    def forward(self, image):
        return self.last(self.block(image).mean(axis=[2, 3]))


class GroupedLayer(ImageLayer):
    GROUPS = 16


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """No table of this machine, and a processor with everything."""
    monkeypatch.setenv("PANNSDIST_HOME", str(tmp_path / "home"))
    processor = cpu.Processor("Test 9000", "amx")
    monkeypatch.setattr(cpu, "processor", lambda: processor)
    return tmp_path / "home"


def chosen(layer=ImageLayer, *wish):
    return choose(tiny_sounds.inference_model(layer), EngineWish(*wish))


@pytest.mark.parametrize(
    ("layer", "name"), [(ImageLayer, "convolutional"), (GroupedLayer, "depthwise"), (SmallLayer, "other")]
)
def test_the_family_of_a_network(layer, name):
    assert family(layer(64, 3)) == name


@onednn
def test_the_default_is_that_of_the_packages_table():
    found = chosen()
    assert (found.engine, found.precision, found.batch_size, found.threads) == ("onednn", "fp32", 8, cpu.cores())
    assert str(found) == "onednn, fp32 (table of the package: convolutional network)"
    other = chosen(SmallLayer)
    assert str(other) == "paddle, fp32, from the ninth window on (table of the package: other network)"


@pytest.mark.parametrize("level", [*cpu.LEVELS.values(), "other"])
@pytest.mark.parametrize("layer", [ImageLayer, GroupedLayer, SmallLayer])
def test_every_processor_has_an_engine(level, layer, monkeypatch):
    monkeypatch.setattr(cpu, "processor", lambda: cpu.Processor("Test", level))
    found = chosen(layer)
    assert found.precision == "fp32" and found.reason.startswith("table of the package")
    if level in ("avx2", "other"):
        assert found.engine == "paddle"


def test_a_row_whose_engine_cannot_run_is_passed_over(monkeypatch, capsys):
    def refuse(_):
        raise UserError("onednn cannot run here")

    kind = kinds.ENGINES["onednn"]
    monkeypatch.setitem(kinds.ENGINES, "onednn", kinds.EngineKind(kind.what, kind.precisions, refuse, kind.build))
    assert chosen().engine == "paddle"
    assert capsys.readouterr().err == ""
    remember(measured_row("convolutional", "fp32", "onednn", 4, 1))
    found = chosen()
    assert (found.engine, found.reason) == ("paddle", "table of the package: convolutional network")
    assert capsys.readouterr().err == (
        "note: the table of this machine chooses the engine onednn, but onednn cannot run here: another is used\n"
    )


def test_what_was_measured_on_this_machine_counts_before_the_package():
    remember(measured_row("convolutional", "fp32", "dygraph", 4, 1))
    assert chosen() == selection.EngineChoice("dygraph", "fp32", 4, 1, "table of this machine: convolutional network")
    assert chosen(SmallLayer).reason == "table of the package: other network"
    remember(measured_row("convolutional", "fp32", "paddle", 16, 0))
    assert len(machine_rows()) == 1
    found = chosen()
    assert (found.engine, found.batch_size, found.threads, found.is_patient) == ("paddle", 16, cpu.cores(), True)


@pytest.mark.parametrize("change", [{"processor": "Other"}, {"paddle": "9.9"}, {"cores": 9999}, {"family": "other"}])
def test_a_row_of_another_machine_paddle_or_family_does_not_count(change):
    row = {**vars(measured_row("convolutional", "fp32", "dygraph", 4, 1)), **change}
    remember(Row(**row))
    assert chosen().reason == "table of the package: convolutional network"


def test_more_threads_than_cores_are_as_many_as_cores():
    remember(measured_row("convolutional", "fp32", "dygraph", 4, 1000))
    assert chosen().threads == cpu.cores()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"",
        b'{"format": 1}',
        b'{"format": 1, "rows": [{}]}',
        b'{"format": 1, "rows": [{"family": "other", "precision": "fp32", "engine": "steam", "batch_size": 8}]}',
        b'{"format": 1, "rows": [{"family": "other", "precision": "fp32", "engine": "onnx", "batch_size": 0}]}',
        b'{"format": 1, "rows": [{"family": "other", "precision": "fp32", "engine": "onnx", "batch_size": true}]}',
        b'{"format": 1, "rows": [{"family": "other", "precision": "int8", "engine": "onnx", "batch_size": 8}]}',
        b'{"format": 1, "rows": [{"family": 3, "precision": "fp32", "engine": "onnx", "batch_size": 8}]}',
        b"\xff\xfe\x00",
    ],
)
def test_a_damaged_table_is_refused_with_what_to_do(content, home):
    home.mkdir()
    machine_file().write_bytes(content)
    with pytest.raises(UserError, match=r"engines\.json") as refused:
        chosen()
    assert "measure again" in str(refused.value) or "the file is unchanged" in str(refused.value)
    assert chosen(ImageLayer, "dygraph").engine == "dygraph"  # what the user chose needs no table


def test_a_table_of_a_newer_version_is_refused_and_left_as_it_is(home):
    home.mkdir()
    machine_file().write_text('{"format": 2, "rows": []}', encoding="utf-8")
    with pytest.raises(UserError, match="written by a newer pannsdist"):
        remember(measured_row("other", "fp32", "dygraph", 8, 0))
    assert machine_file().read_text(encoding="utf-8") == '{"format": 2, "rows": []}'


def test_a_user_without_a_home_has_the_packages_table(monkeypatch):
    monkeypatch.setattr(table, "home", lambda: (_ for _ in ()).throw(UserError("no home")))
    assert chosen().reason.startswith("table of the package")


def test_what_was_measured_is_written_as_a_readable_file():
    path = remember(measured_row("other", "fp32", "dygraph", 8, 0))
    (row,) = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert (row["processor"], row["cores"], row["paddle"]) == ("Test 9000", cpu.cores(), paddle.__version__)


def test_the_packages_table_has_known_engines_and_levels():
    levels = {*cpu.LEVELS.values(), "*"}
    assert all(row.instructions in levels and (row.processor, row.paddle) == ("*", "*") for row in package_rows())


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        (("steam",), "there is no engine 'steam'"),
        (("", "fp64"), "the precision is 'fp64'\n  allowed: fp32, bf16"),
        (("", "int8"), "no engine computes in int8\n.*export --format onnx.*\n  next: use --precision bf16 or fp32"),
        (("onnx", "bf16"), "the engine onnx has no bf16\n  engines with bf16: paddle, onednn"),
        (("dygraph", "bf16"), "the engine dygraph has no bf16"),
    ],
)
def test_what_is_not_there_is_refused(wish, error):
    with pytest.raises(UserError, match=error):
        chosen(ImageLayer, *wish)


@pytest.mark.parametrize("engine", ["", "paddle", "onednn"])
@pytest.mark.parametrize("layer", [ImageLayer, SmallLayer])
def test_bf16_is_refused_where_the_processor_has_none(engine, layer, monkeypatch):
    monkeypatch.setattr(kinds, "refusal", lambda operands: "no bfloat16 here" if operands == HALF else "")
    refused = r"bf16 is not possible here: no bfloat16 here\n.*\n  next: use --precision fp32"
    with pytest.raises(UserError, match=refused):
        chosen(layer, engine, "bf16")
    assert chosen(layer, engine).precision == "fp32"


def test_bf16_is_refused_on_a_gpu(monkeypatch):
    monkeypatch.setattr(selection.devices, "available", lambda: ("cpu", "gpu:0"))
    with pytest.raises(UserError, match="bf16 is for the CPU, and the device is gpu:0"):
        chosen(ImageLayer, "", "bf16", "gpu")
    assert str(chosen(ImageLayer, "", "", "gpu")) == "dygraph, fp32 (the device is gpu:0)"


@half
@pytest.mark.parametrize(("layer", "engine"), [(ImageLayer, "onednn"), (GroupedLayer, "paddle")])
def test_bf16_by_the_table_is_near_fp32_from_the_first_window_on(layer, engine):
    inference_model = tiny_sounds.inference_model(layer)
    choice = choose(inference_model, EngineWish("", "bf16"))
    assert (choice.engine, choice.precision, choice.is_patient) == (engine, "bf16", False)
    built = build(inference_model, choice)
    assert type(built) is (OneDNN if engine == "onednn" else Compiled)
    waveforms = noise(3, 1600)
    exact = Dygraph(inference_model).run("scores", waveforms)
    first, second = built.run("scores", waveforms), built.run("scores", waveforms)
    difference = abs(first - exact).max()
    assert 0 < difference < 0.02
    assert (first == second).all()


@half
def test_a_graph_that_differs_is_refused_in_bf16_too():
    from pannsdist.inference.engines.graph import CannotCompile

    inference_model = tiny_sounds.inference_model(tiny_sounds.WaveringLayer)
    with pytest.raises(CannotCompile, match="its static graph gives other outputs"):
        build(inference_model, choose(inference_model, EngineWish("paddle", "bf16"))).run("scores", noise(1, 1600))


@onednn
def test_engines_of_one_network_do_not_disturb_each_other():
    inference_model = tiny_sounds.inference_model(ImageLayer)
    waveforms = noise(2, 1600)
    dygraph = Dygraph(inference_model)
    before = dygraph.run("scores", waveforms)
    fast = build(inference_model, choose(inference_model, EngineWish("onednn")))
    assert abs(fast.run("scores", waveforms) - before).max() < 1e-6
    assert (dygraph.run("scores", waveforms) == before).all()


@onednn
def test_threads_may_share_an_engine():
    inference_model = tiny_sounds.inference_model(ImageLayer)
    engine = build(inference_model, choose(inference_model, EngineWish("onednn")))
    sounds = [noise(2, 1600, seed) for seed in range(12)]
    expected = [engine.run("scores", sound) for sound in sounds]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda sound: engine.run("scores", sound), sounds))
    assert all((one == other).all() for one, other in zip(found, expected, strict=True))


def test_the_users_engine_compiles_at_once_and_the_tables_later():
    inference_model = tiny_sounds.inference_model(SmallLayer)
    assert type(build(inference_model, choose(inference_model, EngineWish("paddle")))) is Compiled
    assert type(build(inference_model, choose(inference_model, EngineWish()))) is CompiledLater
