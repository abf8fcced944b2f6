"""Rooms, codecs and bands: what they do to sound, and that it stays where it was."""

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfilt

from pannsdist.audio.augmentation import Augmentation
from pannsdist.builtin.augmentations import reverb as rooms
from pannsdist.builtin.augmentations.band_limit import BandLimit, BandLimitParams
from pannsdist.builtin.augmentations.codec import KINDS, Codec, CodecParams
from pannsdist.builtin.augmentations.reverb import Reverb, ReverbParams, simulated
from pannsdist.contracts import UserError

RATE_HZ = 16000


def generator(seed=0):
    return np.random.default_rng(seed)


def sound(rate_hz=RATE_HZ, seconds=0.5):
    """Noise below 2 kHz that starts and ends within the clip."""
    length = round(seconds * rate_hz)
    noise = sosfilt(butter(4, 2000, fs=rate_hz, output="sos"), generator().normal(0, 0.2, length))
    noise[: length // 4] = noise[-length // 4 :] = 0.0
    return noise.astype(np.float32)


def level_db(waveform):
    return 10 * np.log10(np.mean(np.square(waveform, dtype=np.float64)))


def lag(one, other):
    """By how many samples `one` is later than `other`."""
    size = 2 * len(one)
    similar = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size)))
    return int(similar.argmax()) - (size if similar.argmax() > len(one) else 0)


@pytest.mark.parametrize("rate_hz", [8000, 32000, 44100])
@pytest.mark.parametrize("kind", KINDS)
def test_coded_sound_is_the_same_at_the_same_place_and_yet_another(kind, rate_hz):
    given = sound(rate_hz)
    made = Codec(CodecParams(kind))(given, rate_hz, generator())
    assert lag(made, given) == 0
    assert 0.5 < np.corrcoef(made, given)[0, 1] < 1
    assert not np.array_equal(made, given)
    assert level_db(made) == pytest.approx(level_db(given), abs=4)


def test_more_compression_leaves_less_of_the_sound():
    given = sound(32000)
    alike = [
        np.corrcoef(Codec(CodecParams("vorbis", level, level))(given, 32000, generator()), given)[0, 1]
        for level in (0.0, 0.9)
    ]
    assert alike[0] > alike[1]


def test_a_clip_above_full_scale_is_coded_at_its_level():
    loud = sound() * np.float32(20)
    assert level_db(Codec(CodecParams("mp3"))(loud, RATE_HZ, generator())) == pytest.approx(level_db(loud), abs=1)


def test_fewer_bits_leave_as_many_steps():
    made = Codec(CodecParams("bits", low_bits=3, high_bits=3))(sound() * 3, RATE_HZ, generator())
    assert len(np.unique(made)) <= 7


@pytest.mark.parametrize("direct_db", [-6.0, 10.0])
def test_a_simulated_room_has_its_ratio_and_falls_by_sixty_decibels_in_its_time(direct_db):
    response = simulated(0.5, direct_db, RATE_HZ, generator())
    tail = response[1:].astype(np.float64)
    assert -10 * np.log10(np.sum(tail**2)) == pytest.approx(direct_db, abs=0.01)
    assert level_db(tail[:400]) - level_db(tail[-400:]) == pytest.approx(60 * (1 - 400 / len(tail)), abs=3)


