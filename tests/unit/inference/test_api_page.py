"""The example in docs/en/api.md runs as it stands, and so does its Chinese twin."""

import re
from pathlib import Path

import paddle
import pytest

from pannsdist import __version__
from pannsdist.builtin import tones
from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.builtin.panns import Cnn6
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import BundleRecord, PluginRecord, write_bundle
from pannsdist.registry import Origin

pytestmark = pytest.mark.slow
DOCS = Path(__file__).resolve().parents[3] / "docs"
LABELS = tuple(tones.FAMILIES)


@pytest.fixture
def demo(tmp_path, monkeypatch):
    """What `make demo` leaves, with random weights."""
    monkeypatch.chdir(tmp_path)
    paddle.seed(0)
    layer = Cnn6(Cnn6.Params()).build(LABELS, Cnn6.front_end)
    own = Origin("pannsdist", __version__)
    parts = (PluginRecord(name, {}, own) for name in ("panns_cnn6", "logmel", "tones"))
    record = BundleRecord(*parts, Cnn6.front_end, LABELS, False, 0.8, "valid/accuracy", {}, {})
    arrays = Network(LogMel(LogMelParams()).build(), layer).arrays()
    write_bundle(tmp_path / "runs" / "demo" / "best_model", record, arrays)
    tones.main(tmp_path / "runs" / "demo" / "sounds")
    return tmp_path


def blocks(page):
    """The blocks of Python: inference, then training."""
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", ["en/api.md", "zh/api.md"])
def test_the_example_runs_as_it_stands(demo, page, capsys):
    code, _ = blocks(page)
    capsys.readouterr()
    names: dict = {}
    exec(compile(code, page, "exec"), names)  # our own page
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"32000 False {LABELS}"
    assert [line.split()[0] for line in said[1:7]] == [f"runs/demo/sounds/{name}_0000.wav" for name in sorted(LABELS)]
    assert said[-1] == "(2, 512)"
    assert names["mono_answer"].scores.keys() == names["stereo_answer"].scores.keys() == set(LABELS)
    assert sum(names["mono_answer"].scores.values()) == pytest.approx(1.0, abs=1e-5)
    assert demo.is_dir()


def test_the_training_runs_as_it_stands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = blocks("en/api.md")[1]
    assert code == blocks("zh/api.md")[1]
    names: dict = {}
    exec(compile(code, "en/api.md", "exec"), names)  # our own page
    said = capsys.readouterr().out.splitlines()
    assert said[-2:][0].startswith("runs/first/report.html: ") and said[-1] == "runs/first/report.html"
    assert said[0] == "run        runs/first"
    assert names["same"].scores == names["run"].scores
    assert names["model"].labels == LABELS


@pytest.mark.parametrize("name", ["api", "detection"])
def test_both_languages_name_the_same_things_and_figures(name):
    texts = [(DOCS / language / f"{name}.md").read_text(encoding="utf-8") for language in ("en", "zh")]
    for pattern in (r"`[\w./=\"-]+`", r"\]\(\.\./images/[^)]*\)", r"--[a-z-]+", r"\d+\.\d+|\de-\d"):
        one, other = (set(re.findall(pattern, text, re.ASCII)) for text in texts)
        assert one == other, one ^ other
