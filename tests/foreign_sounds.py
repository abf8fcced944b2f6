"""Sound files that other programs than libsndfile write, some of them wrongly, each with its verdict.

The sound is the half second of `sound_kinds`, unless said otherwise.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import sound_kinds
import soundfile
from foreign_wavs import (
    PART,
    RATE_HZ,
    REFUSED,
    REVERSED,
    SAMPLES,
    Files,
    Verdict,
    chunk,
    data,
    fmt,
    riff,
    rifx,
    wav_headers,
    wav_samples,
    wav_sizes,
)


def contents() -> Files:
    """Files that hold something else than their ending says."""
    whole = riff(fmt(), data())
    noise = np.random.default_rng(0).bytes(20000)
    return {
        "header_alone.wav": (whole[:44], REFUSED),
        "no_data.wav": (riff(fmt()), REFUSED),
        "half_header.wav": (whole[:20], REFUSED),
        "four_bytes.wav": (b"RIFF", REFUSED),
        "is_flac.wav": (written("FLAC"), 0.5),
        "is_mp3.wav": (written("MP3"), 0.5),
        "is_ogg.mp3": (written("OGG"), 0.5),
        "is_wav.mp3": (whole, 0.5),
        "is_wav.txt.flac": (whole, 0.5),
        "UPPER.WAV": (whole, 0.5),
        "id3_in_front.wav": (id3(1000) + whole, 0.5),
        "html.wav": (b"<html><body>404 not found</body></html>" * 50, REFUSED),
        "lfs_pointer.wav": (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n",
            REFUSED,
        ),
        "gzip.wav": (b"\x1f\x8b\x08\0" + bytes(500), REFUSED),
        "zip.wav": (b"PK\x03\x04" + bytes(500), REFUSED),
        "m4a.wav": (b"\0\0\0\x20ftypM4A " + bytes(500), REFUSED),
        "zeros.wav": (bytes(5000), REFUSED),
        "zeros.mp3": (bytes(5000), REFUSED),
        "zeros.au": (bytes(5000), REFUSED),
        "ff.mp3": (b"\xff" * 5000, REFUSED),
        "noise.mp3": (noise, REFUSED),
        "noise.flac": (noise, REFUSED),
        "noise.ogg": (noise, REFUSED),
        "mpeg_layer_3.wav": (
            riff(fmt(0x55, bits=0, extra=struct.pack("<HHIHHH", 12, 1, 2, 144, 1, 0)), data(written("MP3"))),
            0.5,
        ),
    }


def names() -> Files:
    """Names that a shell, a table or a terminal may take for something else."""
    wav = riff(fmt(), data())
    return {
        "wav\nnewline.wav": (wav, 0.5),
        "wav with space .wav": (wav, 0.5),
        "'quoted'.wav": (wav, 0.5),
        'quote"d, comma.wav': (wav, 0.5),
        "-dash.wav": (wav, 0.5),
        "声音.wav": (wav, 0.5),
        "[brackets]*?.wav": (wav, 0.5),
        "tab\there.wav": (wav, 0.5),
        "esc\x1b[31m.wav": (wav, 0.5),
    }


def tagged() -> Files:
    """Tags of ID3 and APE."""
    mp3 = written("MP3")
    flac = written("FLAC")
    ogg = written("OGG")
    return {
        "id3_huge.mp3": (id3(0, (1 << 28) - 1) + mp3, REFUSED),
        "id3_says_less.mp3": (id3(5000, 100) + mp3, 0.5),
        "id3_2mb.mp3": (id3(2 << 20) + mp3, 0.5),
        "id3_twice.mp3": (id3(500) + id3(700) + mp3, 0.5),
        "id3_footer.mp3": (id3(500, flags=0x10) + b"3DI\x04\0\x10\0\0\x03\x74" + mp3, 0.5),
        "id3_alone.mp3": (id3(5000), REFUSED),
        "id3_behind.mp3": (mp3 + id3(3000), 0.5),
        "ape_behind.mp3": (mp3 + b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0) + bytes(8) + bytes(1968), 0.5),
        "id3.flac": (id3(1000) + flac, 0.5),
        "id3.ogg": (id3(1000) + ogg, REFUSED),
    }


def mp3s() -> Files:
    """MP3 that is damaged, or without a length."""
    mp3 = written("MP3")
    long_mp3 = written("MP3", seconds=5)
    third = len(long_mp3) // 3
    noise = np.random.default_rng(0).bytes(20000)
    return {
        "hole.long.mp3": (long_mp3[:third] + bytes(2000) + long_mp3[third + 2000 :], PART),
        "noise_hole.mp3": (long_mp3[:third] + noise[:2000] + long_mp3[third + 2000 :], PART),
        "frames_missing.mp3": (long_mp3[:third] + long_mp3[2 * third :], PART),
        "cut_short.mp3": (long_mp3[:third], PART),
        "another_rate_behind.mp3": (mp3 + written("MP3", rate_hz=44100), PART),
        "wav_behind.mp3": (mp3 + written("WAV"), PART),
        "vbri.mp3": (_vbri(140), 140 * 576 / RATE_HZ),
        "vbri_cut_between_frames.mp3": (_vbri(140)[: 70 * 288], PART),
        "cut_without_length.mp3": (long_mp3[288:third], PART),
        "start_missing.mp3": (long_mp3[third:], 3.456),
        "free_bitrate.mp3": (_free(), 1.8),
        "one_frame.mp3": (mp3[:288], REFUSED),
        "mp3_of_zero_frames.mp3": (mp3[:200], REFUSED),
    }


def flacs() -> Files:
    """FLAC."""
    flac = written("FLAC")
    return {
        "flac_cut.flac": (written("FLAC", seconds=5)[:60000], PART),
        "flac_md5_wrong.flac": (flac[:26] + bytes(16) + flac[42:], 0.5),
        "flac_header_alone.flac": (flac[:42], REFUSED),
        "flac_streaminfo_rate_0.flac": (flac[:18] + bytes(2) + bytes([flac[20] & 0x0F]) + flac[21:], REFUSED),
        "with_cover.flac": (_with_picture(flac), 0.5),
    }


def oggs() -> Files:
    """Ogg Vorbis and Opus."""
    ogg = written("OGG")
    opus = written("OGG", "OPUS")
    long_ogg = written("OGG", seconds=10)
    long_opus = written("OGG", "OPUS", seconds=10)
    return {
        "two.ogg": (ogg + _serial(ogg, 77), PART),
        "two_opus.ogg": (opus + _serial(opus, 78), PART),
        "multiplexed.ogg": (_multiplexed(ogg, _serial(ogg, 99)), PART),
        "vorbis_then_opus.ogg": (ogg + opus, PART),
        "cut_long.ogg": (long_ogg[: len(long_ogg) // 2], PART),
        "cut_long.opus": (long_opus[: len(long_opus) // 2], PART),
        "start_missing.ogg": (long_ogg[len(long_ogg) // 2 :], REFUSED),
        "hole.ogg": (long_ogg[:15000] + bytes(5000) + long_ogg[20000:], PART),
        "opus.opus": (long_opus, 10.0),
        "opus_preskip.opus": (_preskip(opus, 3840), 0.4265),
        "opus_preskip_max.opus": (_preskip(opus, 65535), REFUSED),
        "opus_gain.opus": (_patched_page(opus, lambda body: body[:16] + struct.pack("<h", -2560) + body[18:]), 0.5),
    }


def others() -> Files:
    """AIFF, AU, Wave64 and RIFX."""
    aiff = written("AIFF", "PCM_16")
    less_aiff = aiff.replace(struct.pack(">I", 8000), struct.pack(">I", 4000), 1)
    ssnd = aiff.index(b"SSND")
    au, caf, w64, nist = (written(form, "PCM_16") for form in ("AU", "CAF", "W64", "NIST"))
    twice = {"au": au, "caf": caf, "w64": w64, "nist": nist, "aiff": aiff, "voc": written("VOC", "PCM_16")}
    aifc = _sowt()
    unknown = b".snd" + struct.pack(">5I", 24, 0xFFFFFFFF, 3, RATE_HZ, 1) + REVERSED
    return {
        "sowt.aifc": (aifc, 0.5),
        "comm_says_more.aiff": (aiff.replace(struct.pack(">I", 8000), struct.pack(">I", 80000), 1), PART),
        "comm_says_less.aiff": (less_aiff, 0.5),
        "ssnd_offset.aiff": (aiff[: ssnd + 8] + struct.pack(">I", 4) + aiff[ssnd + 12 :], 0.499875),
        "form_size_0.aiff": (aiff[:4] + bytes(4) + aiff[8:], 0.5),
        "no_ssnd.aiff": (aiff[:ssnd], REFUSED),
        "unknown_size.au": (unknown, 0.5),
        "long_header.au": (b".snd" + struct.pack(">5I", 1024, 16000, 3, RATE_HZ, 1) + bytes(1000) + REVERSED, 0.5),
        "header_beyond.au": (b".snd" + struct.pack(">5I", 1 << 30, 16000, 3, RATE_HZ, 1) + REVERSED, REFUSED),
        "short.au": (au[:-8000], PART),
        "says_less.au": (au[:8] + struct.pack(">I", 8000) + au[12:], PART),
        "ssnd_says_less.aiff": (_said_less(aiff, b"SSND", ">I", 8008), 0.5),
        "both_say_less.aiff": (_said_less(less_aiff, b"SSND", ">I", 8008), PART),
        "says_less.caf": (_said_less(caf, b"data", ">q", 8004), PART),
        "says_less.w64": (w64.replace(struct.pack("<Q", 16024), struct.pack("<Q", 8024)), PART),
        "says_less.nist": (nist.replace(b"sample_count -i 8000", b"sample_count -i 4000"), PART),
        **{f"two.{ending}": (2 * content, PART) for ending, content in twice.items()},
        "chunk_behind.w64": (w64 + b"junk" + bytes(12) + struct.pack("<Q", 24 + 9000) + 9000 * b"\x93", 0.5),
        "chunk_behind.caf": (caf + b"user" + struct.pack(">q", 9000) + 9000 * b"\x93", 0.5),
        "codec_99.au": (b".snd" + struct.pack(">5I", 24, 16000, 99, RATE_HZ, 1) + REVERSED, REFUSED),
        "2_31_frames.w64": (_frames_of_w64(1 << 31), PART),
        "rifx.wav": (rifx(), 0.5),
    }


def id3(size: int, declared: int | None = None, flags: int = 0) -> bytes:
    """An ID3v2 tag with `size` bytes, which may say another size."""
    said = size if declared is None else declared
    return b"ID3\x04\0" + bytes([flags]) + bytes(said >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(size)


def written(form: str, subtype: str | None = None, seconds: float = 0.5, rate_hz: int = RATE_HZ) -> bytes:
    """What libsndfile writes."""
    file = io.BytesIO()
    soundfile.write(file, sound_kinds.tone(round(seconds * RATE_HZ)), rate_hz, format=form, subtype=subtype)
    return file.getvalue()


def _said_less(content: bytes, name: bytes, form: str, size: int) -> bytes:
    """With another size of a chunk."""
    at = content.index(name) + 4
    return content[:at] + struct.pack(form, size) + content[at + struct.calcsize(form) :]


def _vbri(frames: int) -> bytes:
    """Silent frames of one bit rate, behind a first one with the header of Fraunhofer's encoder."""
    start = b"\xff\xf3\x88\xc4"
    header = b"VBRI" + struct.pack(">HHHII", 1, 0, 75, 0, frames)
    return (start.ljust(36, b"\0") + header).ljust(288, b"\0") + frames * start.ljust(288, b"\0")


