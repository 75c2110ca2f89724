"""Compare the speed of the web demo with a plain `gr.Interface`, or with an older demo.

    uv run experiments/benchmark_demo.py
    uv run experiments/benchmark_demo.py --visitors 8 --seconds 10
    uv run experiments/benchmark_demo.py --other ../older/.venv/bin/python
    uv run experiments/benchmark_demo.py --soak 60 --visitors 4

With --other, the second server is the web demo of another installation: the Python of its
environment. It takes the same generator, and its own classifier unless --classifier names one.

Each server is called over HTTP: a picture is uploaded and identified, and --num pictures are
painted. One visitor calls the servers alternately (A B A B ...). Then --visitors visitors call one
server for --seconds, and after it the other. Chromium opens each web demo while it starts, and uses
it as a visitor does: another picture, variety, the pad. The script prints medians, errors, the
servers' memory, and lines `ratio NAME VALUE` (above 1: this web demo is faster or smaller). On two
idle cores it takes about three minutes.

With --soak, only the web demo is served. For this many minutes, one visitor after the other uses
every room in Chromium, and --visitors programs call the API, each once a second. Once a minute the
script prints the server's memory, the visits, the calls and the errors.
"""

import io
import math
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import httpx
from PIL import Image

from brushwork.data import synthetic
from brushwork.errors import BrushworkError, report_errors
from brushwork_demo.models import find_models
from settings import Count, Positive, Range, read_flags

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@dataclass(frozen=True)
class Config:
    """Settings: what to serve, and for how long."""

    generator: str | None = None
    """Checkpoint of a generator; by default the first bundled one."""
    classifier: str | None = None
    """Checkpoint of a classifier; by default the bundled one. Without any, it is not timed."""
    rounds: Count = 7
    """Calls of each endpoint by one visitor, and changes of each kind in Chromium."""
    visitors: Annotated[int, Range(1, 10_000)] = 32
    """Visitors that call a server at once."""
    seconds: Positive = 60
    """Seconds for which they call it."""
    num: Annotated[int, Range(1, 64)] = 4
    """Pictures generated per call."""
    other: str = ""
    """Python of another installation, whose web demo is measured instead of a `gr.Interface`."""
    soak: Annotated[float, Range(0, 10_000)] = 0
    """Minutes of mixed use, instead of all else; 0 for none."""


