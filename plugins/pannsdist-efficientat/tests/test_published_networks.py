"""Every network that EfficientAT published: its size, its numbers, its weights' entries, and how a misfit is refused.

`by_rule.npz` was made once with PyTorch 2.15 and torchvision 0.29, whose `mobilenet_v3_large` is what the authors
started from: its blocks at each width, with one input channel, logistic gates instead of hard ones, batch norm with
epsilon 0.001, the strides of the variants, and before its two linear layers the pooling, or instead of them a
convolution with batch norm and then the pooling. Its weights follow `by_rule`, under the names that the published file
of mn04 has; its input is `image`. Kept are every eighth logit, about 64 values of the embedding, and the parameters.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import paddle
import pannsdist_efficientat as plugin
import pytest
from pannsdist_efficientat.network import eighths
from pannsdist_efficientat.published import PUBLISHED

from pannsdist import settings
from pannsdist.registry import Catalog
from pannsdist.run.planning.decide import decide as decide_run
from pannsdist.runtime.errors import FrontEndMismatch
from pannsdist.weights import WeightFile, load_into
from pannsdist.weights.loading import linear_weights

REFERENCE = Path(__file__).with_name("by_rule.npz")
WEIGHTS = Path(__file__).resolve().parents[3].parent / "shared" / "weights" / "mn04_as_mAP_432.pt"
CLASSES = 527
ENTRIES = {
    entry.name.removeprefix("efficientat_"): entry.load()
    for entry in metadata.distribution("pannsdist-efficientat").entry_points
    if entry.group == "pannsdist.models"
}
WIDTHS = ("mn01", "mn02", "mn04", "mn05", "mn10", "mn20", "mn30", "mn40")
WIDEST = ("mn30", "mn40")
HEADS = ("mn10_fc", "mn10_fc_s2221", "mn10_fc_s2211")
IMAGES = {
    "mn10_hop_5": {"hop_samples": 160},
    "mn10_hop_15": {"hop_samples": 480},
    "mn10_hop_20": {"hop_samples": 640},
    "mn10_hop_25": {"hop_samples": 800},
    "mn10_mels_40": {"mel_bins": 40},
    "mn10_mels_64": {"mel_bins": 64},
    "mn10_mels_256": {"mel_bins": 256},
}
FILES = [(name, tag, weights) for name, model in ENTRIES.items() for tag, weights in model.weights.items()]
SIZED = [(name, weights) for name, _, weights in FILES if weights.size_bytes]

# Paddle 3.3.1 says so in every forward pass of a batch norm in training.
pytestmark = pytest.mark.filterwarnings("ignore:When training, we now always track global mean:UserWarning")


def built(name, classes=CLASSES):
    model = ENTRIES[name](ENTRIES[name].Params())
    return model.build([f"class {number}" for number in range(classes)], model.front_end)


def by_rule(key, shape):
    n = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    last = key.rsplit(".", 1)[-1]
    if last == "running_mean":
        return 0.1 * n
    if last == "running_var":
        return 1 + 0.1 * abs(n)
    if last == "bias":
        return 0.1 * n
    return 1 + 0.1 * n if len(shape) == 1 else n * math.sqrt(2 / math.prod(shape[1:]))


def as_published(layer):
    """Weights by rule with PyTorch's keys and axes, and the counters that a published file holds beside them."""
    linears, state = linear_weights(layer), {}
    for name, tensor in layer.state_dict().items():
        key = name.replace("._mean", ".running_mean").replace("._variance", ".running_var")
        shape = tuple(tensor.shape)[::-1] if name in linears else tuple(tensor.shape)
        state[key] = np.asarray(by_rule(key, shape), np.float32)
        if key.endswith("running_var"):
            state[key.replace("running_var", "num_batches_tracked")] = np.asarray(1)
    return WeightFile(Path("by_rule.pt"), "torch", "bare keys", state)


def image():
    """Two clips (B, 1, T, F); the reference was given (B, 1, F, T)."""
    noise = np.random.default_rng(0).standard_normal((2, 1, 128, 100)).astype(np.float32) * np.float32(0.5)
    return paddle.to_tensor(noise.transpose(0, 1, 3, 2).copy())


def trained(layer):
    """Its parameters; Paddle counts batch norm's statistics among them."""
    return [parameter for parameter in layer.parameters() if not parameter.stop_gradient]


def parameters_of(layer):
    return sum(math.prod(parameter.shape) for parameter in trained(layer))


