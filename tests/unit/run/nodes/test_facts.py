"""What is compared between nodes: every setting, by a checksum, and no secret."""

from dataclasses import replace

from pannsdist.run.nodes.membership import Rules
from pannsdist.run.nodes.server import Facts
from pannsdist.run.nodes.start import facts_of
from pannsdist.settings.schema import Settings

RULES = Rules(2, 3, 1, 30.0)


def facts(settings, rules=RULES, processes=1):
    return dict(facts_of(rules, processes, settings))


def test_the_setting_that_differs_is_named():
    here, there = Settings(), replace(Settings(), seed=7)
    assert Facts(facts(here)).difference(facts(there)) == "setting seed differs"
    assert Facts(facts(here)).difference(facts(Settings())) == ""


def test_numbers_and_versions_are_shown():
    there = {**facts(Settings()), "the version of paddle": "1.8.5"}
    assert Facts(facts(Settings())).difference(there).startswith("the version of paddle differs: 1.8.5 there, ")
    assert (
        Facts(facts(Settings())).difference(facts(Settings(), processes=2))
        == "--nproc differs: 2 there, 1 on the master"
    )
    others = facts(Settings(), Rules(2, 2, 1, 30.0))
    assert Facts(facts(Settings())).difference(others) == "--nodes differs: 2 there, 2:3 on the master"


def test_a_secret_leaves_no_trace():
    one, other = (replace(Settings(), trackers={"wandb": {"api_key": key}}) for key in ("abc", "def"))
    assert facts(one) == facts(other)
    assert facts(one) != facts(Settings())
