"""Model folders with random weights: the speed of a network does not depend on its weights."""

from __future__ import annotations

from pathlib import Path


def write_model(folder: Path, model: str, classes: int, crop_s: float, pooling: str = "") -> None:
    """Write a model of several labels a sound to a new folder; with a `pooling` over frames it answers by frame."""
    import paddle

    from pannsdist.contracts.network import Network
    from pannsdist.inference.bundle import BundleRecord, PluginRecord, write_bundle
    from pannsdist.registry import Catalog

    catalog = Catalog.installed()
    entry = catalog.models.find(model)
    plugin = entry.load()(entry.load().Params())
    feature = catalog.features.find(plugin.feature)
    labels = tuple(f"class {number}" for number in range(classes))
    parts = [PluginRecord(model, {}, entry.origin), PluginRecord(plugin.feature, {}, feature.origin)]
    parts.append(PluginRecord("tones", {}, catalog.datasets.find("tones").origin))
    paddle.seed(0)
    front_end = plugin.front_end
    layer = plugin.build_frames(labels, front_end, pooling) if pooling else plugin.build(labels, front_end)
    frame_samples = plugin.frame_samples(front_end) if pooling else 0
    arrays = Network(paddle.nn.Identity(), layer).arrays()
    fields = (*parts, front_end, labels, True, crop_s, "valid/mAP", {}, {})
    write_bundle(folder, BundleRecord(*fields, frame_samples=frame_samples, pooling=pooling), arrays)
