"""What a model keeps to."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import paddle
from paddle import nn

from pannsdist.contracts import FrontEnd
from pannsdist.contracts.network import Network
from pannsdist.devkit import subprocess_probe
from pannsdist.devkit.checking import Check, Cost, NotApplicable, Subject, require
from pannsdist.devkit.checks.feature import close, noise, require_storable, same_as_graph
from pannsdist.devkit.two_processes import named, train_a_step
from pannsdist.inference.engines.output_layer import SCORES, OutputLayer
from pannsdist.training.optimization.freezing import stages_of

FEW, MANY = 2, 50


def feature_of(subject: Subject, model: Any, **params: Any) -> Subject:
    """The feature that a model was made for, with these of its params changed."""
    entry = subject.catalog.features.find(model.feature, f"the feature of model '{subject.entry.name}'")
    return Subject(entry, {**model.feature_params, **params}, subject.catalog)


def built(subject: Subject, classes: int = FEW, seed: int = 0) -> Network:
    """Feature and model of a plugin, with random weights for so many classes."""
    model = subject.opened()
    paddle.seed(seed)
    feature = feature_of(subject, model).opened()
    labels = tuple(f"label {number}" for number in range(classes))
    return Network(feature.build(), model.build(labels, feature.front_end))


def shortest(subject: Subject) -> int:
    """Its shortest waveform, in samples."""
    model = subject.opened()
    return int(model.minimum_samples(model.front_end))


def its_feature_computes_what_it_was_made_for(subject: Subject) -> str:
    """The feature that it names, with the params that it names, has exactly the front end that it says."""
    model = subject.opened()
    computed = feature_of(subject, model).opened().front_end
    said = f"feature {model.feature} computes {computed}, the model says {model.front_end}"
    require(computed == model.front_end, said)
    require(model.accepts(model.front_end), "it does not accept its own front end")
    require_storable(model.front_end)
    return f"{model.feature}, {model.front_end.bins} bins"


def its_published_weights_fit_it_and_have_a_licence(subject: Subject) -> str:
    """Place, checksum, front end, classes, licence, source."""
    published = subject.plugin_class.weights
    if not published:
        raise NotApplicable("it has no published weights")
    for tag, weights in published.items():
        require(weights.url.startswith("https://"), f"{tag}: {weights.url!r} is no https address")
        sound = len(weights.sha256) in (0, 64) and set(weights.sha256) <= set(string.hexdigits.lower())
        require(sound, f"{tag}: sha256 is {weights.sha256!r}, and not 64 digits in small letters, nor empty")
        fits = weights.front_end == subject.plugin_class.front_end
        require(fits, f"{tag}: its front end is not the model's")
        require(weights.classes > 0, f"{tag}: {weights.classes} classes")
        require(weights.licence and weights.source, f"{tag}: no licence or no source")
    return ", ".join(published)


def a_front_end_of_another_kind_is_refused_or_heard(subject: Subject) -> str:
    """`accepts` answers for any front end, and `minimum_samples` for those that are accepted."""
    model = subject.opened()
    own = {name: getattr(model.front_end, name) for name in FrontEnd.__dataclass_fields__}
    strange = FrontEnd(**{**own, "kind": "no such kind"})
    if not model.accepts(strange):
        return "refused"
    require(model.minimum_samples(strange) > 0, "it is accepted, but no sound is long enough")
    return "accepted"


def it_gives_a_finite_logit_for_each_class_from_its_shortest_sound_on(subject: Subject) -> str:
    """(B, C) float32, for 2 and for 50 classes."""
    samples = shortest(subject)
    require(samples > 0, f"minimum_samples is {samples}")
    for classes in (FEW, MANY):
        network = built(subject, classes)
        network.eval()
        for extra in (0, 1):
            with paddle.no_grad():
                logits = network(noise(2, samples + extra))
            require(logits.shape == [2, classes], f"{classes} classes: logits {tuple(logits.shape)}")
            require(logits.dtype == paddle.float32, f"logits are {logits.dtype}")
            require(np.isfinite(logits.numpy()).all(), "logits are NaN or infinite")
    return f"{FEW} and {MANY} classes, {samples} samples"


def its_shortest_sound_is_enough_for_every_front_end_that_it_accepts(subject: Subject) -> str:
    """Each whole number among the feature's params halved and doubled; in a Python that may die of it."""
    tried, heard = subprocess_probe.shortest_sounds(subject)
    if not tried:
        raise NotApplicable("it accepts no other front end")
    deaf = [case for case in tried if case not in heard]
    require(not deaf, f"not heard: {'; '.join(deaf)}")
    return f"{len(tried)} front ends"


def an_evaluation_is_the_same_each_time_and_for_a_clip_alone(subject: Subject) -> str:
    """Deterministic, and no row depends on another."""
    network, sounds = built(subject), noise(3, 2 * shortest(subject) + 1000)
    network.eval()
    with paddle.no_grad():
        together, again = (network(sounds).numpy() for _ in range(2))
        alone = np.concatenate([network(sounds[row : row + 1]).numpy() for row in range(3)])
    require(np.array_equal(together, again), "the same batch gets another answer the second time")
    require(np.ptp(together, axis=0).max() > 0, "different sounds get the same answer")
    return close(alone, together, "alone and in a batch")


