"""The filter bank held against Kaldi's own, from the package kaldi-native-fbank."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pannsdist_kaldi_fbank as plugin
import pytest
import soundfile
import soxr
from pannsdist_kaldi_fbank.fbank import ENERGY_FLOOR, preprocessing_matrix, window_of

from pannsdist.contracts import UserError
from pannsdist.contracts.spectrum import kaldi_bands

kaldi = pytest.importorskip("kaldi_native_fbank", reason="pip install kaldi-native-fbank")

ESC10 = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "ESC-10" / "audio"
RATE_HZ = 16000
PARAMS = {
    "plain": plugin.FbankParams(),
    "as speech models take it": plugin.FbankParams(sample_scale=32768.0),
    "hanning, normalised": plugin.FbankParams(window="hanning", shift=4.2677393, scale=9.1379948),
    "hamming, mirrored": plugin.FbankParams(window="hamming", snip_edges=False),
    "bare": plugin.FbankParams(window="rectangular", remove_dc=False, preemphasis=0.0),
    "8 kHz, mirrored": plugin.FbankParams(8000, 200, 80, 256, mel_bins=40, high_hz=4000.0, snip_edges=False),
}


def its_own(samples, params):
    """Kaldi's answer, (T, F)."""
    options = kaldi.FbankOptions()
    options.use_energy = False
    options.mel_opts.num_bins, options.mel_opts.low_freq = params.mel_bins, params.low_hz
    options.mel_opts.high_freq = params.high_hz
    frames, per_ms = options.frame_opts, params.sample_rate_hz / 1000
    frames.samp_freq, frames.dither, frames.window_type = params.sample_rate_hz, 0.0, params.window
    frames.frame_length_ms, frames.frame_shift_ms = params.window_samples / per_ms, params.hop_samples / per_ms
    frames.preemph_coeff, frames.remove_dc_offset = params.preemphasis, params.remove_dc
    frames.snip_edges = params.snip_edges
    bank = kaldi.OnlineFbank(options)
    bank.accept_waveform(params.sample_rate_hz, (samples * params.sample_scale).tolist())
    bank.input_finished()
    found = np.stack([bank.get_frame(number) for number in range(bank.num_frames_ready)])
    return (found + params.shift) / params.scale


def ours(samples, params):
    return plugin.KaldiFbank(params).build()(paddle.to_tensor(samples[None])).numpy()[0, 0]


def synthetic():
    """Noise, a tone, noise on a constant, silence, a constant, full scale, and a sound of one frame."""
    draw, time_s = np.random.default_rng(0), np.arange(RATE_HZ) / RATE_HZ
    sounds = [
        draw.normal(0, 0.1, RATE_HZ),
        0.5 * np.sin(2 * np.pi * 440 * time_s),
        0.3 + draw.normal(0, 1e-3, RATE_HZ),
        np.zeros(8000),
        np.full(8000, 0.5),
        np.sign(np.sin(np.arange(RATE_HZ) / 9)),
        draw.normal(0, 0.1, 400),
    ]
    return [sound.astype(np.float32) for sound in sounds]


def recorded():
    files = sorted(ESC10.glob("*"))[::40]
    if not files:
        pytest.skip(f"needs the recordings in {ESC10}")
    read = [soundfile.read(file, dtype="float32") for file in files]
    return [soxr.resample(samples, rate_hz, RATE_HZ).astype(np.float32) for samples, rate_hz in read]


@pytest.mark.parametrize("params", PARAMS.values(), ids=PARAMS)
@pytest.mark.parametrize("sounds", [synthetic, recorded])
def test_the_filter_bank_is_kaldis(sounds, params):
    for samples in sounds():
        found, expected = ours(samples, params), its_own(samples, params)
        assert found.shape == expected.shape
        energy, wanted = (np.exp(image * params.scale - params.shift) for image in (found, expected))
        loudest = wanted.max(axis=1, keepdims=True)
        heard = wanted > 1e-5 * loudest
        # Measured at worst: logarithms 3.0e-3 apart in noise on a constant a hundred times as loud (where Kaldi's are
        # 5e-3 from float64, ours 1e-5), 3.8e-4 in the recordings and 9e-5 in the rest. In bands of less than 1e-5 of
        # a frame's loudest one float32 has few digits left: their energies are within 3.5e-4 of the loudest, at worst.
        assert np.abs(found - expected)[heard].max() * params.scale < 5e-3
        assert (np.abs(energy - wanted) <= 1e-3 * loudest).all()


