"""Each fault of a node is found by its name, from facts that are exchanged one by one."""

from dataclasses import replace

import pytest
from observed import A100, CPU_WHEEL, PYPI_WHEEL, WELL, exchanged, on_gpu

from pannsdist.run.doctor.examination import examine, summary, table
from pannsdist.run.doctor.facts import Gpus, Master, RunRecord
from pannsdist.run.doctor.finding import Verdict, worst
from pannsdist.run.doctor.wheel import Card

pytestmark = pytest.mark.any_paddle
MIB = 1 << 20
H100 = Card("0", "NVIDIA H100", 90)


def faults(facts):
    """What is no `ok`, by name."""
    return {one.name: one for one in examine(facts) if one.verdict is not Verdict.OK}


def test_a_node_on_which_all_is_well_has_no_fault():
    for facts in (WELL, on_gpu()):
        assert {one.seen for one in faults(facts).values()} == set()
    assert worst(examine(WELL)) is Verdict.OK


@pytest.mark.parametrize(
    ("facts", "name", "verdict", "seen"),
    [
        (exchanged(software={"python": "3.9.2"}), "Python", "error", "3.10 to 3.13"),
        (exchanged(software={"python": "3.14.0"}), "Python", "error", "3.14.0"),
        (exchanged(software={"paddle": replace(CPU_WHEEL, version="")}), "Paddle", "error", "not installed"),
        (exchanged(software={"paddle": replace(CPU_WHEEL, version="2.5.1")}), "Paddle", "error", "2.6.2 or newer"),
        (exchanged(software={"paddle": replace(CPU_WHEEL, version="4.0.0")}), "Paddle", "error", "below 4"),
        (exchanged(software={"paddle": replace(CPU_WHEEL, version="3.0.0")}), "Paddle", "warning", "is tested with"),
        (exchanged(software={"broken": {"model bad": "ImportError: x"}}), "plugins", "error", "model bad: ImportError"),
        (exchanged(software={"plugins": {}}), "plugins", "error", "no plugin"),
        (exchanged(settings={"wrong": "unknown key a.b", "remedy": "keys: c"}), "settings", "error", "unknown key a.b"),
        (exchanged(machine={"shm_size": 64 * MIB, "shm_free": 64 * MIB}), "/dev/shm", "warning", "64 MiB"),
        (exchanged(machine={"shm_size": None}), "/dev/shm", "warning", "not there"),
        (exchanged(machine={"memfd": "Permission denied"}), "memfd", "warning", "Permission denied"),
        (exchanged(machine={"open_files": 64}), "open files", "error", "64"),
        (exchanged(machine={"open_files": 512}), "open files", "warning", "512"),
        (exchanged(machine={"clock_s": 0.0}), "clock", "error", "1970"),
        (exchanged(machine={"clock_synchronised": False}), "clock", "warning", "not synchronised"),
        (exchanged(network={"addresses": ("127.0.0.1",)}), "own host name", "warning", "127.0.0.1"),
        (exchanged(network={"addresses": ("127.0.1.1", "::1")}), "own host name", "warning", "127.0.1.1, ::1"),
        (exchanged(network={"addresses": ()}), "own host name", "warning", "does not resolve"),
        (exchanged(folder={"unwritable": "cannot write /x: Permission denied"}), "run folder", "error", "Permission"),
        (exchanged(folder={"free": 100 * MIB}), "run folder", "warning", "100 MiB free"),
        (exchanged(folder={"locks": "no locks (ENOLCK)"}), "locks", "error", "no locks"),
        (exchanged(folder={"renames": "is not what it was"}), "renames", "error", "in one step"),
        (exchanged(folder={"links": "Operation not permitted"}), "renames", "error", "symbolic links"),
        (exchanged(folder={"clock_ahead_s": 3600.0}), "clock of the run folder", "error", "3600 s ahead"),
        (exchanged(folder={"clock_ahead_s": -3600.0}), "clock of the run folder", "error", "3600 s behind"),
        (exchanged(folder={"newest_ahead_s": 3590.0}), "clock of the run folder", "error", "3590 s ahead"),
        (exchanged(folder={"clock_ahead_s": 5.0}), "clock of the run folder", "warning", "5 s ahead"),
    ],
)
def test_a_fault_is_found_by_its_name_and_has_a_remedy(facts, name, verdict, seen):
    found = faults(facts)
    assert list(found) == [name]
    assert found[name].verdict.value == verdict
    assert seen in found[name].seen
    assert found[name].remedy


