"""The static page in headless Chromium: the same pictures and answers as in Python."""

import base64
import functools
import http.server
import io
import json
import os
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from brushwork import runtime
from brushwork.errors import BrushworkError
from brushwork_demo.models import find_models
from brushwork_demo.rooms.identify import EXAMPLES, candidates_html
from brushwork_demo.static_page import ENGINE_VERSION, export_static, find_engine
from brushwork_demo.text import escape

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here; apt-get install chromium"
)
PATIENCE = int(os.environ.get("BROWSER_PATIENCE", 60_000))
"""Timeout in milliseconds; on an idle machine each step takes seconds at most."""
SEEDS = (0, 5, 2**32 - 1)


@pytest.fixture(scope="module")
def folder(page_engine, exports, tmp_path_factory):
    """A page with both kinds of generators and a classifier, exported before."""
    assert page_engine.is_file()
    folder = tmp_path_factory.mktemp("static") / "page"
    files = export_static(
        folder, [str(exports["modern"]), str(exports["dcgan"])], str(exports["classifier"])
    )
    assert {file.name for file in files} >= {"index.html", "models.json", "README.md"}
    return folder


@pytest.fixture(scope="module")
def server(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    fake_camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *fake_camera]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, server):
    """One page for all tests, in a browser profile of its own."""
    page = browser.new_page(viewport={"width": 1200, "height": 900}, accept_downloads=True)
    page.set_default_timeout(PATIENCE)
    page.requested, page.errors = [], []
    page.on("request", lambda request: page.requested.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"{server}#painter=modern&seed=5&class=portrait")
    page.wait_for_selector("#picture[data-done='modern 5 0']")
    yield page
    assert not page.errors
    page.close()


def pixels_of(page, selector="#picture"):
    url = page.locator(selector).evaluate("canvas => canvas.toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB"))


# The functions that the page itself calls.
PAINT = """async ([name, seed, num, truncation]) => {
    const { startEngine } = await import('./engine.js');
    const { drawLabels, drawLatents } = await import('./random.js');
    const models = await (await fetch('models.json')).json();
    globalThis.engine ??= startEngine(models);
    const { latent_dim, classes } = models.generators.find(one => one.name === name);
    const z = drawLatents(num, latent_dim, seed), y = drawLabels(num, classes.length, null, seed);
    const images = [];
    for (let i = 0; i < num; i++) {
        const latent = z.slice(i * latent_dim, (i + 1) * latent_dim);
        images.push([...await engine.paint(name, latent, Number(y[i]), truncation)]);
    }
    return { images, z: [...z], y: [...y].map(Number) };
}"""
IDENTIFY = """async (encoded) => {
    const blob = await (await fetch('data:application/octet-stream;base64,' + encoded)).blob();
    const { probabilities, knownScore, traits, heat } = await engine.identify(blob);
    const shares = Object.fromEntries(Object.keys(traits).map((name) => [name, [...traits[name]]]));
    return { probabilities: [...probabilities], knownScore, traits: shares, heat: [...heat.data] };
}"""


@needs_chromium
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", ["modern", "dcgan"])
def test_a_seed_gives_the_same_latents_labels_and_images_as_in_python(page, exports, name, seed):
    generator = runtime.PaintingGenerator.from_pretrained(exports[name])
    found = page.evaluate(PAINT, [name, seed, 3, 0.7])
    z, y = generator.latents(3, seed), generator.labels(3, None, seed)
    assert np.array_equal(np.float32(found["z"]).reshape(3, -1), z) and found["y"] == y.tolist()
    images = generator.paint(z, y, truncation=0.7)
    assert images.std() > 0.02
    assert np.abs(np.reshape(found["images"], images.shape) - images).max() <= 1e-3


