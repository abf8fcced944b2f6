"""Kills and joins of processes, launchers and nodes, chosen with a seed, on separate machines."""

import os
import random
import signal
import time

import jobs
import ledger
import pytest

pytestmark = pytest.mark.long

EVENTS = 20


class Job:
    """A run on machines that come and go; `dice` chooses who."""

    def __init__(self, hosts, work, env, dice):
        self.hosts, self.work, self.env, self.dice = hosts, work, env, dice
        self.commands = dict(zip(hosts, self.start(hosts), strict=True))
        self.events = []

    def start(self, hosts):
        typed = jobs.command("2:3", self.hosts[0].address, "--max-restarts", 99, settings=jobs.LONG)
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


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_and_joins_lose_nothing(hosts, work, env, *, undisturbed_long, faults, seed):
    dice = random.Random(seed)
    job = Job(hosts, work, env, dice)
    ledger.slow(work, "valid")  # so that it has not ended before, on a fast machine
    while len(job.events) < EVENTS:
        steps, delay_s = 1 + dice.randrange(4), dice.uniform(0, 0.3)
        jobs.wait_for_steps(list(job.commands.values()), work, steps)
        time.sleep(delay_s)
        with faults.measured("kills and joins", lambda: list(job.commands.values()), work):
            job.disturb()
    ledger.fast(work)
    codes = [command.wait() for command in job.commands.values()]
    outputs = "\n\n".join(command.output for command in job.commands.values())
    assert codes == [0] * len(codes), f"{job.events}\n{outputs}"
    faults.compare("kills and joins", work, undisturbed_long, 1e-6)
