"""The page to try a model, in a real browser, served by the real server: what it shows is what Python answers."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import calling
import chromium
import numpy as np
import pytest
import soundfile

from pannsdist.builtin.tones import Tones, TonesParams

pytestmark = [*chromium.pytestmark, pytest.mark.slow]

TOKEN = "a-token-of-the-tests"
RATE_HZ = 32000
CONTRAST = 4.5
FEW = ("data.params.clips_per_class=8", "data.params.valid_clips_per_class=4", "data.workers=0")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with a model that knows six kinds of sounds, the same one calibrated, and sounds."""
    folder = tmp_path_factory.mktemp("page")
    made = calling.pannsdist("probe", "-c", "recipe:demo", *FEW, cwd=folder)
    assert made.exit_code == 0, made.output
    model = folder / "runs" / "demo_probe"
    copied = folder / "runs" / "strict"
    subprocess.run(["cp", "-r", model, copied], check=True)
    made = calling.pannsdist("calibrate", "--model", copied, "--reject", "0.5", cwd=folder)
    assert made.exit_code == 0, made.output
    clips = {clip.labels[0]: clip.source.samples()[0] for clip in Tones(TonesParams(seed=9)).clips("valid")}
    for name, samples in clips.items():
        soundfile.write(folder / f"{name}.wav", samples, RATE_HZ, subtype="PCM_16")
    soundfile.write(folder / "noise.ogg", clips["noise"], RATE_HZ)
    soundfile.write(folder / "parts.wav", np.concatenate(list(clips.values())), RATE_HZ, subtype="PCM_16")
    soundfile.write(folder / "quiet.wav", 1e-3 * clips["tone"], RATE_HZ, subtype="FLOAT")
    soundfile.write(folder / "microphone.wav", np.tile(clips["noise"], 4), RATE_HZ, subtype="PCM_16")
    (folder / "notes.wav").write_text("no sound at all\n")
    return folder


@contextmanager
def serving(site):
    """The address of `pannsdist serve` with both models and a token."""
    models = [f"--model={name}={site / 'runs' / folder / 'best_model'}" for name, folder in MODELS.items()]
    command = [sys.executable, "-m", "pannsdist", "serve", *models, "--port", "0"]
    environment = {**os.environ, "PANNSDIST_TOKEN": TOKEN}
    with (site / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=site, env=environment, stdout=subprocess.PIPE, stderr=log)
    try:
        yield _address(process, site / "server.log")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


MODELS = {"plain": "demo_probe", "strict": "strict"}


def _address(process, log):
    """What the server prints once it is ready."""
    end = time.monotonic() + chromium.LIMIT_S
    said = b""
    while time.monotonic() < end:
        if select.select([process.stdout], [], [], 1.0)[0]:
            said += os.read(process.stdout.fileno(), 4096)
        if found := re.search(rb"ready: (http://127\.0\.0\.1:\d+)/", said):
            return found[1].decode()
        assert process.poll() is None, log.read_text()
    raise TimeoutError(log.read_text())


@pytest.fixture(scope="module")
def address(site):
    with serving(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser(site):
    flags = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        "--autoplay-policy=document-user-activation-required",
    )
    with chromium.browsing(*flags, f"--use-file-for-fake-audio-capture={site / 'microphone.wav'}") as browser:
        yield browser


@contextmanager
def opened(browser, address, token=TOKEN, **options):
    """The page, with the token that a visitor of this tab gave before."""
    with chromium.watched(browser, **options) as page:
        if token:
            page.add_init_script(f"sessionStorage.setItem('token', '{token}')")
        page.goto(address)
        if token:
            chromium.wait(page, "document.querySelector('#model').options.length === 2")
        yield page


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        yield page


@pytest.fixture(scope="module")
def model(site):
    """What Python answers: a function of the name of a model."""
    import pannsdist

    loaded = {name: pannsdist.load_model(site / "runs" / folder / "best_model") for name, folder in MODELS.items()}
    return loaded.__getitem__


