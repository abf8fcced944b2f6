"""The page to try a model, in a real browser, served by the real server: what it shows is what Python answers."""

import json

import calling
import chromium
import pytest
import soundfile
from looking import RATE_HZ, TOKEN, answered, card, choose, classes, drop, events, expected_events, opened, serving

from pannsdist.builtin.tones import Tones, TonesParams

pytestmark = [*chromium.pytestmark, pytest.mark.slow]


@pytest.mark.parametrize("name", ["clicks.wav", "noise.ogg"])
def test_a_dropped_file_gets_the_answer_of_python(page, site, model, name):
    drop(page, site / name)
    found = classes(card(page, name))
    (answer,) = model("plain").predict(site / name, topk=5)
    assert [label for label, _ in found] == list(answer.scores)
    assert found[0][0] == name.partition(".")[0]
    assert [score for _, score in found] == pytest.approx(list(answer.scores.values()), abs=1e-4)
    assert f"{name}: {found[0][0]}, " in page.get_by_role("status").inner_text()


def test_events_are_those_of_python_and_lie_where_they_are_heard(page, site, model):
    choose(page, site / "parts.wav")
    found = card(page, "parts.wav")
    (detection,) = model("plain").detect(site / "parts.wav")
    assert len(detection.events) >= 5
    assert events(found) == expected_events(detection)
    places = found.locator(".bar").evaluate_all(
        """(bars) => bars.map((bar) => {
            const [own, all] = [bar, bar.closest(".tracks")].map((one) => one.getBoundingClientRect());
            return [Number(bar.dataset.place), (own.left - all.left) / all.width, own.width / all.width];
        })"""
    )
    for place, left, width in places:
        event = detection.events[place]
        assert left == pytest.approx(event.onset_s / 6, abs=0.005)
        assert width == pytest.approx((event.offset_s - event.onset_s) / 6, abs=0.005)


def test_the_threshold_of_the_page_is_that_of_detect(page, site, model):
    choose(page, site / "parts.wav")
    before = events(card(page, "parts.wav"))
    page.get_by_label("Events from a probability of").fill("0.95")
    page.keyboard.press("Enter")
    chromium.wait(page, f"document.querySelectorAll('.card tbody tr').length !== {len(before)}")
    answered(page, 1)
    (detection,) = model("plain").detect(site / "parts.wav", threshold=0.95)
    assert events(card(page, "parts.wav")) == expected_events(detection)


def test_another_model_answers_again_and_says_its_decision(page, site, model):
    clips = Tones(TonesParams(valid_clips_per_class=4)).clips("valid")  # those of the calibration: half are rejected
    answers = model("strict").predict([clip.source.samples()[0] for clip in clips], sample_rate_hz=RATE_HZ)
    known, unknown = (
        next(n for n, one in enumerate(answers) if bool(one.decision) is is_known) for is_known in (True, False)
    )
    for name, number in (("known", known), ("unknown", unknown)):
        soundfile.write(site / f"{name}.wav", clips[number].source.samples()[0], RATE_HZ, subtype="FLOAT")
    choose(page, site / "known.wav", site / "unknown.wav")
    assert page.locator(".decision").count() == 0
    page.get_by_label("Model").select_option("strict")
    chromium.wait(page, "document.querySelectorAll('.decision').length === 2")
    assert card(page, "known.wav").locator(".decision strong").inner_text() == answers[known].decision[0]
    assert card(page, "unknown.wav").locator(".decision strong").inner_text() == "none of these"


def test_a_recording_with_the_microphone_is_recognised(page):
    record = page.locator("#record")
    record.click()
    chromium.wait(page, "parseFloat(document.querySelector('#record-time').textContent.split(' ')[1]) >= 2")
    assert record.inner_text() == "Stop recording"
    record.click()
    answered(page, 1)
    found = card(page, "recording_1.wav")
    assert classes(found)[0][0] == "noise"
    assert (
        float(found.locator(".facts").inner_text().split()[0]) >= 1.5
    )  # of 2 s that the page counted: its clock is not that of the microphone
    assert page.evaluate("new Set(document.querySelector('.waveform').toDataURL()).size") > 10
    assert record.inner_text() == "Record"


def test_a_refused_microphone_and_an_address_without_one_are_said(browser, address):
    port = address.rpartition(":")[2]
    flags = [*chromium.FLAGS, "--use-fake-device-for-media-stream", "--host-resolver-rules=MAP another.test 127.0.0.1"]
    other = browser.browser_type.launch(executable_path=chromium.BROWSER, args=flags)  # nobody there allows it
    with opened(other, address) as page:
        page.locator("#record").click()
        chromium.wait(page, "document.querySelector('#trouble').textContent.includes('did not allow the microphone')")
        assert page.locator("#record").is_enabled()
    with chromium.watched(other) as page:
        page.expected, page.hosts = (" 401 ",), {"another.test"}
        page.goto(f"http://another.test:{port}")
        assert "https:// and to localhost only" in page.locator("#no-microphone").inner_text()
        assert not page.locator("#record").is_visible()
        page.locator("#token-form").wait_for()
    other.close()