def _free() -> bytes:
    """Silent frames of a free bit rate, without a size in their headers."""
    return 50 * (b"\xff\xf3\x08\xc4" + bytes(140))


def _sowt() -> bytes:
    """AIFF-C with samples in the order of Intel."""
    comm = struct.pack(">hIh", 1, 8000, 16) + b"\x40\x0c\xfa\0\0\0\0\0\0\0sowt\0\0"
    chunks = chunk(b"FVER", b"\xa2\x80\x51\x40", ">") + chunk(b"COMM", comm, ">")
    body = b"AIFC" + chunks + chunk(b"SSND", bytes(8) + SAMPLES, ">")
    return b"FORM" + struct.pack(">I", len(body)) + body


def _with_picture(flac: bytes) -> bytes:
    picture = bytes(300_000)
    return flac[:42] + bytes([1]) + len(picture).to_bytes(3, "big") + picture + flac[42:]


def _frames_of_w64(frames: int) -> bytes:
    w64 = written("W64", "PCM_16")
    at = w64.index(b"data") + 16
    return w64[:at] + struct.pack("<Q", 24 + 2 * frames) + w64[at + 8 :]


def pages(ogg: bytes) -> list[bytes]:
    """The pages of an Ogg file."""
    found, at = [], 0
    while at < len(ogg):
        count = ogg[at + 26]
        end = at + 27 + count + sum(ogg[at + 27 : at + 27 + count])
        found.append(ogg[at:end])
        at = end
    return found


