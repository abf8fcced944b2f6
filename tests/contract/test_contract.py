"""What every installed plugin keeps to: the checks of the devkit, which an author runs as well, and no known gap."""

import inspect

import pytest
from installed import BIG, CATALOG, LAUNCHED, MINIATURES, chosen

from pannsdist import contracts
from pannsdist.devkit import Cost, Subject, Verdict, checks_of, run_check


def cases():
    for kind in contracts.GROUPS:
        for entry in chosen(kind):
            for check in checks_of(kind):
                if check.cost is Cost.LAUNCHES and entry.name not in LAUNCHED:
                    continue
                big = check.cost is not Cost.QUICK and entry.name in BIG
                marks = [pytest.mark.skip(reason=BIG[entry.name])] if big else []
                yield pytest.param(entry, check, id=f"{kind}-{entry.name}-{check.name}", marks=marks)


@pytest.fixture(scope="module")
def params_of(tmp_path_factory):
    made = {}

    def of(entry):
        if entry.kind == "dataset" and entry.name in MINIATURES and entry.name not in made:
            made[entry.name] = MINIATURES[entry.name](tmp_path_factory.mktemp(entry.name))
        return made.get(entry.name, {})

    return of


@pytest.mark.parametrize(("entry", "check"), list(cases()))
def test_a_shipped_plugin_keeps_the_contract(entry, check, params_of):
    subject = Subject(entry, params_of(entry), CATALOG)
    if entry.kind == "dataset" and set(subject.required) - subject.given.keys():
        pytest.skip(f"it needs {', '.join(subject.required)}: its own tests make it a miniature, and check it there")
    assert not hasattr(subject.plugin_class, "known_gaps")
    outcome = run_check(check, subject)
    if outcome.verdict is Verdict.NOT_APPLICABLE:
        pytest.skip(outcome.reason)
    assert outcome.verdict is Verdict.OK, outcome.reason


@pytest.mark.parametrize("entry", chosen("augmentation"), ids=lambda entry: entry.name)
def test_a_shipped_augmentation_says_where_it_comes_from(entry):
    assert "Source:" in inspect.getdoc(entry.load())
