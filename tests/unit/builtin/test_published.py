"""The table of published PANNs weights says nothing that is not known."""

import re
from urllib.parse import unquote

import pytest

from pannsdist.builtin.panns import FRONT_END_32K
from pannsdist.builtin.panns.published import PUBLISHED, pretrained

FILES = [(plugin, tag, entry) for plugin, tags in PUBLISHED.items() for tag, entry in tags.items()]


@pytest.mark.parametrize(("plugin", "tag", "entry"), FILES, ids=lambda part: part if isinstance(part, str) else "")
def test_name_score_address_and_checksum_fit_each_other(plugin, tag, entry):
    assert entry.file.endswith(f"_mAP={entry.mean_average_precision:.3f}.pth")
    assert unquote(entry.url) == f"https://zenodo.org/record/3987831/files/{entry.file}?download=1"
    assert re.fullmatch(r"([0-9a-f]{64})?", entry.sha256)
    assert entry.licence == "CC BY 4.0"
    assert re.fullmatch(r"[a-z0-9_]+", f"{plugin}_{tag}")


def test_no_file_stands_twice():
    names = [entry.file for _, _, entry in FILES]
    assert len(names) == len(set(names)) == 22


def test_a_plugin_declares_its_weights_with_their_front_end_and_score():
    (weights,) = pretrained("panns_cnn14", FRONT_END_32K).values()
    assert weights.url == "https://zenodo.org/record/3987831/files/Cnn14_mAP%3D0.431.pth?download=1"
    assert (weights.front_end, weights.classes, weights.sha256) == (FRONT_END_32K, 527, "")
    assert weights.source.endswith("mAP 0.431")
