"""The report as a reader has it: opened from disk in Chromium."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.report.site.made_up import FID, HOSTILE, LITE


def look(browser, index, page="index.html"):
    name, _, fragment = page.partition("#")
    browser.get("about:blank")
    browser.get((index.parent / name).as_uri() + (f"#{fragment}" if fragment else ""))


def wait(browser, condition):
    return WebDriverWait(browser, 20).until(lambda _: condition())


def one(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def texts(browser, selector):
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]


def trials_shown(browser):
    return texts(browser, ".ranking tbody a")


def head(browser, name):
    buttons = browser.find_elements(By.CSS_SELECTOR, ".board:not([hidden]) .ranking thead button")
    return next(button for button in buttons if button.text == name)


def sorting(button):
    return button.find_element(By.XPATH, "..").get_attribute("aria-sort")


def test_the_ranking_is_of_one_protocol_and_failed_trials_come_last(browser, report):
    look(browser, report)
    assert trials_shown(browser) == ["aaaa", "bbbb", "cccc", "eeee", "dddd"]
    Select(one(browser, "#filter-board")).select_by_index(1)
    assert trials_shown(browser) == ["ffff"]
    assert texts(browser, ".ranking caption strong") == [FID]


def test_every_column_sorts_both_ways_and_says_so(browser, report):
    look(browser, report)
    assert sorting(head(browser, "#")) == "ascending"
    head(browser, "best").click()
    assert trials_shown(browser) == ["dddd", "aaaa", "bbbb", "cccc", "eeee"]
    assert sorting(head(browser, "best")) == "ascending"
    assert sorting(head(browser, "#")) == "none"
    head(browser, "best").click()
    assert trials_shown(browser) == ["cccc", "bbbb", "aaaa", "dddd", "eeee"]  # what is not known stays last
    assert sorting(head(browser, "best")) == "descending"
    head(browser, "loss").click()
    rows = browser.find_elements(By.CSS_SELECTOR, "#board-1 tr[data-slug]")
    assert [row.get_attribute("data-loss") for row in rows] == ["hinge", "lsgan", "minimax", "ragan", "rahinge"]


def test_sorting_and_filtering_keep_the_sets_of_images_apart(browser, report_of_two_sets):
    look(browser, report_of_two_sets)
    assert trials_shown(browser) == ["a1", "b1", "b2", "a2"]
    head(browser, "best").click()
    assert trials_shown(browser) == ["a1", "b1", "b2", "a2"]
    head(browser, "best").click()
    assert trials_shown(browser) == ["b1", "a1", "a2", "b2"]
    Select(one(browser, "#filter-experiment")).select_by_visible_text("two")
    assert trials_shown(browser) == ["b1", "b2"]
    one(browser, "#filter-text").send_keys("b2")
    assert [text.split(":")[0] for text in texts(browser, ".ranking tr.set")] == ["dogs"]


def test_trials_of_two_sets_are_not_called_better(browser, report_of_two_sets):
    look(browser, report_of_two_sets, "compare.html#a1+a2")
    wait(browser, lambda: texts(browser, "#comparison .notes li"))
    assert "different data sets" in texts(browser, "#comparison .notes li")[0]
    assert not browser.find_elements(By.CSS_SELECTOR, "#comparison strong")


def test_the_keyboard_reaches_and_uses_a_header(browser, report):
    look(browser, report)
    for _ in range(60):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        if browser.switch_to.active_element.text == "best":
            break
    button = browser.switch_to.active_element
    assert (button.tag_name, button.text) == ("button", "best")
    button.send_keys(Keys.ENTER)
    assert sorting(button) == "ascending"
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_the_first_stop_of_the_keyboard_skips_to_the_content(browser, report):
    look(browser, report)
    one(browser, "body").send_keys(Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("class") == "skip"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.execute_script("return document.activeElement.id") == "main"


def test_filters_narrow_the_table_and_reset_widens_it(browser, report):
    look(browser, report)
    one(browser, "#filter-text").send_keys("LSGAN")
    assert trials_shown(browser) == ["bbbb"]
    assert one(browser, "#shown").text == "1 of 5 trials"
    one(browser, "#filter-text").clear()
    one(browser, "#filter-text").send_keys("no such thing")
    assert trials_shown(browser) == []
    assert texts(browser, ".none") == ["No trial fits these filters."]
    one(browser, "#filters button[type=reset]").click()
    wait(browser, lambda: len(trials_shown(browser)) == 5)
    Select(one(browser, "#filter-status")).select_by_visible_text("failed")
    assert trials_shown(browser) == ["dddd"]
    Select(one(browser, "#filter-status")).select_by_index(0)
    Select(one(browser, "#filter-loss")).select_by_visible_text("ragan")
    assert trials_shown(browser) == ["cccc"]


def test_lines_of_the_plot_follow_the_filter(browser, report):
    look(browser, report)
    browser.execute_script("document.getElementById('choices').scrollIntoView()")
    lines = wait(browser, lambda: browser.find_elements(By.CSS_SELECTOR, ".parallel .lines path"))
    assert len(lines) == 3
    Select(one(browser, "#filter-loss")).select_by_visible_text("hinge")
    assert [line.get_attribute("data-slug") for line in lines if line.is_displayed()] == ["aaaa"]
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('.parallel path')].map(p => p.getAttribute('d'))"
    )
    assert all("NaN" not in path and "undefined" not in path for path in drawn)


def test_the_theme_is_remembered_from_page_to_page(browser, report):
    look(browser, report)
    browser.execute_script("localStorage.clear()")
    look(browser, report)
    background = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(background)
    assert one(browser, "#theme").get_attribute("aria-pressed") == "false"
    one(browser, "#theme").click()
    dark = browser.execute_script(background)
    assert dark != light
    look(browser, report, "trials/aaaa.html")
    assert browser.execute_script(background) == dark
    assert one(browser, "#theme").get_attribute("aria-pressed") == "true"
    one(browser, "#theme").click()
    assert browser.execute_script(background) == light


def test_the_system_s_dark_theme_is_followed(browser, report):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    try:
        look(browser, report)
        browser.execute_script("localStorage.clear()")
        look(browser, report)
        assert one(browser, "#theme").get_attribute("aria-pressed") == "true"
        assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(21, 21, 20)"
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_slider_goes_through_the_checkpoints(browser, report):
    look(browser, report, "trials/aaaa.html")
    slider, picture = one(browser, "#grids input"), one(browser, "#grids img")
    assert slider.get_attribute("aria-valuetext") == "8 kimg"  # the best
    color = (
        "const i = arguments[0]; const c = document.createElement('canvas').getContext('2d');"
        "return [i.complete, i.naturalWidth, i.src];"
    )
    assert wait(browser, lambda: browser.execute_script(color, picture)[:2] == [True, 64])
    before = picture.get_attribute("src")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert slider.get_attribute("aria-valuetext") == "12 kimg"
    assert one(browser, "#grids output").text == "12 kimg (3 of 3)"
    after = picture.get_attribute("src")
    assert after != before
    assert wait(browser, lambda: browser.execute_script(color, picture)[:2] == [True, 64])
    assert picture.get_attribute("alt") == "Samples at 12 kimg"
    assert one(browser, "#pair-pictures img").get_attribute("src").endswith("pairs-1.png")


def test_a_trial_s_page_has_curves_that_the_arrow_keys_read(browser, report):
    look(browser, report, "trials/aaaa.html")
    titles = texts(browser, "#curves figcaption")
    assert titles[:3] == ["Adversarial losses", "Mean logits", "Gradient norms"]
    plot = one(browser, "#curves svg[role=img]")
    assert "loss_d from 1 to 0.05" in plot.get_attribute("aria-label")
    plot.send_keys(Keys.HOME)
    assert one(browser, "#curves output").text == "0.6 kimg: loss_d 1, loss_g 0.5"
    plot.send_keys(Keys.ARROW_RIGHT)
    assert one(browser, "#curves output").text == "1.2 kimg: loss_d 0.95, loss_g 0.55"


def test_two_ticked_trials_are_compared(browser, report):
    look(browser, report)
    for box in browser.find_elements(By.CSS_SELECTOR, "#board-1 .pick input")[:2]:
        box.click()
    one(browser, "#compare-chosen").click()
    wait(browser, lambda: "Recipe" in texts(browser, "#comparison h2"))
    assert browser.current_url.endswith("compare.html#aaaa+bbbb")
    rows = {row.split(" ")[0]: row for row in texts(browser, "#comparison tbody tr")}
    assert rows["loss"] == "loss hinge lsgan"
    assert f"Metrics under {LITE}" in texts(browser, "#comparison h2")
    best = next(row for row in browser.find_elements(By.CSS_SELECTOR, "#comparison tr") if row.text.startswith("best"))
    assert best.find_element(By.CSS_SELECTOR, "strong").text == "10 at 8 kimg"
    pictures = browser.find_elements(By.CSS_SELECTOR, "#comparison .pair img")
    assert [picture.get_attribute("src").split("/")[-2] for picture in pictures[:2]] == ["aaaa", "bbbb"]
    one(browser, "#swap").click()
    wait(browser, lambda: browser.current_url.endswith("#bbbb+aaaa"))
    best = wait(
        browser,
        lambda: [r for r in browser.find_elements(By.CSS_SELECTOR, "#comparison tr") if r.text.startswith("best")],
    )
    assert best[0].text.split()[-5:] == ["10", "at", "8", "kimg", "better"]


def test_trials_of_two_protocols_are_not_called_better(browser, report):
    look(browser, report, "compare.html#aaaa+ffff")
    wait(browser, lambda: texts(browser, "#comparison .notes li"))
    assert texts(browser, "#comparison .notes li") == ["No protocol scored both trials."]
    assert not browser.find_elements(By.CSS_SELECTOR, "#comparison strong")


def test_a_missing_picture_is_a_text(browser, report):
    look(browser, report, "trials/dddd.html")
    assert texts(browser, "#grids .missing") == ["This picture is no longer in the store."]
    assert not browser.find_elements(By.CSS_SELECTOR, "#grids img")


def pages_of(index):
    return [str(path.relative_to(index.parent)) for path in index.parent.rglob("*.html")]


@pytest.mark.parametrize("which", ["report", "report_of_two_sets", "hostile_report"])
def test_every_page_opens_without_an_error_and_its_links_lead_somewhere(which, browser, request):
    index = request.getfixturevalue(which)
    for page in pages_of(index):
        look(browser, index, page)
        wait(browser, lambda: browser.execute_script("return document.readyState") == "complete")
        for name in ("href", "src"):
            for element in browser.find_elements(By.CSS_SELECTOR, f"[{name}]"):
                url = urlsplit(element.get_attribute(name))
                if url.scheme == "file":
                    assert Path(unquote(url.path)).is_file(), (page, url)
                    if url.fragment and url.path.endswith(("index.html", page)):
                        assert browser.find_elements(By.ID, url.fragment), (page, url)
                else:
                    assert url.scheme == "data", (page, url)
        assert browser.get_log("browser") == [], page


def test_no_name_or_value_becomes_markup_or_script(browser, hostile_report):
    for page in [*pages_of(hostile_report), "compare.html#0123+4567"]:
        look(browser, hostile_report, page)
        wait(browser, lambda: browser.execute_script("return document.readyState") == "complete")
        browser.execute_script("window.scrollTo(0, document.body.scrollHeight)")
        assert browser.execute_script("return window.__pwned") is None, page
        assert not browser.find_elements(By.CSS_SELECTOR, "[onerror], img[src=x]"), page
        inline = browser.execute_script(
            "return [...document.scripts].filter(s => !s.src && s.type !== 'application/json').length"
        )
        assert inline == 0, page


def test_hostile_values_are_shown_as_they_are(browser, hostile_report):
    look(browser, hostile_report, "trials/0123.html")
    shown = " ".join(HOSTILE.split()).replace("</script>", "</script>")
    page = " ".join(one(browser, "#main").get_attribute("textContent").split())
    assert "<img src=x onerror=window.__pwned=1>" in page
    assert shown[-12:] in page
    look(browser, hostile_report, "compare.html#0123+4567")
    wait(browser, lambda: "Recipe" in texts(browser, "#comparison h2"))
    assert "<img src=x onerror=window.__pwned=1>" in one(browser, "#comparison").text


def test_a_narrow_window_scrolls_tables_and_not_the_page(browser, report):
    size = browser.get_window_size()
    try:
        browser.set_window_size(520, 900)
        for page in ("index.html", "trials/aaaa.html", "compare.html"):
            look(browser, report, page)
            wait(browser, lambda: browser.execute_script("return document.readyState") == "complete")
            assert browser.execute_script(
                "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            ), page
    finally:
        browser.set_window_size(size["width"], size["height"])


CONTRASTS = """
function parse(text) {
  const parts = text.match(/[\\d.]+/g).map(Number);
  return {rgb: parts.slice(0, 3), alpha: parts.length > 3 ? parts[3] : 1};
}
function luminance(rgb) {
  const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function behind(element) {
  for (let e = element; e; e = e.parentElement) {
    const color = parse(getComputedStyle(e).backgroundColor);
    if (color.alpha === 1) return color.rgb;
  }
  return parse(getComputedStyle(document.body).backgroundColor).rgb;
}
const found = [];
for (const element of document.querySelectorAll("body *")) {
  const hasText = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!hasText || !element.checkVisibility() || element.closest("option, script, noscript")) continue;
  const style = getComputedStyle(element);
  const front = parse(element instanceof SVGElement ? style.fill : style.color).rgb;
  const [a, b] = [luminance(front), luminance(behind(element))].sort((x, y) => y - x);
  const name = element.tagName + "." + element.getAttribute("class") + " " + element.textContent;
  found.push([(a + 0.05) / (b + 0.05), name]);
}
return found;
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", ["index.html", "trials/aaaa.html", "trials/dddd.html", "compare.html"])
def test_texts_stand_out_from_what_is_behind_them(browser, report, page, theme):
    look(browser, report, page)
    browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
    browser.execute_script("for (const each of document.querySelectorAll('details')) each.open = true")
    found = browser.execute_script(CONTRASTS)
    assert len(found) > 20
    assert [text for contrast, text in found if contrast < 4.5] == []  # WCAG 2.2, AA


def test_every_field_has_a_name_and_every_table_a_caption(browser, report):
    for page in ("index.html", "trials/aaaa.html", "trials/dddd.html", "compare.html"):
        look(browser, report, page)
        wait(browser, lambda: browser.execute_script("return document.readyState") == "complete")
        assert browser.execute_script(
            "return [...document.querySelectorAll('input, select, button')]"
            ".filter(e => !e.labels?.length && !e.ariaLabel && !e.textContent.trim()).map(e => e.outerHTML)"
        ) == []  # fmt: skip
        assert browser.execute_script(
            "return [...document.querySelectorAll('table')].filter(e => !e.caption?.textContent.trim()).length"
        ) == 0  # fmt: skip
        assert browser.execute_script("return [...document.images].filter(e => !e.alt).length") == 0
        levels = browser.execute_script("return [...document.querySelectorAll('h1, h2, h3')].map(e => e.tagName)")
        assert levels.count("H1") == 1