@dataclass
class Server:
    """A running server and how to call it.

    Attributes:
        name: "ours", "other" or "plain".
        url: of its page.
        pid: of its process.
        alive: return whether its process runs.
        stop: end its process.
        paint_arguments: the arguments of its endpoint `paint`.
        seconds_to_page: from its start to its first answer with the models.
        seconds_to_picture: from its start to a picture on the screen of a browser.
        times: seconds of each call by one visitor, by name of the call.
        memory: MB before and after the calls of many visitors.
        client: of HTTP.
    """

    name: str
    url: str
    pid: int
    alive: Callable[[], bool]
    stop: Callable[[], None]
    paint_arguments: list
    seconds_to_page: float = 0
    seconds_to_picture: float = math.nan
    times: dict[str, list[float]] = field(default_factory=dict)
    memory: tuple[float, float] = (math.nan, math.nan)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=120))

    def call(self, endpoint: str, data: list) -> None:
        """Call an endpoint and wait for the answer; raise an exception if it is an error."""
        url = f"{self.url}/gradio_api/call/{endpoint}"
        started = self.client.post(url, json={"data": data}).raise_for_status().json()
        answer = self.client.get(f"{url}/{started['event_id']}").text
        if "event: complete" not in answer:
            raise BrushworkError(f"{endpoint} failed on the server {self.name}: {answer[:200]}")

    def identify(self, picture: bytes) -> None:
        """Upload a picture, and call `identify` with it."""
        sent = self.client.post(f"{self.url}/gradio_api/upload", files={"files": picture})
        [path] = sent.raise_for_status().json()
        self.call("identify", [{"path": path, "meta": {"_type": "gradio.FileData"}}])

    def megabytes(self) -> float:
        """Return the resident memory of the server, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


Call = Callable[[Server], None]


def plain(port: int, generator: str, classifier: str | None) -> None:
    """Serve the same models as a tutorial would."""
    import gradio as gr

    from brushwork import ArtistClassifier, PaintingGenerator

    model = PaintingGenerator.from_pretrained(generator)

    def paint(seed: float, num: float) -> list:
        return model.sample(int(num), seed=int(seed))

    tabs = [gr.Interface(paint, ["number", "number"], gr.Gallery(format="png"), api_name="paint")]
    if classifier:
        artists = ArtistClassifier.from_pretrained(classifier)

        def identify(picture: Image.Image) -> dict[str, float]:
            return {c.artist: c.probability for c in artists.identify(picture).candidates}

        tabs.append(gr.Interface(identify, gr.Image(type="pil"), "label", api_name="identify"))
    gr.TabbedInterface(tabs).launch(server_port=port, quiet=True)


def main(cfg: Config) -> None:
    """Start both servers; time single calls by one visitor, then calls by many visitors at once."""
    models = find_models([cfg.generator] if cfg.generator else [], cfg.classifier)
    generator = str(models.painter(None).stages[-1])
    classifier = None if models.classifier is None else str(models.classifier)
    file = io.BytesIO()
    synthetic.draw(0, side=512).save(file, "JPEG", quality=90)
    calls: dict[str, Call] = {
        f"paint {cfg.num}": lambda server: server.call("paint", server.paint_arguments)
    }
    if classifier:
        calls["identify"] = lambda server: server.identify(file.getvalue())
    if cfg.soak:
        soak(cfg, classifier, painting=file.getvalue(), calls=list(calls.values()))
        return
    with ExitStack() as stack:
        # Start: until Chromium shows a picture, and until the models are open.
        browser = stack.enter_context(open_browser())
        servers = []
        for name in ("ours", "other" if cfg.other else "plain"):
            server = serve(cfg, name=name, generator=generator, classifier=classifier)
            stack.callback(server.stop)
            wait_until_ready(server, browser)
            servers.append(server)
        # One visitor, in Chromium and over HTTP.
        for server in servers:
            if browser and server.name != "plain":
                use_in_browser(cfg, server, browser)
        for _ in range(cfg.rounds):
            for name, call in calls.items():
                for server in servers:
                    server.times.setdefault(name, []).append(seconds_of(call, server))
        print_times(cfg, servers=servers, names=list(calls))
        # Many visitors.
        rates = [call_at_once(cfg, server, calls=list(calls.values())) for server in servers]
        ours, theirs = servers
        print_ratio(f"crowd_calls_per_second_to_{theirs.name}", rates[0], rates[1])
        print_ratio(f"memory_to_{theirs.name}", theirs.memory[1], ours.memory[1])


def print_times(cfg: Config, servers: list[Server], names: list[str]) -> None:
    """Print the median time of each call by one visitor, the ratios, and the times of the start."""
    print(f"{os.cpu_count()} cores, float32; milliseconds, median of {cfg.rounds} calls")
    ours, theirs = servers
    for name in [*names, *IN_BROWSER]:
        # The first call of each kind is slower: models are loaded.
        medians = {
            server.name: 1000 * statistics.median(server.times[name][1:] or server.times[name])
            for server in servers
            if server.times.get(name)
        }
        texts = [f"{who} {median:7.0f}" for who, median in medians.items()]
        print(f"{name:<12} " + "   ".join(texts), flush=True)
        if len(medians) == len(servers):
            kind = name.partition(" ")[0]
            print_ratio(f"{kind}_to_{theirs.name}", medians[theirs.name], medians[ours.name])
    print("models ready", *(f"{each.name} {each.seconds_to_page:7.1f} s" for each in servers))
    print("first picture", *(f"{each.name} {each.seconds_to_picture:6.1f} s" for each in servers))
    print_ratio(
        f"first_picture_to_{theirs.name}", theirs.seconds_to_picture, ours.seconds_to_picture
    )


def print_ratio(name: str, theirs: float, ours: float) -> None:
    """Print a ratio in the form of all benchmarks; nothing if a side was not measured."""
    if not math.isnan(theirs + ours):
        print(f"ratio {name} {theirs / max(ours, 1e-9):.2f}", flush=True)


@contextmanager
def open_browser() -> Iterator["Browser | None"]:
    """Open Chromium; None, with a message, if it or Playwright is not installed."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None or find_spec("playwright") is None:
        print("no browser measurements: install playwright and chromium for them")
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


PICTURE = "#picture, #gallery img"
"""The first picture of a page; the second selector is that of version 0.1.0 and older."""
IN_BROWSER = {
    "another": "#another, #again",
    "variety": "#variety, #truncation input[type=range]",
    "drag": "#pad",
}
"""What is clicked or moved with a key, until the picture changes."""
MAX_TURNS = 12
"""Changes of each kind; the slider has no more steps."""
ON_SCREEN = """() => [...document.images].some(
  (one) => one.complete && one.naturalWidth >= 32 && one.getBoundingClientRect().width >= 64)"""


