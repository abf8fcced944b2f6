"""The server gives what Python gives, whatever way a sound is sent."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from served import base64_of

TOLERANCE = 1e-6
MODELS = ("plain", "fitted", "frames")
pytestmark = pytest.mark.filterwarnings("ignore:.*dog.wav|.*could be read:UserWarning")


def scores(result):
    return {one["label"]: one["score"] for one in result["scores"]}


def require_equal(found, answer):
    """A result of predict or tag, and an answer of Python."""
    assert found["sound"] == answer.sound.rpartition("/")[2]
    assert list(scores(found)) == list(answer.scores)
    assert list(scores(found).values()) == pytest.approx(list(answer.scores.values()), abs=TOLERANCE)
    assert found["decision"] == (None if answer.decision is None else list(answer.decision))
    assert found["energy"] == (None if answer.energy is None else pytest.approx(answer.energy, abs=1e-4))
    require_same_remarks(found, answer)


def require_same_remarks(found, answer):
    assert found["remarks"] == list(answer.remarks)
    assert found["incomplete"] == (None if answer.incomplete is None else answer.incomplete.record)


@pytest.mark.parametrize("name", MODELS)
def test_predict_and_tag_are_those_of_python(server, models, sounds, name):
    for found, answer in zip(
        server.results("/v1/predict", *sounds, model=name), models[name].predict(sounds), strict=True
    ):
        require_equal(found, answer)
    for found, answer in zip(server.results("/v1/tag", *sounds, model=name), models[name].tag(sounds), strict=True):
        require_equal(found, answer)
    least = models[name].tag(sounds, threshold=0.34)
    assert any(answer.scores for answer in least)
    for found, answer in zip(server.results("/v1/tag", *sounds, model=name, threshold=0.34), least, strict=True):
        require_equal(found, answer)
    (first,) = server.results("/v1/predict", sounds[0], model=name, topk=2)
    assert list(scores(first)) == list(models[name].predict(sounds[0], topk=2)[0].scores)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rule", [{}, {"threshold": 0.34, "min_gap_s": 0.1, "min_duration_s": 0.05}])
def test_detect_is_that_of_python(server, models, sounds, name, rule):
    expected = models[name].detect(sounds, **rule)
    assert sum(len(answer.events) for answer in expected) > 0
    for found, answer in zip(server.results("/v1/detect", *sounds, model=name, **rule), expected, strict=True):
        assert [(one["label"], one["onset_s"], one["offset_s"]) for one in found["events"]] == [
            (event.label, event.onset_s, event.offset_s) for event in answer.events
        ]
        assert [one["score"] for one in found["events"]] == pytest.approx(
            [event.score for event in answer.events], abs=TOLERANCE
        )
        require_same_remarks(found, answer)


def test_embed_is_that_of_python(server, models, sounds):
    found = server.results("/v1/embed", *sounds)
    np.testing.assert_allclose([one["embedding"] for one in found], models["plain"].embed(sounds), atol=1e-5)


def test_base64_and_the_bytes_alone_give_the_same(server, sounds):
    for sound in sounds:
        (form,) = server.results("/v1/predict", sound, topk=2)
        as_json = server.ask("POST", "/v1/predict", json={"audio": base64_of(sound), "topk": 2}).record["results"][0]
        kind = {"Content-Type": "audio/x-any"}
        raw = server.ask("POST", "/v1/predict?topk=2", data=sound.read_bytes(), headers=kind).record["results"][0]
        assert form["sound"] == sound.name
        assert scores(form) == scores(as_json) == scores(raw)
    both = server.ask("POST", "/v1/predict", json={"audio": [base64_of(sound) for sound in sounds]}).record["results"]
    assert [one["sound"] for one in both] == [f"audio[{number}]" for number in range(len(sounds))]


def test_a_cut_file_is_answered_with_how_much_was_read(server, models, sounds, tmp_path):
    cut = tmp_path / "cut.wav"
    cut.write_bytes(sounds[2].read_bytes()[:8000] if sounds[2].suffix == ".wav" else b"")
    (found,) = server.results("/v1/predict", cut)
    (answer,) = models["plain"].predict(cut)
    assert found["incomplete"]["read_s"] < found["incomplete"]["whole_s"]
    require_equal(found, answer)
    assert server.results("/v1/detect", cut)[0]["incomplete"] == found["incomplete"]
    assert server.results("/v1/embed", cut)[0]["incomplete"] == found["incomplete"]


def test_silence_is_answered_with_a_remark(server, models, tmp_path):
    import soundfile

    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(8000), 8000)
    with pytest.warns(UserWarning, match="silen"):
        (answer,) = models["plain"].predict(silent)
    (found,) = server.results("/v1/predict", silent)
    assert found["remarks"]
    require_equal(found, answer)


def test_of_several_sounds_a_bad_one_is_skipped_if_asked_for(server, sounds):
    good, bad, again = server.results("/v1/predict", sounds[0], ("bad.wav", b"no sound"), sounds[0], on_bad="skip")
    assert scores(good) == pytest.approx(scores(again), abs=TOLERANCE)
    assert (bad["sound"], bad["error"]["code"]) == ("bad.wav", "bad_sound")
    for path in ("/v1/tag", "/v1/detect", "/v1/embed"):
        assert "error" in server.results(path, ("bad.wav", b"no sound"), on_bad="skip")[0]


def test_requests_that_arrive_together_share_batches_and_get_what_they_get_alone(server, models, sounds):
    alone = {sound: models["plain"].predict(sound)[0] for sound in sounds}
    before = [server.metric(f"pannsdist_batch_windows_{name}") for name in ("sum", "count")]
    asked = sounds * 30
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda sound: _alone(server, sound), asked))
    for sound, result in zip(asked, found, strict=True):
        require_equal(result, alone[sound])
    windows, passes = (
        server.metric(f"pannsdist_batch_windows_{name}") - start
        for name, start in zip(("sum", "count"), before, strict=True)
    )
    assert windows > 2 * passes


def _alone(server, sound):
    import requests

    with sound.open("rb") as file:
        reply = requests.post(f"{server.address}/v1/predict", files={"file": (sound.name, file)}, timeout=60)
    assert reply.status_code == 200, reply.text
    return reply.json()["results"][0]


def test_the_models_are_listed_with_what_a_client_needs(server, models):
    listed = server.ask("GET", "/v1/models").record["models"]
    assert [one["name"] for one in listed] == list(MODELS)
    for one in listed:
        model = models[one["name"]]
        assert one["labels"] == list(model.labels)
        assert (one["multi_label"], one["sample_rate_hz"]) == (model.multi_label, model.sample_rate_hz)
        assert one["has_frames"] == (one["name"] == "frames")
        assert one["has_decisions"] == (one["name"] == "fitted")
        assert one["engine"]["engine"] == "dygraph"


def test_the_description_has_every_route_and_all_its_files_are_local(server):
    described = server.ask("GET", "/openapi.json").record["paths"]
    routes = {f"/v1/{name}" for name in ("predict", "tag", "detect", "embed", "models")}
    assert routes | {"/healthz", "/readyz", "/metrics", "/predict/{name}"} == set(described)
    page = server.session.get(f"{server.address}/docs", timeout=60).text
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"):
        assert f"docs/files/{name}" in page
        assert server.session.get(f"{server.address}/docs/files/{name}", timeout=60).status_code == 200
    assert "://" not in page


def test_clients_of_paddlehub_get_its_shape(server, models, sounds):
    import soundfile

    files = server.ask("POST", "/predict/plain", json={"data": [base64_of(sound) for sound in sounds]}).record
    assert (files["status"], files["msg"]) == ("000", "")
    answers = models["plain"].predict(sounds)
    assert [list(one) for one in files["results"]] == [list(answer.scores) for answer in answers]
    assert [*files["results"][0].values()] == pytest.approx([*answers[0].scores.values()], abs=TOLERANCE)
    samples, rate_hz = soundfile.read(sounds[1], dtype="float32", always_2d=True)
    more = {"sample_rate": rate_hz, "batch_size": 1, "feat_type": "mel", "use_gpu": False}
    lists = server.ask("POST", "/predict/plain", json={"data": [samples.tolist()], **more}).record
    assert [*lists["results"][0].values()] == pytest.approx([*answers[1].scores.values()], abs=TOLERANCE)


@pytest.mark.parametrize(
    ("name", "record", "status"),
    [
        ("none", {"data": ["AAAA"]}, "111"),
        ("plain", {}, "101"),
        ("plain", {"data": ["AAAA"]}, "101"),
        ("plain", {"data": [[0.1, 0.2]]}, "101"),
        ("plain", {"data": [["a"]], "sample_rate": 8000}, "101"),
        ("plain", {"audio_file": "/etc/passwd"}, "101"),
    ],
)
def test_what_paddlehub_answers_with_its_own_status_has_it_here(server, name, record, status):
    reply = server.ask("POST", f"/predict/{name}", json=record)
    assert (reply.status, reply.record["status"], reply.record["results"]) == (200, status, "")
    assert reply.record["msg"]


def test_a_form_to_paddlehubs_address_is_out_of_date(server):
    assert server.ask("POST", "/predict/plain", data={"data": "x"}).record["status"] == "112"
