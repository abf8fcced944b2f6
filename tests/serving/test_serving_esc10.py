"""All clips of ESC-10, asked of the server by eight clients at once, against Python."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest
import requests
import served

from pannsdist import load_model

CLIPS, CLIENTS, ROUTES = 400, 8, ("predict", "detect", "embed")


@pytest.fixture(scope="module")
def trained(shared, tmp_path_factory, environment):
    """A probe of mn04 on ESC-10, as the README makes it."""
    import launching

    place = tmp_path_factory.mktemp("esc10")
    options = (f"data.params.root={shared / 'data/ESC-10'}", f"model.weights={shared / 'weights/mn04_as_mAP_432.pt'}")
    made = launching.pannsdist("probe", "-c", "recipe:esc10_mn04", *options, cwd=place, env=environment)
    assert made.exit_code == 0, made
    return place / "runs" / "esc10_mn04_probe" / "best_model"


@pytest.mark.long
def test_the_server_and_python_agree_on_every_clip_of_esc10(shared, trained, environment):
    clips = sorted((shared / "data/ESC-10/audio").iterdir())
    assert len(clips) == CLIPS
    print(differences(trained, clips, environment))


def differences(folder, clips, environment):
    """The largest difference of scores, of the scores of events and of embeddings; all else is equal."""
    model = load_model(folder)
    with served.Server("--model", folder, env=environment) as server, ThreadPoolExecutor(CLIENTS) as pool:
        found = {route: list(pool.map(lambda clip: _asked(server, route, clip), clips)) for route in ROUTES}  # noqa: B023
        passes, windows = (server.metric(f"pannsdist_batch_windows_{name}") for name in ("count", "sum"))
    largest = {"windows a pass": windows / passes, "predict": 0.0, "detect": 0.0}
    for one, answer in zip(found["predict"], model.predict(clips), strict=True):
        scores = {score["label"]: score["score"] for score in one["scores"]}
        assert next(iter(scores)) == next(iter(answer.scores))
        far = max(abs(scores[label] - value) for label, value in answer.scores.items())
        largest["predict"] = max(largest["predict"], far)
    for one, detection in zip(found["detect"], model.detect(clips), strict=True):
        events = [asdict(event) for event in detection.events]
        assert [{**event, "score": 0} for event in one["events"]] == [{**event, "score": 0} for event in events]
        far = [abs(a["score"] - b["score"]) for a, b in zip(one["events"], events, strict=True)]
        largest["detect"] = max([largest["detect"], *far])
    vectors = np.array([one["embedding"] for one in found["embed"]])
    largest["embed"] = float(np.abs(vectors - model.embed(clips)).max())
    assert max(largest["predict"], largest["detect"], largest["embed"] / np.abs(vectors).max()) < 1e-5
    return largest


def _asked(server, route, clip):
    with clip.open("rb") as file:
        reply = requests.post(f"{server.address}/v1/{route}", files={"file": (clip.name, file)}, timeout=120)
    assert reply.status_code == 200, reply.text
    return reply.json()["results"][0]
