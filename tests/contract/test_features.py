"""What every installed feature keeps to."""

import json
from dataclasses import asdict, is_dataclass

import numpy as np
import paddle
import pytest
from installed import entries, noise, opened

from pannsdist.contracts import FrontEnd

FEATURES = pytest.mark.parametrize("entry", entries("feature"))
SAMPLES = 8000


@FEATURES
def test_the_defaults_of_its_params_are_valid_and_cannot_be_changed(entry):
    assert is_dataclass(entry.load().Params)
    assert entry.load().Params.__dataclass_params__.frozen
    assert isinstance(opened(entry).front_end, FrontEnd)


@FEATURES
def test_its_image_has_the_bins_and_the_hop_that_it_says(entry):
    feature = opened(entry)
    layer = feature.build()
    image = layer(noise(2, SAMPLES))
    assert image.dtype == paddle.float32
    assert [*image.shape[:2], image.shape[3]] == [2, 1, feature.front_end.bins]
    longer = layer(noise(2, SAMPLES + 10 * feature.front_end.hop_samples))
    assert longer.shape[2] == image.shape[2] + 10
    assert abs(image.shape[2] - SAMPLES / feature.front_end.hop_samples) <= 1


@FEATURES
def test_silence_and_full_scale_stay_finite(entry):
    layer = opened(entry).build()
    square = np.sign(np.sin(np.arange(SAMPLES) / 9)).astype(np.float32)
    sounds = np.stack([np.zeros(SAMPLES, np.float32), np.ones(SAMPLES, np.float32), square, -square])
    image = layer(paddle.to_tensor(sounds)).numpy()
    assert np.isfinite(image).all()
    np.testing.assert_allclose(np.abs(image[2]), np.abs(image[3]), atol=1e-3)
    assert np.ptp(image[0]) == pytest.approx(0.0, abs=1e-3), "silence is the same everywhere"


@FEATURES
def test_a_louder_sound_gives_a_larger_image(entry):
    layer, sound = opened(entry).build(), noise(1, SAMPLES)
    louder, image = layer(10 * sound), layer(sound)
    if opened(entry).front_end.kind == "waveform":  # it has two signs
        louder, image = louder.abs(), image.abs()
    assert float((louder - image).mean()) > 0


@FEATURES
def test_it_has_nothing_to_train_and_nothing_to_save(entry):
    layer = opened(entry).build()
    assert [name for name, parameter in layer.named_parameters() if not parameter.stop_gradient] == []
    assert list(layer.state_dict()) == []


@FEATURES
def test_a_clip_gets_the_same_image_alone_and_each_time(entry):
    layer, sounds = opened(entry).build(), noise(3, SAMPLES)
    together = layer(sounds).numpy()
    np.testing.assert_array_equal(layer(sounds).numpy(), together)
    np.testing.assert_allclose(layer(sounds[1:2]).numpy()[0], together[1], atol=1e-3)


@FEATURES
def test_training_does_not_change_what_it_computes(entry):
    layer, sounds = opened(entry).build(), noise(2, SAMPLES)
    layer.train()
    training = layer(sounds).numpy()
    layer.eval()
    np.testing.assert_array_equal(layer(sounds).numpy(), training)


@FEATURES
def test_two_of_it_say_and_compute_the_same(entry):
    first, second = opened(entry), opened(entry)
    assert first.front_end == second.front_end
    sounds = noise(1, SAMPLES)
    np.testing.assert_array_equal(first.build()(sounds).numpy(), second.build()(sounds).numpy())


@FEATURES
def test_its_front_end_survives_a_model_folder(entry):
    front_end = opened(entry).front_end
    content = json.loads(json.dumps(asdict(front_end)))
    details = tuple((name, value) for name, value in content.pop("details"))
    assert FrontEnd(**content, details=details) == front_end
