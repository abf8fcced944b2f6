"""The modules of the page to try a model, each in a real browser: texts, sound files, spectra. No model is needed."""

import json
import re
from pathlib import Path

import chromium
import numpy as np
import pytest
import soundfile
from static_files import static_files

import pannsdist

pytestmark = chromium.pytestmark

PAGE = Path(pannsdist.__file__).parent / "serving" / "page"
RATE_HZ = 22050


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A site of the modules and of sounds; not index.html, which would look for a server."""
    folder = tmp_path_factory.mktemp("site")
    for path in PAGE.glob("*.js"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "empty.html").write_text('<!doctype html><title>x</title><link rel="icon" href="data:,">')
    return folder


@pytest.fixture(scope="module")
def page(folder):
    with static_files(folder) as address, chromium.browsing() as browser, chromium.watched(browser) as page:
        page.goto(f"{address}/empty.html")
        yield page


def noise(channels=1, seconds=0.2, rate_hz=RATE_HZ):
    """Samples (S, channels) below full scale, by a seed."""
    return np.random.default_rng(7).uniform(-0.9, 0.9, (int(seconds * rate_hz), channels)).astype("float32")


def decoded(page, name):
    """What the page decodes of a file: samples (S, channels), and their rate."""
    found = page.evaluate(
        """async (name) => {
            const { Sound } = await import("./sound.js");
            const blob = await (await fetch(name, { cache: "no-store" })).blob();
            const { channels, rateHz } = await new Sound(name, blob).decoded();
            return { channels: channels.map((one) => [...one]), rateHz };
        }""",
        name,
    )
    return np.array(found["channels"], "float32").T, found["rateHz"]


def texts(page):
    return page.evaluate("import('./strings.js').then((module) => module.STRINGS)")


def test_both_languages_have_the_same_texts_with_the_same_values(page):
    languages = texts(page)
    values = {
        language: {key: sorted(set(re.findall(r"\{(\w+)\}", text))) for key, text in table.items()}
        for language, table in languages.items()
    }
    assert set(languages) == {"en", "zh"}
    assert values["en"] == values["zh"]
    assert all(text.strip() for table in languages.values() for text in table.values())


def test_every_text_is_used_and_every_used_text_is_there(page):
    keys = set(texts(page)["en"])
    page_files = [path for path in PAGE.iterdir() if path.suffix in (".html", ".js") and path.name != "strings.js"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in page_files)
    used = set(re.findall(r'data-(?:t|label|hint)="(\w+)"', source))
    assert used <= keys
    assert [key for key in keys if f'"{key}"' not in source and f"'{key}'" not in source] == []


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX"])
def test_a_wav_file_is_read_to_its_samples(page, folder, kind, subtype, channels):
    soundfile.write(folder / "a.wav", noise(channels), RATE_HZ, subtype=subtype, format=kind)
    samples, rate_hz = decoded(page, "a.wav")
    expected, _ = soundfile.read(folder / "a.wav", dtype="float32", always_2d=True)
    assert rate_hz == RATE_HZ
    assert np.array_equal(samples, expected)


def test_a_wav_file_that_is_cut_gives_what_is_there(page, folder):
    soundfile.write(folder / "whole.wav", noise(2), RATE_HZ, subtype="PCM_16")
    (folder / "cut.wav").write_bytes((folder / "whole.wav").read_bytes()[: 44 + 4 * 1000 + 1])
    samples, _ = decoded(page, "cut.wav")
    assert np.array_equal(samples, soundfile.read(folder / "whole.wav", dtype="float32")[0][:1000])


@pytest.mark.parametrize(
    ("name", "rate_hz", "tolerance"),
    [("a.ogg", 44100, 1e-6), ("a.ogg", 11025, 1e-6), ("a.flac", 32000, 4e-5), ("a.flac", 96000, 4e-5)],
)
def test_other_formats_are_decoded_at_their_own_rate(page, folder, name, rate_hz, tolerance):
    """Chromium divides positive samples of 16 bits by 32767, where libsndfile divides all of them by 32768."""
    soundfile.write(folder / name, noise(2, 1.0, rate_hz), rate_hz)
    samples, found_hz = decoded(page, name)
    expected, _ = soundfile.read(folder / name, dtype="float32", always_2d=True)
    assert found_hz == rate_hz
    assert samples.shape == expected.shape
    assert np.abs(samples - expected).max() < tolerance


@pytest.mark.parametrize("rate_hz", [16000, 24000, 44100, 48000])
def test_the_rate_of_an_mp3_is_in_its_first_frame(page, folder, rate_hz):
    soundfile.write(folder / "a.mp3", noise(1, rate_hz=rate_hz), rate_hz)
    assert decoded(page, "a.mp3")[1] == rate_hz


def test_what_is_no_sound_is_said_in_words(page, folder):
    (folder / "notes.txt").write_text("no sound at all " * 100)
    told = page.evaluate(
        """async () => {
            const { Sound } = await import("./sound.js");
            const blob = await (await fetch("notes.txt")).blob();
            return new Sound("notes.txt", blob).decoded().catch((error) => [error.name, error.key]);
        }"""
    )
    assert told == ["EngineError", "not_decoded"]


def test_a_recording_becomes_a_wav_file_of_the_same_floats(page, tmp_path):
    samples = noise()[:, 0]
    content = page.evaluate(
        """async (samples) => {
            const { writeWav } = await import("./wav.js");
            return [...new Uint8Array(await writeWav(Float32Array.from(samples), 22050).arrayBuffer())];
        }""",
        samples.tolist(),
    )
    (tmp_path / "a.wav").write_bytes(bytes(content))
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert (file.subtype, file.samplerate, file.channels) == ("FLOAT", RATE_HZ, 1)
        assert np.array_equal(file.read(dtype="float32"), samples)


def test_the_fourier_transform_is_that_of_numpy(page):
    signal = noise()[:1024, 0].astype(float)
    real, imaginary = page.evaluate(
        """async (signal) => {
            const { fft } = await import("./spectrum.js");
            const [real, imaginary] = [Float64Array.from(signal), new Float64Array(signal.length)];
            fft(real, imaginary);
            return [[...real], [...imaginary]];
        }""",
        signal.tolist(),
    )
    assert np.abs(np.array(real) + 1j * np.array(imaginary) - np.fft.fft(signal)).max() < 1e-9


@pytest.mark.parametrize("tone_hz", [100.0, 1000.0, 8000.0])
def test_a_tone_is_drawn_where_and_when_it_is(page, tone_hz):
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    tone = np.where(time_s < 1, np.sin(2 * np.pi * tone_hz * time_s), 0.0)
    found = page.evaluate(
        """async ([samples, rateHz]) => {
            const { logMel } = await import("./spectrum.js");
            const { values, columns } = logMel(Float32Array.from(samples), rateHz, 1000);
            return { values: [...values], columns };
        }""",
        [tone.tolist(), RATE_HZ],
    )
    values = np.array(found["values"]).reshape(found["columns"], -1)
    edges_mel = np.linspace(0, 2595 * np.log10(1 + RATE_HZ / 2 / 700), values.shape[1] + 1)
    expected = np.searchsorted(edges_mel, 2595 * np.log10(1 + tone_hz / 700)) - 1
    half = found["columns"] // 2
    assert np.all(np.abs(values[: half - 4].argmax(axis=1) - expected) <= 1)
    assert values.max() == pytest.approx(1.0)
    assert values[half + 4 :].max() == 0.0


def test_the_outline_keeps_every_peak(page):
    samples = 0.1 * noise(seconds=1.0)[:, 0]
    samples[12345], samples[-1] = 0.75, -0.5
    lows, highs = page.evaluate(
        """async (samples) => {
            const { outline } = await import("./drawing.js");
            return outline(Float32Array.from(samples)).map((one) => [...one]);
        }""",
        samples.tolist(),
    )
    assert len(lows) == len(highs) == 1000
    assert (max(highs), min(lows)) == (0.75, -0.5)
    assert highs.index(0.75) == 12345 * 1000 // len(samples)
    assert lows.index(-0.5) == 999


def test_the_page_names_no_other_host_and_has_no_inline_scripts_or_styles():
    for path in PAGE.iterdir():
        content = path.read_text(encoding="utf-8")
        addresses = re.findall(r"(?:https?:)?//[a-z][\w.-]+\.[a-z]+\S*", content, re.IGNORECASE)
        assert [one for one in addresses if "www.w3.org/2000/svg" not in one] == [], path.name
    html = (PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", html) == []
    assert "script-src 'self';" in html and "connect-src 'self';" in html and "default-src 'none';" in html
    assert json.loads((PAGE / "page.json").read_text()) == {"engine": "server"}
