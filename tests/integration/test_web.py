"""The explorer's page in headless Chromium, against Keras.

Numbers are read from the arrays behind the canvases, and once from a canvas itself.
"""

import contextlib
import functools
import gzip
import http.server
import json
import shutil
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.bundles import write_bundle
from vae_tf import VAE, distributions, networks
from vae_tf.data import Table
from vae_tf.exporting import Options
from vae_tf.exporting.web import model as web_model
from vae_tf.exporting.web.folder import write_web
from vae_tf.models.parts import NAMES
from vae_tf.signatures import row_rng
from vae_tf.signatures.columns import identifiers

ROOT = Path(__file__).parents[2]
SHAPE, LATENT = (10, 8, 1), 3
TOLERANCE = 1e-3
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
WEBGPU = ("No available adapters", "Failed to create default WebGPU device")

webdriver = pytest.importorskip("selenium.webdriver", reason="drives the page")
if not (CHROMIUM and DRIVER and shutil.which("npm")):
    pytest.skip("needs chromium, chromium-driver, nodejs and npm", allow_module_level=True)

from selenium.webdriver import ActionChains, ChromeOptions, Keys  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402


@pytest.fixture(scope="module")
def parts():
    """A small VAE with weights like those of a trained one."""
    likelihood = distributions.Bernoulli()
    parts = {
        "encoder": networks.mlp_encoder(SHAPE, LATENT, hidden=(64,)),
        "decoder": networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(64,)),
        "likelihood": likelihood,
        "prior": distributions.MixtureOfNormals(LATENT, components=5),
        "posterior": distributions.DiagonalNormal(),
    }
    rng = np.random.default_rng(0)
    for weight in (w for half in ("encoder", "decoder") for w in parts[half].weights):
        weight.assign(1.5 * weight.numpy() + rng.normal(0, 0.05, weight.shape))
    return parts


def decoded(parts, z):
    """Returns what Keras makes of one z, flat as the page has it."""
    params = parts["decoder"](np.asarray(z, "float32")[np.newaxis], training=False)
    return parts["likelihood"].statistics(params)["image"].numpy().ravel()


def encoded(parts, image):
    image = np.asarray(image, "float32").reshape(1, *SHAPE)
    return parts["posterior"].statistics(parts["encoder"](image, training=False))["z_mean"][0]


def drawn(parts, seed, temperature=1.0):
    """Returns the z of `generate`, from the definitions of prior and row generator."""
    seed = tf.constant([seed], tf.int32)
    normal, uniform = row_rng.normals(seed, LATENT), row_rng.uniforms(seed, 1)[:, 0]
    return parts["prior"].from_noise(temperature * normal, uniform).numpy()[0]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """The node_modules of export/web, installed elsewhere if they are not there."""
    source = ROOT / "export/web"
    if (source / "node_modules").is_dir():
        return source / "node_modules"
    scratch = tmp_path_factory.mktemp("npm")
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(source / name, scratch)
    subprocess.run(["npm", "ci", "--prefix", str(scratch)], check=True, capture_output=True)
    return scratch / "node_modules"


@pytest.fixture(scope="module")
def folder(parts, runtime, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("web")
    images = np.random.default_rng(0).uniform(size=(100, *SHAPE)).astype("float32")
    bundle = write_bundle(
        **parts,
        directory=scratch / "bundle",
        images={"train": images},
        provenance={"report": {"test": {"elbo": -1.0}}},
        options=Options(precisions=("float32", "int8"), batches=(1, web_model.ROWS)),
    )
    index = write_web(bundle.directory, scratch / "page", runtime=runtime)
    return index.parent


@contextlib.contextmanager
def serving(folder, encoded=False):
    """Serves the folder on loopback, but for the paths in `missing`.

    `encoded` has the browser unpack .gz files, as servers that know the suffix do.
    """
    missing = set()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if any(name in self.path for name in missing):
                self.send_error(404)
            else:
                super().do_GET()

        def end_headers(self):
            if encoded and self.path.endswith(".gz"):
                self.send_header("Content-Encoding", "gzip")
            super().end_headers()

        def log_message(self, *_):
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield SimpleNamespace(missing=missing, url=f"http://127.0.0.1:{running.server_port}/")
        running.shutdown()


@pytest.fixture(scope="module")
def server(folder):
    with serving(folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        *("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
        *("disable-background-networking", "disable-component-update", "disable-sync"),
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_window_size(1280, 1000)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, server):
    """The page, freshly loaded; afterwards it must have logged nothing and asked nobody else."""
    browser.get_log("performance")
    yield Page.opened(browser, server.url)
    logged = [entry["message"] for entry in browser.get_log("browser")]
    assert [text for text in logged if not any(known in text for known in WEBGPU)] == []
    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == REQUESTED]
    assert server.url in asked
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(server.url).netloc}


