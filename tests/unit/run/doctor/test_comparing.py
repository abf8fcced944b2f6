"""What differs between nodes is found by its name, from their reports."""

from dataclasses import replace

import pytest
from observed import A100, CPU_WHEEL, PLUGINS, WELL, exchanged, on_gpu

from pannsdist.run.doctor.comparing import Link, NodeReport, Sight, Token, compare
from pannsdist.run.doctor.finding import Verdict
from pannsdist.run.doctor.wheel import Card

pytestmark = pytest.mark.any_paddle
COUNT = 3


def report(number, facts=WELL, clock_ahead_s=0.0, **sight):
    """A node of three that reaches the others and sees their files."""
    others = [other for other in range(COUNT) if other != number]
    links = tuple(Link(other, "", 0.2, 900.0) for other in others)
    named = exchanged(facts, network={"host": f"node-{number}"})
    tokens = tuple(Token(other, True) for other in others)
    return NodeReport(f"10.0.0.{number}", named, clock_ahead_s, replace(Sight(links, tokens), **sight))


def faults(*changed, expected=COUNT):
    """What is not ok where the last nodes are these; the names in order."""
    reports = [*(report(number) for number in range(COUNT - len(changed))), *changed]
    return {one.name: one for one in compare(reports, expected) if one.verdict is not Verdict.OK}


def test_equal_nodes_have_no_fault():
    assert faults() == {}


@pytest.mark.parametrize(
    ("facts", "name", "seen"),
    [
        (exchanged(software={"paddle": replace(CPU_WHEEL, version="2.6.2")}), "same Paddle", "2.6.2 on node-2"),
        (exchanged(software={"paddle": replace(CPU_WHEEL, cuda="12.6")}), "same CUDA of the wheel", "12.6 on node-2"),
        (exchanged(software={"paddle": replace(CPU_WHEEL, nccl="2")}), "same NCCL of the wheel", "2 on node-2"),
        (exchanged(software={"python": "3.12.1"}), "same Python", "3.11 on node-0 (10.0.0.0), node-1 (10.0.0.1); 3.12"),
        (
            exchanged(software={"packages": WELL.software.packages | {"numpy": "2"}}),
            "same package: numpy",
            "2 on node-2",
        ),
        (
            exchanged(software={"plugins": {**PLUGINS, "dataset esc50": "pannsdist-esc50 0.2.0"}}),
            "same plugin: pannsdist-esc50",
            "0.2.0 on node-2",
        ),
        (
            exchanged(software={"plugins": {"model panns_cnn6": "pannsdist 0.1.0"}}),
            "same plugin: pannsdist-esc50",
            "- on node-2",
        ),
        (
            exchanged(settings={"values": {"name": "run", "train.batch_size": "16"}}),
            "same settings: train.batch_size",
            "16 on node-2",
        ),
    ],
)
def test_software_and_settings_that_differ_are_named(facts, name, seen):
    found = faults(report(2, facts))
    assert list(found) == [name]
    assert seen in found[name].seen
    assert found[name].verdict is Verdict.ERROR
    assert found[name].remedy


def test_a_bug_fix_release_of_python_is_no_difference():
    assert faults(report(2, exchanged(software={"python": "3.11.9"}))) == {}


def test_slower_gpus_and_other_drivers_are_a_warning():
    a40 = replace(A100, card=Card("0", "NVIDIA A40", 86), driver="535.104.05")
    found = compare([report(0, on_gpu()), report(1, on_gpu()), report(2, on_gpu(a40))], COUNT)
    names = [one.name for one in found if one.verdict is Verdict.WARNING]
    assert names == ["same GPUs", "same NVIDIA driver"]


@pytest.mark.parametrize(("ahead_s", "verdict"), [(3600.0, "error"), (-3600.0, "error"), (5.0, "warning")])
def test_a_clock_that_is_off_is_named(ahead_s, verdict):
    found = faults(report(2, clock_ahead_s=ahead_s))["clocks of the nodes"]
    assert found.verdict.value == verdict
    assert "node-2" in found.seen


def test_a_port_that_is_filtered_one_way_is_named_as_such():
    links = (Link(0, "10.0.0.0 port 4242: timed out"), Link(1, "", 0.2, 900.0))
    found = faults(report(2, links=links))["connections"]
    assert found.verdict is Verdict.ERROR
    assert "node-2 (10.0.0.2) cannot reach node-0 (10.0.0.0): 10.0.0.0 port 4242: timed out" in found.seen
    assert "the other way works" in found.seen


def test_a_port_that_is_filtered_both_ways_is_not_called_one_way():
    first = report(0, links=(Link(1, "", 1.0, 1.0), Link(2, "refused")))
    last = report(2, links=(Link(0, "refused"), Link(1, "", 1.0, 1.0)))
    found = [one for one in compare([first, report(1), last], COUNT) if one.name == "connections"]
    assert [one.verdict.value for one in found] == ["error", "error"]
    assert not any("the other way works" in one.seen for one in found)


def test_a_run_folder_that_is_not_shared_is_named():
    found = faults(report(2, tokens=(Token(0, False), Token(1, True))))
    assert list(found) == ["shared run folder"]
    assert "node-2 (10.0.0.2) does not see in runs/run what node-0 (10.0.0.0) wrote" in found["shared run folder"].seen


def test_a_shared_run_folder_without_locks_between_nodes_is_named():
    found = faults(report(2, tokens=(Token(0, True, "flock succeeds twice"), Token(1, True))))
    assert list(found) == ["locks between nodes"]
    assert "node-2 (10.0.0.2) can lock what node-0" in found["locks between nodes"].seen


def test_nodes_that_do_not_come_are_counted_and_the_others_named():
    found = faults(expected=5)["nodes"]
    assert found.seen == "2 of 5 did not come; these did: node-0 (10.0.0.0), node-1 (10.0.0.1), node-2 (10.0.0.2)"


def test_what_is_said_of_a_node_that_is_not_there_is_left_out():
    strange = report(2, links=(Link(7, "x"), Link(-1, "x")), tokens=(Token(9, False), Token(0, True), Token(1, True)))
    assert faults(strange) == {}
