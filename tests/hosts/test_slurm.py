"""launch/slurm.sbatch in a real cluster of two nodes: to the end, stopped and queued again, cancelled, refused."""

import sys
import time

import jobs
import launching
import network
import pytest
import slurm

pytestmark = pytest.mark.long
SCRIPT = launching.PROJECT / "launch" / "slurm.sbatch"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if reason := slurm.missing():
        pytest.skip(reason)
    with slurm.cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed_of_two(tmp_path_factory, env):
    """Working folder of a run of two processes on one machine."""
    work = tmp_path_factory.mktemp("two") / "work"
    work.mkdir()
    done = launching.pannsdist("train", "-c", "recipe:tones_cnn6", "--nproc", 2, *jobs.SETTINGS, cwd=work, env=env)
    assert done.exit_code == 0, done.output
    return work


@pytest.fixture
def submit(cluster, work, env):
    """Submit the script with settings; gives the number of the job."""

    def submitted(*arguments, variables=None):
        command = ("sbatch", "--parsable", "--output", work / "out", SCRIPT, *arguments)
        chosen = {**env, "NPROC": "1", "PYTHON": sys.executable, **(variables or {})}
        return cluster.run(*command, cwd=work, env=chosen).strip()

    return submitted


def wait_for_step(cluster, job, work):
    """Return when a running job has saved a checkpoint."""
    limit = time.monotonic() + network.LIMIT_S
    while not jobs.newest_step(work):
        assert cluster.state(job)["JobState"] in ("PENDING", "RUNNING"), (work / "out").read_text()
        assert time.monotonic() < limit, (work / "out").read_text()
        time.sleep(0.05)


def test_a_job_trains_on_its_nodes_to_the_end(cluster, submit, work):
    state = cluster.wait_for_state(submit("recipe:tones_cnn6", *jobs.SETTINGS), "COMPLETED", "FAILED")
    output = (work / "out").read_text()
    assert (state["JobState"], state["ExitCode"]) == ("COMPLETED", "0:0"), output
    assert "2 nodes" in output
    assert jobs.newest_step(work) == jobs.STEPS


def test_a_job_that_is_to_stop_saves_and_goes_on_later(cluster, submit, work, undisturbed_of_two):
    job = submit("recipe:tones_cnn6", *jobs.SETTINGS)
    wait_for_step(cluster, job, work)
    cluster.run("scancel", "--signal=TERM", job)
    cluster.wait_for_state(job, "PENDING")
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")  # instead of two minutes later
    state = cluster.wait_for_state(job, "COMPLETED", "FAILED", "CANCELLED")
    output = (work / "out").read_text()
    assert (state["JobState"], state["Restarts"]) == ("COMPLETED", "1"), output
    assert f"job {job} goes back to the queue" in output
    jobs.assert_same(work, undisturbed_of_two)


def test_a_job_that_is_stopped_again_and_again_ends(cluster, submit, work):
    job = submit("recipe:tones_cnn6", *jobs.SETTINGS, variables={"MAX_REQUEUES": "0"})
    wait_for_step(cluster, job, work)
    cluster.run("scancel", "--signal=TERM", job)
    state = cluster.wait_for_state(job, "COMPLETED", "FAILED", "CANCELLED")
    output = (work / "out").read_text()
    assert (state["JobState"], state["ExitCode"], state["Restarts"]) == ("FAILED", "75:0", "0"), output
    assert "sbatch it again" in output
    assert f"--hosts {','.join(host.namespace for host in cluster.hosts)} " in output


def test_a_cancelled_job_saves_and_does_not_return(cluster, submit, work):
    job = submit("recipe:tones_cnn6", *jobs.SETTINGS)
    wait_for_step(cluster, job, work)
    cluster.run("scancel", job)
    while cluster.run("squeue", "-h", "-j", job).strip():
        time.sleep(0.2)
    state = cluster.state(job)
    output = (work / "out").read_text()
    assert (state["JobState"], state["Restarts"]) == ("CANCELLED", "0"), output
    assert "goes back to the queue" not in output


def test_a_mistake_ends_the_job_with_2(cluster, submit, work):
    state = cluster.wait_for_state(submit("recipe:tones_cnn6", "no.such=key"), "COMPLETED", "FAILED")
    assert (state["JobState"], state["ExitCode"], state["Restarts"]) == ("FAILED", "2:0", "0")
    assert "error: " in (work / "out").read_text()