REQUESTED = "Network.requestWillBeSent"


class Page:
    def __init__(self, driver):
        self.driver = driver

    @classmethod
    def opened(cls, driver, url):
        driver.get(url)
        page = cls(driver)
        page.wait("return Boolean(globalThis.explorer)")
        return page

    def __call__(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition, *arguments):
        WebDriverWait(self.driver, 20, 0.05).until(lambda _: self.run(condition, *arguments))

    def shown(self, name="image"):
        """Returns an array behind a canvas, once all canvases show the present point."""
        self.wait(
            "const { bundle, latent, shown } = explorer;"
            "const places = [shown.at];"
            "if ('int8' in bundle.content.models) places.push(shown.comparedAt);"
            "return places.every((place) => String(place) === String([latent.z, bundle.asked]))"
        )
        return np.array(self.run(f"return Array.from(explorer.shown.{name})"), "float32")

    @property
    def z(self):
        return np.array(self.run("return Array.from(explorer.latent.z)"), "float32")

    def type(self, selector, text):
        self(selector).clear()
        self(selector).send_keys(text)

    def window(self, width, height, mobile=False):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def content(folder):
    return json.loads((folder / "model" / web_model.NAME).read_text("utf-8"))


def error(received, expected):
    assert received.shape == expected.shape
    return float(np.abs(received - expected).max())


@pytest.fixture(scope="module")
def measured(request):
    """Errors by what was done, printed once the module is done."""
    errors = {}
    yield errors
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\nlargest |error| of the page, against Keras")
        for name, value in errors.items():
            print(f"  {name:24s}{value:.1e}")


def test_generates_seed_7(page, parts, measured):
    page.type("#seed", "7")
    page("#generate-form [type=submit]").click()
    page.wait("return document.querySelector('#status').textContent.startsWith('Seed 7')")
    expected = drawn(parts, 7)
    image = page.shown()
    measured["generate: z"] = error(page.z, expected)
    measured["generate: image"] = error(image, decoded(parts, expected))
    assert measured["generate: z"] <= TOLERANCE
    assert measured["generate: image"] <= TOLERANCE
    pixels = page.run(
        "const canvas = document.querySelector('#picture');"
        "const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "return [canvas.width, canvas.height, Array.from(data)]"
    )
    assert pixels[:2] == [SHAPE[1], SHAPE[0]]
    rgba = np.array(pixels[2]).reshape(-1, 4)
    assert (rgba[:, 3] == 255).all()
    assert (np.abs(rgba[:, :3] - 255 * image[:, np.newaxis]) <= 0.51).all()
    # The signature's own image is that of its z.
    answer = page.run("const { image } = await explorer.bundle.generate(7, 1); return [...image]")
    assert error(np.float32(answer), decoded(parts, expected)) <= TOLERANCE


def test_next_seed_and_temperature(page, parts):
    page.type("#seed", "-2147483648")
    page("#generate-form [type=submit]").click()
    page("#next-seed").click()
    page.wait("return document.querySelector('#status').textContent.startsWith('Seed -2147483647')")
    assert error(page.z, drawn(parts, -(2**31) + 1)) <= TOLERANCE
    page.type("#seed", "7")
    page("#temperature").send_keys(Keys.HOME)  # 0
    page.wait("return document.querySelector('#status').textContent.startsWith('Seed 7')")
    assert error(page.z, drawn(parts, 7, temperature=0.0)) <= TOLERANCE


