"""Training on separate machines: to the end, with a process killed, a node lost, the master lost, a node absent."""

import os
import re
import signal

import jobs
import names
import network


def test_a_killed_rank_is_started_again_and_the_bits_are_those_of_one_machine(hosts, work, env, undisturbed, faults):
    commands = jobs.start(hosts, "3", cwd=work, env=env)
    jobs.wait_for_steps(commands, work, 3)
    (victim,) = hosts[2].ranks
    rank = network.rank_of(victim)
    with faults.measured("rank", commands, work):
        os.kill(victim, signal.SIGKILL)
    assert [one.wait() for one in commands] == [0, 0, 0], [one.output for one in commands]
    for one in commands:
        assert re.search(
            rf"restart 1 of 3: node \S+ \(10\.77\.0\.3\): the process of rank {rank} was killed", one.output
        )
    faults.compare("rank", work, undisturbed)


def test_without_a_lost_node_it_goes_on_and_a_stop_on_one_node_stops_all(hosts, work, env):
    master = f"[{hosts[0].address_6}]" if network.HAS_IPV6 else hosts[0].address
    commands = jobs.start(hosts, "2:3", cwd=work, env=env, master=master)
    jobs.wait_for_steps(commands, work, 2)
    left = [commands[0], commands[2]]
    hosts[1].kill()
    jobs.wait_for_steps(left, work, 2)
    for one in left:
        one.wait_for(r"^round 2: 2 nodes: \S+ \(10\.77\.0\.1\), \S+ \(10\.77\.0\.3\)$")
        assert re.search(r"restart 1 of 3: node \S+ \(10\.77\.0\.2\) was lost", one.output)
    left[1].process.send_signal(signal.SIGINT)
    assert [one.wait() for one in left] == [75, 75], [one.output for one in left]
    for one in left:
        assert re.search(r"stopped on node \S+ \(10\.77\.0\.3\)", one.output)
        assert re.search(rf"next: pannsdist train --nodes 2:3 --master \S+:{jobs.PORT}", one.output)
    assert "saved in checkpoints/step_" in left[0].output


def test_without_the_master_the_others_end_and_can_be_continued(hosts, work, env):
    commands = jobs.start(hosts[:2], "2", "--join-timeout", 3, cwd=work, env=env, master=network.MASTER_NAME)
    jobs.wait_for_steps(commands, work, 2)
    hosts[0].kill()
    assert commands[1].wait() == 75, commands[1].output
    assert f"no connection to the master at {network.MASTER_NAME}:{jobs.PORT} for 3 s" in commands[1].output
    assert f"next: pannsdist train --nodes 2 --master {network.MASTER_NAME}:{jobs.PORT}" in commands[1].output


def test_a_name_that_is_not_known_yet_is_waited_for_and_an_absent_node_is_named_on_every_node(hosts, work, env):
    every, master = ("--hosts", ",".join(host.address for host in hosts)), "pod-0.late"
    with names.known(hosts, {}):
        commands = jobs.start(hosts[:2], "3", *every, "--join-timeout", 8, cwd=work, env=env, master=master)
        for one in commands:
            one.wait_for(
                rf"^waiting up to 8 s for the master at {master}:{jobs.PORT}: .* knows no address of '{master}'"
            )
        with names.known(hosts, {master: hosts[0].address}):
            codes = [one.wait() for one in commands]
    assert codes == [75, 75], [one.output for one in commands]
    assert [one.output.count("knows no address") for one in commands] == [1, 1]
    for one in commands:
        assert "10.77.0.3 did not come within --join-timeout 8 s; 2 of 3 nodes are there: " in one.output


def test_an_absent_master_is_named(hosts, work, env):
    command = hosts[1].start(*jobs.command("2", "10.77.0.9", "--join-timeout", 1), cwd=work, env=env)
    assert command.wait() == 75, command.output
    assert f"no connection to the master at 10.77.0.9:{jobs.PORT} for 1 s" in command.output