@needs_chromium
def test_a_thousand_latents_of_numpy_are_those_of_the_page(page):
    """Long enough for the rare branches of the ziggurat."""
    drawn = page.evaluate(
        "async () => [...(await import('./random.js')).drawLatents(500, 100, 12345)]"
    )
    expected = np.random.default_rng(12345).standard_normal((500, 100), dtype=np.float32)
    assert np.abs(expected).max() > 3.7, "the tail of the distribution is there"
    assert np.array_equal(np.float32(drawn), expected.ravel())


def as_file(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@functools.cache
def uploads():
    """Files whose pixels Python and the page must read alike."""
    with Image.open(sorted(EXAMPLES.glob("*.jpg"))[0]) as example:
        picture = example.convert("RGB")
    wide, small = picture.resize((700, 430)), picture.resize((200, 150))
    turned, mirrored = Image.Exif(), Image.Exif()
    turned[0x0112], mirrored[0x0112] = 6, 7
    clear = wide.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    return {
        "large JPEG": as_file(picture.resize((1500, 1900)), "JPEG", quality=90),
        "turned JPEG": as_file(wide, "JPEG", exif=turned),
        "small mirrored JPEG": as_file(small, "JPEG", exif=mirrored),
        "small JPEG, kept as it is": as_file(small, "JPEG", quality=70),
        "PNG": as_file(wide, "PNG"),
        "small PNG": as_file(small, "PNG"),
        "transparent PNG": as_file(clear, "PNG"),
        "WebP": as_file(wide, "WEBP", quality=80),
    }


@needs_chromium
@pytest.mark.parametrize("kind", uploads())
def test_a_file_is_identified_as_in_python(page, exports, kind):
    page.evaluate(PAINT, ["dcgan", 0, 1, 1])
    classifier, content = runtime.ArtistClassifier.from_pretrained(exports["classifier"]), uploads()
    found = page.evaluate(IDENTIFY, base64.b64encode(content[kind]).decode())
    expected = classifier.probabilities([content[kind]])[0]
    # Browsers round transparent colours: they store them multiplied by their opacity. Python
    # decodes a large JPEG at a reduced size, the page at its full size, and then reduces it.
    most = {"transparent PNG": 5e-2, "large JPEG": 1e-2}.get(kind, 1e-3)
    assert np.abs(found["probabilities"] - expected).max() <= most
    answer = classifier.identify(content[kind], top=9)
    assert abs(1 - found["knownScore"] - answer.none) <= most
    for name in ("style", "genre", "decade"):
        shares = dict(zip(classifier.trait_values[name], found["traits"][name], strict=True))
        for guess in getattr(answer, name):
            assert abs(shares[guess.value] - guess.probability) <= most


@needs_chromium
def test_a_link_shows_the_picture_of_its_seed(page, server, exports):
    generator = runtime.PaintingGenerator.from_pretrained(exports["modern"])
    page.evaluate("location.hash = 'painter=modern&seed=5&class=portrait&variety=0.5&picture=1'")
    page.wait_for_selector("#picture[data-done='modern 5 1']")
    expected = generator.sample(2, seed=5, label="portrait", truncation=0.5, to="array")[1]
    assert np.abs(pixels_of(page).astype(int) - expected).max() <= 1
    assert not [url for url in page.requested if not url.startswith((server, "data:", "blob:"))]
    assert not page.locator("#class option").all()[-1].locator("b").count(), "names are text"


@needs_chromium
def test_the_strip_is_that_of_the_seed_even_if_another_came_between(page):
    choose = """(seed) => {
        const box = document.querySelector('#seed');
        box.value = seed;
        box.onchange();
    }"""
    for seed in (11, 12, 11):  # leave the second one when its first thumbnails are painted
        page.evaluate(choose, seed)
        page.wait_for_selector(f"#picture[data-done$=' {seed} 0']")
        page.wait_for_timeout(400 if seed == 11 else 20)
    page.wait_for_function(
        """() => document.querySelector('#strip').children[0].firstChild.toDataURL()
        == document.querySelector('#picture').toDataURL()"""
    )


@needs_chromium
def test_another_pad_and_walk_change_the_picture_and_the_address(page):
    before, address = pixels_of(page), page.url
    page.locator("#another").click()
    page.wait_for_function("was => !document.querySelector('#picture').dataset.done.includes(was)",
                           arg=" 5 ")  # fmt: skip
    assert page.url != address and "seed=" in page.url
    assert (pixels_of(page) != before).any()
    picture = page.locator("#picture").evaluate("canvas => canvas.toDataURL()")
    page.locator("#pad").press("ArrowRight")
    page.wait_for_function("location.hash.includes('x=0.10')")
    page.wait_for_function(
        "was => document.querySelector('#picture').toDataURL() !== was", arg=picture
    )
    page.locator("#walk").click()
    page.wait_for_function("Number(document.querySelector('#picture').dataset.frame) >= 3")
    page.locator("#walk").click()


@needs_chromium
def test_a_picture_is_saved_and_identified(page):
    with page.expect_download() as download:
        page.locator("#save").click()
    with Image.open(download.value.path()) as picture:
        assert picture.format == "PNG" and picture.size == (48, 32)
    page.locator("#who").click()
    page.wait_for_selector("#answer[data-done]")
    assert page.locator("#answer li").count() == 4, "three artists, and none of these"
    assert page.locator("#answer b").count() == 0, "names are text, even if they contain markup"


@needs_chromium
def test_the_answer_has_the_words_of_the_other_page(page, exports):
    picture = sorted(EXAMPLES.glob("*.jpg"))[0]
    page.locator("#file").set_input_files(picture)
    page.wait_for_selector("#answer[data-done]")
    answer = runtime.ArtistClassifier.from_pretrained(exports["classifier"]).identify(picture)
    html = candidates_html(answer, {})
    for words in ("#answer h2", "#answer > p", "#answer dt", "#answer dd", "#answer .none"):
        for text in page.locator(words).all_inner_texts():
            assert escape(text) in html
    assert page.locator("#answer dt").all_inner_texts() == ["Style", "Genre", "Decade"]


@needs_chromium
def test_the_menu_has_the_titles_of_the_other_page(page, exports):
    models = find_models(
        [str(exports["modern"]), str(exports["dcgan"])], str(exports["classifier"])
    )
    shown = page.locator("#model option").all_text_contents()
    assert shown == list(models.titles.values()) == ["Modern", "Dcgan"]


@needs_chromium
def test_a_file_a_paste_and_the_camera_are_identified(page, tmp_path):
    page.locator("#file").set_input_files(sorted(EXAMPLES.glob("*.jpg"))[1])
    page.wait_for_selector("#answer[data-done]")
    page.wait_for_selector("#heat:visible")
    page.evaluate("""async () => {
        const canvas = new OffscreenCanvas(80, 60);
        canvas.getContext('2d').fillRect(0, 0, 40, 60);
        const data = new DataTransfer();
        data.items.add(new File([await canvas.convertToBlob()], 'a.png', {type: 'image/png'}));
        document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}));
    }""")
    page.wait_for_function("document.querySelector('#given').naturalWidth === 80")
    page.wait_for_selector("#answer[data-done]")
    page.locator("#camera").click()
    page.wait_for_function("document.querySelector('#video').videoWidth > 0")
    page.locator("#take").click()
    page.wait_for_function("document.querySelector('#given').naturalWidth > 80")
    page.wait_for_selector("#answer[data-done]")
    (tmp_path / "letter.jpg").write_text("dear painter")
    page.locator("#file").set_input_files(tmp_path / "letter.jpg")
    page.wait_for_selector("text=This file cannot be used")


@needs_chromium
def test_a_file_is_identified_again_and_a_dropped_text_loses_no_answer(page):
    for _ in range(2):
        before = page.locator("#given").get_attribute("src")
        with page.expect_file_chooser() as chooser:
            page.locator("#drop").click()
        assert page.locator("#file").input_value() == ""
        chooser.value.set_files(sorted(EXAMPLES.glob("*.jpg"))[0])
        page.wait_for_function("was => document.querySelector('#given').src !== was", arg=before)
        page.evaluate("""() => {
            const dataTransfer = new DataTransfer();
            dataTransfer.setData('text/plain', 'a painting');
            document.querySelector('#drop').dispatchEvent(new DragEvent('drop', {dataTransfer}));
        }""")
        page.wait_for_selector("#answer[data-done]")


@needs_chromium
def test_a_loaded_page_works_without_its_server_and_then_with_threads(page, server):
    page.wait_for_selector("body[data-offline]", state="attached")
    page.context.set_offline(True)
    try:
        page.goto(f"{server}?again#painter=modern&seed=6")
        page.wait_for_selector("#picture[data-done='modern 6 0']")
        assert page.evaluate("crossOriginIsolated"), "browsers allow threads only then"
        page.locator("#tab-identify").click()
        page.locator("#file").set_input_files(sorted(EXAMPLES.glob("*.jpg"))[0])
        page.wait_for_selector("#answer[data-done]")
    finally:
        page.context.set_offline(False)


@needs_chromium
def test_a_phone_shows_everything_without_scrolling_sideways(browser, server):
    page = browser.new_page(viewport={"width": 375, "height": 740})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{server}#painter=modern&seed=1")
    page.wait_for_selector("#picture[data-done]")
    for tab in ("#tab-paint", "#tab-identify"):
        page.locator(tab).click()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate("document.documentElement.scrollWidth") <= 375, (tab, scheme)
    page.close()


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(BrushworkError, match="is not an exported page; pass a new or empty folder"):
        export_static(tmp_path)


def test_a_page_can_be_exported_again(page_engine, exports, monkeypatch, tmp_path):
    assert page_engine.is_file()
    monkeypatch.setattr("brushwork_demo.static_page.ENGINE_FILES", ("ort.wasm.min.mjs",))
    models = [str(exports["modern"]), str(exports["dcgan"])], str(exports["classifier"])
    export_static(tmp_path / "page", *models)
    worker = (tmp_path / "page/service-worker.js").read_text()
    assert "VERSION" not in worker
    (tmp_path / "page/models/old").mkdir()
    export_static(tmp_path / "page", *models)
    assert (tmp_path / "page/service-worker.js").read_text() == worker, "the same version"
    described = json.loads((tmp_path / "page/models.json").read_text())
    assert [one["folder"] for one in described["generators"]] == ["models/modern", "models/dcgan"]
    assert not (tmp_path / "page/models/old").exists()


def test_a_page_can_be_exported_of_models_in_the_older_page(
    page_engine, exports, monkeypatch, tmp_path
):
    assert page_engine.is_file()
    monkeypatch.setattr("brushwork_demo.static_page.ENGINE_FILES", ("ort.wasm.min.mjs",))
    page = tmp_path / "page"
    export_static(page, [str(exports["modern"])], str(exports["classifier"]))
    before = {file: file.read_bytes() for file in page.rglob("*") if file.is_file()}
    models = [str(page / "models/modern")], str(page / "models/classifier")
    export_static(page, *models)
    assert {file: file.read_bytes() for file in page.rglob("*") if file.is_file()} == before
    monkeypatch.setattr("brushwork_demo.static_page.write_json", 0)  # the models are copied before
    with pytest.raises(TypeError):
        export_static(page, *models)
    assert {file: file.read_bytes() for file in page.rglob("*") if file.is_file()} == before


def test_a_wrong_engine_is_refused_and_a_missing_npm_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("BRUSHWORK_CACHE", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(
        BrushworkError, match=r"npm, .*, is not installed: (uv )?pip install nodejs"
    ):
        find_engine()
    (tmp_path / f"onnxruntime-web-{ENGINE_VERSION}.tgz").write_bytes(b"another")
    with pytest.raises(BrushworkError, match=r"another SHA-512\); delete it"):
        find_engine()
