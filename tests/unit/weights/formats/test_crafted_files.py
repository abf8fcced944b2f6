"""Files made to harm: refused for the right reason, within seconds, with memory in proportion to the file."""

import re

import crafted_weights
import pytest
import weight_reading


@pytest.fixture(scope="module")
def crafted(tmp_path_factory):
    """What each refusal must say by the name of the file, the files, and what became of them."""
    folder = tmp_path_factory.mktemp("crafted")
    said, files = {}, {}
    for number, (name, (data, reason)) in enumerate(crafted_weights.crafted().items()):
        said[name], files[name] = reason, folder / f"{number}.bin"
        files[name].write_bytes(data)
    found = weight_reading.outcomes(files)
    yield said, files, found
    for path in files.values():
        path.unlink()


def test_none_ends_hangs_or_fills_its_reader(crafted):
    _, files, found = crafted
    assert weight_reading.faults(found, files) == []


def test_each_is_refused_for_its_own_reason(crafted):
    said, _, found = crafted
    wrong = []
    for name, reason in said.items():
        kind = "read" if reason is None else "refused"
        if found[name].kind != kind or (reason and not re.search(reason, found[name].message)):
            wrong.append(f"{name}: {found[name].kind}: {found[name].message[:300]}")
    assert wrong == []
