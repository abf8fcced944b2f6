"""Conformance checks of models."""

from __future__ import annotations

import string

import numpy as np
import paddle
from paddle import nn

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.network import evaluation_mode, training_mode
from pannsdist.devkit import subprocess_probe
from pannsdist.devkit.checking import Check, Cost, NotApplicable, Subject, require
from pannsdist.devkit.checks.feature import close, noise, require_storable, same_as_graph
from pannsdist.devkit.checks.frames import CHECKS as FRAME_CHECKS
from pannsdist.devkit.checks.model_building import FEW, MANY, LogitsLayer, built, feature_of, minimum_samples
from pannsdist.devkit.two_processes import named, train_a_step
from pannsdist.training.optimization.freezing import stages_of


def its_feature_computes_the_declared_front_end(subject: Subject) -> str:
    """Its feature, with its feature params, has exactly the front end that the model declares."""
    model = subject.plugin()
    computed = feature_of(subject, model).plugin().front_end
    difference = f"feature {model.feature} computes {computed}, the model declares {model.front_end}"
    require(computed == model.front_end, difference)
    require(model.accepts(model.front_end), "it does not accept its own front end")
    require_storable(model.front_end)
    return f"{model.feature}, {model.front_end.bins} bins"


def its_published_weights_have_complete_metadata(subject: Subject) -> str:
    """URL, checksum, front end, number of classes, licence and source."""
    published = subject.plugin_class.weights
    if not published:
        raise NotApplicable("it has no published weights")
    for tag, weights in published.items():
        require(weights.url.startswith("https://"), f"{tag}: {weights.url!r} is not an https address")
        valid = len(weights.sha256) in (0, 64) and set(weights.sha256) <= set(string.hexdigits.lower())
        require(valid, f"{tag}: sha256 is {weights.sha256!r}: 64 lower-case hexadecimal digits, or empty")
        same = weights.front_end == subject.plugin_class.front_end
        require(same, f"{tag}: its front end is not the model's")
        require(weights.classes > 0, f"{tag}: {weights.classes} classes")
        require(weights.licence and weights.source, f"{tag}: no licence or no source")
    return ", ".join(published)


def a_front_end_of_an_unknown_kind_is_refused_or_supported(subject: Subject) -> str:
    """`accepts` works for any front end, and `minimum_samples` for accepted ones."""
    model = subject.plugin()
    own = {name: getattr(model.front_end, name) for name in FrontEnd.__dataclass_fields__}
    unknown = FrontEnd(**{**own, "kind": "no such kind"})
    if not model.accepts(unknown):
        return "refused"
    require(model.minimum_samples(unknown) > 0, "it is accepted, but minimum_samples is not above 0")
    return "accepted"


def its_logits_are_finite_from_the_minimum_length_on(subject: Subject) -> str:
    """(B, C) float32, for 2 and for 50 classes, at the minimum length and one sample more."""
    samples = minimum_samples(subject)
    require(samples > 0, f"minimum_samples is {samples}")
    for classes in (FEW, MANY):
        network = built(subject, classes)
        for extra in (0, 1):
            with evaluation_mode(network), paddle.no_grad():
                logits = network(noise(2, samples + extra))
            require(logits.shape == [2, classes], f"{classes} classes: logits {tuple(logits.shape)}")
            require(logits.dtype == paddle.float32, f"logits are {logits.dtype}")
            require(np.isfinite(logits.numpy()).all(), "logits are NaN or infinite")
    return f"{FEW} and {MANY} classes, {samples} samples"


def its_minimum_length_suffices_for_every_accepted_front_end(subject: Subject) -> str:
    """Each integer feature param is halved and doubled, in a subprocess, since a failure may crash it."""
    tried, passed = subprocess_probe.minimum_lengths(subject)
    if not tried:
        raise NotApplicable("it accepts no other front end")
    failed = [case for case in tried if case not in passed]
    require(not failed, f"too short: {'; '.join(failed)}")
    return f"{len(tried)} front ends"


def evaluation_is_deterministic_and_independent_of_the_batch(subject: Subject) -> str:
    """Repeated calls give equal outputs, and no row of a batch depends on another."""
    network, waveforms = built(subject), noise(3, 2 * minimum_samples(subject) + 1000)
    with evaluation_mode(network), paddle.no_grad():
        batched, repeated = (network(waveforms).numpy() for _ in range(2))
        single = np.concatenate([network(waveforms[row : row + 1]).numpy() for row in range(3)])
    require(np.array_equal(batched, repeated), "the same batch gives a different output the second time")
    require(np.ptp(batched, axis=0).max() > 0, "different waveforms give the same output")
    return close(single, batched, "outputs for single clips and for the batch")


