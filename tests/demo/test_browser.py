"""The page in headless Chromium, used as a visitor uses it."""

import shutil
import time
from pathlib import Path

import pytest
from PIL import Image

from brushwork_demo.identify import EXAMPLES

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here; apt-get install chromium"
)

EXAMPLE = sorted(EXAMPLES.glob("*.jpg"))[0]
PATIENCE = 60_000
"""Timeout in milliseconds; on an idle machine each step takes less than a second."""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, server):
    """One page for all tests; each test leaves it usable."""
    page = browser.new_page(viewport={"width": 1360, "height": 900}, accept_downloads=True)
    page.set_default_timeout(PATIENCE)
    page.requested = []
    page.on("request", lambda request: page.requested.append(request.url))
    page.goto(f"{server.url}/?seed=5&count=4&painter=meadows")
    page.wait_for_selector("#gallery img")
    yield page
    page.close()


def open_tab(page, name):
    page.get_by_role("tab", name=name).click()


def test_a_link_with_a_seed_paints_its_pictures_at_once(page, server):
    assert page.locator("#gallery .thumbnail-item").count() == 4
    assert page.locator("#seed input").input_value() == "5"
    elsewhere = [
        url for url in page.requested if not url.startswith((server.url, "data:", "blob:"))
    ]
    assert not elsewhere, "the page must load nothing from other servers"


def test_painting_new_ones_changes_the_pictures_and_the_address(page):
    before = page.locator("#gallery img").first.get_attribute("src")
    page.locator("#again").click()
    page.wait_for_function("was => document.querySelector('#gallery img').src != was", arg=before)
    page.wait_for_function("!location.search.includes('seed=5&')")
    assert f"seed={page.locator('#seed input').input_value()}" in page.url


def test_pictures_have_texts_for_screen_readers(page):
    assert page.locator("#gallery img").first.get_attribute("alt") == (
        "Picture 1 of 4 by the painter meadows"
    )


def test_a_chosen_picture_is_enlarged_and_can_be_downloaded(page, tmp_path):
    page.locator("#gallery .thumbnail-item").nth(1).click()
    page.wait_for_selector("#chosen img")
    with page.expect_download() as download:
        page.locator("#chosen [aria-label='Download'], #chosen a[download]").first.click()
    file = Path(tmp_path / "picture.png")
    download.value.save_as(file)
    with Image.open(file) as picture:
        assert picture.format == "PNG" and picture.size == (512, 512)


def test_the_slider_over_the_training_keeps_the_latents(page):
    before = page.locator("#gallery img").first.get_attribute("src")
    page.locator("#stage input[type=range]").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("was => document.querySelector('#gallery img').src != was", arg=before)
    assert "after 40 of 60 epochs" in page.locator("#stage").inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("was => document.querySelector('#gallery img').src == was", arg=before)


def test_more_like_this_begins_with_the_chosen_one(page):
    chosen = page.locator("#gallery .thumbnail-item img").nth(1).get_attribute("src")
    page.locator("#like").click()
    page.wait_for_selector("text=then variations of it")
    assert page.locator("#gallery .thumbnail-item img").first.get_attribute("src") == chosen


def test_two_pictures_are_mixed(page):
    page.locator("#gallery .thumbnail-item").nth(0).click()
    page.wait_for_selector("#chosen img")
    page.locator("#aside").click()
    page.wait_for_selector("#mix:not([disabled])")
    page.locator("#gallery .thumbnail-item").nth(2).click()
    page.wait_for_selector("text=Picture 3 of 4")
    page.locator("#mix").click()
    page.wait_for_selector("text=From the kept picture")
    assert page.locator("#gallery .thumbnail-item").count() == 12


def test_a_walk_is_shown_as_a_video(page):
    page.locator("#walk").click()
    page.wait_for_selector("#film video")
    page.wait_for_function("document.querySelector('#film video').readyState >= 2")


def test_a_generated_picture_is_identified(page):
    page.locator("#gallery .thumbnail-item").nth(0).click()
    page.locator("#who").click()
    page.wait_for_selector("#verdict .answer li")
    page.wait_for_selector("#known img")
    assert page.locator("#known img").count() == 3


def test_an_uploaded_painting_is_identified_with_evidence_and_similar_paintings(page):
    open_tab(page, "Identify")
    page.locator("#upload input[type=file]").set_input_files(EXAMPLE)
    page.wait_for_selector("#answer .answer li")
    assert page.locator("#answer li").count() == 3
    assert page.locator("#answer b").count() == 0, "names are text, even if they contain markup"
    page.wait_for_selector("#heat img")
    page.wait_for_selector("#nearest img")
    assert page.locator("#nearest li").count() == 3
    assert "similar" in page.locator("#nearest li").first.inner_text()


def test_a_file_that_is_not_a_picture_is_refused_with_a_message(page, tmp_path):
    (tmp_path / "letter.jpg").write_text("dear painter")
    page.locator("#upload [aria-label='Remove Image'], #upload [aria-label='Clear']").first.click()
    page.wait_for_selector("#answer li", state="detached")
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "letter.jpg")
    page.wait_for_selector("text=This file cannot be used: not a picture")
    page.locator(".toast-close").first.click()


def test_an_example_is_identified_at_a_click(page):
    page.locator("#examples button, #examples .gallery-item").first.click()
    page.wait_for_selector("#answer .answer li")


def test_the_quiz_keeps_the_score(page):
    open_tab(page, "Real or fake?")
    page.wait_for_selector("#quiz-left img")
    page.locator("#guess-left").click()
    page.wait_for_selector("text=/[01] of 1 right/")
    assert page.get_by_role("button", name="Generated").count() == 1
    page.locator("#start").click()
    page.wait_for_selector("#guess-right:not([disabled])")
    page.locator("#guess-right").click()
    page.wait_for_selector("text=/[012] of 2 right/")


def test_the_quiz_uses_uploaded_pictures(page):
    open_tab(page, "Real or fake?")
    page.wait_for_selector("#quiz-left img")
    with page.expect_file_chooser() as chooser:
        page.locator("#own").click()
    chooser.value.set_files([EXAMPLE, EXAMPLE])
    page.wait_for_selector("#own:has-text('Using 2 of your own')")
    page.wait_for_selector("#guess-left:not([disabled])")
    page.locator("#guess-left").click()
    page.wait_for_selector("text=/[01] of 1 right/")
    assert page.get_by_role("button", name="Your picture").count() == 1


def test_painters_are_compared_side_by_side(page):
    open_tab(page, "Compare")
    page.wait_for_selector("#comparison img")
    assert page.locator("#comparison figure").count() == 2
    assert "seed 0" in page.locator("#comparison img").first.get_attribute("alt")
    widths = page.evaluate("""() => {
        const table = document.querySelector('#comparison table');
        table.querySelector('th').textContent = 'kid_error_of_some_long_space'.repeat(4);
        return [table.scrollWidth, table.parentElement.clientWidth];
    }""")
    assert widths[0] <= widths[1]


def test_the_page_says_what_it_must_not_be_used_for(page):
    open_tab(page, "About")
    page.wait_for_selector("text=Not for attribution")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(browser, server, scheme):
    page = browser.new_page(viewport={"width": 375, "height": 740}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE)
    page.goto(server.url)
    page.wait_for_selector("#gallery img")
    time.sleep(0.5)
    widest = page.evaluate("document.documentElement.scrollWidth")
    dark = page.evaluate("document.body.classList.contains('dark')")
    page.close()
    assert widest <= 375
    assert dark == (scheme == "dark")
