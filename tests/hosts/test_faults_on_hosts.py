"""Longer faults on separate machines: seeded kills and joins, a link that is down, processes that stand still."""

import os
import random
import re
import signal
import time

import jobs
import launching
import pytest

pytestmark = pytest.mark.long

EVENTS = 20
PLAIN_STEPS = 160


@pytest.fixture(scope="session")
def undisturbed_plain(tmp_path_factory, env):
    """Working folder of a run without batch norm, of three processes on one machine."""
    work = tmp_path_factory.mktemp("plain") / "work"
    work.mkdir()
    done = launching.pannsdist("train", "-c", "recipe:tones_cnn6", "--nproc", 3, *jobs.PLAIN, cwd=work, env=env)
    assert done.exit_code == 0, done.output
    return work


class Job:
    """A run on machines that come and go; `dice` chooses who."""

    def __init__(self, hosts, work, env, dice):
        self.hosts, self.work, self.env, self.dice = hosts, work, env, dice
        self.commands = dict(zip(hosts, self.start(hosts), strict=True))
        self.events = []

    def start(self, hosts):
        typed = jobs.command("2:3", self.hosts[0].address, "--max-restarts", 99, settings=jobs.PLAIN)
        return [host.start(*typed, cwd=self.work, env=self.env) for host in hosts]

    def disturb(self):
        """Do one of what can be done, and note it."""
        away = [host for host in self.hosts if host not in self.commands]
        ways = [self.kill_rank, self.kill_launcher, self.restart_master]
        ways += [lambda: self.join(away)] * 2 if away else [self.kill_node]
        self.events.append(self.dice.choice(ways)())

    def kill_rank(self):
        return self.kill_one([number for host in self.commands for number in host.ranks], "rank")

    def kill_launcher(self):
        return self.kill_one([number for host in self.commands for number in host.launchers], "launcher")

    def kill_one(self, numbers, what):
        if not numbers:
            return f"no {what}"
        os.kill(self.dice.choice(numbers), signal.SIGKILL)
        return f"{what} killed"

    def kill_node(self):
        host = self.dice.choice(self.hosts[1:])
        host.kill()
        del self.commands[host]
        return "node killed"

    def restart_master(self):
        master = self.hosts[0]
        master.kill()
        self.commands[master] = self.start([master])[0]
        return "master killed and started"

    def join(self, away):
        host = self.dice.choice(away)
        self.commands[host] = self.start([host])[0]
        return "node joins"


@pytest.mark.parametrize("seed", [1])
def test_kills_and_joins_lose_nothing(hosts, work, env, undisturbed_plain, seed):
    dice = random.Random(seed)
    job = Job(hosts, work, env, dice)
    while len(job.events) < EVENTS:
        jobs.wait_for_steps(list(job.commands.values()), work, 1 + dice.randrange(4))
        time.sleep(dice.uniform(0, 0.3))
        job.disturb()
    codes = [command.wait() for command in job.commands.values()]
    outputs = "\n\n".join(command.output for command in job.commands.values())
    assert codes == [0] * len(codes), f"{job.events}\n{outputs}"
    jobs.assert_close(work, undisturbed_plain, PLAIN_STEPS, 1e-6)


def test_a_link_that_is_down_for_5_s_changes_nothing(hosts, work, env, undisturbed):
    commands = jobs.start(hosts, "3", cwd=work, env={**env, "SLOW_S": "0.2"})
    jobs.wait_for_steps(commands, work, 3)
    hosts[2].plug(False)
    time.sleep(5)
    hosts[2].plug(True)
    assert [one.wait() for one in commands] == [0, 0, 0], [one.output for one in commands]
    assert not any("restart" in one.output for one in commands)
    jobs.assert_same(work, undisturbed)


def test_without_a_node_whose_link_is_down_for_60_s_it_goes_on_until_it_returns(
    hosts, work, env, undisturbed_plain, faults
):
    slow = {**env, "SLOW_S": "0.2"}
    commands = jobs.start(hosts, "2:3", cwd=work, env=slow, settings=jobs.PLAIN)
    jobs.wait_for_steps(commands, work, 3)
    start = time.monotonic()
    with faults.measured("link 60 s", commands, work):
        hosts[2].plug(False)
        commands[0].wait_for("round 2: 2 nodes")
    time.sleep(max(0.0, 60 - (time.monotonic() - start)))
    hosts[2].plug(True)
    for one in commands[:2]:
        assert re.search(r"restart 1 of 3: node \S+ \(10\.77\.0\.3\) was lost: nothing arrived", one.output)
        assert "round 2: 2 nodes" in one.output
    commands[2].wait_for("this one is taken in when they start again|round 3")
    os.kill(hosts[1].ranks[0], signal.SIGKILL)
    assert [one.wait() for one in commands] == [0, 0, 0], [one.output for one in commands]
    assert "round 3: 3 nodes" in commands[0].output
    jobs.assert_close(work, undisturbed_plain, PLAIN_STEPS, 1e-6)


def test_a_command_that_stands_still_is_lost_and_returns(hosts, work, env, undisturbed_plain):
    slow = {**env, "SLOW_S": "0.2"}
    commands = jobs.start(hosts, "2:3", cwd=work, env=slow, settings=jobs.PLAIN)
    jobs.wait_for_steps(commands, work, 3)
    for number in hosts[2].processes:
        os.kill(number, signal.SIGSTOP)
    commands[0].wait_for("round 2: 2 nodes")
    for number in hosts[2].processes:
        os.kill(number, signal.SIGCONT)
    assert [one.wait() for one in commands] == [0, 0, 0], [one.output for one in commands]
    assert "the master is lost" in commands[2].output
    jobs.assert_close(work, undisturbed_plain, PLAIN_STEPS, 1e-6)


def test_a_rank_that_stands_still_is_started_again(hosts, work, env, undisturbed, faults):
    commands = jobs.start(hosts, "3", cwd=work, env=env)
    jobs.wait_for_steps(commands, work, 3)
    with faults.measured("stopped rank", commands, work):
        os.kill(hosts[1].ranks[0], signal.SIGSTOP)
    assert [one.wait() for one in commands] == [0, 0, 0], [one.output for one in commands]
    assert all("restart 1 of 3" in one.output for one in commands)
    jobs.assert_same(work, undisturbed)


def test_after_all_nodes_were_killed_the_same_command_continues(hosts, work, env, undisturbed):
    commands = jobs.start(hosts, "3", cwd=work, env=env)
    jobs.wait_for_steps(commands, work, 3)
    for host in hosts:
        host.kill()
    again = jobs.start(hosts, "3", cwd=work, env=env)
    assert [one.wait() for one in again] == [0, 0, 0], [one.output for one in again]
    jobs.assert_same(work, undisturbed)