def test_a_click_on_an_event_plays_it_and_nothing_else(page, site, model):
    choose(page, site / "parts.wav")
    found = card(page, "parts.wav")
    (detection,) = model("plain").detect(site / "parts.wav")
    place = next(number for number, event in enumerate(detection.events) if event.onset_s >= 1)
    event = detection.events[place]
    assert event.offset_s < 6
    found.locator(f'.bar[data-place="{place}"]').click()
    page.get_by_role("button", name="Pause parts.wav").wait_for()
    position = found.get_by_role("slider")
    assert event.onset_s - 0.05 <= float(position.input_value()) <= event.offset_s
    page.get_by_role("button", name="Play parts.wav", exact=True).wait_for()
    page.wait_for_timeout(100)  # the browser tells of the last position after it
    assert float(position.input_value()) == pytest.approx(event.offset_s, abs=0.011)
    left = found.locator(".cursor").evaluate("(cursor) => parseFloat(cursor.style.left)")
    assert left == pytest.approx(100 * event.offset_s / 6, abs=0.5)


def test_what_is_no_sound_is_refused_in_the_words_of_the_server(page, site):
    page.expected = (" 422 ",)
    choose(page, site / "notes.wav")
    said = card(page, "notes.wav").locator(".failure").inner_text()
    asked = page.request.post(
        page.url + "v1/predict",
        headers={"Authorization": f"Bearer {TOKEN}"},
        multipart={"file": {"name": "notes.wav", "mimeType": "audio/wav", "buffer": (site / "notes.wav").read_bytes()}},
    )
    assert asked.status == 422
    assert asked.json()["error"]["message"] in said
    assert page.get_by_role("status").inner_text() == "notes.wav: not answered"
    assert "this browser cannot decode the file" in card(page, "notes.wav").inner_text()


def test_remarks_on_a_sound_are_shown(page, site, model):
    choose(page, site / "quiet.wav")
    with pytest.warns(UserWarning, match="it is very quiet"):
        (answer,) = model("plain").predict(site / "quiet.wav")
    assert answer.remarks
    assert all(remark in card(page, "quiet.wav").inner_text() for remark in answer.remarks)


def test_a_token_is_asked_for_and_kept_in_the_tab_alone(browser, address, site):
    with opened(browser, address, token="") as page:
        page.expected = (" 401 ",)
        field = page.get_by_label("Token", exact=True)
        field.wait_for()
        assert page.get_by_role("alert").inner_text().strip()
        field.fill("a-wrong-one")
        page.keyboard.press("Enter")
        chromium.wait(page, "document.querySelector('#token').value === ''")
        page.set_input_files("#files", str(site / "tone.wav"))
        field.fill(TOKEN)
        page.keyboard.press("Enter")
        answered(page, 1)
        assert not field.is_visible()
        kept = page.evaluate("[JSON.stringify(localStorage), document.cookie, sessionStorage.getItem('token')]")
        assert kept == ["{}", "", TOKEN]


def test_a_server_that_is_gone_is_said_and_can_be_asked_again(page, site):
    page.expected = ("net::ERR_INTERNET_DISCONNECTED",)
    page.context.set_offline(True)
    choose(page, site / "tone.wav")
    assert "The server does not answer." in card(page, "tone.wav").inner_text()
    page.context.set_offline(False)
    page.get_by_role("button", name="Ask again").click()
    page.locator(".classes").wait_for()
    assert classes(card(page, "tone.wav"))[0][0] == "tone"


def test_the_policy_of_the_page_lets_no_script_but_its_own_run(page):
    page.expected = ("Content Security Policy",)
    page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))"
    )
    assert page.evaluate("window.ran") is None
    assert json.loads(page.request.get(page.url + "page.json").text()) == {"engine": "server"}


@pytest.mark.long
def test_all_clips_of_esc10_get_the_answers_of_python(browser, shared, tmp_path):
    import pannsdist

    data, weights = shared / "data" / "ESC-10", shared / "weights" / "mn04_as_mAP_432.pt"
    settings = (f"data.params.root={data}", f"model.weights={weights}", "data.workers=0")
    made = calling.pannsdist("probe", "-c", "recipe:esc10_mn04", *settings, cwd=tmp_path)
    assert made.exit_code == 0, made.output
    folder = tmp_path / "runs" / "esc10_mn04_probe" / "best_model"
    clips = sorted((data / "audio").glob("*.ogg"))
    assert len(clips) == 400
    answers = pannsdist.load_model(folder).predict(clips, topk=5)
    differences = []
    with serving(tmp_path, {"esc10": folder}) as address, chromium.watched(browser) as page:
        page.add_init_script(f"sessionStorage.setItem('token', '{TOKEN}')")
        page.goto(address)
        for start in range(0, len(clips), 50):
            choose(page, *clips[start : start + 50])
            for clip, answer in zip(clips[start : start + 50], answers[start : start + 50], strict=True):
                found = dict(classes(card(page, clip.name)))
                assert next(iter(found)) == next(iter(answer.scores))
                differences += [abs(found[label] - score) for label, score in answer.scores.items() if label in found]
            page.reload()
    print(f"{len(clips)} clips, {len(differences)} probabilities: largest difference {max(differences):.2e}")
    assert max(differences) < 1e-4