def test_a_seed_that_is_none_is_refused_by_its_field(page):
    before = page.z
    page.type("#seed", "2147483648")
    page("#generate-form [type=submit]").click()
    assert page.run("return document.querySelector('#seed').validity.rangeOverflow")
    assert error(page.z, before) == 0


def test_drags_on_the_pad(page, parts, folder, measured):
    latent = content(folder)["latent"]
    box, before = page("#pad").rect, page.z
    # From the middle to 30% across and 80% up; offsets are from the middle.
    to = round(-0.2 * box["width"]), round(-0.3 * box["height"])
    ActionChains(page.driver).move_to_element(page("#pad")).click_and_hold().move_by_offset(
        *to
    ).release().perform()
    across, up = sorted(latent["order"][:2])
    low, high = (np.array(latent[end]) for end in ("low", "high"))
    expected = before.copy()
    for index, share in ((across, 0.3), (up, 0.8)):
        expected[index] = low[index] + share * (high[index] - low[index])
    pixel = (high - low).max() / min(box["width"], box["height"])
    assert error(page.z, expected) <= 1.5 * pixel
    measured["drag: image"] = error(page.shown(), decoded(parts, page.z))
    assert measured["drag: image"] <= TOLERANCE


def test_pad_shows_the_plane_of_the_chosen_axes(page, parts, folder):
    Select(page("#across")).select_by_value("2")
    Select(page("#up")).select_by_value("2")  # the axis of the other: they change places
    assert page("#across").get_property("value") != "2"
    assert page("#up").get_property("value") == "2"
    wait_for_corner(page, decoded(parts, corner(page)))


def corner(page):
    """Returns the z of the map's upper left picture."""
    low, high = np.array(page.run("return [[...explorer.latent.low], [...explorer.latent.high]]"))
    gap = page.run("return explorer.format.gap + explorer.format.width")
    cells = page.run("return document.querySelector('#manifold').width") / gap
    across, up = (int(page(axis).get_property("value")) for axis in ("#across", "#up"))
    z = page.z
    z[across] = low[across] + 0.5 / cells * (high[across] - low[across])
    z[up] = low[up] + (1 - 0.5 / cells) * (high[up] - low[up])
    return z


def wait_for_corner(page, image):
    """Waits until the map's upper left picture is `image`, in shares of full brightness."""
    page.wait(
        "const { width, height } = explorer.format;"
        "const { data } = document.querySelector('#manifold').getContext('2d')"
        ".getImageData(0, 0, width, height);"
        "return arguments[0].every((value, i) => Math.abs(value - data[4 * i]) <= 1)",
        np.clip(np.round(255 * image), 0, 255).tolist(),
    )


def test_keyboard_moves_the_point(page, parts, folder):
    latent = content(folder)["latent"]
    across, up = sorted(latent["order"][:2])
    span = np.array(latent["high"]) - np.array(latent["low"])
    page("#pad").send_keys(Keys.HOME)
    z = page.z
    assert error(z[[across, up]], np.float32(latent["centre"])[[across, up]]) < 1e-6
    page("#pad").send_keys(Keys.ARROW_RIGHT, Keys.SHIFT, Keys.ARROW_UP)
    z[across] += span[across] / 40
    z[up] += 5 * span[up] / 40
    assert error(page.z, z) < 1e-5
    assert page("#status").get_property("textContent").startswith(f"z{across + 1} ")
    page.run("document.querySelector('#sliders input').focus()")
    page.driver.switch_to.active_element.send_keys(Keys.END)
    first = latent["order"][0]
    assert page.z[first] == pytest.approx(latent["high"][first], abs=span[first] / 100)
    assert error(page.shown(), decoded(parts, page.z)) <= TOLERANCE


def test_everything_can_be_reached_and_has_a_name(page):
    page.run("document.activeElement.blur()")
    reached = set()
    for _ in range(60):
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        element = page.driver.switch_to.active_element
        if element.tag_name == "body":
            break
        outline = element.value_of_css_property("outline-style")
        # A file's input is under its label, which has the outline.
        assert outline == "solid" or element.get_property("id") == "file", element.tag_name
        assert element.accessible_name, element.get_attribute("outerHTML")
        reached.add(element.id)
    visible = page.driver.find_elements(By.CSS_SELECTOR, "button, select, input, [tabindex]")
    assert {e.id for e in visible if e.is_displayed()} <= reached
    for picture in page.driver.find_elements(By.CSS_SELECTOR, "canvas[role=img]"):
        assert picture.accessible_name


