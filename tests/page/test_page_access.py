"""The page to try a model, for everyone: keyboard, screen reader, languages, contrast, narrow screens, less motion."""

import re

import chromium
import pytest
from looking import answered, choose, opened

pytestmark = [*chromium.pytestmark, pytest.mark.slow]

CONTRAST = 4.5
"""By WCAG 2, level AA."""


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
