"""Files with random faults, by seed: each is read or refused, within the limits of any file."""

import fuzzed_weights
import pytest
import weight_reading

FEW, MANY = 200, 5000


def outcomes(folder, seeds):
    files = {}
    for seed in seeds:
        name, data = fuzzed_weights.file_of(seed)
        files[name] = folder / f"{seed}.bin"
        files[name].write_bytes(data)
    return files, weight_reading.outcomes(files)


def test_files_with_random_faults_are_read_or_refused(tmp_path):
    files, found = outcomes(tmp_path, range(FEW))
    assert weight_reading.faults(found, files) == []
    assert {outcome.kind for outcome in found.values()} == {"read", "refused"}


@pytest.mark.long
def test_many_files_with_random_faults_are_read_or_refused(tmp_path):
    files, found = outcomes(tmp_path, range(FEW, FEW + MANY))
    assert weight_reading.faults(found, files) == []


def test_the_files_that_are_changed_are_read_as_they_are(tmp_path):
    files = {}
    for name, data in fuzzed_weights.valid_files().items():
        files[name] = tmp_path / f"{name}.bin"
        files[name].write_bytes(data)
    found = weight_reading.outcomes(files)
    assert {name: outcome.message for name, outcome in found.items() if outcome.kind != "read"} == {}


def test_a_file_that_ends_its_reader_is_named_and_the_others_are_read(tmp_path):
    files = {}
    for name, data in {**fuzzed_weights.valid_files(), "last": b"no weights"}.items():
        files[name] = tmp_path / f"{name}.bin"
        files[name].write_bytes(data)
    files["paddle"].write_bytes(b"kill")
    found = weight_reading.outcomes(files, "end_at_kill")
    assert [name for name, outcome in found.items() if outcome.kind == "killed"] == ["paddle"]
    assert found["last"].kind == "refused"
    assert weight_reading.faults(found, files)[0].startswith("paddle: killed: exit code -9")
