"""Miniatures of PANNs' workspace and of panns_transfer_to_gtzan's file, as their code packs them."""

import h5py
import numpy as np
import soundfile

RATE_HZ = 8000
LABELS = ("dog", "cat", "rain")


def sound(number):
    """A quarter of a second of noise: (2000,) float32."""
    return np.random.default_rng(number).uniform(-0.9, 0.9, RATE_HZ // 4).astype(np.float32)


def packed_samples(number):
    """As PANNs' float32_to_int16 packs it."""
    return (sound(number) * 32767.0).astype(np.int16)


def targets(numbers, classes=3):
    found = np.zeros((len(numbers), classes), bool)
    found[np.arange(len(numbers)), [number % len(LABELS) for number in numbers]] = True
    return found


def pack(path, numbers, rate_hz=RATE_HZ, **datasets):
    """`waveforms` of the numbers; `datasets` replaces some, None leaves one out."""
    numbers = list(numbers)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "audio_name": np.array([f"Y{number}.wav".encode() for number in numbers], "S20"),
        "waveform": np.array([packed_samples(number) for number in numbers]),
        "target": targets(numbers),
        **datasets,
    }
    with h5py.File(path, "w") as file:
        for name, values in content.items():
            if values is not None:
                file.create_dataset(name, data=values)
        if rate_hz is not None:
            file.attrs.create("sample_rate", data=rate_hz, dtype=np.int32)


def index(path, packed, place, rows=None, key="hdf5_path"):
    """An index of a packed file, which it calls `place`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(packed) as file, h5py.File(path, "w") as made:
        names = file["audio_name"][()]
        made["audio_name"], made["target"] = names, file["target"][()]
        made[key] = np.array([place.encode()] * len(names), "S200")
        made["index_in_hdf5"] = np.arange(len(names), dtype=np.int32) if rows is None else np.array(rows, np.int32)


def workspace(root, classes=3):
    """Six clips to train on, two to validate, with indexes that were made in another place."""
    for name, numbers in (("balanced_train", range(6)), ("eval", range(6, 9))):
        packed = root / "hdf5s/waveforms" / f"{name}.h5"
        pack(packed, numbers, target=targets(numbers, classes))
        index(root / "hdf5s/indexes" / f"{name}.h5", packed, f"/elsewhere/audioset/hdf5s/waveforms/{name}.h5")
    (root / "labels.txt").write_text("\n".join([*LABELS, ""]))
    return root


def folded(root):
    """One file with a fold for each clip, targets of floats, and no sample rate."""
    numbers = range(9)
    pack(
        root / "features/waveform.h5",
        numbers,
        None,
        target=targets(numbers).astype(np.float32),
        fold=np.arange(9, dtype=np.int32) % 3 + 1,
    )
    (root / "labels.txt").write_text("\n".join([*LABELS, ""]))
    return root / "features/waveform.h5"


def loose(root):
    """The clips of the workspace as files of floats, with a manifest."""
    root.mkdir(parents=True, exist_ok=True)
    rows = ["path,id,labels,split"]
    for split, numbers in (("train", range(6)), ("valid", range(6, 9))):
        for number in numbers:
            samples = (packed_samples(number) / 32767.0).astype(np.float32)
            soundfile.write(root / f"{number}.wav", samples, RATE_HZ, subtype="FLOAT")
            rows.append(f"{number}.wav,Y{number}.wav,{LABELS[number % 3]},{split}")
    (root / "clips.csv").write_text("\n".join([*rows, ""]))
    return root / "clips.csv"