def every_trainable_parameter_gets_a_gradient(subject: Subject) -> str:
    """Finite, and not zero everywhere. Parameters that begin at zero are moved first: they stop it for one step."""
    network = built(subject)
    network.train()
    parameters = {name: item for name, item in network.model.named_parameters() if not item.stop_gradient}
    require(parameters, "it has no trainable parameter")
    for parameter in parameters.values():
        if not parameter.numpy().any():
            parameter.set_value(paddle.full_like(parameter, 0.1))
    network(noise(4, max(8000, 4 * shortest(subject)))).square().mean().backward()
    for name, parameter in parameters.items():
        require(parameter.grad is not None, f"{name} gets none")
        largest = float(parameter.grad.abs().max())
        require(np.isfinite(largest) and largest > 0.0, f"that of {name} is {largest} at most")
    return f"{len(parameters)} parameters"


def its_weights_can_be_taken_out_and_put_back(subject: Subject) -> str:
    """With its running statistics; the answers are the same to the last digit."""
    first, second, sounds = built(subject, seed=1), built(subject, seed=2), noise(2, shortest(subject))
    first.train()
    with paddle.no_grad():
        first(noise(4, 2 * shortest(subject)))  # running statistics of its own
    arrays = first.arrays()
    second.restore(arrays)
    first.eval(), second.eval()
    with paddle.no_grad():
        alike = np.array_equal(first(sounds).numpy(), second(sounds).numpy())
    require(alike, "another network with the same weights answers something else: part of it is not in state_dict")
    return f"{len(arrays)} tensors"


def one_seed_gives_one_network_whatever_was_built_before(subject: Subject) -> str:
    """The same names and the same numbers."""
    first = built(subject, seed=5).arrays()
    others = [nn.Linear(2, 2), nn.Conv2D(1, 1, 1), nn.BatchNorm2D(3), built(subject, seed=6)]
    second = built(subject, seed=5).arrays()
    del others
    require(list(first) == list(second), f"names: {sorted(first.keys() ^ second.keys())[:4]}")
    odd = [name for name in first if not np.array_equal(first[name], second[name])]
    require(not odd, f"other numbers in {', '.join(odd[:4])}: draw from Paddle's generator alone")
    return f"{len(first)} tensors"


def only_its_head_depends_on_the_number_of_classes(subject: Subject) -> str:
    """The sub-layer that `head` names."""
    head = subject.plugin_class.head
    network = built(subject, FEW)
    require(head in dict(network.model.named_sublayers()), f"it has no sub-layer {head!r}")
    few, many = ({n: a.shape for n, a in net.arrays().items()} for net in (network, built(subject, MANY)))
    require(few.keys() == many.keys(), f"names differ: {sorted(few.keys() ^ many.keys())[:4]}")
    differing = sorted(name for name in few if few[name] != many[name])
    require(differing, "nothing of it depends on the number of classes")
    others = [name for name in differing if not name.startswith(f"{head}.")]
    require(not others, f"so does {', '.join(others)}")
    require(any(MANY in many[name] for name in differing), f"no tensor of {head} has {MANY} outputs")
    return f"{', '.join(differing)}"


def every_parameter_belongs_to_one_of_its_stages(subject: Subject) -> str:
    """The parts in which it is frozen and thawed; those that it names are all in use."""
    declared = getattr(subject.plugin_class, "stages", None)
    found = [stage.name for stage in stages_of(built(subject).model, subject.plugin_class.head, declared)]
    unused = [name for name in declared or () if name not in found]
    require(not unused, f"no parameter is in {', '.join(unused)}")
    return ", ".join(found)


def as_a_static_graph_it_answers_the_same(subject: Subject) -> str:
    """What `pannsdist export` and the compiled engine need."""
    asked, samples = _Logits(built(subject), SCORES, multi_label=True), shortest(subject)
    return same_as_graph(asked, ((1, samples), (3, samples + 4001)))


class _Logits(OutputLayer):
    """(B, S) -> (B, C): what no sigmoid has hidden the differences of."""

    def forward(self, waveform: paddle.Tensor) -> paddle.Tensor:
        """The logits themselves."""
        return self.network(waveform)


def two_processes_train_a_step_of_it(subject: Subject) -> str:
    """Under Paddle's launcher, on generated sounds, and a model folder comes of it."""
    model = subject.opened()
    return train_a_step({"model": named(subject)}, model.front_end.sample_rate_hz, shortest(subject))


CHECKS = (
    Check(its_feature_computes_what_it_was_made_for),
    Check(its_published_weights_fit_it_and_have_a_licence),
    Check(a_front_end_of_another_kind_is_refused_or_heard),
    Check(it_gives_a_finite_logit_for_each_class_from_its_shortest_sound_on, Cost.COMPUTES),
    Check(its_shortest_sound_is_enough_for_every_front_end_that_it_accepts, Cost.COMPUTES),
    Check(an_evaluation_is_the_same_each_time_and_for_a_clip_alone, Cost.COMPUTES),
    Check(every_trainable_parameter_gets_a_gradient, Cost.COMPUTES),
    Check(its_weights_can_be_taken_out_and_put_back, Cost.COMPUTES),
    Check(one_seed_gives_one_network_whatever_was_built_before, Cost.COMPUTES),
    Check(only_its_head_depends_on_the_number_of_classes, Cost.COMPUTES),
    Check(every_parameter_belongs_to_one_of_its_stages, Cost.COMPUTES),
    Check(as_a_static_graph_it_answers_the_same, Cost.COMPUTES),
    Check(two_processes_train_a_step_of_it, Cost.LAUNCHES),
)
