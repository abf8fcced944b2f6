"""launch/kubernetes: the files hold together, agree with the schemas, and their commands train as pods would."""

import signal

import jobs
import launching
import names
import pods
import pytest
import yaml

from pannsdist import settings
from pannsdist.run.nodes.master import Master

FILES = ("job.yaml", "jobset.yaml")
VERSIONS = ("1.31", "1.34", "1.37")


@pytest.mark.parametrize("file", FILES)
def test_the_pods_meet_at_the_first_of_as_many_as_there_are(file):
    job = pods.IndexedJob.read(file)
    assert job.spec["completionMode"] == "Indexed"
    assert job.spec["completions"] == job.spec["parallelism"] == int(job.option("--nodes"))
    assert Master.parse(job.option("--master")).host == job.name(0)


@pytest.mark.parametrize("file", FILES)
def test_exit_codes_lead_to_what_they_mean(file):
    job = pods.IndexedJob.read(file)
    assert {code: job.action(code) for code in (1, 2, 75, 137)} == {
        1: pods.COUNT,
        2: pods.FAIL,
        75: pods.IGNORE,
        137: pods.COUNT,
    }
    assert job.pod["restartPolicy"] == "Never"  # podFailurePolicy needs it


@pytest.mark.parametrize("file", FILES)
def test_every_mount_has_its_volume_and_shared_memory_is_memory(file):
    job = pods.IndexedJob.read(file)
    volumes = {one["name"]: one for one in job.pod["volumes"]}
    (container,) = job.pod["containers"]
    mounted = {one["mountPath"]: volumes[one["name"]] for one in container["volumeMounts"]}
    assert mounted["/dev/shm"]["emptyDir"]["medium"] == "Memory"
    assert "persistentVolumeClaim" in mounted[container["workingDir"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_core_kinds_agree_with_the_schema_of_kubernetes(version):
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for document in pods.documents("job.yaml").values():
        validator.validate(document, version, strict=True)


@pytest.fixture
def settings_file(work):
    """The file that the pods find in their volume."""
    wanted, _ = settings.load(launching.CONFIGS / "tones_cnn6.yaml", jobs.SETTINGS)
    file = work / "settings.yaml"
    file.write_text(settings.to_yaml(wanted))
    return file


@pytest.mark.long
@pytest.mark.parametrize("file", FILES)
def test_the_pods_train_are_stopped_and_made_again(hosts, work, env, settings_file, file):
    job = pods.IndexedJob.read(file)
    with names.known(hosts, {}):
        commands = job.start(hosts, work, settings_file, env)
        commands[0].wait_for(
            f"waiting up to 300 s for the master at {job.name(0)}"
        )  # pods start before their names are known
    with names.known(hosts, {job.name(index): host.address for index, host in enumerate(hosts)}):
        jobs.wait_for_steps(commands, work, 2)
        commands[1].process.send_signal(signal.SIGTERM)  # as when its node is drained
        codes = [one.wait() for one in commands]
        assert {job.action(code) for code in codes} == {pods.IGNORE}, [one.output for one in commands]
        again = job.start(hosts, work, settings_file, env)
        assert [one.wait() for one in again] == [0, 0], [one.output for one in again]
    assert "resumes in epoch" in again[0].output, again[0].output
    assert jobs.newest_step(work) == jobs.STEPS


@pytest.mark.long
def test_a_mistake_fails_the_job(hosts, work, env, settings_file):
    job = pods.IndexedJob.read("job.yaml")
    settings_file.write_text(yaml.safe_dump({**yaml.safe_load(settings_file.read_text()), "wrong": 1}))
    with names.known(hosts, {job.name(index): host.address for index, host in enumerate(hosts)}):
        codes = [one.wait() for one in job.start(hosts, work, settings_file, env)]
    assert {job.action(code) for code in codes} == {pods.FAIL}