def wait_until_ready(server: Server, browser: "Browser | None") -> None:
    """Wait for the first picture in a browser, unless the server is plain, and for the models."""
    start = time.perf_counter()
    if browser and server.name != "plain":
        server.seconds_to_picture = first_picture(server, start, browser)
    address = server.url if server.name == "plain" else f"{server.url}/health"
    while not_too_late(server, start):
        with suppress(httpx.TransportError, httpx.HTTPStatusError):
            httpx.get(address, timeout=60).raise_for_status()
            server.seconds_to_page = time.perf_counter() - start
            print(f"{server.name} answers after {server.seconds_to_page:.1f} s", flush=True)
            return
        time.sleep(0.05)


def not_too_late(server: Server, start: float) -> bool:
    """Return True; raise an error if a server has ended, or takes more than five minutes."""
    if not server.alive():
        raise BrushworkError(f"the server {server.name} ended at once; see its messages above")
    if time.perf_counter() - start > 300:
        raise BrushworkError(
            f"the server {server.name} did not answer within five minutes; see its messages above"
        )
    return True


def first_picture(server: Server, start: float, browser: "Browser") -> float:
    """Open a page that may not be served yet; return the seconds from `start` to a picture."""
    from playwright.sync_api import Error

    while not_too_late(server, start):
        with suppress(httpx.TransportError):  # a browser that tries in vain would take the cores
            httpx.get(f"{server.url}/favicon.ico", timeout=60)
            break
        time.sleep(0.1)
    page = browser.new_page()
    while not_too_late(server, start):
        try:
            page.goto(server.url)
            page.wait_for_function(ON_SCREEN, polling=20, timeout=5000)
            break
        except Error:  # the page was loaded again meanwhile
            time.sleep(0.1)
    seconds = time.perf_counter() - start
    page.close()
    return seconds


def use_in_browser(cfg: Config, server: Server, browser: "Browser") -> None:
    """Time how long a picture takes to change after a click or a key."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(server.url)
    page.wait_for_selector("#strip button, #gallery img")
    for name, selector in IN_BROWSER.items():
        if not page.locator(selector).count():  # an older version has no pad
            continue
        times = server.times.setdefault(name, [])
        for turn in range(min(cfg.rounds, MAX_TURNS)):
            before = page.locator(PICTURE).first.get_attribute("src")
            page.locator(selector).first.focus()
            start = time.perf_counter()
            key = "Enter" if name == "another" else f"Arrow{('Left', 'Up')[turn % 2]}"
            page.keyboard.press(key if name == "drag" or name == "another" else "ArrowLeft")
            page.wait_for_function(
                "([where, was]) => document.querySelector(where).src != was",
                arg=[PICTURE, before],
                polling=5,
            )
            times.append(time.perf_counter() - start)
    page.close()


def serve(cfg: Config, name: str, generator: str | None, classifier: str | None) -> Server:
    """Start one of the servers in a process of its own.

    Without a generator, a web demo has all bundled ones.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if name == "plain":
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=plain, args=(port, generator, classifier), daemon=True)
        process.start()
        alive = process.is_alive
    else:
        command = [cfg.other if name == "other" else sys.executable, "-m", "brushwork_demo"]
        command += ["--port", str(port), *(["--generator", generator] if generator else [])]
        # An older version may not open today's bundled classifier, so it takes its own.
        own = name == "other" and cfg.classifier is None
        command += ["--classifier", classifier] if classifier and not own else []
        process = program = subprocess.Popen(command, stdout=subprocess.DEVNULL)

        def alive() -> bool:
            return program.poll() is None

    return Server(
        name=name,
        url=f"http://127.0.0.1:{port}",
        pid=process.pid or 0,
        alive=alive,
        stop=process.terminate,
        paint_arguments=[0, cfg.num] if name == "plain" else ["", 0, cfg.num, 1, 0, ""],
    )


def seconds_of(call: Call, server: Server) -> float:
    """Measure the seconds of one call."""
    start = time.perf_counter()
    call(server)
    return time.perf_counter() - start


