"""Conformance checks of models that can answer by frame: `frame_samples` and `build_frames`."""

from __future__ import annotations

import numpy as np
import paddle

from pannsdist.contracts.frame_head import ATTENTION, POOLINGS
from pannsdist.contracts.network import Network, evaluation_mode, training_mode
from pannsdist.devkit.checking import Check, Cost, NotApplicable, Subject, require
from pannsdist.devkit.checks.feature import close, noise, same_as_graph
from pannsdist.devkit.checks.model_building import FEW, LogitsLayer, built, feature_of, minimum_samples

FRAMES = 12


def built_by_frame(subject: Subject, pooling: str = ATTENTION) -> Network:
    """Feature and network by frame of a plugin, with random weights. Raises NotApplicable for one without."""
    model = subject.plugin()
    has = [name for name in ("frame_samples", "build_frames") if hasattr(model, name)]
    if not has:
        raise NotApplicable("it does not answer by frame")
    require(len(has) == 2, f"it has {has[0]} alone: a model that answers by frame has frame_samples and build_frames")
    paddle.seed(0)
    feature = feature_of(subject, model).plugin()
    layer = model.build_frames(tuple(f"label {number}" for number in range(FEW)), feature.front_end, pooling)
    return Network(feature.build(), layer, head=model.head, frame_samples=frame_samples(subject))


def frame_samples(subject: Subject) -> int:
    """The samples of a frame with the model's own front end."""
    model = subject.plugin()
    samples, hop = model.frame_samples(model.front_end), model.front_end.hop_samples
    require(type(samples) is int, f"frame_samples is {samples!r}, no whole number")
    require(samples >= 2 * hop and samples % hop == 0, f"frame_samples is {samples}: give 2 hops of {hop}, or more")
    return int(samples)


def its_frames_are_those_that_a_sound_begins(subject: Subject) -> str:
    """(B, T + 1, C) float32, T = ceil(S / frame_samples), for both poolings, around whole frames."""
    for pooling in POOLINGS:
        network, frame = built_by_frame(subject, pooling), frame_samples(subject)
        whole = -(-minimum_samples(subject) // frame) * frame
        for samples in (whole, whole + 1, whole + frame - 1, whole + frame):
            with evaluation_mode(network), paddle.no_grad():
                logits = network(noise(2, samples))
            expected = [2, -(-samples // frame) + 1, FEW]
            require(logits.shape == expected, f"{samples} samples: logits {logits.shape}, not {expected}")
            require(np.isfinite(logits.numpy()).all(), f"{samples} samples: logits are NaN or infinite")
    return f"frames of {frame} samples"


def a_frame_depends_on_the_sound_at_its_place(subject: Subject) -> str:
    """The logits of a frame change with its sound; those of a batch do not depend on each other."""
    network, frame = built_by_frame(subject), frame_samples(subject)
    samples = max(FRAMES * frame, minimum_samples(subject))
    waveforms = noise(3, samples).numpy()
    changed, middle = waveforms.copy(), samples // frame // 2
    changed[:, middle * frame : (middle + 1) * frame] *= -0.1
    with evaluation_mode(network), paddle.no_grad():
        before, after = (network(paddle.to_tensor(batch)).numpy() for batch in (waveforms, changed))
        alone = np.concatenate([network(paddle.to_tensor(waveforms[row : row + 1])).numpy() for row in range(3)])
    require((before != after)[:, middle].any(), f"frame {middle} is the same with another sound at its place")
    require(np.ptp(before[:, :-1], axis=1).max() > 0, "all frames of a sound are the same")
    return close(alone, before, "outputs for single clips and for the batch")


def its_weights_by_frame_are_those_of_clips_but_for_the_head(subject: Subject) -> str:
    """So that published weights fit both."""
    by_frame, by_clip = built_by_frame(subject).arrays(), built(subject).arrays()
    head = f"{subject.plugin_class.head}."
    shapes = [{n: a.shape for n, a in arrays.items() if not n.startswith(head)} for arrays in (by_frame, by_clip)]
    differing = sorted(n for n in shapes[0].keys() | shapes[1].keys() if shapes[0].get(n) != shapes[1].get(n))
    require(not differing, f"these differ: {', '.join(differing[:4])}")
    require(any(name.startswith(head) for name in by_frame), f"it has no parameters under its head {head[:-1]}")
    return f"{len(shapes[0])} tensors"


def every_parameter_by_frame_gets_a_gradient(subject: Subject) -> str:
    """From the frames and the clip together."""
    network = built_by_frame(subject)
    parameters = {name: item for name, item in network.model.named_parameters() if not item.stop_gradient}
    for parameter in parameters.values():
        if not parameter.numpy().any():
            parameter.set_value(paddle.full_like(parameter, 0.1))
    with training_mode(network):
        network(noise(4, max(8000, 4 * minimum_samples(subject)))).square().mean().backward()
    missing = [name for name, item in parameters.items() if item.grad is None]
    require(not missing, f"no gradient for {', '.join(missing[:4])}")
    return f"{len(parameters)} parameters"


def its_static_graph_by_frame_gives_the_same_logits(subject: Subject) -> str:
    """As needed by `pannsdist export` and the compiled engine."""
    samples = minimum_samples(subject)
    return same_as_graph(LogitsLayer(built_by_frame(subject)), ((1, samples), (3, samples + 4001)))


CHECKS = (
    Check(its_frames_are_those_that_a_sound_begins, Cost.COMPUTES),
    Check(a_frame_depends_on_the_sound_at_its_place, Cost.COMPUTES),
    Check(its_weights_by_frame_are_those_of_clips_but_for_the_head, Cost.COMPUTES),
    Check(every_parameter_by_frame_gets_a_gradient, Cost.COMPUTES),
    Check(its_static_graph_by_frame_gives_the_same_logits, Cost.COMPUTES),
)
