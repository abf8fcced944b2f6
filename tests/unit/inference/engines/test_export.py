"""A network as a folder that others run."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_sounds
from small_parts import RATE_HZ, catalog, tone_clips
from tiny_bundle import make_bundle
from tiny_sounds import WaveringLayer, noise

from pannsdist.contracts import Clip
from pannsdist.inference.bundle import PluginRecord
from pannsdist.inference.engines.export import dataset_clips, export
from pannsdist.inference.engines.selection import build_engine
from pannsdist.registry import Origin
from pannsdist.runtime.errors import UserError

DOCS = Path(__file__).resolve().parents[4] / "docs"
CLIPS = tone_clips(3)


@pytest.fixture(params=["paddle", "onnx"])
def form(request):
    tiny_sounds.skip_unless_installed(request.param)
    return request.param


def snippet(form, page="en/export.md"):
    """The Python code of the documentation for this format."""
    blocks = (DOCS / page).read_text(encoding="utf-8").split("```python\n")[1:]
    (code,) = [block.split("```")[0] for block in blocks if ("paddle.inference" in block) == (form == "paddle")]
    return code


def test_an_export_is_run_as_the_documentation_says_by_paddle_or_onnxruntime_alone(form, tmp_path):
    inference_model = tiny_sounds.inference_model(multi_label=True)
    export(inference_model, form, tmp_path / "out", CLIPS)
    shapes = [(1, 1600), (3, 1600), (2, 777)]
    for place, shape in enumerate(shapes):
        np.savetxt(tmp_path / f"{place}.txt", noise(*shape))
    code = f"""
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
{snippet(form)}
for place in range({len(shapes)}):
    waveforms = np.loadtxt(f"{{place}}.txt", dtype=np.float32, ndmin=2)
    np.savetxt(f"{{place}}.answer", predict(waveforms))
assert record["labels"] == ["a", "b", "c"]
assert not [name for name in sys.modules if name.split(".")[0] == "pannsdist"]
"""
    (tmp_path / "run.py").write_text(code.replace('"exported"', '"out"'), encoding="utf-8")
    command = [sys.executable, "run.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for place, shape in enumerate(shapes):
        expected = build_engine(inference_model, "dygraph").run("scores", noise(*shape))
        np.testing.assert_allclose(np.loadtxt(tmp_path / f"{place}.answer", ndmin=2), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["paddle", "onnx"])
def test_both_languages_show_the_same_code(name):
    assert snippet(name) == snippet(name, "zh/export.md")


def test_the_record_says_what_goes_in_and_what_comes_out(form, tmp_path):
    checked = export(tiny_sounds.inference_model(), form, tmp_path / "out", CLIPS)
    record = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert record["format"] == form
    assert sorted([*record["files"], "export.json"]) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert record["input"] == {
        "name": "waveform",
        "axes": ["batch", "samples"],
        "type": "float32",
        "rate_hz": RATE_HZ,
    }
    assert record["output"] == {"axes": ["batch", "labels"], "type": "float32", "is": "probabilities"}
    assert (record["labels"], record["multi_label"]) == (["a", "b", "c"], False)
    assert record["minimum_samples"] == 512
    assert record["front_end"]["kind"] == "logmel"
    assert record["checked"]["clips"] == [clip.id for clip in CLIPS] == list(checked.clips)
    assert record["checked"]["difference"] == checked.difference < 1e-5


def test_an_export_that_gives_other_scores_is_refused_and_leaves_nothing(form, tmp_path):
    with pytest.raises(UserError, match=r"the export gives other scores than the model: they differ by "):
        export(tiny_sounds.inference_model(WaveringLayer), form, tmp_path / "out", CLIPS)
    assert list(tmp_path.iterdir()) == []


def test_without_sound_to_compare_on_an_export_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no sound to compare .*\n  give sound files as --check FILE\.\.\."):
        export(tiny_sounds.inference_model(), "paddle", tmp_path / "out", [])
    assert list(tmp_path.iterdir()) == []


def test_a_file_to_compare_on_that_is_no_sound_is_refused_by_name(tmp_path):
    (tmp_path / "words.wav").write_text("words", encoding="utf-8")
    with pytest.raises(UserError, match=r"the export cannot be checked: .*words\.wav"):
        export(
            tiny_sounds.inference_model(), "paddle", tmp_path / "out", [Clip("words.wav", tmp_path / "words.wav", ())]
        )
    assert not (tmp_path / "out").exists()


def test_what_exists_already_is_not_overwritten(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(UserError, match="exists already"):
        export(tiny_sounds.inference_model(), "paddle", tmp_path / "out", CLIPS)
    assert (tmp_path / "out" / "mine").exists()


def test_the_clips_of_the_models_own_dataset_are_found_and_a_lost_one_gives_none(tmp_path):
    record = make_bundle(tmp_path).record
    listed = PluginRecord("listed", {}, Origin("small-parts", "1.0"))
    assert [clip.id for clip in dataset_clips(replace(record, dataset=listed), catalog())] == ["valid/0", "valid/1"]
    lost = PluginRecord("folder", {"root": str(tmp_path / "gone")}, Origin("pannsdist", "0.1.0"))
    assert dataset_clips(replace(record, dataset=lost), catalog()) == []
    assert dataset_clips(replace(record, dataset=replace(listed, name="uninstalled")), catalog()) == []


def test_files_are_read_at_the_models_rate(tmp_path):
    soundfile.write(tmp_path / "a.wav", noise(2, 44100).T, 44100)
    checked = export(tiny_sounds.inference_model(), "paddle", tmp_path / "out", [Clip("a.wav", tmp_path / "a.wav", ())])
    assert checked.difference < 1e-5
