"""Miniatures of tables of sounds, laid out and described as Hugging Face `datasets` writes them."""

import io
import json

import numpy as np
import pyarrow
import soundfile
from pyarrow import ipc, parquet

NAMES = ["dog", "cat"]
RATE_HZ = 8000
AUDIO = {"sampling_rate": RATE_HZ, "_type": "Audio"}
CLASS = {"names": NAMES, "_type": "ClassLabel"}


def sound(number, ending="wav"):
    """The bytes of a quarter of a second of noise, which no codec makes smaller; another one for each number."""
    file = io.BytesIO()
    soundfile.write(file, np.random.default_rng(number).uniform(-0.5, 0.5, RATE_HZ // 4), RATE_HZ, format=ending)
    return file.getvalue()


def structs(contents, paths):
    fields = [pyarrow.array(contents, pyarrow.binary()), pyarrow.array(paths, pyarrow.string())]
    return pyarrow.StructArray.from_arrays(fields, ["bytes", "path"])


def table(numbers, labels=None, features=None, **columns):
    """Sounds by number, alternately of the two classes, with the features in the metadata of the schema."""
    numbers = list(numbers)
    audio = structs([sound(number) for number in numbers], [f"{number}.wav" for number in numbers])
    made = {"audio": audio, "label": [number % 2 for number in numbers] if labels is None else labels, **columns}
    return described(pyarrow.table(made), {"audio": AUDIO, "label": CLASS} if features is None else features)


def described(made, features):
    info = {"info": {"features": features}}
    return made.replace_schema_metadata({"huggingface": json.dumps(info)} if features else None)


def write(path, made, rows=2, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(made, path, row_group_size=rows, **options)


def write_arrow(path, made, rows=2, new=ipc.new_stream, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with new(str(path), made.schema, **options) as writer:
        writer.write_table(made, max_chunksize=rows)


def hub(root):
    """`data/SPLIT-NUMBER-of-COUNT.parquet`: six clips to train on, in two tables, two to validate, two to test."""
    write(root / "data/train-00000-of-00002.parquet", table(range(0, 4)))
    write(root / "data/train-00001-of-00002.parquet", table(range(4, 6)))
    write(root / "data/validation-00000-of-00001.parquet", table(range(6, 8)))
    write(root / "data/test-00000-of-00001.parquet", table(range(8, 10)))
    return root


def saved(root):
    """A DatasetDict of `save_to_disk`: the same clips."""
    splits = {"train": (0, 6), "validation": (6, 8), "test": (8, 10)}
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    for name, span in splits.items():
        write_arrow(root / name / "data-00000-of-00001.arrow", table(range(*span)))
        features = {"audio": AUDIO, "label": CLASS}
        (root / name / "dataset_info.json").write_text(json.dumps({"features": features}))
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": name}
        (root / name / "state.json").write_text(json.dumps(state))
    return root


def loose(root):
    """The same clips as files with a manifest."""
    rows = ["path,label,split"]
    for split, span in {"train": range(0, 6), "valid": range(6, 8), "test": range(8, 10)}.items():
        for number in span:
            root.mkdir(parents=True, exist_ok=True)
            (root / f"{number}.wav").write_bytes(sound(number))
            rows.append(f"{number}.wav,{NAMES[number % 2]},{split}")
    (root / "labels.txt").write_text("\n".join([*NAMES, ""]))
    (root / "clips.csv").write_text("\n".join([*rows, ""]))
    return root
