"""A clip that cannot be read, in the shard of one of two real processes."""

import bad_clips
import launching
import numpy as np


def test_a_bad_clip_of_one_process_ends_both_with_its_name(tmp_path, env):
    work = tmp_path / "work"
    bad_clips.sounds(work)
    bad = bad_clips.read_by(1, 2, work)
    bad.write_bytes(b"no sound at all")
    launched = launching.train(work / "settings.yaml", processes=2, cwd=work, env=env)
    assert (launched.exit_code, launched.exit_codes) == (2, (2, 2)), str(launched)
    name = bad_clips.clip_id(bad, work)
    wrong = f"error: clip '{name}' ({bad.relative_to(work)}): libsndfile cannot decode it"
    assert wrong in launched.logs[0]
    assert "set data.on_bad_clip=skip to skip it" in launched.logs[0]
    assert not any("Traceback" in log for log in launched.logs), str(launched)
    assert not (work / "runs" / "run" / "best_model").exists()


def test_bad_clips_that_are_skipped_leave_both_processes_with_the_same_weights(two, place):
    assert two["bad clips"].exit_codes == (0, 0)
    work = place / "bad_clips"
    for name in ("part", "whole", "frozen"):  # of the batch of a process, part of the clips are bad, or the only one
        left, right = (np.load(work / f"{name}.{rank}.npz") for rank in range(2))
        assert left.files == right.files and len(left.files) >= 4
        assert all(np.array_equal(left[key], right[key]) for key in left.files), name
        assert all(np.isfinite(left[key]).all() for key in left.files), name
        noted = (work / "runs" / name / "bad_clips.txt").read_text().splitlines()
        assert sorted(line.partition("'")[2].partition("'")[0] for line in noted) == sorted(
            bad_clips.clip_id(path, work) for path in bad_clips.bad_clips(work)
        )
        assert any(line.endswith("the file is empty") for line in noted)
