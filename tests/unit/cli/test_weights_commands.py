"""The `pannsdist weights` commands, on real files and a real server."""

import hashlib
import re
from dataclasses import replace

import pytest
import serving
from small_parts import SmallModel, catalog

from pannsdist.cli import weights
from pannsdist.cli.command_line import main
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import UserError

pytestmark = pytest.mark.usefixtures("home")
DATA = b"weights" * 1000


@pytest.fixture
def published(server, monkeypatch):
    """The small model's published set, on a server that has it."""
    url = server.serve("/small.pdparams", serving.whole(DATA))
    known = SmallModel.weights["published"]
    weights = replace(known, url=url, sha256=hashlib.sha256(DATA).hexdigest(), size_bytes=len(DATA))
    monkeypatch.setattr(SmallModel, "weights", {"published": weights})
    return weights


def columns_of_small(text):
    """The heading and the row of the small model's set, both cut where the heading has its words."""
    lines = text.splitlines()
    starts = [match.start() for match in re.finditer(r"\S+", lines[0])]
    row = next(line for line in lines if line.startswith("small "))
    ends = [*starts[1:], None]
    return {lines[0][a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


@pytest.mark.usefixtures("published")
def test_the_list_says_what_a_set_is_and_whether_it_is_here(home, capsys):
    weights.list_weights(catalog())
    said = capsys.readouterr().out
    expected = {"model": "small", "tag": "published", "classes": "3", "size": "0.0 MB", "checksum": "yes"}
    assert columns_of_small(said) == {**expected, "licence": "MIT", "downloaded": "no", "source": "nobody"}
    assert said.endswith(f"\ndownloaded weights are in {home}; download others: pannsdist weights fetch MODEL TAG\n")
    weights.fetch_weights(catalog(), "small", "published")
    assert capsys.readouterr().out == f"{home / 'small.pdparams'}\n"
    weights.list_weights(catalog())
    assert columns_of_small(capsys.readouterr().out)["downloaded"] == "yes"


def test_the_list_says_what_is_not_known(published, monkeypatch, capsys):
    monkeypatch.setattr(SmallModel, "weights", {"published": replace(published, sha256="", size_bytes=0)})
    weights.list_weights(catalog())
    row = columns_of_small(capsys.readouterr().out)
    assert (row["size"], row["checksum"]) == ("?", "no")


def test_the_list_has_each_set_once_and_every_row_under_one_heading(capsys):
    weights.list_weights(Catalog.installed())
    lines = capsys.readouterr().out.splitlines()
    rows = lines[1 : lines.index("")]
    assert len({line.split("  ")[-1] for line in rows if "panns_cnn10 " in line}) == 2
    assert not [line for line in rows if line.startswith("Cnn10")]
    starts = {line.index(line.split()[2], lines[0].index("classes")) for line in rows}
    assert starts == {lines[0].index("classes")}


@pytest.mark.usefixtures("published")
def test_an_unknown_tag_is_refused_with_those_there_are():
    with pytest.raises(UserError) as caught:
        weights.fetch_weights(catalog(), "small", "publshed")
    assert str(caught.value) == (
        "model 'small' has no published weights 'publshed'\n"
        "  closest: published.  tags of small: published\n"
        "  next: pannsdist weights list"
    )


def test_inspect_says_what_is_in_a_file(shared, capsys):
    assert main(["weights", "inspect", str(shared / "golden" / "Cnn6_golden.pth")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "format      torch",
        "layout      original PANNs",
        "tensors     36",
        "parameters  4,837,455 trainable, 1,085,509 not trainable",
        "head        fc_audioset, 527 classes",
    ]
    assert lines[5] == "first keys  spectrogram_extractor.stft.conv_real.weight  float32 [513, 1, 1024]"


def test_inspect_counts_paddles_parameters_like_torchs(shared, tmp_path, capsys):
    source, target = str(shared / "weights" / "mn04_as_mAP_432.pt"), str(tmp_path / "mn04.pdparams")
    assert main(["weights", "convert", source, target]) == 0
    assert capsys.readouterr().out == (
        f"{target}: 266 tensors, 18 Linear weights transposed\n"
        "skipped, since Paddle does not use them: 46, such as features.0.1.num_batches_tracked\n"
    )
    said = []
    for path in (source, target):
        assert main(["weights", "inspect", path]) == 0
        said.append(capsys.readouterr().out.splitlines())
    assert said[0][3].startswith("parameters  983,599 trainable")
    assert said[1][3].startswith("parameters  983,599 trainable")
    assert said[0][4] == said[1][4] == "head        classifier.5, 527 classes"


def test_convert_takes_the_model_by_name(shared, tmp_path, capsys):
    source, target = str(shared / "golden" / "Cnn6_golden.pth"), str(tmp_path / "cnn6.pdparams")
    assert main(["weights", "convert", source, target, "--model", "panns_cnn10"]) == 0
    assert "28 tensors, 2 Linear weights transposed" in capsys.readouterr().out
    assert main(["weights", "convert", source, target, "--model", "panns_cnn6"]) == 2
    assert capsys.readouterr().err == f"error: {target} already exists\n  remove it, or choose another name\n"
    assert main(["weights", "convert", source, target, "--model", "panns_cnn66"]) == 2
    assert "unknown model 'panns_cnn66'" in capsys.readouterr().err


def test_a_file_that_is_no_weights_is_a_users_mistake(tmp_path, capsys):
    (tmp_path / "page.pth").write_text("<html>")
    assert main(["weights", "inspect", str(tmp_path / "page.pth")]) == 2
    assert "is not a weight file: it starts with b'<html>'" in capsys.readouterr().err
