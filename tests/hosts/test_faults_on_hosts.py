"""Longer faults on separate machines: processes that are killed or stand still, links that are down, late nodes."""

import os
import re
import signal
import time

import jobs
import ledger
import pytest

pytestmark = pytest.mark.long

IN = {"training": "", "evaluation": "valid", "a save": "save"}
"""When a link is cut, and what is slow then, so that it happens meanwhile."""


def ended(commands):
    return [one.wait() for one in commands], "\n\n".join(one.output for one in commands)


def wait_until_in(phase, work, commands):
    """Return when the processes are in this part of the run, for some seconds."""
    what = IN[phase]
    if what:
        ledger.slow(work, what)
        jobs.wait_until(lambda: ledger.is_in(work, what), commands)


def test_a_link_that_is_down_for_5_s_changes_nothing(hosts, work, env, undisturbed, faults):
    commands = jobs.start(hosts, "3", cwd=work, env=env)
    jobs.wait_for_steps(commands, work, 3)
    with faults.measured("link 5 s", commands, work):
        hosts[2].plug(False)
        time.sleep(5)
        hosts[2].plug(True)
    codes, output = ended(commands)
    assert codes == [0, 0, 0], output
    assert "restart" not in output
    faults.compare("link 5 s", work, undisturbed)


def test_without_a_node_whose_link_is_down_for_60_s_it_goes_on_until_it_returns(
    hosts, work, env, undisturbed_plain, faults
):
    commands = jobs.start(hosts, "2:3", cwd=work, env=env, settings=jobs.PLAIN)
    jobs.wait_for_steps(commands, work, 3)
    start = time.monotonic()
    with faults.measured("link 60 s", commands, work):
        hosts[2].plug(False)
        commands[0].wait_for("round 2: 2 nodes")
    ledger.slow(work, "train")
    time.sleep(max(0.0, 60 - (time.monotonic() - start)))
    hosts[2].plug(True)
    for one in commands[:2]:
        assert re.search(r"restart 1 of 3: node \S+ \(10\.77\.0\.3\) was lost: nothing arrived", one.output)
        assert "round 2: 2 nodes" in one.output
    commands[2].wait_for("this one is taken in when they start again|round 3")
    ledger.fast(work)
    os.kill(hosts[1].ranks[0], signal.SIGKILL)
    codes, output = ended(commands)
    assert codes == [0, 0, 0], output
    assert "round 3: 3 nodes" in commands[0].output
    faults.compare("link 60 s", work, undisturbed_plain, 1e-6)


@pytest.mark.parametrize("phase", IN)
def test_without_a_node_whose_link_is_cut_for_good_the_others_go_on(
    hosts, work, env, *, undisturbed_plain, faults, phase
):
    commands = jobs.start(hosts, "2:3", "--join-timeout", 20, cwd=work, env=env, settings=jobs.PLAIN)
    jobs.wait_for_steps(commands, work, 2)
    wait_until_in(phase, work, commands)
    with faults.measured(f"link in {phase}", commands[:2], work):
        hosts[2].plug(False)
        commands[0].wait_for("round 2: 2 nodes")
        ledger.fast(work)
    ledger.slow(work, "train")
    assert commands[2].wait() == 75, commands[2].output
    assert "no connection to the master at 10.77.0.1:29400 for 20 s" in commands[2].output
    hosts[2].plug(True)
    again = hosts[2].start(*commands[2].arguments, cwd=work, env=env)
    again.wait_for("this one is taken in when they start again")
    ledger.fast(work)
    os.kill(hosts[1].ranks[0], signal.SIGKILL)
    codes, output = ended([*commands[:2], again])
    assert codes == [0, 0, 0], output
    assert "round 3: 3 nodes" in commands[0].output
    faults.compare(f"link in {phase}", work, undisturbed_plain, 1e-6)


def test_where_the_link_of_the_master_is_cut_for_good_in_a_save_all_can_be_continued(
    hosts, work, env, undisturbed, faults
):
    commands = jobs.start(hosts, "3", "--join-timeout", 5, cwd=work, env=env)
    jobs.wait_for_steps(commands, work, 2)
    wait_until_in("a save", work, commands)
    hosts[0].plug(False)
    codes, output = ended(commands)
    assert codes == [75, 75, 75], output
    ledger.fast(work)
    hosts[0].plug(True)
    again = jobs.start(hosts, "3", cwd=work, env=env)
    with faults.measured("link of the master", again, work):
        pass
    codes, output = ended(again)
    assert codes == [0, 0, 0], output
    faults.compare("link of the master", work, undisturbed)