def sealed(page: bytes) -> bytes:
    """A page with its checksum."""
    page = page[:22] + bytes(4) + page[26:]
    reverse = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    crc = zlib.crc32(page.translate(reverse), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return page[:22] + struct.pack("<I", int(f"{crc:032b}"[::-1], 2)) + page[26:]


def _serial(ogg: bytes, serial: int) -> bytes:
    return b"".join(sealed(page[:14] + struct.pack("<I", serial) + page[18:]) for page in pages(ogg))


def _multiplexed(one: bytes, other: bytes) -> bytes:
    first, second = pages(one), pages(other)
    mixed = [page for pair in zip(first, second, strict=True) for page in pair]
    return b"".join(mixed)


def _patched_page(ogg: bytes, change) -> bytes:
    first, *rest = pages(ogg)
    return sealed(first[:28] + change(first[28:])) + b"".join(rest)


def _preskip(opus: bytes, samples: int) -> bytes:
    return _patched_page(opus, lambda body: body[:10] + struct.pack("<H", samples) + body[12:])


def write(folder: Path) -> dict[str, Verdict]:
    """Write all of them; gives the verdict on each."""
    groups = (wav_headers, wav_sizes, wav_samples, contents, names, tagged, mp3s, flacs, oggs, others)
    files = {name: file for group in groups for name, file in group().items()}
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    return {name: verdict for name, (_, verdict) in files.items()}
