"""A model that runs in the browser alone: in a real one, from static files, with nothing else to be reached."""

import chromium
import numpy as np
import paddle
import pytest
import soundfile
from small_parts import SmallModel
from static_files import static_files

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts import Clip, NoParams, Samples
from pannsdist.contracts.network import Network
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.engines.onnx_runtime import require_onnx
from pannsdist.inference.inference_model import InferenceModel
from pannsdist.inference.model import Model
from pannsdist.inference.sounds import beginning
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import UserError
from pannsdist.serving import web_export
from pannsdist.serving.web_export import export_web, runtime_folder

pytestmark = pytest.mark.slow

LABELS, RATE_HZ, FRAME = ("a", "b", "c"), 32000, 2560
CLOSED = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
UNKNOWN = Decisions(20.0, (0.62, 0.14, 0.22), 0.4, min_energy=2.0)
BY_FRAME = Decisions(1.7, (0.345, 0.5, 0.475), 0.5, frame_thresholds=(0.3, 0.45, 0.6), median_s=(0.0, 0.4, 1.2))
ASK = """async ([site, name, threshold]) => {
    const { openEngine, EngineError } = await import(`/${site}/engine.js`);
    const { Sound } = await import(`/${site}/sound.js`);
    window.engines ??= {};
    const engine = window.engines[site] ??= await openEngine();
    const sound = new Sound(name, await (await fetch(`/sounds/${name}`)).blob());
    const request = { model: "m", threshold, signal: new AbortController().signal };
    try {
        const [answer, detection] = [await engine.predict(sound, request), await engine.detect(sound, request)];
        const { waveform } = await engine.prepared(sound);
        return { ...answer, events: detection.events, waveform: [...waveform] };
    } catch (error) {
        if (!(error instanceof EngineError)) throw error;
        return { refused: `${error.message}; ${error.hint}` };
    }
}"""