@pytest.mark.parametrize(
    ("master", "name", "verdict", "seen"),
    [
        (Master("a", 9000, ("10.0.0.1",), True, "Address already in use"), "port of the master", "error", "9000"),
        (Master("localhost", 9000, ("127.0.0.1",), True), "address of the master", "error", "the node itself"),
        (Master("node-a", 9000, ("127.0.1.1",), True), "address of the master", "warning", "the others need another"),
        (Master("nowhere", 9000), "address of the master", "error", "nowhere does not resolve"),
    ],
)
def test_a_fault_of_the_rendezvous_is_found(master, name, verdict, seen):
    found = faults(exchanged(network={"master": master}))
    assert list(found) == [name]
    assert (found[name].verdict.value, bool(found[name].remedy)) == (verdict, True)
    assert seen in found[name].seen


def test_an_own_name_of_the_loopback_is_no_error_where_the_master_has_another():
    master = Master("10.0.0.2", 9000, ("10.0.0.2",))
    found = faults(exchanged(network={"master": master, "addresses": ("127.0.1.1",)}))
    assert found["own host name"].verdict is Verdict.WARNING


@pytest.mark.parametrize(
    ("facts", "name", "verdict", "seen"),
    [
        (on_gpu(card=H100), "machine code, GPU 0", "error", "6.1, 7.0, 7.5, 8.0, 8.6"),
        (on_gpu(card=replace(H100, capability=None)), "machine code, GPU 0", "unknown", "does not tell"),
        (on_gpu(paddle=replace(PYPI_WHEEL, archs=None)), "machine code, GPU 0", "unknown", "does not tell"),
        (on_gpu(driver="440.33.01"), "NVIDIA driver", "error", "450.80.02"),
        (on_gpu(driver=""), "NVIDIA driver", "unknown", "11.8"),
        (on_gpu(paddle=CPU_WHEEL), "wheel for the GPU", "warning", "1 GPUs stay unused"),
        (on_gpu(free_mib=1000.0), "memory, GPU 0", "warning", "1000 of 40960 MiB"),
        (on_gpu(memory_mib=None), "memory, GPU 0", "unknown", "nvidia-smi"),
        (on_gpu(ecc_errors=3.0), "ECC, GPU 0", "error", "3 uncorrected"),
        (on_gpu(power_w=250.0), "power limit, GPU 0", "warning", "250 W of 400 W"),
        (on_gpu(power_w=None), "power limit, GPU 0", "unknown", "nvidia-smi"),
        (exchanged(on_gpu(), gpus={"visible": "0,3"}), "GPU visibility", "error", "names GPU 3"),
        (exchanged(on_gpu(), gpus={"visible": ""}), "GPU visibility", "warning", "hides all 1 GPUs"),
        (exchanged(on_gpu(), gpus={"libraries": {"NCCL": "2.19"}}), "cuDNN", "warning", "not found"),
        (replace(on_gpu(), gpus=Gpus()), "GPU", "error", "nvidia-smi lists none"),
    ],
)
def test_a_fault_of_a_gpu_is_found(facts, name, verdict, seen):
    found = faults(facts)
    assert list(found) == [name]
    assert found[name].verdict.value == verdict
    assert seen in found[name].seen


def two_gpus(**machine):
    """A node with two GPUs of different kinds."""
    other = replace(A100, card=Card("1", "NVIDIA A40", 86))
    return exchanged(on_gpu(), gpus={"states": (A100, other)}, machine=machine)