def shapes(name, classes=CLASSES):
    """Of a network without values, which is quickly built."""
    with paddle.LazyGuard():
        layer = built(name, classes)
    return {key: tuple(tensor.shape) for key, tensor in layer.state_dict().items()}, parameters_of(layer)


def every_nth(embedding):
    return embedding[:, :: max(1, embedding.shape[1] // 64)]


def difference(found, wanted):
    """The largest difference as a fraction of the largest value."""
    assert found.shape == wanted.shape
    difference = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    print(f"differs by {difference:.1e}")
    return difference


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.long] if name in WIDEST else []) for name in (*WIDTHS, *HEADS)],
)
def test_a_network_gives_the_numbers_of_the_reference(name):
    layer = built(name)
    assert load_into(layer, as_published(layer), head=ENTRIES[name].head).head == "kept"
    layer.eval()
    with np.load(REFERENCE) as reference, paddle.no_grad():
        assert parameters_of(layer) == reference[f"{name}.parameters"]
        # Measured: 3.4e-6 at worst.
        assert difference(layer(image()).numpy()[:, ::8], reference[f"{name}.logits"]) < 2e-5
        assert difference(every_nth(layer.embed(image()).numpy()), reference[f"{name}.embedding"]) < 2e-5


@pytest.mark.parametrize(
    ("name", "millions"),
    [("mn04", 0.983), ("mn05", 1.43), ("mn10", 4.88), ("mn20", 17.91), ("mn30", 39.09), ("mn40", 68.43)],
)
def test_a_network_has_as_many_parameters_as_its_authors_say(name, millions):
    digits = len(str(millions).partition(".")[2])
    assert abs(shapes(name)[1] / 1e6 - millions) < 10**-digits


@pytest.mark.parametrize(("name", "weights"), SIZED, ids=[name for name, _ in SIZED])
def test_a_file_whose_size_is_known_has_room_for_just_these_tensors(name, weights):
    """PyTorch's archive has about 0.1 MB beside the numbers, 4 bytes each: names, and room up to multiples of 64."""
    values = sum(math.prod(shape) for shape in shapes(name)[0].values())
    assert 85_000 < weights.size_bytes - 4 * values < 120_000


def test_channels_are_the_nearest_multiple_of_8_that_is_not_a_tenth_too_low():
    for width in (0.1, 0.2, 0.4, 0.5, 1.0, 2.0, 3.0, 4.0):
        for channels in (16, 24, 40, 64, 72, 80, 112, 120, 160, 184, 200, 240, 480, 672, 960, 1280):
            wanted = channels * width
            allowed = [rounded for rounded in range(8, 6000, 8) if rounded >= 0.9 * wanted]
            assert eighths(wanted) == min(allowed, key=lambda rounded: (abs(rounded - wanted), -rounded)), wanted


@pytest.mark.parametrize("name", ENTRIES)
def test_a_network_learns_from_its_shortest_sound(name):
    model = ENTRIES[name](ENTRIES[name].Params())
    feature = plugin.EfficientAtMel(plugin.MelParams(**model.feature_params))
    assert feature.front_end == model.front_end
    sounds = np.random.default_rng(0).normal(0, 0.1, (2, model.minimum_samples(model.front_end))).astype("float32")
    layer = built(name, classes=3)
    logits = layer(feature.build()(paddle.to_tensor(sounds)))
    logits.square().sum().backward()
    assert tuple(logits.shape) == (2, 3)
    assert np.isfinite(logits.numpy()).all()
    assert all(parameter.grad is not None for parameter in trained(layer))


@pytest.mark.parametrize("name", ["mn01", "mn10", *HEADS])
def test_the_head_is_the_only_part_that_knows_the_number_of_classes(name):
    few, many = shapes(name, 3)[0], shapes(name, 5)[0]
    differing = {key for key, shape in few.items() if shape != many[key]}
    assert differing == {key for key in few if key.startswith(f"{ENTRIES[name].head}.")}
    assert differing


@pytest.mark.parametrize("name", HEADS)
def test_a_fully_convolutional_head_of_other_classes_is_made_anew(name):
    layer = built(name, classes=10)
    report = load_into(layer, as_published(built(name)), head=ENTRIES[name].head)
    assert report.head == "remade (527 -> 10 classes)"


