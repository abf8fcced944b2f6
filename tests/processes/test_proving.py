"""The experiments of `doctor --prove` in one and in two processes on the CPU: every claim that a CPU can have holds."""

import json

from pannsdist.run.doctor.facts import from_plain
from pannsdist.run.doctor.finding import Verdict
from pannsdist.run.doctor.proving.claims import judged
from pannsdist.run.doctor.proving.figures import Figures, RunFigures

ON_GPUS_ALONE = {"SyncBatchNorm", "amp fp16", "amp bf16"}


def test_the_claims_hold_between_one_and_two_processes(alone, two, place):
    for outcome in (alone["proving"], two["proving"]):
        assert outcome.exit_code == 0, outcome
    one, several = (
        from_plain(Figures, json.loads((place / name / "proving.json").read_text())) for name in ("proof1", "proof2")
    )
    assert several.devices == ("cpu", "cpu")
    assert [measured.size for measured in several.all_reduce] == [4, 1 << 20]
    speed = {"throughput", "waiting for data"}
    found = {
        finding.name: finding
        for finding in judged(one, several, RunFigures(0, 0.0, 1, 0, 75, 0, 0.0))
        if finding.name not in speed
    }
    errors = {name: finding.seen for name, finding in found.items() if finding.verdict is Verdict.ERROR}
    assert errors == {}
    assert all(found[name].verdict is Verdict.UNKNOWN for name in ON_GPUS_ALONE)
    assert found["promise 2, resuming"].seen.endswith("bit for bit")