@pytest.mark.parametrize("seed", range(5))
def test_a_room_changes_neither_place_nor_level(seed):
    given = sound()
    made = Reverb(ReverbParams())(given, RATE_HZ, generator(seed))
    assert lag(made, given) == 0
    assert level_db(made) == pytest.approx(level_db(given), abs=0.01)
    assert made[3 * len(made) // 4 + 100 :].any(), "it rings on"
    assert not made[: len(made) // 4 - 1].round(6).any(), "nothing sounds before its cause"


def recorded(folder):
    """Rooms from files, as training calls them."""
    return Augmentation("reverb", 1.0, Reverb(ReverbParams("folder", str(folder)))).apply


def test_the_direct_sound_of_a_recorded_room_is_where_the_clip_was(tmp_path):
    response = np.zeros(4000, np.float32)
    response[1000], response[1500] = 0.8, 0.4
    soundfile.write(tmp_path / "room.wav", response, RATE_HZ, subtype="FLOAT")
    given = sound()
    made = recorded(tmp_path)(given, RATE_HZ, generator())
    wanted = given + 0.5 * np.concatenate([np.zeros(500, np.float32), given[:-500]])
    wanted *= np.sqrt(np.mean(given**2) / np.mean(wanted**2))
    np.testing.assert_allclose(made, wanted, atol=1e-5)


def test_recorded_rooms_are_read_at_the_rate_of_the_network_and_once_for_each(tmp_path):
    response = np.zeros(4800, np.float32)
    response[0] = 1.0
    soundfile.write(tmp_path / "room.wav", response, 48000, subtype="FLOAT")
    apply, given = recorded(tmp_path), sound()
    first = apply(given, RATE_HZ, generator())
    assert np.corrcoef(first, given)[0, 1] > 0.999
    (tmp_path / "room.wav").unlink()
    np.testing.assert_array_equal(apply(given, RATE_HZ, generator()), first)
    with pytest.raises(UserError, match=r"room\.wav"):
        apply(given, 8000, generator())


def test_no_more_rooms_are_remembered_than_fit(tmp_path):
    remembered = rooms._Remembered(at_most_bytes=9000)
    asked = []

    def response(name):
        return remembered.of(tmp_path / name, RATE_HZ, lambda: asked.append(name) or np.ones(1000, np.float32))

    for name in ("a", "b", "a", "c", "a", "b"):
        response(name)
    assert asked == ["a", "b", "c", "b"]


@pytest.mark.parametrize(("kind", "kept_hz", "lost_hz"), [("telephone", 1000, 7000), ("low_pass", 500, 7900)])
def test_a_band_keeps_what_is_in_it_and_loses_the_rest(kind, kept_hz, lost_hz):
    limit = BandLimit(BandLimitParams(kind, low_pass_low_hz=1500, low_pass_high_hz=1500, order=8))
    for hz, change in ((kept_hz, 0.0), (lost_hz, None)):
        tone = (0.3 * np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)
        made = level_db(limit(tone, RATE_HZ, generator())[2000:]) - level_db(tone[2000:])
        assert made < -30 if change is None else made == pytest.approx(change, abs=1)


def test_any_draws_every_kind():
    given, made = sound(), BandLimit(BandLimitParams())
    low = [np.abs(np.fft.rfft(made(given, RATE_HZ, generator(seed))))[:60].sum() for seed in range(30)]
    assert max(low) > 3 * min(low)


@pytest.mark.parametrize("rate_hz", [500, 4000])
def test_a_low_rate_has_no_band_above_its_spectrum(rate_hz):
    given = generator().normal(0, 0.1, 4000).astype(np.float32)
    for kind in ("telephone", "low_pass", "high_pass"):
        assert np.isfinite(BandLimit(BandLimitParams(kind))(given, rate_hz, generator())).all()


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: Reverb(ReverbParams(low_rt60_s=2)), "augment.reverb.low_rt60_s is 2"),
        (lambda: Reverb(ReverbParams(low_direct_db=20)), "augment.reverb.low_direct_db is 20"),
        (lambda: Reverb(ReverbParams("simulated", "rooms")), "augment.reverb.folder is rooms"),
        (lambda: Reverb(ReverbParams("folder", "no such folder")), "augment.reverb.folder is 'no such folder'"),
        (lambda: BandLimit(BandLimitParams(low_pass_low_hz=9000)), "augment.band_limit.low_pass_low_hz"),
        (lambda: Codec(CodecParams(low_bits=13)), "augment.codec.low_bits is 13"),
        (lambda: Codec(CodecParams(low_compression=1.0, high_compression=0.5)), "augment.codec.low_compression"),
    ],
)
def test_params_that_cannot_be_are_refused(build, said):
    with pytest.raises(UserError) as caught:
        build()
    assert said in str(caught.value)
