"""What each augmentation does to sound, measured; that it uses only the given generator; what it refuses."""

import pickle

import numpy as np
import pytest
import soundfile

from pannsdist.audio.augmentation import Augmentation
from pannsdist.builtin.augmentations import noise as noises
from pannsdist.builtin.augmentations.band_limit import BandLimit, BandLimitParams
from pannsdist.builtin.augmentations.codec import Codec, CodecParams
from pannsdist.builtin.augmentations.equaliser import EqualiserParams, RandomEqualiser, peak
from pannsdist.builtin.augmentations.gain import Gain, GainParams
from pannsdist.builtin.augmentations.noise import Noise, NoiseParams
from pannsdist.builtin.augmentations.reverb import Reverb, ReverbParams
from pannsdist.builtin.augmentations.speed import Speed, SpeedParams
from pannsdist.builtin.augmentations.time_roll import TimeRoll, TimeRollParams
from pannsdist.contracts import UserError
from pannsdist.runtime.errors import BadClip

RATE_HZ = 16000
PLUGINS = {
    "gain": Gain(GainParams()),
    "time_roll": TimeRoll(TimeRollParams()),
    "white noise": Noise(NoiseParams()),
    "pink noise": Noise(NoiseParams(kind="pink")),
    "faster": Speed(SpeedParams(1.2, 1.3)),
    "slower": Speed(SpeedParams(0.7, 0.8)),
    "random_equaliser": RandomEqualiser(EqualiserParams()),
    "reverb": Reverb(ReverbParams()),
    "low_pass": BandLimit(BandLimitParams("low_pass")),
    "any codec": Codec(CodecParams()),
    "mp3": Codec(CodecParams("mp3")),
    "opus": Codec(CodecParams("opus")),
}


def generator(seed=0):
    return np.random.default_rng(seed)


def recorded(folder, low_snr_db=0, high_snr_db=0):
    """Noise from files, as training calls it."""
    return Augmentation("noise", 1.0, Noise(NoiseParams("folder", str(folder), low_snr_db, high_snr_db))).apply


def tone(hz, length=RATE_HZ):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(length) / RATE_HZ)).astype(np.float32)


def level_db(waveform):
    return 10 * np.log10(np.mean(np.square(waveform, dtype=np.float64)))


def loudest_hz(waveform):
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), n=8 * len(waveform)))
    return np.argmax(spectrum) * RATE_HZ / (8 * len(waveform))


@pytest.fixture(params=PLUGINS)
def plugin(request):
    return PLUGINS[request.param]


@pytest.mark.parametrize("length", [1, 999, 16000])
def test_length_and_type_stay_and_the_given_waveform_is_not_touched(plugin, length):
    given = generator().normal(0, 0.1, length).astype(np.float32)
    before = given.copy()
    made = plugin(given, RATE_HZ, generator(1))
    assert (made.shape, made.dtype) == ((length,), np.float32)
    assert np.isfinite(made).all()
    np.testing.assert_array_equal(given, before)


def test_silence_stays_finite(plugin):
    made = plugin(np.zeros(4000, np.float32), RATE_HZ, generator())
    assert np.isfinite(made).all()
    assert not made.any()