def bands(params):
    return kaldi_bands(plugin.KaldiFbank(params).front_end, params.mel_bins)


def test_an_image_is_nearer_to_float64_than_kaldis_own():
    params = plugin.FbankParams()
    for samples in recorded():
        frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 400)[::160]
        spectrum = np.fft.rfft(frames @ preprocessing_matrix(params).T * window_of("povey", 400), 512)
        exact = np.log(np.maximum(np.abs(spectrum) ** 2 @ bands(params).T, ENERGY_FLOOR))
        # Measured: 2.2e-7 to 7.8e-6 on average, against 1.0e-6 to 1.0e-5.
        assert np.abs(ours(samples, params) - exact).mean() < np.abs(its_own(samples, params) - exact).mean()


def test_a_band_that_no_bin_falls_into_is_at_the_floor():
    narrow = plugin.FbankParams(mel_bins=128)
    is_heard = bands(narrow).any(axis=1)
    assert not is_heard.all()
    found = ours(synthetic()[0], narrow)
    assert (found[:, ~is_heard] == np.float32(np.log(np.float32(ENERGY_FLOOR)))).all()


def test_the_front_end_record_follows_the_params():
    front_end = plugin.KaldiFbank(plugin.FbankParams(window="hanning", mel_bins=40, shift=1.0)).front_end
    assert front_end.bins == 40
    assert dict(front_end.details)["window"] == "hanning"
    assert front_end != plugin.KaldiFbank(plugin.FbankParams(window="hanning", mel_bins=40)).front_end
    assert {name for name, _ in front_end.details} == {
        *("preemphasis", "remove_dc", "sample_scale", "scale", "shift", "snip_edges", "window")
    }


# Paddle 2.6.2 says so at every auto_cast that it traces.
@pytest.mark.filterwarnings("ignore:paddle.amp.auto_cast is an experimental:UserWarning")
@pytest.mark.parametrize("snip_edges", [True, False])
def test_a_saved_graph_hears_any_length(tmp_path, snip_edges):
    layer = plugin.KaldiFbank(plugin.FbankParams(snip_edges=snip_edges)).build()
    with_weight = paddle.nn.Sequential(layer, paddle.nn.PReLU(init=1.0))  # 2.6 opens no graph without any
    spec = [paddle.static.InputSpec([None, None], "float32", "waveform")]
    paddle.jit.save(paddle.jit.to_static(with_weight, input_spec=spec, full_graph=True), str(tmp_path / "graph"))
    graph = paddle.jit.load(str(tmp_path / "graph"))
    for samples in (400, 5000):
        waveform = paddle.to_tensor(synthetic()[0][None, :samples])
        np.testing.assert_allclose(graph(waveform).numpy(), layer(waveform).numpy(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"fft_samples": 256}, "feature.params.fft_samples is 256\n  allowed: window_samples (400) or more"),
        ({"fft_samples": 513}, "feature.params.fft_samples is 513\n  allowed: even numbers"),
        ({"hop_samples": 0}, "feature.params.hop_samples is 0"),
        ({"hop_samples": 401, "snip_edges": False}, "feature.params.hop_samples is 401\n  allowed: up to window"),
        ({"high_hz": 8001.0}, "feature.params.high_hz is 8001.0\n  allowed: above 0 up to half the sample rate (8000)"),
        ({"low_hz": 8000.0}, "feature.params.low_hz is 8000.0"),
        ({"window": "hann"}, "feature.params.window is 'hann'\n  allowed: povey, hanning, hamming, rectangular"),
        ({"scale": 0.0}, "feature.params.scale is 0.0"),
    ],
)
def test_params_that_make_no_feature_are_refused(params, said):
    with pytest.raises(UserError) as caught:
        plugin.FbankParams(**params)
    assert str(caught.value).startswith(said)


def test_importing_the_plugin_does_not_import_paddle():
    code = "import sys, pannsdist_kaldi_fbank as p; p.KaldiFbank(p.FbankParams()); sys.exit('paddle' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