def upload(page, path):
    page("#file").send_keys(str(path))
    page.wait(
        "return document.querySelector('#status').textContent === `Reconstructed ${arguments[0]}`",
        path.name,
    )


def test_reconstructs_an_uploaded_image(page, parts, tmp_path, measured):
    x = np.random.default_rng(0).integers(0, 256, SHAPE[:2], dtype=np.uint8)
    Image.fromarray(x).save(tmp_path / "exact.png")
    upload(page, tmp_path / "exact.png")
    assert error(page.shown("input"), np.float32(x.ravel() / 255)) < 1e-6
    z = encoded(parts, x / 255)
    measured["reconstruct: z"] = error(page.z, z.numpy())
    measured["reconstruct: image"] = error(page.shown("reconstruction"), decoded(parts, z))
    assert measured["reconstruct: z"] <= TOLERANCE
    assert measured["reconstruct: image"] <= TOLERANCE
    page("#invert").click()
    page.wait("return document.querySelector('#status').textContent.includes('inverted')")
    assert error(page.shown("input"), np.float32(1 - x.ravel() / 255)) < 1e-6


def test_resizes_as_the_training_data_were(page, tmp_path):
    colours = np.random.default_rng(1).integers(0, 256, (25, 31, 4), dtype=np.uint8)
    colours[..., 3] = 255
    Image.fromarray(colours).save(tmp_path / "photo.png")
    upload(page, tmp_path / "photo.png")
    middle = Image.fromarray(colours[:, 5:25, :3])  # 20 of 31 columns, as 8 of 10
    grey = np.float32(middle.convert("L"))[..., np.newaxis]
    resized = tf.image.resize(grey, SHAPE[:2], method="bilinear", antialias=True)
    received = page.shown("input")
    # A grey value at a half may be rounded to the other side.
    assert error(received, np.float32(np.round(resized).ravel() / 255)) <= 1.01 / 255
    assert np.abs(received - np.float32(resized).ravel() / 255).mean() < 0.5 / 255


def test_a_drawing_goes_through_the_encoder(page, parts):
    pen = ActionChains(page.driver).move_to_element(page("#sketch"))
    pen.move_by_offset(0, -30).click_and_hold().move_by_offset(0, 60).release().perform()
    page.wait("return document.querySelector('#status').textContent.includes('drawing')")
    x = page.shown("input").reshape(SHAPE[:2])
    assert x[4:6, 3:5].min() > 0.5  # the stroke, about the middle
    assert x[:, [0, -1]].max() == 0
    assert error(page.z, encoded(parts, x).numpy()) <= TOLERANCE


def test_interpolates(page, parts, measured):
    ends = drawn(parts, 3), drawn(parts, 4)
    for field, seed in zip(("#from", "#to"), "34", strict=True):
        page.type(field, seed + Keys.ENTER)
    position = page("#position")
    page.run("arguments[0].focus()", position)
    position.send_keys(*[Keys.ARROW_RIGHT] * 25)
    z = 0.75 * ends[0] + 0.25 * ends[1]
    measured["interpolate: z"] = error(page.z, z)
    assert measured["interpolate: z"] <= TOLERANCE
    assert error(page.shown(), decoded(parts, z)) <= TOLERANCE
    third = pixels(page, "#strip")[:, 2 * (SHAPE[1] + 1) :][:, : SHAPE[1]]  # at 2/8 of the way
    assert np.abs(third.ravel() - 255 * decoded(parts, z)).max() <= 1


def test_compares_float32_with_int8(page, parts):
    exact, rounded = page.shown(), page.shown("int8")
    largest = error(rounded, exact)
    assert 0 < largest < 0.1
    assert page.run("return explorer.shown.largestDifference") == pytest.approx(largest, rel=1e-5)
    assert f"{100 * largest:.1f} % of" in page("#compare-note").text


