"""Which nodes train together: deadlines, lost nodes, restarts, and how the run ends. No socket, no clock."""

import pytest

from pannsdist.run.nodes.membership import (
    GRACE_S,
    QUIET_S,
    SETTLE_S,
    Begin,
    Expected,
    Finish,
    Halt,
    Membership,
    Node,
    Report,
    Rules,
    Say,
)

KILLED = Report(137, killed=True, text="the process of rank 1 was killed by SIGKILL")
LOST_PEER = Report(75, text="the connection to another of the 3 processes was lost")


def nodes(count):
    return [Node(f"n{number}", f"10.0.0.{number}", is_master=number == 1) for number in range(1, count + 1)]


def job(least, most, count, max_restarts=3, now=0.0):
    """The nodes, and a membership that they have joined."""
    found, members = nodes(count), Membership(Rules(least, most, max_restarts, 30.0), now)
    for node in found:
        members.join(node, now)
    return found, members


def orders(members, now=0.0):
    return list(members.orders(now))


def begun(least, most, count, **how):
    found, members = job(least, most, count, **how)
    (begin,) = orders(members, QUIET_S)
    assert isinstance(begin, Begin)
    return found, members


def end_all(members, running, report):
    for node in running:
        members.ended(node, report)


def test_a_round_begins_when_all_are_there():
    (first, second, third), members = job(3, 3, 3)
    assert orders(members) == [Begin(1, (first, second, third))]
    assert orders(members) == []


def test_the_master_has_rank_0_and_the_others_are_in_the_order_of_their_addresses():
    members = Membership(Rules(3, 3, 3, 30.0), 0.0)
    late, early, master = Node("b", "10.0.0.10"), Node("c", "10.0.0.9"), Node("z", "10.0.0.99", is_master=True)
    for node in (late, early, master):
        members.join(node, 0.0)
    assert orders(members) == [Begin(1, (master, early, late))]


def test_with_fewer_than_most_it_begins_when_no_other_has_come_for_a_while():
    found, members = job(1, 3, 2)
    assert orders(members, QUIET_S - 0.1) == []
    assert orders(members, QUIET_S) == [Begin(1, tuple(found))]


def test_an_absent_node_ends_all_and_those_that_are_there_are_named():
    _, members = job(3, 3, 2)
    (line,) = orders(members, 1.0)
    assert line == Say("2 of 3 nodes are there: n1 (10.0.0.1), n2 (10.0.0.2); waiting for 1 node")
    assert orders(members, 30.0) == []
    (finish,) = orders(members, 30.1)
    assert finish.code == 75
    assert "1 node did not come within --join-timeout 30 s" in finish.text
    assert "n1 (10.0.0.1), n2 (10.0.0.2)" in finish.text
    assert orders(members, 40.0) == []


def test_where_all_nodes_are_known_the_absent_ones_are_named():
    expected = (Expected("n1"), Expected("gpu2.cluster", ("10.0.0.2",)), Expected("10.0.0.3"), Expected("n4.cluster"))
    members = Membership(Rules(4, 4, 3, 30.0, expected), 0.0)
    members.join(Node("n1", "10.0.0.1", is_master=True), 0.0)
    (line,) = orders(members)
    assert line.text.endswith("waiting for gpu2.cluster, 10.0.0.3, n4.cluster")
    members.join(Node("other", "10.0.0.2"), 1.0)
    members.join(Node("n4.local", "10.0.0.4"), 1.0)
    (finish,) = orders(members, 31.0)
    assert finish.text.startswith("10.0.0.3 did not come within --join-timeout 30 s")


def test_all_that_end_well_end_the_run():
    found, members = begun(3, 3, 3)
    end_all(members, found[:2], Report(0))
    assert orders(members) == []
    members.ended(found[2], Report(0))
    assert orders(members) == [Finish(0)]


def test_a_killed_process_restarts_all_and_is_named_as_the_cause():
    found, members = begun(3, 3, 3)
    members.ended(found[2], LOST_PEER)
    assert orders(members, 10.0) == []
    members.ended(found[1], KILLED)
    assert orders(members, 12.0) == []
    assert orders(members, 10.0 + SETTLE_S) == [Halt((found[0],), GRACE_S)]
    assert orders(members, 20.0) == []
    members.ended(found[0], LOST_PEER)
    said, begin = orders(members, 20.0)
    assert said == Say(f"restart 1 of 3: node n2 (10.0.0.2): {KILLED.text}")
    assert begin == Begin(2, tuple(found))


def test_without_a_lost_node_it_goes_on_where_enough_are_left():
    found, members = begun(2, 3, 3)
    members.leave(found[1], "the connection was closed", 20.0)
    assert orders(members, 20.0) == [Halt((found[0], found[2]), GRACE_S)]
    end_all(members, (found[0], found[2]), LOST_PEER)
    said, begin = orders(members, 21.0)
    assert said == Say("restart 1 of 3: node n2 (10.0.0.2) was lost: the connection was closed")
    assert begin == Begin(2, (found[0], found[2]))


