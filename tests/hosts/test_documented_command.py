"""The command for several machines in README.md and on docs/en/several_nodes.md, run as it stands on two machines."""

import re
import shlex

import launching
import network
import pytest

PAGES = ("README.md", "docs/en/several_nodes.md")
LIMIT_S = 2000
"""Against hanging alone: a whole demo, on cores that other tests may use too."""


def documented(page: str) -> str:
    (command,) = re.findall(
        r"^pannsdist (train --nodes .*)$", (launching.PROJECT / page).read_text(encoding="utf-8"), re.MULTILINE
    )
    return command


def test_all_pages_give_the_same_command():
    assert len({documented(page) for page in PAGES}) == 1
    assert f"--master {network.SUBNET}.1:" in documented(PAGES[0])


@pytest.mark.long
def test_the_command_trains_on_two_machines_as_it_stands(hosts, work):
    arguments = shlex.split(documented(PAGES[0]))
    commands = [host.start(*arguments, cwd=work) for host in hosts[:2]]
    assert [one.process.wait(LIMIT_S) for one in commands] == [0, 0], [one.output for one in commands]
    assert "best valid/accuracy" in commands[0].output
    assert (work / "runs" / "demo" / "best_model" / "bundle.json").is_file()
