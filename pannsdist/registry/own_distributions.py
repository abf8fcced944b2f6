"""Which distribution of this project provides a plugin, so that a name that is not installed can be installed.

The table stands here because a distribution that is not installed cannot be asked. A test compares it with what the
distributions of `plugins/` declare.
"""

from __future__ import annotations

PROVIDED = (
    ("model", "pannsdist-ast", "ast_tiny ast_small ast_base"),
    (
        "model",
        "pannsdist-efficientat",
        "efficientat_mn01 efficientat_mn02 efficientat_mn04 efficientat_mn05 efficientat_mn10 "
        "efficientat_mn20 efficientat_mn30 efficientat_mn40 efficientat_mn10_hop_5 efficientat_mn10_hop_15 "
        "efficientat_mn10_hop_20 efficientat_mn10_hop_25 efficientat_mn10_mels_40 efficientat_mn10_mels_64 "
        "efficientat_mn10_mels_256 efficientat_mn10_fc efficientat_mn10_fc_s2221 efficientat_mn10_fc_s2211",
    ),
    ("model", "pannsdist-frame-mn", "frame_mn04 frame_mn06 frame_mn10 frame_mn20 frame_mn30"),
    ("dataset", "pannsdist-audioset", "audioset"),
    ("dataset", "pannsdist-audioset-strong", "audioset_strong"),
    ("dataset", "pannsdist-dcase2019task1", "dcase2019task1"),
    ("dataset", "pannsdist-desed", "desed"),
    ("dataset", "pannsdist-esc50", "esc50"),
    ("dataset", "pannsdist-fsd50k", "fsd50k"),
    ("dataset", "pannsdist-fsdkaggle2018", "fsdkaggle2018"),
    ("dataset", "pannsdist-gtzan", "gtzan"),
    ("dataset", "pannsdist-hdf5", "panns_hdf5"),
    ("dataset", "pannsdist-parquet", "parquet"),
    ("dataset", "pannsdist-ravdess", "ravdess"),
    ("dataset", "pannsdist-speechcommands", "speechcommands"),
    ("dataset", "pannsdist-tess", "tess"),
    ("dataset", "pannsdist-urban-sed", "urban_sed"),
    ("dataset", "pannsdist-urbansound8k", "urbansound8k"),
    ("feature", "pannsdist-efficientat", "efficientat_mel"),
    ("feature", "pannsdist-frame-mn", "frame_mn_mel"),
    ("feature", "pannsdist-gammatone", "gammatone"),
    ("feature", "pannsdist-kaldi-fbank", "kaldi_fbank"),
    ("feature", "pannsdist-log-spectrogram", "log_spectrogram"),
    ("feature", "pannsdist-mfcc", "mfcc"),
    ("feature", "pannsdist-pcen", "pcen"),
    (
        "metric",
        "pannsdist-sed-scores",
        "event_f1 intersection_f1 psds1 psds2 segment_error_rate segment_f1 segment_mpauc",
    ),
    ("tracker", "pannsdist-tensorboard", "tensorboard"),
    ("tracker", "pannsdist-wandb", "wandb"),
)
"""(kind, distribution, names) of all plugins of this project but those of pannsdist itself."""


def distribution_of(kind: str, name: str) -> str:
    """The distribution of this project that provides `name` or `distribution:name`; empty if none does."""
    wanted, _, plain = name.rpartition(":")
    for of_kind, distribution, names in PROVIDED:
        if of_kind == kind and plain in names.split() and wanted in ("", distribution):
            return distribution
    return ""
