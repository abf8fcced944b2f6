"""WAV and RF64 that other programs than libsndfile write, some of them wrongly, each with its verdict.

The sound is the half second of `sound_kinds`, unless said otherwise.
"""

from __future__ import annotations

import struct

import numpy as np
import sound_kinds

RATE_HZ = sound_kinds.RATE_HZ
SAMPLES = (sound_kinds.tone() * 32767).astype("<i2").tobytes()
REVERSED = np.frombuffer(SAMPLES, "<i2").astype(">i2").tobytes()
REFUSED, PART = "refused", "part"
Verdict = float | str
"""The seconds of a whole file, PART, or REFUSED."""
Files = dict[str, tuple[bytes, Verdict]]


def chunk(name: bytes, content: bytes, order: str = "<", pad: bool = True) -> bytes:
    """A chunk of RIFF or IFF."""
    return name + struct.pack(f"{order}I", len(content)) + content + (b"\0" if pad and len(content) % 2 else b"")


def fmt(code: int = 1, channels: int = 1, rate_hz: int = RATE_HZ, bits: int = 16, extra: bytes = b"") -> bytes:
    """The chunk `fmt ` of WAV."""
    align = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * align, align, bits) + extra)


def extensible(mask: int, valid_bits: int = 16, channels: int = 1) -> bytes:
    """`fmt ` of WAVE_FORMAT_EXTENSIBLE."""
    guid = b"\x01\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    return fmt(0xFFFE, channels, extra=struct.pack("<HHI", 22, valid_bits, mask) + guid)


def riff(*chunks: bytes, name: bytes = b"RIFF", size: int | None = None) -> bytes:
    """A file of these chunks."""
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body) if size is None else size) + body


def data(content: bytes = SAMPLES, size: int | None = None) -> bytes:
    """The chunk `data`, whose size may be wrong."""
    return b"data" + struct.pack("<I", len(content) if size is None else size) + content


def floats(samples: np.ndarray, code: str = "<f4") -> bytes:
    """A WAV of floats."""
    content = samples.astype(code).tobytes()
    return riff(fmt(3, bits=8 * np.dtype(code).itemsize), data(content))


def wav_headers() -> Files:
    """WAV with the chunks that programs write."""
    info = chunk(b"LIST", b"INFOISFT" + struct.pack("<I", 5) + b"abcd\0\0")
    return {
        "list_before_fmt.wav": (riff(info, fmt(), data()), 0.5),
        "list_behind.wav": (riff(fmt(), data(), info), 0.5),
        "data_before_fmt.wav": (riff(data(), fmt()), REFUSED),
        "two_fmt.wav": (riff(fmt(), fmt(), data()), REFUSED),
        "two_data.wav": (riff(fmt(), data(SAMPLES[:8000]), data(SAMPLES[8000:])), REFUSED),
        "junk_odd_unpadded.wav": (riff(chunk(b"junk", b"abc", pad=False), fmt(), data()), REFUSED),
        "junk_odd_padded.wav": (riff(chunk(b"junk", b"abc"), fmt(), data()), 0.5),
        "bext_fact_cue.wav": (
            riff(chunk(b"bext", bytes(602)), fmt(), chunk(b"fact", struct.pack("<I", 8000)), data()),
            0.5,
        ),
        "fact_is_wrong.wav": (riff(fmt(), chunk(b"fact", struct.pack("<I", 99)), data()), 0.5),
        "mask_0.wav": (riff(extensible(0), data()), 0.5),
        "mask_all.wav": (riff(extensible(0xFFFFFFFF), data()), 0.5),
        "mask_of_six.wav": (riff(extensible(0x3F), data()), 0.5),
        "valid_bits_12.wav": (riff(extensible(4, 12), data()), 0.5),
        "fmt_18.wav": (riff(fmt(extra=b"\0\0"), data()), 0.5),
        "fmt_40_of_pcm.wav": (riff(fmt(extra=bytes(24)), data()), 0.5),
    }


