"""Published weights are downloaded once everything else about a run is valid."""

import hashlib
import io
from dataclasses import replace

import paddle
import pytest
import serving
from fake_model import FRONT_END
from small_parts import SmallLayer, SmallModel, catalog

from pannsdist import settings
from pannsdist.registry import Catalog
from pannsdist.run.planning.decide import decide
from pannsdist.run.planning.plan_table import plan_table
from pannsdist.runtime.errors import BadWeightsFile, UserError, WeightsMismatch
from pannsdist.weights.formats.writing import write_paddle

pytestmark = pytest.mark.usefixtures("home")


def saved(state):
    """The bytes of a Paddle file."""
    made = io.BytesIO()
    write_paddle(made, state)
    return made.getvalue()


def state_of_small(bins=64):
    """Weights of the small model, as `SmallLayer` names them."""
    layer = SmallLayer(bins, 3)
    return {name: value.numpy() for name, value in layer.state_dict().items()}


DATA = saved(state_of_small(FRONT_END.bins))


@pytest.fixture
def decided(tmp_path, server, monkeypatch):
    """Decide about a run of the small model from its published weights; nothing is trained."""
    url = server.serve("/small.pdparams", serving.whole(DATA))
    weights = replace(
        SmallModel.weights["published"], url=url, sha256=hashlib.sha256(DATA).hexdigest(), size_bytes=len(DATA)
    )
    monkeypatch.setattr(SmallModel, "weights", {"published": weights})
    config = tmp_path / "run.yaml"
    config.write_text(
        "name: run\nmodel: {name: small, weights: published}\ndata: {name: listed}\n"
        "train: {epochs: 1, batch_size: 2, crop_s: 0.5}\n"
    )
    return lambda *overrides, **how: decide(*settings.load(config, overrides), catalog(), 1, **how)


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


def test_a_dry_run_says_what_would_be_downloaded_and_downloads_nothing(decided, home, server):
    plan = decided(downloads=False)
    assert (server.asked, home.exists()) == ([], False)
    line = next(line for line in plan_table(plan).splitlines() if line.startswith("weights"))
    size = f"{plan.plugins.model.plugin.weights['published'].size_bytes / 1e6:.1f} MB"
    url = server.url("/small.pdparams")
    assert line == f"weights    small.pdparams is not here; the run downloads {url} ({size}) to {home}"
    decided()
    assert decided(downloads=False).weights == home / "small.pdparams"
    assert "weights " not in plan_table(decided(downloads=False))
    assert server.asked == ["/small.pdparams"]


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


@pytest.mark.parametrize("prefix", ["", "net.", "model.net."])
def test_weights_under_a_prefix_are_taken(decided, tmp_path, prefix):
    (tmp_path / "own.pdparams").write_bytes(saved({prefix + k: v for k, v in state_of_small(FRONT_END.bins).items()}))
    assert decided(f"model.weights={tmp_path / 'own.pdparams'}").weights == tmp_path / "own.pdparams"


def test_weights_of_another_network_are_refused_by_the_plan_with_its_name(decided, tmp_path):
    plugin = Catalog.installed().models.find("panns_leenet11").load()
    layer = plugin(plugin.Params()).build(("a", "b"), plugin.front_end)
    (tmp_path / "other.pdparams").write_bytes(saved({k: v.numpy() for k, v in layer.state_dict().items()}))
    with pytest.raises(WeightsMismatch, match=r"does not fit the network(.|\n)*it fits panns_leenet11"):
        decided(f"model.weights={tmp_path / 'other.pdparams'}")


def test_weights_of_other_shapes_are_refused_by_the_plan(decided, tmp_path):
    (tmp_path / "other.pdparams").write_bytes(saved(state_of_small(FRONT_END.bins + 1)))
    with pytest.raises(WeightsMismatch, match="mismatched shape or type"):
        decided(f"model.weights={tmp_path / 'other.pdparams'}")


def test_a_file_that_is_no_weights_is_refused_by_the_plan(decided, tmp_path):
    (tmp_path / "other.pdparams").write_bytes(b"weights" * 1000)
    with pytest.raises(BadWeightsFile, match="is not a weight file"):
        decided(f"model.weights={tmp_path / 'other.pdparams'}")


def test_the_plan_takes_no_parameter_names_from_the_network(decided):
    before = paddle.utils.unique_name.generate("linear")
    decided()
    after = paddle.utils.unique_name.generate("linear")
    assert int(after.rpartition("_")[2]) == int(before.rpartition("_")[2]) + 1
