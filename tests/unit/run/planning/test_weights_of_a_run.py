"""Published weights are downloaded once everything else about a run is valid."""

import hashlib
from dataclasses import replace

import pytest
import serving
from small_parts import SmallModel, catalog

from pannsdist import settings
from pannsdist.run.planning.decide import decide
from pannsdist.runtime.errors import BadWeightsFile, UserError

pytestmark = pytest.mark.usefixtures("home")
DATA = b"weights" * 1000


@pytest.fixture
def decided(tmp_path, server, monkeypatch):
    """Decide about a run of the small model from its published weights; nothing is trained."""
    url = server.serve("/small.pdparams", serving.whole(DATA))
    weights = replace(SmallModel.weights["published"], url=url, sha256=hashlib.sha256(DATA).hexdigest())
    monkeypatch.setattr(SmallModel, "weights", {"published": weights})
    config = tmp_path / "run.yaml"
    config.write_text(
        "name: run\nmodel: {name: small, weights: published}\ndata: {name: listed}\n"
        "train: {epochs: 1, batch_size: 2, crop_s: 0.5}\n"
    )
    return lambda *overrides: decide(*settings.load(config, overrides), catalog(), 1)


def test_a_tag_is_fetched_and_the_plan_holds_its_file(decided, home, server):
    assert decided().weights == home / "small.pdparams"
    assert (home / "small.pdparams").read_bytes() == DATA
    decided()
    assert server.asked == ["/small.pdparams"]


def test_nothing_is_fetched_for_a_run_that_would_be_refused(decided, home, server):
    for overrides in (["train.batch_size=64"], ["data.params.fault=leak"], ["select.metric=valid/nothing"]):
        with pytest.raises(UserError):
            decided(*overrides)
    assert server.asked == []
    assert not home.exists()


def test_a_failed_download_ends_the_decision_with_which_file_to_put_where(decided, home, server):
    server.answers.clear()
    with pytest.raises(
        BadWeightsFile, match=r"small\.pdparams could not be downloaded: the server responded 404"
    ) as caught:
        decided()
    assert f"URL: {server.url('/small.pdparams')}\n" in str(caught.value)
    assert f"copy the file to {home / 'small.pdparams'}\n" in str(caught.value)


def test_a_file_is_taken_as_it_is(decided, tmp_path, server):
    (tmp_path / "own.pdparams").write_bytes(DATA)
    assert decided(f"model.weights={tmp_path / 'own.pdparams'}").weights == tmp_path / "own.pdparams"
    assert server.asked == []
