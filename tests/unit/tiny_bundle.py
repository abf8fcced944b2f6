"""A model folder's bundle with random weights, for tests of inference."""

import paddle
from small_parts import RATE_HZ, SmallModel

from pannsdist.builtin.logmel import LogMel, LogMelParams
from pannsdist.contracts import NoParams
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import Bundle, BundleRecord, PluginRecord
from pannsdist.registry import Origin

LABELS = ("a", "b", "c")
WINDOW = 1600


def make_bundle(tmp_path, multi_label=False):
    paddle.seed(0)
    feature = LogMel(LogMelParams(**SmallModel.feature_params)).build()
    network = Network(feature, SmallModel(NoParams()).build(LABELS, SmallModel.front_end))
    plugin = PluginRecord("small", {}, Origin("small-parts", "1.0"))
    record = BundleRecord(
        *(plugin, plugin, plugin, SmallModel.front_end, LABELS, multi_label, WINDOW / RATE_HZ, "valid/accuracy", {}, {})
    )
    network.eval()
    return Bundle(tmp_path, record, network, minimum_s=0.01)
