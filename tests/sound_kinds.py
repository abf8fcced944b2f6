"""A folder of sound files of many kinds, and files that are cut or damaged, made from half a second of sound."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import soundfile

RATE_HZ = 16000
WRITTEN = (
    *(("WAV", name) for name in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
    *(("WAV", name) for name in ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_16")),
    *(("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("W64", "PCM_16"), ("W64", "MS_ADPCM"), ("AIFF", "PCM_16")),
    *(("AIFF", "FLOAT"), ("AIFF", "ULAW"), ("AU", "PCM_16"), ("AU", "G721_32"), ("CAF", "PCM_16"), ("CAF", "ALAC_16")),
    *(("VOC", "PCM_16"), ("NIST", "PCM_16"), ("SVX", "PCM_16"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24")),
    *(("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")),
    *(("AVR", "PCM_16"), ("MAT4", "FLOAT"), ("MAT5", "PCM_16"), ("MPC2K", "PCM_16"), ("SDS", "PCM_16")),
    *(("NIST", "ULAW"), ("HTK", "PCM_16"), ("PAF", "PCM_16"), ("PVF", "PCM_16"), ("IRCAM", "FLOAT")),
    *(("WVE", "ALAW"), ("XI", "DPCM_16")),
)


def tone(samples: int = RATE_HZ // 2) -> np.ndarray:
    """A tone with noise: (S,) float32."""
    noise = np.random.default_rng(0).normal(0, 0.02, samples)
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(samples) / RATE_HZ) + noise).astype(np.float32)


def write(folder: Path, form: str, subtype: str, samples: np.ndarray | None = None) -> Path:
    """Write one file of a format."""
    path = folder / f"{form}_{subtype}.{form.lower()}"
    soundfile.write(path, tone() if samples is None else samples, RATE_HZ, format=form, subtype=subtype)
    return path


def legal(folder: Path) -> dict[str, float]:
    """Write files that are whole; returns the length of each in seconds."""
    lengths = {}
    for form, subtype in WRITTEN:
        path = write(folder, form, subtype)
        lengths[path.name] = 0.5
    for name in lengths:
        if any(coding in name for coding in ("ADPCM", "G721", "GSM610", "WVE", "XI")):
            lengths[name] = soundfile.info(folder / name).duration  # the last block is filled, or the rate is fixed
    for name, (data, length_s) in _unusual(folder).items():
        (folder / name).write_bytes(data)
        lengths[name] = length_s
    return lengths


def _unusual(folder: Path) -> dict[str, tuple[bytes, float]]:
    """Files that programs other than libsndfile write: streamed, without a length, with tags and junk."""
    data = {path.suffix[1:]: path.read_bytes() for path in folder.iterdir() if "PCM_16" in path.name}
    wav, mp3 = data["wav"], (folder / "MP3_MPEG_LAYER_III.mp3").read_bytes()
    at, ssnd, block = wav.index(b"data"), data["aiff"].index(b"SSND"), data["caf"].index(b"data")
    frames = mp3[288:]  # without the frame that holds the length
    walked_s = 16 * 576 / RATE_HZ
    tag = b"ID3\x03\0\0" + bytes([0, 0, 64, 0]) + b"\xff\xfb\x90\x00" * 2048
    unknown = bytearray(data["flac"])
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    return {
        "streamed_0.wav": (wav[: at + 4] + bytes(4) + wav[at + 8 :], 0.5),
        "streamed_1.wav": (wav[: at + 4] + b"\xff" * 4 + wav[at + 8 :], 0.5),
        "streamed.aiff": (data["aiff"][: ssnd + 4] + struct.pack(">I", 8) + data["aiff"][ssnd + 8 :], 0.5),
        "streamed.caf": (data["caf"][: block + 4] + b"\xff" * 8 + data["caf"][block + 12 :], 0.5),
        "streamed.au": (data["au"][:8] + b"\xff" * 4 + data["au"][12:], 0.5),
        "streamed_0.au": (data["au"][:8] + bytes(4) + data["au"][12:], 0.5),
        "streamed.rf64": (data["rf64"][:28] + bytes(8) + data["rf64"][36:], 0.5),
        "unknown_length.flac": (bytes(unknown), 0.5),
        "tagged.flac": (data["flac"] + b"TAG" + b"x" * 125, 0.5),
        "picture.mp3": (tag + mp3 + b"TAG" + bytes(125), 0.5),
        "junk.mp3": (b"junk" * 5000 + mp3, 0.5),
        "no_length.mp3": (frames, walked_s),
        "joined.mp3": (frames + mp3, 2 * walked_s),
    }


def damaged(folder: Path) -> list[str]:
    """Write files of which a part is missing, from whole ones in `folder`; returns their names."""
    made = []
    for path in sorted(folder.iterdir()):
        if path.name.split(".")[0] in CUT:
            data = path.read_bytes()
            (folder / f"cut_{path.name}").write_bytes(data[: len(data) * 7 // 10])
            made.append(f"cut_{path.name}")
    mp3, flac = (folder / "MP3_MPEG_LAYER_III.mp3").read_bytes(), (folder / "FLAC_PCM_16.flac").read_bytes()
    ogg = (folder / "OGG_VORBIS.ogg").read_bytes()
    middle = len(mp3) // 2
    flipped = bytearray(flac)
    flipped[len(flac) * 3 // 4] ^= 1
    more = flac[:22] + struct.pack(">I", 1 << 31) + flac[26:]
    others = {
        "hole.mp3": mp3[:middle] + bytes(600) + mp3[middle + 600 :],
        "header_says_more.mp3": mp3[:21] + struct.pack(">I", 99)[3:].rjust(3, b"\0") + mp3[24:],
        "header_says_more.flac": more,
        "flipped.flac": bytes(flipped),
        "chained.ogg": ogg + ogg,
    }
    for name, content in others.items():
        (folder / name).write_bytes(content)
    return [*made, *others]


CUT = (
    *("WAV_PCM_16", "WAV_GSM610", "WAV_IMA_ADPCM", "AIFF_PCM_16", "W64_PCM_16", "RF64_PCM_16", "CAF_PCM_16"),
    *("CAF_ALAC_16", "AU_PCM_16", "VOC_PCM_16", "NIST_PCM_16", "NIST_ULAW", "SVX_PCM_16", "FLAC_PCM_16"),
    *("MP3_MPEG_LAYER_III", "AVR_PCM_16", "MAT4_FLOAT", "MAT5_PCM_16", "MPC2K_PCM_16", "SDS_PCM_16", "WVE_ALAW"),
)