def every_trainable_parameter_gets_a_gradient(subject: Subject) -> str:
    """Finite, and not zero everywhere. Zero-initialized parameters are set first, since they block gradients."""
    network = built(subject)
    parameters = {name: item for name, item in network.model.named_parameters() if not item.stop_gradient}
    require(parameters, "it has no trainable parameters")
    for parameter in parameters.values():
        if not parameter.numpy().any():
            parameter.set_value(paddle.full_like(parameter, 0.1))
    with training_mode(network):
        network(noise(4, max(8000, 4 * minimum_samples(subject)))).square().mean().backward()
    for name, parameter in parameters.items():
        require(parameter.grad is not None, f"{name} gets no gradient")
        largest = float(parameter.grad.abs().max())
        require(np.isfinite(largest) and largest > 0.0, f"the largest gradient of {name} is {largest}")
    return f"{len(parameters)} parameters"


def its_state_dict_restores_identical_outputs(subject: Subject) -> str:
    """Including running statistics; outputs are bit-identical."""
    first, second, waveforms = built(subject, seed=1), built(subject, seed=2), noise(2, minimum_samples(subject))
    with training_mode(first), paddle.no_grad():
        first(noise(4, 2 * minimum_samples(subject)))  # updates the running statistics
    arrays = first.arrays()
    second.restore(arrays)
    with evaluation_mode(first), evaluation_mode(second), paddle.no_grad():
        equal = np.array_equal(first(waveforms).numpy(), second(waveforms).numpy())
    require(equal, "a second network with the same weights gives other outputs: some state is not in state_dict")
    return f"{len(arrays)} tensors"


def its_initialization_depends_only_on_the_seed(subject: Subject) -> str:
    """Same names and same values, whatever layers were built before."""
    first = built(subject, seed=5).arrays()
    others = [nn.Linear(2, 2), nn.Conv2D(1, 1, 1), nn.BatchNorm2D(3), built(subject, seed=6)]
    second = built(subject, seed=5).arrays()
    del others
    require(list(first) == list(second), f"names: {sorted(first.keys() ^ second.keys())[:4]}")
    differing = [name for name in first if not np.array_equal(first[name], second[name])]
    require(not differing, f"other values in {', '.join(differing[:4])}: use only Paddle's random generator")
    return f"{len(first)} tensors"


def only_its_head_depends_on_the_number_of_classes(subject: Subject) -> str:
    """The sublayer named by `head`."""
    head = subject.plugin_class.head
    network = built(subject, FEW)
    require(head in dict(network.model.named_sublayers()), f"it has no sublayer {head!r}")
    few, many = ({n: a.shape for n, a in net.arrays().items()} for net in (network, built(subject, MANY)))
    require(few.keys() == many.keys(), f"names differ: {sorted(few.keys() ^ many.keys())[:4]}")
    differing = sorted(name for name in few if few[name] != many[name])
    require(differing, "no tensor depends on the number of classes")
    others = [name for name in differing if not name.startswith(f"{head}.")]
    require(not others, f"these depend on it too: {', '.join(others)}")
    require(any(MANY in many[name] for name in differing), f"no tensor of {head} has {MANY} outputs")
    return f"{', '.join(differing)}"


def every_parameter_belongs_to_a_stage(subject: Subject) -> str:
    """Stages are the units of freezing and unfreezing; each declared stage has parameters."""
    declared = getattr(subject.plugin_class, "stages", None)
    found = [stage.name for stage in stages_of(built(subject).model, subject.plugin_class.head, declared)]
    unused = [name for name in declared or () if name not in found]
    require(not unused, f"stages without parameters: {', '.join(unused)}")
    return ", ".join(found)


def its_static_graph_gives_the_same_logits(subject: Subject) -> str:
    """As needed by `pannsdist export` and the compiled engine."""
    layer, samples = LogitsLayer(built(subject)), minimum_samples(subject)
    return same_as_graph(layer, ((1, samples), (3, samples + 4001)))


def it_trains_one_step_on_two_processes(subject: Subject) -> str:
    """Through Paddle's launcher, on generated clips; a model folder is written."""
    model = subject.plugin()
    return train_a_step({"model": named(subject)}, model.front_end.sample_rate_hz, minimum_samples(subject))


CHECKS = (
    Check(its_feature_computes_the_declared_front_end),
    Check(its_published_weights_have_complete_metadata),
    Check(a_front_end_of_an_unknown_kind_is_refused_or_supported),
    Check(its_logits_are_finite_from_the_minimum_length_on, Cost.COMPUTES),
    Check(its_minimum_length_suffices_for_every_accepted_front_end, Cost.COMPUTES),
    Check(evaluation_is_deterministic_and_independent_of_the_batch, Cost.COMPUTES),
    Check(every_trainable_parameter_gets_a_gradient, Cost.COMPUTES),
    Check(its_state_dict_restores_identical_outputs, Cost.COMPUTES),
    Check(its_initialization_depends_only_on_the_seed, Cost.COMPUTES),
    Check(only_its_head_depends_on_the_number_of_classes, Cost.COMPUTES),
    Check(every_parameter_belongs_to_a_stage, Cost.COMPUTES),
    Check(its_static_graph_gives_the_same_logits, Cost.COMPUTES),
    *FRAME_CHECKS,
    Check(it_trains_one_step_on_two_processes, Cost.LAUNCHES),
)