def wav_sizes() -> Files:
    """WAV and RF64 whose numbers in the header are wrong, or unknown."""
    whole = riff(fmt(), data())
    info = chunk(b"LIST", b"INFO" + bytes(9000))
    u8 = (128 + 100 * sound_kinds.tone()[:7999]).astype(np.uint8).tobytes()
    ds64 = chunk(b"ds64", struct.pack("<QQQI", len(SAMPLES) + 72, len(SAMPLES), 8000, 0))
    ds64_unknown = chunk(b"ds64", b"\xff" * 24 + bytes(4))
    return {
        "u8_odd_unpadded.wav": (riff(fmt(bits=8), data(u8)), 7999 / RATE_HZ),
        "u8_odd_counts_padding.wav": (riff(fmt(bits=8), data(u8, 8000)), 7999 / RATE_HZ),
        "one_byte_missing.wav": (whole[:-1], PART),
        "one_sample_missing.wav": (whole[:-2], PART),
        "riff_size_0.wav": (riff(fmt(), data(), size=0), 0.5),
        "riff_size_max.wav": (riff(fmt(), data(), size=0xFFFFFFFF), 0.5),
        "data_size_max.wav": (riff(fmt(), data(size=0xFFFFFFFF)), 0.5),
        "data_size_2_31.wav": (riff(fmt(), data(size=1 << 31)), 0.5),
        "data_half_as_long.wav": (riff(fmt(), data(size=len(SAMPLES) // 2)), PART),
        "first_of_two.wav": (whole + whole, PART),
        "list_of_the_old_length_behind.wav": (riff(fmt(), data(), info)[:-9], 0.5),
        "tag_behind.wav": (whole + b"ID3\x04\0\0\0\0\x7f\0" + bytes(127 << 7), 0.5),
        "junk_behind.wav": (whole + 9000 * b"\x93", PART),
        "zeros_behind.wav": (whole + bytes(90_000), 0.5),
        "data_twice_as_long.wav": (riff(fmt(), data(size=2 * len(SAMPLES))), PART),
        "trailing_zeros.wav": (whole + bytes(4096), 0.5),
        "byte_rate_0.wav": (whole.replace(struct.pack("<I", 2 * RATE_HZ), bytes(4), 1), 0.5),
        "align_0.wav": (whole[:32] + bytes(2) + whole[34:], 0.5),
        "channels_0.wav": (whole[:22] + bytes(2) + whole[24:], REFUSED),
        "bits_0.wav": (whole[:34] + bytes(2) + whole[36:], REFUSED),
        "codec_unknown.wav": (riff(fmt(0x1234), data()), REFUSED),
        "codec_aac.wav": (riff(fmt(0xFF), data()), REFUSED),
        "rf64.wav": (riff(ds64, fmt(), data(size=0xFFFFFFFF), name=b"RF64", size=0xFFFFFFFF), 0.5),
        "rf64_says_less.wav": (
            riff(ds64, fmt(), data(2 * SAMPLES, size=0xFFFFFFFF), name=b"RF64", size=0xFFFFFFFF),
            PART,
        ),
        "rf64_unknown.wav": (riff(ds64_unknown, fmt(), data(size=0xFFFFFFFF), name=b"RF64", size=0xFFFFFFFF), 0.5),
        "rf64_without_ds64.wav": (riff(fmt(), data(size=0xFFFFFFFF), name=b"RF64", size=0xFFFFFFFF), REFUSED),
        "bw64.wav": (riff(ds64, fmt(), data(size=0xFFFFFFFF), name=b"BW64", size=0xFFFFFFFF), REFUSED),
        "rf64_cut.wav": (riff(ds64, fmt(), data(SAMPLES[:9000], 0xFFFFFFFF), name=b"RF64", size=0xFFFFFFFF), PART),
    }


def wav_samples() -> Files:
    """WAV with unusual samples."""
    tone = sound_kinds.tone()
    with_nan = sound_kinds.tone()
    with_nan[4000] = np.nan
    return {
        "zero_samples.wav": (riff(fmt(), data(b"")), REFUSED),
        "one_sample.wav": (riff(fmt(), data(SAMPLES[2000:2002])), 1 / RATE_HZ),
        "two_samples.wav": (riff(fmt(), data(SAMPLES[2000:2004])), 2 / RATE_HZ),
        "nan.wav": (floats(with_nan), REFUSED),
        "infinite.wav": (floats(np.where(tone > 0.3, np.inf, tone)), REFUSED),
        "all_nan.wav": (floats(np.full(8000, np.nan)), REFUSED),
        "dc.wav": (floats(np.full(8000, 0.5)), 0.5),
        "minus_zero.wav": (floats(np.full(8000, -0.0)), 0.5),
        "denormal.wav": (floats(np.full(8000, 1e-40)), 0.5),
        "double_huge.wav": (floats(np.full(8000, 1e300), "<f8"), REFUSED),
        "double.wav": (floats(tone, "<f8"), 0.5),
        "int16_scale.wav": (floats(32768 * tone), REFUSED),
        "over_full_scale.wav": (floats(8 * tone), 0.5),
        "rate_0.wav": (riff(fmt(rate_hz=0), data()), REFUSED),
        "rate_fraction.wav": (riff(fmt(rate_hz=11127), data()), 8000 / 11127),
    }


def rifx() -> bytes:
    """WAV with the byte order of Motorola."""
    form = chunk(b"fmt ", struct.pack(">HHIIHH", 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16), ">")
    body = b"WAVE" + form + chunk(b"data", REVERSED, ">")
    return b"RIFX" + struct.pack(">I", len(body)) + body