def test_numbers_move_with_the_picture(page, folder):
    page.shown()
    page("#pad").send_keys(Keys.HOME)
    page("#pad").send_keys(Keys.ARROW_RIGHT)
    spans = [span.text for span in page.driver.find_elements(By.CSS_SELECTOR, "#z span")]
    order = content(folder)["latent"]["order"]
    signed = [f"z{index + 1} {page.z[index]:.2f}".replace("-", "\N{MINUS SIGN}") for index in order]
    assert spans == signed


def test_tells_how_far_a_picture_is_from_what_is_kept(page, tmp_path):
    x = np.random.default_rng(3).integers(0, 256, SHAPE[:2], dtype=np.uint8)
    Image.fromarray(x).save(tmp_path / "noise.png")
    upload(page, tmp_path / "noise.png")
    distance = np.abs(page.shown("input") - page.shown("reconstruction")).mean()
    assert page.run("return explorer.shown.distance") == pytest.approx(distance, rel=1e-5)
    assert page("#distance").text.startswith(f"{100 * distance:.1f} %")
    page("#clear").click()
    assert page("#distance").text == ""


def test_a_second_visit_fetches_the_runtime_no_more(browser, server, folder):
    script = (
        "return performance.getEntriesByType('resource').filter(({ name }) =>"
        "name.endsWith('.wasm.gz')).map(({ transferSize }) => transferSize)"
    )
    browser.execute_cdp_cmd("Network.clearBrowserCache", {})
    (first,) = Page.opened(browser, server.url).run(script)
    (second,) = Page.opened(browser, server.url).run(script)
    runtime = folder / "litert/wasm/litert_wasm_internal.wasm.gz"
    assert runtime.stat().st_size <= first < len(gzip.decompress(runtime.read_bytes())) / 3
    assert second < 1e4  # "not modified"


def test_a_server_may_unpack_the_runtime_itself(browser, folder):
    with serving(folder, encoded=True) as running:
        assert Page.opened(browser, running.url).shown().size == np.prod(SHAPE)
    browser.get_log("browser")


def test_shows_the_facts_of_the_model(page):
    text = page("#facts").text
    for fact in ("10 x 8 x 1", "MixtureOfNormals", "Bernoulli", "-1.00 nats", "version 1"):
        assert fact in text


@contextlib.contextmanager
def phone(page, width, height=667):
    page.window(width, height, mobile=True)
    try:
        yield
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def check_phone(page, width, shown):
    """Nothing is too wide or too small to touch, and `shown` stays in sight."""
    with phone(page, width):
        assert page.run("return document.documentElement.scrollWidth") <= width
        assert page("#pad").rect["width"] > 0.7 * width
        selector = "button, select, input, #pad, #sketch"
        for element in page.driver.find_elements(By.CSS_SELECTOR, selector):
            target = page.run(
                "const label = arguments[0].closest('label');"
                "return label?.matches('.button, :has([type=checkbox])') ? label : arguments[0]",
                element,
            )
            if element.is_displayed() and target.is_displayed():
                size = target.rect
                assert min(size["width"], size["height"]) >= 44, element.get_attribute("outerHTML")
        for panel in page.driver.find_elements(By.CSS_SELECTOR, "#left > section:not(#facts)"):
            if panel.is_displayed():
                page.run("arguments[0].scrollIntoView()", panel)
                box = page.run(
                    "const { top, bottom } = document.querySelector(arguments[0])"
                    ".getBoundingClientRect(); return [top, bottom]",
                    shown,
                )
                assert -1 <= box[0] < box[1] < 667 / 2


@pytest.mark.parametrize("width", [320, 375])
def test_fits_a_phone(page, width):
    check_phone(page, width, "#picture")


def test_each_panel_has_one_sentence(page):
    for panel in page.driver.find_elements(By.CSS_SELECTOR, "section"):
        if panel.is_displayed():
            sentence = panel.find_element(By.CSS_SELECTOR, ".hint").text
            assert sentence.endswith(".")
            assert sentence.count(". ") == 0