def test_between_gpus_a_small_shm_is_an_error_and_the_slower_gpu_is_named():
    found = faults(two_gpus(shm_size=64 * MIB, shm_free=64 * MIB, locked_memory=65536))
    assert found["/dev/shm"].verdict is Verdict.ERROR
    assert set(found) == {"/dev/shm", "locked memory", "kinds of GPU"}
    assert "NVIDIA A40" in found["kinds of GPU"].seen


@pytest.mark.parametrize(("capability", "index"), [(90, "cu126"), (100, "cu129"), (120, "cu129"), (60, "cu118")])
def test_for_a_card_without_machine_code_the_remedy_names_paddles_own_index(capability, index):
    remedy = faults(on_gpu(card=replace(H100, capability=capability)))["machine code, GPU 0"].remedy
    assert f"https://www.paddlepaddle.org.cn/packages/stable/{index}/" in remedy
    assert "uninstall -y paddlepaddle-gpu" in remedy


def test_a_paddle_that_cannot_be_imported_is_named_and_plugins_are_not_blamed():
    facts = exchanged(on_gpu(), software={"paddle": replace(PYPI_WHEEL, fault="ImportError: libcudnn.so.8")})
    found = faults(facts)
    assert {name: one.verdict.value for name, one in found.items()} == {"Paddle": "error", "plugins": "unknown"}
    assert "cannot be imported: ImportError: libcudnn.so.8" in found["Paddle"].seen
    assert found["Paddle"].remedy.endswith("--force-reinstall paddlepaddle-gpu==2.6.2")


def test_two_distributions_of_paddle_are_told_apart():
    both = {"paddlepaddle": "3.3.1", "paddlepaddle-gpu": "2.6.2"}
    found = faults(exchanged(software={"paddle": replace(CPU_WHEEL, distributions=both)}))
    assert "paddlepaddle-gpu 2.6.2 are both installed" in found["Paddle"].seen
    assert found["Paddle"].remedy.endswith("pip install paddlepaddle==3.3.1")


@pytest.mark.parametrize(("name", "version"), [("numpy", "2.1.0"), ("protobuf", "7.34.0")])
def test_what_breaks_paddle_26_beside_it_is_found(name, version):
    found = faults(exchanged(on_gpu(), software={"packages": {name: version}}))
    assert list(found) == [name]
    assert faults(exchanged(software={"packages": {name: version}})) == {}, "Paddle 3 takes it"


def test_a_run_that_was_started_with_other_versions_or_settings_is_found():
    versions = {"paddle": "2.6.2", "python": "3.11.7", "pannsdist": "0.1.0"}
    record = RunRecord(versions, {"pannsdist-esc50": "0.0.9"}, {"train.batch_size": "16 there, 32 now"})
    found = [one for one in examine(replace(WELL, record=record)) if one.name == "run in the folder"]
    assert [one.verdict.value for one in found] == ["warning", "warning", "error"]
    seen = " ".join(one.seen for one in found)
    assert all(text in seen for text in ("paddle 2.6.2, here is 3.3.1", "pannsdist-esc50 0.0.9", "16 there, 32 now"))
    same = RunRecord({"paddle": "3.3.1"}, {"pannsdist-esc50": "0.1.0"})
    assert faults(replace(WELL, record=same)) == {}


def test_without_a_run_folder_nothing_is_said_of_it():
    names = {one.name for one in examine(replace(WELL, folder=None, settings=None))}
    assert not names & {"run folder", "locks", "settings"}


def test_the_table_has_a_line_for_each_finding_with_its_remedy_and_a_summary():
    facts = exchanged(machine={"open_files": 64}, folder={"free": MIB})
    lines = list(table(examine(facts)))
    (place,) = [number for number, line in enumerate(lines) if " open files " in line]
    assert lines[place].startswith("error ")
    assert lines[place + 1].strip().startswith("next: ulimit -n")
    assert lines[-1] == summary(examine(facts)) == f"{len(examine(facts)) - 2} ok, 1 warning, 1 error"


def test_what_others_say_cannot_steer_a_terminal():
    lines = list(table(examine(exchanged(software={"broken": {"model \x1b[2J": "\n\n"}}))))
    assert not any("\x1b" in line for line in lines)