def test_the_same_generator_gives_the_same_and_another_something_else(plugin):
    given = generator().normal(0, 0.1, 4000).astype(np.float32)
    one, same, other = (plugin(given, RATE_HZ, generator(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_global_random_state_is_neither_used_nor_moved(plugin):
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    given = tone(440)
    one = plugin(given, RATE_HZ, generator())
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(4)
    np.testing.assert_array_equal(plugin(given, RATE_HZ, generator()), one)


def test_it_travels_into_a_worker(plugin):
    given = tone(440)
    travelled = pickle.loads(pickle.dumps(plugin))
    np.testing.assert_array_equal(travelled(given, RATE_HZ, generator()), plugin(given, RATE_HZ, generator()))


def test_gain_changes_the_level_by_what_lies_in_its_range():
    made = Gain(GainParams(3.0, 3.0))(tone(440), RATE_HZ, generator())
    assert level_db(made) - level_db(tone(440)) == pytest.approx(3.0, abs=1e-4)
    drawn = [level_db(Gain(GainParams(-6, 2))(tone(440), RATE_HZ, generator(s))) for s in range(200)]
    change = np.array(drawn) - level_db(tone(440))
    assert -6 <= change.min() < -5.5
    assert 1.5 < change.max() <= 2


def test_a_roll_keeps_every_sample():
    given = generator().normal(0, 0.1, 4001).astype(np.float32)
    made = TimeRoll(TimeRollParams())(given, RATE_HZ, generator())
    assert not np.array_equal(made, given)
    np.testing.assert_array_equal(np.sort(made), np.sort(given))


def test_a_roll_goes_both_ways_and_no_further_than_it_may():
    click = np.zeros(RATE_HZ, np.float32)
    click[8000] = 1
    roll = TimeRoll(TimeRollParams(max_s=0.1))
    shifts = [int(np.argmax(roll(click, RATE_HZ, generator(seed)))) - 8000 for seed in range(300)]
    assert -1600 <= min(shifts) < -1500
    assert 1500 < max(shifts) <= 1600


@pytest.mark.parametrize("kind", ["white", "pink", "folder"])
@pytest.mark.parametrize("ratio_db", [-5.0, 0.0, 20.0])
def test_noise_lies_at_its_ratio_under_the_clip(tmp_path, kind, ratio_db):
    soundfile.write(tmp_path / "hum.wav", generator(5).normal(0, 0.01, 30000), 22050)
    generated = kind != "folder"
    plugin = Noise(NoiseParams(kind, "", ratio_db, ratio_db)) if generated else recorded(tmp_path, ratio_db, ratio_db)
    added = plugin(tone(440), RATE_HZ, generator()) - tone(440)
    assert level_db(tone(440)) - level_db(added) == pytest.approx(ratio_db, abs=0.1)


def test_pink_noise_falls_by_three_decibels_an_octave():
    spectrum = np.abs(np.fft.rfft(noises.pink(2**16, generator()))) ** 2
    octaves = [spectrum[2**n : 2 ** (n + 1)].mean() for n in range(6, 15)]
    slope_db = np.polyfit(range(len(octaves)), 10 * np.log10(octaves), 1)[0]
    assert slope_db == pytest.approx(-3.0, abs=0.2)


def test_recorded_noise_comes_from_any_file_at_any_place_at_the_networks_rate(tmp_path):
    (tmp_path / "below").mkdir()
    soundfile.write(tmp_path / "a.wav", tone(500, 3 * RATE_HZ), RATE_HZ)
    stereo = np.stack([np.sin(2 * np.pi * 2000 * np.arange(88200) / 44100)] * 2, axis=1)
    soundfile.write(tmp_path / "below" / "b.flac", 0.3 * stereo, 44100)
    (tmp_path / "notes.txt").write_text("no sound")
    plugin = recorded(tmp_path, -60, -60)
    made = [plugin(tone(100), RATE_HZ, generator(seed)) for seed in range(12)]
    assert {round(loudest_hz(waveform), -1) for waveform in made} == {500.0, 2000.0}
    assert len({waveform.tobytes() for waveform in made}) == 12


def test_short_noise_is_repeated(tmp_path):
    soundfile.write(tmp_path / "short.wav", tone(500, 1600), RATE_HZ)
    added = recorded(tmp_path)(tone(100), RATE_HZ, generator()) - tone(100)
    assert np.abs(added[-1600:]).max() > 0.1


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_speed_multiplies_the_pitch(factor):
    made = Speed(SpeedParams(factor, factor))(tone(1000), RATE_HZ, generator())
    assert loudest_hz(made) == pytest.approx(1000 * factor, rel=1e-3)


def test_speed_draws_a_factor_and_its_inverse_alike():
    plugin = Speed(SpeedParams(0.5, 2.0))
    octaves = [np.log2(loudest_hz(plugin(tone(1000), RATE_HZ, generator(s))) / 1000) for s in range(200)]
    assert abs(np.mean(octaves)) < 0.1
    assert -1.01 < min(octaves) < -0.9
    assert 0.9 < max(octaves) < 1.01


@pytest.mark.parametrize("gain_db", [-9.0, 6.0])
def test_a_band_has_its_gain_at_its_centre_and_none_far_away(gain_db):
    from scipy.signal import sosfreqz

    _, response = sosfreqz([peak(1000 / RATE_HZ, gain_db, 2.0)], worN=[20, 1000, 7900], fs=RATE_HZ)
    np.testing.assert_allclose(20 * np.log10(np.abs(response)), [0, gain_db, 0], atol=0.05)


def test_the_equaliser_raises_and_lowers_up_to_its_limit():
    plugin = RandomEqualiser(EqualiserParams(bands=1, max_db=6, low_hz=1000, high_hz=1000))
    made = [plugin(tone(1000, 8000), RATE_HZ, generator(seed))[4000:] for seed in range(100)]
    change = np.array([level_db(waveform) for waveform in made]) - level_db(tone(1000, 8000))
    assert -6.05 < change.min() < -5
    assert 5 < change.max() < 6.05


def test_a_low_rate_leaves_no_band_above_its_spectrum():
    plugin = RandomEqualiser(EqualiserParams(bands=8, low_hz=10000, high_hz=12000, max_db=30))
    made = plugin(tone(440), 8000, generator())
    assert np.isfinite(made).all()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Gain(GainParams(3, -3)), "augment.gain.low_db is 3, above augment.gain.high_db"),
        (lambda: Speed(SpeedParams(1.1, 0.9)), "augment.speed.low is 1.1"),
        (lambda: Noise(NoiseParams(low_snr_db=9, high_snr_db=3)), "augment.noise.low_snr_db is 9"),
        (lambda: RandomEqualiser(EqualiserParams(low_hz=900, high_hz=90)), "augment.random_equaliser.low_hz is 900"),
        (lambda: Noise(NoiseParams("folder")), "augment.noise.folder is '', which is not a folder"),
        (lambda: Noise(NoiseParams("white", "noises")), "augment.noise.kind is white"),
    ],
)
def test_params_that_cannot_be_are_refused(build, words):
    with pytest.raises(UserError) as caught:
        build()
    assert words in caught.value.wrong