def test_numbers_that_are_not_finite_become_a_message(page):
    before = page.shown()
    page.run("explorer.latent.move(explorer.latent.z.map(() => NaN))")
    page.wait("return !document.querySelector('#notice').hidden")
    assert "not finite" in page("#notice").text
    page("#pad").send_keys(Keys.HOME)
    page.run("explorer.latent.move(explorer.latent.centre)")
    page.wait("return document.querySelector('#notice').hidden")
    assert np.isfinite(page.shown()).all()
    assert before.shape == page.shown().shape


def test_a_file_that_is_no_image_becomes_a_message(page, tmp_path):
    (tmp_path / "notes.png").write_text("no image")
    page("#file").send_keys(str(tmp_path / "notes.png"))
    page.wait("return !document.querySelector('#notice').hidden")
    assert "notes.png" in page("#notice").text


def refusal(browser):
    """Returns the message that the page shows in place of the explorer."""
    page = Page(browser)
    page.wait("return !document.querySelector('#notice').hidden")
    assert not page("#panels").is_displayed()
    browser.get_log("browser")  # which has the 404
    return page("#notice").text


@pytest.mark.parametrize("name", ["decoder-float32-batch1.tflite", "model.json", ".wasm"])
def test_a_missing_file_becomes_a_message(browser, server, name):
    server.missing.add(name)
    browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": True})
    try:
        browser.get(server.url)
        message = refusal(browser)
    finally:
        server.missing.clear()
        browser.execute_cdp_cmd("Network.setCacheDisabled", {"cacheDisabled": False})
    assert ("LiteRT.js" if name == ".wasm" else name) in message


def test_a_browser_without_webassembly_gets_a_message(browser, server):
    source = {"source": "delete globalThis.WebAssembly"}
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    try:
        browser.get(server.url)
        assert "WebAssembly" in refusal(browser)
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_opened_as_a_file_it_says_how_to_serve_it(browser, folder):
    browser.get((folder / "index.html").as_uri())
    page = Page(browser)
    WebDriverWait(browser, 20).until(lambda _: page("#boot .late").is_displayed())
    assert "python -m http.server" in page("#boot").text
    browser.get_log("browser")


CLASSES = 3


@pytest.fixture(scope="module")
def conditional():
    """A model of which all parts depend on a class and on two numbers."""
    likelihood, condition = distributions.Bernoulli(), {"digit": CLASSES, "ink": (2,)}
    shapes = likelihood.parameter_shapes(SHAPE)
    prior = networks.conditional_prior_network(condition, LATENT)
    parts = {
        "encoder": networks.mlp_encoder(SHAPE, LATENT, hidden=(16,), condition=condition),
        "decoder": networks.mlp_decoder(LATENT, shapes, hidden=(16,), condition=condition),
        "likelihood": likelihood,
        "prior": distributions.Conditional(prior),
        "posterior": distributions.DiagonalNormal(),
    }
    rng = np.random.default_rng(1)
    for network in (parts["encoder"], parts["decoder"], prior):
        for weight in network.weights:
            weight.assign(weight.numpy() + rng.normal(0, 0.2, weight.shape))
    return parts


