"""The table of published PANNs weights says nothing that is not known."""

import re
from urllib.parse import unquote

import pytest

from pannsdist.builtin import panns
from pannsdist.builtin.panns.published import PADDLE, PADDLE_TAG, PUBLISHED, TAG


@pytest.mark.parametrize(("network", "entry"), PUBLISHED.items(), ids=list(PUBLISHED))
def test_name_score_address_and_checksum_fit_each_other(network, entry):
    assert entry.file.endswith(f"_mAP={entry.mean_average_precision:.3f}.pth")
    assert unquote(entry.url) == f"https://zenodo.org/record/3987831/files/{entry.file}?download=1"
    assert re.fullmatch(r"([0-9a-f]{64})?", entry.sha256)
    assert entry.licence == "CC BY 4.0"
    assert entry.file.partition("_mAP=")[0].replace("_", "").lower() == network.replace("At", "", 1).lower() or (
        network == "Cnn14DecisionLevelAtt"
    )


def test_no_file_stands_twice():
    names = [entry.file for entry in PUBLISHED.values()]
    assert len(names) == len(set(names)) == 22


@pytest.mark.parametrize("network", PUBLISHED)
def test_a_plugin_declares_its_weights_with_its_own_front_end(network):
    plugin = getattr(panns, network)
    assert list(plugin.weights) == [TAG] + [PADDLE_TAG] * (network in PADDLE)
    assert (plugin.weights[TAG].front_end, plugin.weights[TAG].classes) == (plugin.front_end, 527)
    assert plugin.weights[TAG].source.endswith(f"mAP {PUBLISHED[network].mean_average_precision:.3f}")


def test_a_network_whose_file_is_not_known_declares_none_and_inherits_none():
    assert panns.Cnn14Mel32.weights == {}
    assert panns.Cnn14At8k.weights[TAG].front_end.sample_rate_hz == 8000


@pytest.mark.parametrize("size", [6, 10, 14])
def test_paddles_own_files_are_known_beside_the_authors(size):
    plugin = getattr(panns, f"Cnn{size}")
    theirs, authors = plugin.weights[PADDLE_TAG], plugin.weights[TAG]
    assert theirs.url == f"https://bj.bcebos.com/paddleaudio/models/panns_cnn{size}.pdparams"
    assert (theirs.front_end, theirs.classes, theirs.licence) == (authors.front_end, 527, "CC BY 4.0")
    assert (theirs.sha256, theirs.size_bytes) == ("", 0)
    assert f"Cnn{size}_mAP=" in theirs.source