def bursts(seconds, rate_hz, channels=1):
    """Noise whose level and colour change all the time: (S, channels)."""
    rng = np.random.default_rng(0)
    samples = round(seconds * rate_hz)
    part = rate_hz // 4
    level = np.repeat(10 ** rng.uniform(-4, -0.5, 1 + samples // part), part)[:samples]
    noise = np.cumsum(rng.uniform(-1, 1, (samples, channels)), axis=0) % 1 - 0.5
    return (level[:, None] * noise).astype(np.float32)


SOUNDS = {
    "16.wav": (bursts(3.3, 44100), 44100, "PCM_16"),
    "24.wav": (bursts(0.4, 48000, 2), 48000, "PCM_24"),
    "float.wav": (bursts(7.3, 32000), 32000, "FLOAT"),
    "vorbis.ogg": (bursts(2.5, 44100, 2), 44100, "VORBIS"),
    "lossless.flac": (bursts(2.1, 22050), 22050, "PCM_16"),
}


def by_window():
    """A network of windows, evaluated on 2 s, which decides, and which knows not every sound."""
    paddle.seed(2)
    feature = LogMel(LogMelParams(**SmallModel.feature_params)).build()
    network = Network(feature, SmallModel(NoParams()).build(LABELS, SmallModel.front_end))
    network.eval()
    return InferenceModel(network, SmallModel.front_end, LABELS, False, 2.0, 2.0, 0.1, "w", decisions=UNKNOWN)


def by_frame():
    """A network that answers by frame, with thresholds and median filters of its classes."""
    paddle.seed(0)
    plugin = (entry := Catalog.installed().models.find("efficientat_mn01").load())(entry.Params())
    feature = Catalog.installed().features.find(plugin.feature).load()
    layer = plugin.build_frames(LABELS, plugin.front_end, "attention")
    network = Network(feature(feature.Params()).build(), layer, frame_samples=plugin.frame_samples(plugin.front_end))
    network.model.classifier[5].frames.weight.set_value(network.model.classifier[5].frames.weight * 3000)
    network.eval()
    return InferenceModel(network, plugin.front_end, LABELS, True, 2.0, 2.0, 0.5, "f", FRAME, BY_FRAME)


def skip_unless_it_can_be_exported():
    try:
        require_onnx()
        runtime_folder()
    except UserError as error:
        pytest.skip(error.wrong)


@pytest.fixture(scope="module")
def models():
    return {"windows": by_window(), "frames": by_frame()}


@pytest.fixture(scope="module")
def sites(models, tmp_path_factory):
    """A folder with the pages of both models, and sounds."""
    skip_unless_it_can_be_exported()
    folder = tmp_path_factory.mktemp("static")
    (folder / "sounds").mkdir()
    for name, (samples, rate_hz, subtype) in SOUNDS.items():
        soundfile.write(folder / "sounds" / name, samples, rate_hz, subtype=subtype)
    soundfile.write(folder / "sounds" / "odd.wav", bursts(1, 44101), 44101)
    clip = Clip("a", Samples(bursts(3, RATE_HZ)[:, 0], RATE_HZ), ("a",))
    for name, model in models.items():
        export_web(model, name, folder / name, [clip])
        (folder / name / "empty.html").write_text('<!doctype html><title>x</title><link rel="icon" href="data:,">')
    return folder


@pytest.fixture(scope="module")
def page(sites):
    for mark in chromium.pytestmark[1:]:
        if mark.args[0]:
            pytest.skip(mark.kwargs["reason"])
    with (
        static_files(sites) as address,
        chromium.browsing(CLOSED) as browser,
        chromium.watched(browser) as page,
    ):
        page.address = address
        yield page


def asked(page, site, name, threshold=None):
    """What the engine of a site answers for a sound."""
    if not page.url.endswith(f"/{site}/empty.html"):
        page.goto(f"{page.address}/{site}/empty.html")  # beside what the engine looks for
    return page.evaluate(ASK, [site, name, threshold])


def triples(events):
    return [(one["label"], pytest.approx(one["onsetS"], abs=1e-9), pytest.approx(one["offsetS"])) for one in events]


@pytest.mark.parametrize("site", ["windows", "frames"])
def test_the_browser_answers_what_python_answers(page, sites, models, site):
    model = Model(models[site])
    labels, decisions = set(), []
    for name in SOUNDS:
        file = sites / "sounds" / name
        found, (answer,), (detection,) = asked(page, site, name), model.predict(file), model.detect(file)
        expected = beginning(file, model.sample_rate_hz, 1 << 30)
        assert len(found["waveform"]) == len(expected)
        sample_limit = 4e-5 if name.endswith("flac") else 1e-5  # of FLAC, Chromium scales what is above 0 by 1 / 32767
        np.testing.assert_allclose(found["waveform"], expected, rtol=0, atol=sample_limit)
        scores = dict(found["scores"])
        assert scores == {label: pytest.approx(answer.scores[label], abs=1e-4) for label in LABELS}
        assert tuple(found["decision"]) == answer.decision
        assert [(one.label, one.onset_s, one.offset_s) for one in detection.events] == triples(found["events"])
        heights = [one["score"] for one in found["events"]]
        assert heights == [pytest.approx(one.score, abs=1e-4) for one in detection.events]
        labels |= {one.label for one in detection.events}
        decisions.append(answer.decision)
    assert len(labels) > 1 and len(set(decisions)) > 1, "else this would prove little"


def test_a_threshold_of_the_page_takes_the_place_of_those_of_the_model(page, sites, models):
    for site, model in models.items():
        wanted = Model(model).detect(sites / "sounds" / "float.wav", threshold=0.55)[0].events
        found = asked(page, site, "float.wav", 0.55)["events"]
        assert [(one.label, one.onset_s, one.offset_s) for one in wanted] == triples(found)


def test_a_rate_without_filters_is_refused_with_those_that_have_some(page):
    assert asked(page, "windows", "odd.wav") == {
        "refused": "its sample rate is 44101 Hz, which this page cannot resample; convert it to one of 8000, 11025, "
        "12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 192000 Hz"
    }


def test_a_person_chooses_a_file_and_reads_the_answer(page, sites, models):
    page.goto(f"{page.address}/windows/")
    page.set_input_files("input[type=file]", sites / "sounds" / "16.wav")
    (answer,) = Model(models["windows"]).predict(sites / "sounds" / "16.wav")
    first, probability = next(iter(answer.scores.items()))
    page.get_by_text(f"{probability:.4f}").first.wait_for()
    assert f"{first}\n{probability:.4f}" in page.inner_text("main")


def test_the_folder_holds_the_licence_of_the_runtime_and_nothing_of_a_server(sites):
    held = {path.name for path in (sites / "windows").iterdir()}
    assert {"index.html", "page.json", "browser.js", "model", "onnxruntime", "resampling"} <= held
    assert not {"server.js", "__init__.py", "__pycache__"} & held
    runtime = {path.name for path in (sites / "windows" / "onnxruntime").iterdir()}
    assert {"LICENSE-onnxruntime.txt", "ort.js", "ort-wasm-simd-threaded.wasm"} <= runtime


def test_an_export_that_cannot_be_whole_leaves_nothing(models, tmp_path, monkeypatch):
    skip_unless_it_can_be_exported()
    monkeypatch.setattr(web_export, "RUNTIME_PACKAGE", "no_such_package")
    with pytest.raises(UserError, match="pannsdist-web") as refused:
        export_web(models["windows"], "m", tmp_path / "out", [])
    assert refused.value.command == "pip install pannsdist-web"
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="exists already"):
        export_web(models["windows"], "m", tmp_path / "out", [])