@pytest.fixture(scope="module")
def conditional_folder(conditional, runtime, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("conditional")
    options = Options(precisions=("float32",), batches=(1, web_model.ROWS), vectors=("ink",))
    bundle = write_bundle(**conditional, directory=scratch / "bundle", options=options)
    return write_web(bundle.directory, scratch / "page", runtime=runtime).parent


@pytest.mark.slow
def test_what_is_asked_for_goes_to_all_panels(browser, conditional, conditional_folder):
    model = VAE(**conditional)
    given = {"digit": np.array([2]), "ink": np.array([[0.0, 3.0]], "float32")}
    ends = "return [...explorer.shown.ends[0]]"
    with serving(conditional_folder) as running:
        page = Page.opened(browser, running.url)
        buttons = browser.find_elements(By.CSS_SELECTOR, "#condition button")
        assert [button.text for button in buttons] == ["0", "1", "2"]
        before, z, end = page.shown(), page.z, np.float32(page.run(ends))
        buttons[2].click()
        browser.find_elements(By.CSS_SELECTOR, "#condition input")[1].send_keys(Keys.END)
        assert [b.get_attribute("aria-pressed") for b in buttons] == ["false", "false", "true"]
        decoded = lambda z: model.decode(z, condition=given).mean().numpy().ravel()  # noqa: E731
        image = page.shown()
        # The point keeps its place in the prior, which is somewhere else now
        old = {"digit": np.array([0]), "ink": np.zeros((1, 2), "float32")}
        zeros = np.zeros((1, LATENT), "float32")
        now, then = (conditional["prior"].from_noise(zeros, None, c)[0] for c in (given, old))
        shift = (now - then).numpy()
        assert np.abs(shift).max() > 0.1
        assert error(page.z, z + shift) <= TOLERANCE
        low = content(conditional_folder)["latent"]["low"]
        assert error(np.float32(page.run("return [...explorer.latent.low]")), low + shift) < 1e-4
        assert error(image, decoded(page.z[np.newaxis])) <= TOLERANCE
        assert error(image, before) > 0.01
        # So do the ends of the line, which is drawn anew
        end += shift
        assert error(np.float32(page.run(ends)), end) <= TOLERANCE
        first = pixels(page, "#strip")[:, : SHAPE[1]].ravel()
        assert np.abs(first - 255 * decoded(end[np.newaxis])).max() <= 1
        # The picture in the reconstruct panel goes through the encoder anew
        page.wait("return explorer.shown.reconstructedAs === explorer.bundle.asked")
        x = page.shown("input").reshape(1, *SHAPE)
        mean = model.encode({"x": x, "condition": given}).mean()
        assert error(page.shown("reconstruction"), decoded(mean)) <= TOLERANCE
        # Draws are those of the prior of what is asked for
        page.type("#seed", "7")
        page("#generate-form [type=submit]").click()
        page.wait("return document.querySelector('#status').textContent.startsWith('Seed 7')")
        normal = row_rng.normals(tf.constant([7], tf.int32), LATENT)
        z = conditional["prior"].from_noise(normal, None, given)
        assert error(page.z, z[0].numpy()) <= TOLERANCE
        wait_for_corner(page, decoded(corner(page)[np.newaxis]))
        check_phone(page, 375, "#picture")


def pixels(page, selector):
    """Returns the red channel of a canvas, [H, W]."""
    width, values = page.run(
        "const canvas = document.querySelector(arguments[0]);"
        "const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "return [canvas.width, Array.from(data.filter((_, i) => i % 4 === 0))]",
        selector,
    )
    return np.array(values).reshape(-1, width)


@pytest.fixture(scope="module")
def table():
    """A table with a column of each kind."""
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "mean height (cm)": rng.normal(170, 8, 200),
            "income": np.exp(rng.normal(8, 1, 200)),
            "year": 2000 + rng.integers(0, 25, 200),
            "visits": rng.negative_binomial(1, 0.2, 200),
            "colour": rng.choice(["red", "green", "<b>"], 200),
            "grade": rng.choice([1, 2, 5], 200),
            "smokes": rng.random(200) < 0.3,
            "always": 7,
            "name": rng.permutation([f"n{i}" for i in range(200)]),
        }
    )
    kinds = {"visits": "count", "grade": "category", "year": "real", "income": "positive"}
    return Table.from_frame(frame, {**kinds, "smokes": "binary", "name": "ignore"})