def test_a_smaller_stride_leaves_a_larger_image():
    sizes = {name: tuple(built(name, classes=2).image(image()).shape[2:]) for name in HEADS}
    assert sizes == {"mn10_fc": (4, 4), "mn10_fc_s2221": (8, 7), "mn10_fc_s2211": (16, 13)}


def test_every_published_network_is_a_model_under_its_published_name():
    assert set(ENTRIES) == {*WIDTHS, *HEADS, *IMAGES}
    assert {model.__name__ for model in ENTRIES.values()} == set(PUBLISHED)
    for name, model in ENTRIES.items():
        for weights in model.weights.values():
            variant = name.removeprefix(name[:4])
            assert weights.url.rpartition("/")[2].startswith(f"{name[:4]}_as{variant}_"), (name, weights.url)


def test_every_file_has_an_address_and_a_tag_of_its_own():
    assert len(FILES) == 26
    assert set(Counter(weights.url for _, _, weights in FILES).values()) == {1}
    assert {tag for tag in ENTRIES["mn40"].weights if "483" in tag} == {
        *("as_mAP_483", "as_mAP_483_2", "as_no_im_pre_mAP_483", "as_no_im_pre_mAP_483_2")
    }
    assert next(iter(ENTRIES["mn40"].weights)) == "as_mAP_484"


@pytest.mark.parametrize(("name", "tag", "weights"), FILES, ids=[f"{name}-{tag}" for name, tag, _ in FILES])
def test_an_entry_says_what_a_user_has_to_know(name, tag, weights):
    model = ENTRIES[name](ENTRIES[name].Params())
    assert tag.replace("(", "") == tag == tag.replace(")", "")
    assert f"mAP 0.{tag.partition('mAP_')[2][:3]}" in weights.source
    assert (weights.classes, weights.licence) == (CLASSES, "MIT")
    assert weights.front_end == model.front_end
    assert model.accepts(weights.front_end)
    assert weights.sha256 == "" or len(weights.sha256) == 64
    assert weights.size_bytes or not weights.sha256


@pytest.mark.parametrize("name", IMAGES)
def test_a_network_on_another_image_is_mn10_but_for_its_front_end(name):
    changed = IMAGES[name]
    own, mn10 = ENTRIES[name].front_end, ENTRIES["mn10"].front_end
    assert ENTRIES[name].feature_params == changed
    assert own == replace(mn10, **{key.removeprefix("mel_"): value for key, value in changed.items()})
    assert shapes(name)[0] == shapes("mn10")[0]


@pytest.mark.skipif(not WEIGHTS.is_file(), reason=f"needs the published weights in {WEIGHTS}")
def test_the_published_weights_are_the_ones_described():
    import hashlib

    described = ENTRIES["mn04"].weights["as_mAP_432"]
    assert WEIGHTS.stat().st_size == described.size_bytes
    assert hashlib.sha256(WEIGHTS.read_bytes()).hexdigest() == described.sha256


@pytest.fixture
def decide(tmp_path):
    path = tmp_path / "run.yaml"
    data = "data: {name: tones, params: {classes: 2, clips_per_class: 2, sample_rate_hz: 32000}}"
    path.write_text(f"{data}\ntrain: {{batch_size: 2, crop_s: 0.5}}\n", encoding="utf-8")

    def decided(*overrides):
        chosen, source = settings.load(path, overrides)
        return decide_run(chosen, source, Catalog.installed(), world_size=1)

    return decided


@pytest.mark.parametrize("name", ["mn10_hop_5", "mn10_mels_40"])
def test_a_feature_that_does_not_fit_the_weights_is_refused_with_what_to_set(name, decide):
    (tag,) = ENTRIES[name].weights
    asked = (f"model.name=efficientat_{name}", f"model.weights={tag}")
    ((key, value),) = IMAGES[name].items()
    named = "feature.name=efficientat_mel"  # whose defaults are not this network's
    for override in (f"feature.params.{key}=100", named):
        with pytest.raises(FrontEndMismatch) as caught:
            decide(*asked, override)
        assert f"{key.removeprefix('mel_')}: weights {value}, feature " in str(caught.value)
        assert str(caught.value).endswith(f"next: the same command with feature.params.{key}={value}")


def test_a_network_on_another_image_gets_it_without_being_told(decide):
    assert decide("model.name=efficientat_mn10_hop_5").front_end.hop_samples == 160


def test_a_fully_convolutional_network_has_a_frame_stride_as_its_only_param():
    assert {tuple(vars(ENTRIES[name].Params())) for name in HEADS} == {("frame_stride",)}