def choose(page, *paths):
    page.set_input_files("#files", [str(path) for path in paths])
    answered(page, len(paths))


def answered(page, count):
    chromium.wait(page, f"document.querySelectorAll('.card .classes, .card .failure').length === {count}")


def drop(page, *paths):
    """Drop files on the page, as a mouse does."""
    files = [[path.name, list(path.read_bytes())] for path in paths]
    data = page.evaluate_handle(
        """(files) => {
            const data = new DataTransfer();
            for (const [name, bytes] of files) data.items.add(new File([new Uint8Array(bytes)], name));
            return data;
        }""",
        files,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": data})
    answered(page, len(paths))


def card(page, name):
    return page.get_by_role("article", name=name, exact=True)


def classes(found):
    """The classes of a card with their probabilities, highest first."""
    rows = found.locator(".classes li")
    return [
        (row.locator(".class-label").inner_text(), float(row.locator("data").get_attribute("value")))
        for row in rows.all()
    ]


def events(found):
    """(label, onset, offset, score) of the table of a card."""
    rows = [row.locator("th, td").all_inner_texts()[:4] for row in found.locator("tbody tr").all()]
    return [(row[0], *(float(one.split()[0]) for one in row[1:])) for row in rows]


def expected_events(detection):
    return [
        (one.label, *(pytest.approx(value, abs=0.0051) for value in (one.onset_s, one.offset_s, one.score)))
        for one in detection.events
    ]


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
    assert float(found.locator(".facts").inner_text().split()[0]) >= 2
    assert page.evaluate("new Set(document.querySelector('.waveform').toDataURL()).size") > 10
    assert record.inner_text() == "Record"


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
    assert float(position.input_value()) == pytest.approx(event.offset_s, abs=0.011)
    left = found.locator(".cursor").evaluate("(cursor) => parseFloat(cursor.style.left)")
    assert left == pytest.approx(100 * event.offset_s / 6, abs=0.5)


def test_everything_can_be_done_with_the_keyboard(page, site):
    with page.expect_file_chooser() as chooser:
        focus(page, "Choose files")
        page.keyboard.press("Enter")
    chooser.value.set_files(str(site / "parts.wav"))
    answered(page, 1)
    focus(page, "Play parts.wav")
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause parts.wav").wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Play parts.wav", exact=True).wait_for()
    focus(page, "Position in parts.wav")
    before = float(page.get_by_role("slider").input_value())
    page.keyboard.press("PageUp")
    assert float(page.get_by_role("slider").input_value()) > before
    focus(page, re.compile(r"Play \w+, 0\.\d\d to .*"))
    assert page.locator(".bar.marked").count() == 1
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Pause parts.wav").wait_for()
    page.keyboard.press("Escape")
    focus(page, "Remove parts.wav")
    page.keyboard.press("Enter")
    assert page.locator(".card").count() == 0
    assert page.evaluate("document.activeElement.id") == "results"
    assert page.get_by_role("status").inner_text() == "parts.wav was removed"


def focus(page, name):
    """Press Tab until what has this name has the focus, which must be seen; a trap would never come there."""
    for _ in range(60):
        page.keyboard.press("Tab")
        own, outline = page.evaluate(
            """() => {
                const element = document.activeElement;
                const name = element.getAttribute("aria-label") ?? element.textContent.trim();
                return [name, parseFloat(getComputedStyle(element).outlineWidth)];
            }"""
        )
        if re.fullmatch(name, own):
            assert outline >= 2
            return
    raise AssertionError(f"Tab never comes to {name}")