@pytest.mark.slow
def test_rows_of_a_table_are_cards(browser, table, runtime, tmp_path):
    likelihood = table.likelihood()
    shapes = likelihood.parameter_shapes(table.shape)
    model = VAE(
        networks.mlp_encoder(table.shape, 2, (8,), features=table.features),
        networks.mlp_decoder(2, shapes, (8,), shortcut=True),
        likelihood=likelihood,
    )
    parts = {name: getattr(model.parts, name) for name in NAMES}
    options = Options(precisions=("float32",), batches=(1, web_model.ROWS))
    bundle = write_bundle(**parts, directory=tmp_path / "bundle", table=table, options=options)
    write_web(bundle.directory, tmp_path / "page", runtime=runtime)
    with serving(tmp_path / "page") as running:
        page = Page.opened(browser, running.url)
        # Whatever the numbers, the page says what the table does; ties go to the even one
        x = np.random.default_rng(0).normal(0, 3, (200, *table.shape)).astype("float32")
        x[:20] = np.round(x[:20]) + 0.5
        x[:, 3] = np.abs(x[:, 3])
        script = "return arguments[0].map((row) => explorer.format.values(row))"
        values = page.run(script, x.tolist())
        assert_rows(values, table.decode(x))
        # The card at the present point is what the SavedModel's own signature says
        server = tf.saved_model.load(str(bundle.decoder)).signatures
        (row,) = page.run(script, [page.shown().tolist()])
        served = server["decode_columns"](tf.constant(page.z[np.newaxis]))
        for name, value in zip(table.names, row[:7], strict=True):
            said = served[identifiers([name])[0]].numpy()[0]
            said = said.decode() if isinstance(said, bytes) else said
            assert value == said if isinstance(said, str) else value == pytest.approx(said, 1e-4)
        # Cards of six seeds, with names and words
        page.type("#seed", "5")
        page("#generate-form [type=submit]").click()
        page.wait("return document.querySelector('#status').textContent.startsWith('Seed 5')")
        page.wait("return explorer.shown.rows.first === 5 && explorer.shown.rows.length === 6")
        drawn = server["generate"](seed=tf.range(5, 11), temperature=tf.ones(6))["image"]
        rows = np.float32(page.run("return explorer.shown.rows.map((row) => [...row])"))
        assert np.allclose(rows, drawn, rtol=1e-3, atol=1e-3)
        cards = browser.find_elements(By.CSS_SELECTOR, "#cards .card")
        for card, values in zip(cards, page.run(script, rows.tolist()), strict=True):
            names = [dt.text for dt in card.find_elements(By.TAG_NAME, "dt")]
            assert names == [c.name for c in table.columns if c.kind != "ignore"]
            texts = [dd.text for dd in card.find_elements(By.TAG_NAME, "dd")]
            assert texts[4] == values[4]
            assert float(texts[0]) == pytest.approx(values[0], rel=1e-3)
        assert not page("#reconstruct").is_displayed()
        # The map is as bright as the chosen column is large
        Select(page("#shaded")).select_by_visible_text("year")
        z = corner(page)[np.newaxis]
        standard = model.decode(z).mean().numpy()[0, 2]
        wait_for_corner(page, (np.array([standard]) + 2) / 4)
        check_phone(page, 375, "#card")
    browser.get_log("browser")


def assert_rows(values, frame):
    """Checks rows of the page against a DataFrame: equal, but for the last digit of exp()."""
    assert len(values) == len(frame)
    for place, name in enumerate(frame.columns):
        found, expected = [row[place] for row in values], frame[name].tolist()
        if name == "income":
            np.testing.assert_allclose(found, expected, rtol=1e-15)
        else:
            assert found == expected, name


@pytest.mark.slow
def test_two_latents_and_colour(browser, runtime, tmp_path):
    """A convolutional model with a scale beside the image; z is the whole plane."""
    shape = (9, 7, 3)
    likelihood = distributions.GaussianPixelScale()
    parts = {
        "encoder": networks.conv_encoder(shape, 2),
        "decoder": networks.conv_decoder(2, likelihood.parameter_shapes(shape)),
        "likelihood": likelihood,
        "prior": distributions.StandardNormal(2),
        "posterior": distributions.DiagonalNormal(),
    }
    bundle = write_bundle(**parts, directory=tmp_path / "bundle")
    write_web(bundle.directory, tmp_path / "page", runtime=runtime)
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(x).save(tmp_path / "colour.png")
    with serving(tmp_path / "page") as running:
        page = Page.opened(browser, running.url)
        assert not page("#axes").is_displayed()
        assert not page("#compare").is_displayed()
        upload(page, tmp_path / "colour.png")
        received = [
            np.array(page.run(f"return Array.from(explorer.{name})"), "float32")
            for name in ("shown.input", "latent.z", "shown.reconstruction")
        ]
    image = np.float32(x / 255)[np.newaxis]
    z = parts["posterior"].statistics(parts["encoder"](image, training=False))["z_mean"][0].numpy()
    for have, want in zip(received, (image.ravel(), z, decoded(parts, z)), strict=True):
        assert error(have, want) <= TOLERANCE * max(1, np.abs(want).max())
