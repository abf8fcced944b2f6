"""What a tracked run offers to trackers."""

import numpy as np
import paddle
import pytest
from small_parts import catalog

from pannsdist import settings
from pannsdist.run import building
from pannsdist.run.planning.decide import decide
from pannsdist.runtime.errors import BadClip

TEXT = """
model: {name: small}
data: {name: tones, params: {classes: 2, clips_per_class: 8, valid_clips_per_class: 2, sample_rate_hz: 8000}}
train: {epochs: 3, batch_size: 4, crop_s: 0.5}
log: {worst_clips: 2, curves: [tone], histograms_every_epochs: 5}
"""


@pytest.fixture
def parts(tmp_path):
    (tmp_path / "run.yaml").write_text(TEXT, encoding="utf-8")
    plan = decide(*settings.load(tmp_path / "run.yaml"), catalog(), 1)
    network = building.build_network(plan)
    return plan, network, building.tracked_run(plan, network, tmp_path, 0)


def test_the_settings_decide_what_is_shown(parts, tmp_path):
    plan, network, watch = parts
    assert (watch.worst_clips, list(watch.curves), watch.histograms_every_epochs) == (2, ["tone"], 5)
    assert watch.score_names == plan.score_names
    assert watch.weights().keys() == network.arrays().keys()
    plan.plugins.trackers["visualdl"].plugin.open(watch).close()
    assert [path.name for path in (tmp_path / "vdl").iterdir()]


def test_a_clip_is_read_as_in_an_evaluation(parts):
    plan, network, watch = parts
    clip = plan.data.splits["valid"].clips[1]
    read = watch.read_clip(clip.id)
    samples, rate_hz = clip.source.samples()
    assert read.rate_hz == rate_hz == 8000
    np.testing.assert_array_equal(read.waveform, samples[:4000])
    with paddle.no_grad():
        expected = network.feature(paddle.to_tensor(samples[None, :4000])).numpy()[0, 0]
    np.testing.assert_array_equal(read.features, expected)


def test_reading_draws_no_random_number_and_keeps_the_training_mode(parts):
    plan, network, watch = parts
    network.train()
    draws = []
    for reads in (False, True):
        paddle.seed(7)
        if reads:
            watch.read_clip(plan.data.splits["valid"].clips[0].id)
        draws.append(paddle.rand([4]).numpy())
    np.testing.assert_array_equal(*draws)
    assert network.training
    assert network.feature.training


def test_a_clip_that_is_gone_is_refused_by_its_name(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    clip = building.Clip("a", tmp_path / "a.wav", ("tone",))
    reading = building.ClipReaderForTrackers([clip], building.ClipReader(8000, 100), network=None)
    with pytest.raises(BadClip, match="clip 'a'"):
        reading("a")