def test_recorded_noise_is_a_random_excerpt_of_the_mean_of_the_channels(tmp_path):
    sound = generator(5).normal(0, 0.1, (30000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "noise.wav", sound, RATE_HZ, subtype="FLOAT")
    drawn = generator()
    assert drawn.uniform(0, 0) == 0
    drawn.integers(1)
    first = int(drawn.integers(0, 30000 - RATE_HZ + 1))
    noise = sound[first : first + RATE_HZ].mean(axis=1)
    level = np.sqrt(np.mean(tone(440).astype(float) ** 2) / np.mean(noise.astype(float) ** 2))
    added = recorded(tmp_path)(tone(440), RATE_HZ, generator()) - tone(440)
    np.testing.assert_allclose(added, level * noise, atol=1e-6)


def cut(path):
    soundfile.write(path, tone(500), RATE_HZ)
    path.write_bytes(path.read_bytes()[:9000])


FAULTS = {
    "libsndfile cannot decode it": lambda path: path.write_text("no sound"),
    "0.28 of 1.00 s could be read": cut,
    "NaN": lambda path: soundfile.write(path, np.full(800, np.nan), RATE_HZ, subtype="FLOAT"),
    "full scale is 1": lambda path: soundfile.write(path, 9000 * tone(500), RATE_HZ, subtype="FLOAT"),
    "the file is empty": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_noise_file_that_training_would_refuse_as_a_clip_is_refused_by_its_name_and_not_as_the_clip(tmp_path, fault):
    FAULTS[fault](tmp_path / "broken.wav")
    with pytest.raises(
        UserError, match=f"a sound of the augmentation 'noise' cannot be used: .*broken.wav.*{fault}"
    ) as caught:
        recorded(tmp_path)(tone(440), RATE_HZ, generator())
    assert not isinstance(caught.value, BadClip), "data.on_bad_clip=skip would skip the good clip"
    assert f"repair or remove it: {tmp_path / 'broken.wav'}" in caught.value.right


def test_a_folder_without_sound_is_refused(tmp_path):
    with pytest.raises(UserError, match="no audio file in"):
        Noise(NoiseParams("folder", str(tmp_path)))