def call_at_once(cfg: Config, server: Server, calls: list[Call]) -> float:
    """Let many visitors call a server at once; print the results, and return calls per second."""
    before = server.megabytes()
    start = time.perf_counter()
    end = start + cfg.seconds

    def visit(number: int) -> list[float | str]:
        """Call until the end; return the seconds of each call, or its error."""
        results: list[float | str] = []
        while time.perf_counter() < end:
            number += 1
            try:
                results.append(seconds_of(calls[number % len(calls)], server))
            except (BrushworkError, httpx.HTTPError) as error:
                results.append(str(error) or type(error).__name__)
        return results

    with ThreadPoolExecutor(cfg.visitors) as visitors:
        visits = visitors.map(visit, range(cfg.visitors))
        results = [result for visit in visits for result in visit]
    seconds = time.perf_counter() - start
    times = sorted(result for result in results if isinstance(result, float))
    errors = [result for result in results if isinstance(result, str)]
    rate = len(times) / seconds
    median, slow = (
        1000 * times[int(share * (len(times) - 1))] if times else math.nan for share in (0.5, 0.95)
    )
    server.memory = (before, server.megabytes())
    print(
        f"{server.name}: {cfg.visitors} visitors, {rate:.1f} calls/s, p50 {median:.0f} ms, "
        f"p95 {slow:.0f} ms, {len(errors)} errors {sorted(set(errors))[:2]}, "
        f"memory {before:.0f} MB before, {server.memory[1]:.0f} MB after",
        flush=True,
    )
    return rate


def soak(cfg: Config, classifier: str | None, painting: bytes, calls: list[Call]) -> None:
    """Use the web demo for `cfg.soak` minutes in Chromium and over HTTP; print its memory."""
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        browser = stack.enter_context(open_browser())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "painting.jpg").write_bytes(painting)
        server = serve(cfg, name="ours", generator=cfg.generator, classifier=classifier)
        stack.callback(server.stop)
        wait_until_ready(server, browser)
        start = time.perf_counter()
        end = start + 60 * cfg.soak

        def call_often(number: int) -> None:
            while time.perf_counter() < end:
                number += 1
                with counted(counts, "calls"):
                    calls[number % len(calls)](server)
                time.sleep(1)

        def report() -> None:
            minute = 0
            while time.perf_counter() < end + 1:
                print(
                    f"minute {minute}: {server.megabytes():.0f} MB, {counts['visits']:,} visits, "
                    f"{counts['calls']:,} calls, {counts['errors']:,} errors",
                    flush=True,
                )
                minute += 1
                time.sleep(max(0, start + 60 * minute - time.perf_counter()))

        threads = [Thread(target=report, daemon=True)]
        threads += [Thread(target=call_often, args=(i,), daemon=True) for i in range(cfg.visitors)]
        for thread in threads:
            thread.start()
        while browser and time.perf_counter() < end:
            with counted(counts, "visits"):
                use_every_room(server, browser, folder / "painting.jpg")
        for thread in threads:
            thread.join()


@contextmanager
def counted(counts: Counter[str], name: str) -> Iterator[None]:
    """Count what succeeds under its name; print what fails, and count it as an error."""
    try:
        yield
        counts[name] += 1
    except Exception as error:  # an error of any kind must not end an hour of measurement
        counts["errors"] += 1
        print(f"error: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr, flush=True)


def use_every_room(server: Server, browser: "Browser", painting: Path) -> None:
    """Use everything on the web demo once, as a new visitor."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)
    try:
        page.goto(server.url)
        page.wait_for_selector("#strip button")
        for button in ("#another", "#like", "#keep", "#stroll", "#another", "#back", "#save"):
            page.locator(button).click()
            page.wait_for_timeout(500)
            page.wait_for_selector("#paint .picture:not([aria-busy])")
        page.locator("#mix").click()
        page.locator("#strip button").first.click()
        for control in ("#pad", "#variety"):
            page.locator(control).focus()
            for _ in range(5):
                page.keyboard.press("ArrowLeft")
                page.wait_for_timeout(100)
        page.get_by_role("button", name="Video and classifier").click()
        page.locator("#walk").click()
        page.wait_for_selector("#film video")
        identifies = page.locator("#who").is_visible()
        if identifies:
            page.locator("#who").click()
            page.wait_for_selector("#verdict .answer li")
            page.get_by_role("tab", name="Identify").click()
            page.locator("#upload input[type=file]").set_input_files(painting)
            page.wait_for_selector("#heat img")
            page.locator("#reason input").last.click()
        page.get_by_role("tab", name="Quiz").click()
        for _ in range(3):
            page.locator("[data-guess='0']").click()
            page.locator(".quiz .go").click()
        page.get_by_role("tab", name="Compare").click()
        page.wait_for_selector("#comparison img.shown")
        page.locator("#another-seed").click()
        page.get_by_role("tab", name="About").click()
        page.get_by_role("button", name="Model cards").click()
        page.wait_for_timeout(1000)
    finally:
        page.context.close()


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