def test_where_too_few_are_left_the_lost_one_is_waited_for_and_named():
    found, members = begun(3, 3, 3)
    members.leave(found[1], "the connection was closed", 100.0)
    end_all(members, (found[0], found[2]), LOST_PEER)
    _, waiting = orders(members, 101.0)
    assert "waiting for 1 node, last seen: n2 (10.0.0.2)" in waiting.text
    members.join(Node("n2", "10.0.0.2"), 120.0)
    (begin,) = orders(members, 120.0)
    assert [node.host for node in begin.nodes] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_a_lost_node_that_does_not_return_is_named_within_the_deadline():
    found, members = begun(3, 3, 3)
    members.leave(found[1], "the connection was closed", 100.0)
    end_all(members, (found[0], found[2]), LOST_PEER)
    orders(members, 101.0)
    (finish,) = orders(members, 131.5)
    assert finish.code == 75
    assert "1 node, last seen: n2 (10.0.0.2) did not come within" in finish.text


def test_a_late_node_waits_for_the_next_start():
    found, members = begun(2, 3, 2)
    late = Node("n3", "10.0.0.3")
    members.join(late, 50.0)
    assert orders(members, 60.0) == []
    end_all(members, found, LOST_PEER)
    *_, begin = orders(members, 61.0)
    assert begin == Begin(2, (*found, late))


def test_more_nodes_than_most_are_spare():
    found, members = job(2, 2, 3)
    assert orders(members) == [Begin(1, tuple(found[:2]))]
    members.leave(found[1], "the connection was closed", 5.0)
    members.ended(found[0], LOST_PEER)
    *_, begin = orders(members, 6.0)
    assert begin == Begin(2, (found[0], found[2]))


@pytest.mark.parametrize("code", [2, 1])
def test_a_mistake_on_one_node_ends_all_with_its_code(code):
    found, members = begun(3, 3, 3)
    members.ended(found[0], LOST_PEER)
    assert orders(members) == []
    members.ended(found[1], Report(code, text="train.epochs is 0"))
    assert orders(members) == [Halt((found[2],), GRACE_S)]
    members.ended(found[2], KILLED)
    assert orders(members) == [Finish(code, "node n2 (10.0.0.2): train.epochs is 0")]


def test_restarts_are_counted():
    found, members = begun(3, 3, 3, max_restarts=1)
    end_all(members, found, KILLED)
    *_, begin = orders(members)
    assert begin.number == 2
    end_all(members, found, KILLED)
    (finish,) = orders(members)
    assert finish.code == 75
    assert "--max-restarts 1 is used up" in finish.text
    assert KILLED.text in finish.text


def test_a_stop_on_one_node_stops_all_without_a_limit_for_saving():
    found, members = begun(3, 3, 3)
    members.stop(found[2])
    assert orders(members) == [Halt(tuple(found), None)]
    end_all(members, found, Report(75))
    (finish,) = orders(members)
    assert finish.code == 75
    assert finish.text.startswith("stopped on node n3 (10.0.0.3)")


def test_a_stop_of_the_master_that_waits_ends_all_and_of_another_none():
    found, members = job(3, 3, 2)
    members.stop(found[1])
    assert [type(order) for order in orders(members)] == [Say]
    members.stop(found[0])
    (finish,) = orders(members)
    assert finish.code == 75


def test_no_round_begins_without_the_master():
    found, members = begun(2, 3, 3)
    members.leave(found[0], "it stood still", 50.0)
    end_all(members, found[1:], LOST_PEER)
    assert [type(order) for order in orders(members, 51.0)] == [Say]
    members.join(found[0], 52.0)
    assert orders(members, 52.0) == [Begin(2, tuple(found))]


def test_a_node_that_is_lost_while_it_waits_changes_no_round():
    found, members = begun(2, 2, 3)
    members.leave(found[2], "the connection was closed", 9.0)
    assert orders(members, 9.0) == []


def test_of_two_errors_a_mistake_of_the_user_is_the_one_that_is_said():
    found, members = begun(2, 2, 2)
    members.ended(found[0], Report(1, text="an error of its own"))
    members.ended(found[1], Report(2, text="train.epochs is 0"))
    assert orders(members) == [Finish(2, "node n2 (10.0.0.2): train.epochs is 0")]


def test_a_node_that_has_ended_well_may_go_before_the_others_have():
    found, members = begun(2, 2, 2)
    members.ended(found[1], Report(0))
    members.leave(found[1], "the connection was closed", 20.0)
    assert orders(members, 20.0) == []
    members.ended(found[0], Report(0))
    assert orders(members, 21.0) == [Finish(0)]