def test_a_chinese_browser_sees_chinese_and_the_switch_is_kept(browser, address, site):
    with opened(browser, address, locale="zh-CN") as page:
        choose(page, site / "parts.wav")
        assert (page.locator("h1").inner_text(), page.locator("html").get_attribute("lang")) == ("试用模型", "zh-CN")
        assert re.search("[\u4e00-\u9fff]", page.get_by_role("slider").get_attribute("aria-label"))
        shown = re.sub(
            r"\b(parts\.wav|Hz|English|plain|strict|tone|noise|clicks|sweep|pluck|am_tone)\b",
            "",
            page.inner_text("body"),
        )
        assert re.findall(r"[A-Za-z]{2,}", shown) == []
        page.get_by_role("button", name="English").click()
        assert page.locator("h1").inner_text() == page.title() == "Try a model"
        assert re.findall("[\u4e00-\u9fff]", page.inner_text("main")) == []
        page.reload()
        assert page.locator("h1").inner_text() == "Try a model"


CONTRASTS = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgb = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const light = (colour) => rgb(colour).slice(0, 3).map((one) => one / 255)
        .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
        .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
    const ground = (element) => {
        const own = getComputedStyle(element).backgroundColor;
        return rgb(own)[3] === 255 || !element.parentElement ? own : ground(element.parentElement);
    };
    return [...document.querySelectorAll("body *")]
        .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
        .filter((one) => one.checkVisibility())
        .map((one) => {
            const [low, high] = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => a - b);
            return [one.textContent.trim().slice(0, 40), (high + 0.05) / (low + 0.05), light(ground(document.body))];
        });
}"""
"""Every text that is seen, its contrast by WCAG 2, and how light the page is."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast_in_light_and_dark(browser, address, site, scheme):
    with opened(browser, address, color_scheme=scheme) as page:
        page.expected = (" 422 ",)
        choose(page, site / "tone.wav", site / "notes.wav")
        page.get_by_label("Model").select_option("strict")
        page.locator(".decision").wait_for()
        for is_dark in (scheme == "dark", scheme != "dark"):
            found = page.evaluate(CONTRASTS)
            assert len(found) > 25
            assert [(text, contrast) for text, contrast, _ in found if contrast < CONTRAST] == []
            assert (found[0][2] < 0.2) == is_dark
            page.locator("#theme").click()
        page.locator("#theme").click()
        page.reload()
        assert (page.evaluate(CONTRASTS)[0][2] < 0.2) != (scheme == "dark")


def test_every_control_and_picture_has_a_name_for_a_screen_reader(page, site):
    choose(page, site / "parts.wav")
    page.locator(".pictures canvas").nth(1).wait_for()
    page.locator("#token-form").evaluate("(form) => { form.hidden = false; }")
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    said = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]
    roles = {role for role, _ in said}
    assert {"banner", "main", "heading", "table", "slider", "alert", "status", "article", "combobox"} <= roles
    named = (
        "button",
        "combobox",
        "slider",
        "textbox",
        "spinbutton",
        "image",
        "img",
        "table",
        "article",
        "link",
        "meter",
    )
    controls = [(role, name) for role, name in said if role in named or role == "region"]
    assert len(controls) > 15
    assert [role for role, name in controls if not name.strip()] == []
    assert len({name for role, name in controls if role == "button"}) == sum(role == "button" for role, _ in controls)
    pictures = [name for role, name in said if role in ("image", "img")]
    assert len(pictures) == 2 and all("parts.wav: " in name for name in pictures)
    assert any(re.search(r"6\.00 s, peak -\d+\.\d dB", name) for name in pictures)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_narrow_screen_needs_no_scrolling_sideways(browser, address, site, locale):
    with opened(browser, address, locale=locale, viewport={"width": 360, "height": 700}) as page:
        choose(page, site / "parts.wav")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        sizes = page.locator("button").evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().height)")
        assert min(size for size in sizes if size) >= 24  # WCAG 2.2: the least size of a target


def test_with_less_motion_nothing_moves_by_itself(browser, address, site):
    with opened(browser, address, reduced_motion="reduce") as page:
        choose(page, site / "tone.wav")
        assert page.evaluate("getComputedStyle(document.querySelector('.fill')).transitionDuration") == "0s"


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