def test_without_a_node_that_stands_still_the_others_go_on_and_it_returns(hosts, work, env, undisturbed_plain, faults):
    commands = jobs.start(hosts, "2:3", cwd=work, env=env, settings=jobs.PLAIN)
    jobs.wait_for_steps(commands, work, 3)
    with faults.measured("stopped node", commands, work):
        hosts[2].send(signal.SIGSTOP)
        commands[0].wait_for("round 2: 2 nodes")
    ledger.slow(work, "train")
    hosts[2].send(signal.SIGCONT)
    commands[2].wait_for("this one is taken in when they start again")
    ledger.fast(work)
    codes, output = ended(commands)
    assert codes == [0, 0, 0], output
    assert "the master is lost" in commands[2].output
    faults.compare("stopped node", work, undisturbed_plain, 1e-6)


def test_a_master_that_stands_still_writes_nothing_into_what_others_continue(hosts, work, env, undisturbed, faults):
    commands = jobs.start(hosts, "3", "--join-timeout", 15, cwd=work, env=env)
    jobs.wait_for_steps(commands, work, 3)
    hosts[0].send(signal.SIGSTOP)
    codes, output = ended(commands[1:])
    assert codes == [75, 75], output
    assert output.count("no connection to the master at 10.77.0.1:29400 for 15 s") == 2, output
    (other,) = jobs.start(hosts[1:2], "3", cwd=work, env=env)
    assert other.wait() == 2
    assert re.search(r"error: .*is running in runs/hosts", other.output), other.output
    hosts[0].send(signal.SIGCONT)
    assert commands[0].wait() == 75, commands[0].output
    assert "the same command continues from the last checkpoint" in commands[0].output
    again = jobs.start(hosts, "3", cwd=work, env=env)
    with faults.measured("stopped master", again, work):
        pass
    codes, output = ended(again)
    assert codes == [0, 0, 0], output
    faults.compare("stopped master", work, undisturbed)


def test_a_rank_that_stands_still_is_started_again(hosts, work, env, undisturbed, faults):
    settings = (*jobs.SETTINGS, "distributed.hang_timeout_s=15")
    commands = jobs.start(hosts, "3", cwd=work, env=env, settings=settings)
    jobs.wait_for_steps(commands, work, 3)
    with faults.measured("stopped rank", commands, work):
        os.kill(hosts[1].ranks[0], signal.SIGSTOP)
    codes, output = ended(commands)
    assert codes == [0, 0, 0], output
    assert all("restart 1 of 3" in one.output for one in commands)
    faults.compare("stopped rank", work, undisturbed)


def test_a_master_that_was_killed_and_started_again_is_joined(hosts, work, env, undisturbed, faults):
    commands = jobs.start(hosts, "3", cwd=work, env=env)
    jobs.wait_for_steps(commands, work, 3)
    hosts[0].kill()
    for one in commands[1:]:
        one.wait_for("the master is lost")
    commands[:1] = jobs.start(hosts[:1], "3", cwd=work, env=env)
    with faults.measured("master", commands, work):
        pass
    codes, output = ended(commands)
    assert codes == [0, 0, 0], output
    faults.compare("master", work, undisturbed)


def test_after_all_nodes_were_killed_the_same_command_continues(hosts, work, env, undisturbed, faults):
    commands = jobs.start(hosts, "3", cwd=work, env=env)
    jobs.wait_for_steps(commands, work, 3)
    for host in hosts:
        host.kill()
    again = jobs.start(hosts, "3", cwd=work, env=env)
    with faults.measured("all nodes", again, work):
        pass
    codes, output = ended(again)
    assert codes == [0, 0, 0], output
    faults.compare("all nodes", work, undisturbed)


def test_a_node_joins_late_leaves_and_returns(hosts, work, env, undisturbed_plain, faults):
    commands = jobs.start(hosts[:2], "2:3", cwd=work, env=env, settings=jobs.PLAIN)
    jobs.wait_for_steps(commands, work, 2)
    assert "round 1: 2 nodes" in commands[0].output
    for number in (2, 4):
        ledger.slow(work, "train")
        late = hosts[2].start(*commands[0].arguments, cwd=work, env=env)
        late.wait_for("this one is taken in when they start again")
        ledger.fast(work)
        with faults.measured("late node", commands, work):
            os.kill(hosts[1].ranks[0], signal.SIGKILL)
            late.wait_for(f"round {number}: 3 nodes")
        if number == 2:
            with faults.measured("node", commands, work):
                hosts[2].kill()
                commands[0].wait_for("round 3: 2 nodes")
    codes, output = ended([*commands, late])
    assert codes == [0, 0, 0], output
    for fault in ("late node", "node"):
        faults.compare(fault, work, undisturbed_plain, 1e-6)
