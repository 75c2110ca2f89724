"""How the web demo answers one visitor and many, beside a plain `gr.Interface` of the same models.

    uv run experiments/benchmark_demo.py
    uv run experiments/benchmark_demo.py --visitors 8 --seconds 10

Both are servers of their own, called over HTTP as a program would: a picture is uploaded and
identified, sixteen pictures are painted. One visitor takes turns between the two (A B A B ...),
then many visitors at once call first one, then the other, for a while. Prints medians, what the
many met with, the server's memory, and a line `ratio NAME VALUE` (above 1: ours is ahead).
"""

import io
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from brushwork.data import synthetic
from brushwork.errors import BrushworkError, report_errors
from brushwork_demo.models import find_models
from settings import read_flags


@dataclass(frozen=True)
class Config:
    """What to serve, and for how long."""

    generator: str | None = None
    """A checkpoint; the first one that is bundled by default."""
    classifier: str | None = None
    """Likewise; where none is bundled, only painting is timed."""
    rounds: int = 20
    """Calls of each kind to each server by one visitor."""
    visitors: int = 32
    seconds: float = 60  # that they call at once
    num: int = 16  # pictures in a call


@dataclass
class Served:
    """A running server and how to call it."""

    name: str
    url: str
    pid: int
    stop: Callable[[], None]
    paint: list  # the arguments of its `paint`
    seconds_to_page: float = 0
    times: dict[str, list[float]] = field(default_factory=dict)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=120))

    def call(self, endpoint: str, data: list) -> None:
        """One call and its answer; raises if that is an error."""
        url = f"{self.url}/gradio_api/call/{endpoint}"
        started = self.client.post(url, json={"data": data}).raise_for_status().json()
        answer = self.client.get(f"{url}/{started['event_id']}").text
        if "event: complete" not in answer:
            raise BrushworkError(f"{self.name} answered {endpoint} with {answer[:200]}")

    def identify(self, picture: bytes) -> None:
        """Upload a picture and have it identified."""
        sent = self.client.post(f"{self.url}/gradio_api/upload", files={"files": picture})
        [path] = sent.raise_for_status().json()
        self.call("identify", [{"path": path, "meta": {"_type": "gradio.FileData"}}])

    def megabytes(self) -> float:
        """Resident memory of the server, in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def plain(port: int, generator: str, classifier: str | None) -> None:
    """What a tutorial would write around the same models."""
    import gradio as gr

    from brushwork import ArtistClassifier, PaintingGenerator

    painter = PaintingGenerator.from_pretrained(generator)

    def paint(seed, num):
        return painter.sample(int(num), seed=int(seed))

    tabs = [gr.Interface(paint, ["number", "number"], gr.Gallery(format="png"), api_name="paint")]
    if classifier:
        artists = ArtistClassifier.from_pretrained(classifier)

        def identify(picture):
            return {c.artist: c.probability for c in artists.identify(picture).candidates}

        tabs.append(gr.Interface(identify, gr.Image(type="pil"), "label", api_name="identify"))
    gr.TabbedInterface(tabs).launch(server_port=port, quiet=True)


def main(cfg: Config) -> None:
    """Serve both; one visitor by turns; then many at once."""
    models = find_models([cfg.generator] if cfg.generator else [], cfg.classifier)
    generator = str(models.painter(None).stages[-1])
    classifier = None if models.classifier is None else str(models.classifier)
    servers = [serve(cfg, name, generator, classifier) for name in ("ours", "plain")]
    file = io.BytesIO()
    synthetic.draw(0, side=512).save(file, "JPEG", quality=90)
    calls: dict[str, Callable[[Served], None]] = {
        f"paint {cfg.num}": lambda server: server.call("paint", server.paint)
    }
    if classifier:
        calls["identify"] = lambda server: server.identify(file.getvalue())
    try:
        for _ in range(cfg.rounds):
            for name, call in calls.items():
                for server in servers:
                    server.times.setdefault(name, []).append(timed(call, server))
        print(f"{os.cpu_count()} cores, float32; milliseconds, median of {cfg.rounds} calls")
        for name in calls:
            ms = [1000 * statistics.median(server.times[name][1:]) for server in servers]
            print(f"{name:<12} ours {ms[0]:7.0f}   plain {ms[1]:7.0f}")
            print(f"ratio {name.split()[0]}_latency {ms[1] / ms[0]:.2f}")
        print("first page  ", *(f"{one.name} {one.seconds_to_page:7.1f} s" for one in servers))
        rates = [crowd(cfg, server, [*calls.values()]) for server in servers]
        print(f"ratio crowd_calls_per_second {rates[0] / max(rates[1], 1e-9):.2f}")
    finally:
        for server in servers:
            server.stop()


def serve(cfg: Config, name: str, generator: str, classifier: str | None) -> Served:
    """Start ours by its command, or the plain one in a process of its own, and await its page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.perf_counter()
    if name == "ours":
        command = [sys.executable, "-m", "brushwork_demo", "--port", str(port)]
        command += ["--generator", generator]
        command += ["--classifier", classifier] if classifier else []
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    else:
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=plain, args=(port, generator, classifier), daemon=True)
        process.start()
    asked = ["", 0, cfg.num, 1, 0, ""] if name == "ours" else [0, cfg.num]
    server = Served(name, f"http://127.0.0.1:{port}", process.pid or 0, process.terminate, asked)
    while time.perf_counter() - start < 300:
        try:
            httpx.get(server.url, timeout=60).raise_for_status()
            server.seconds_to_page = time.perf_counter() - start
            return server
        except httpx.TransportError:
            time.sleep(0.05)
    raise BrushworkError(f"{name} showed no page in five minutes")


def timed(call: Callable[[Served], None], server: Served) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call(server)
    return time.perf_counter() - start


def crowd(cfg: Config, server: Served, calls: list[Callable[[Served], None]]) -> float:
    """Many visitors at once: prints what they met with; calls per second."""
    end = time.perf_counter() + cfg.seconds

    def visit(number: int) -> list[float | str]:
        met: list[float | str] = []
        while time.perf_counter() < end:
            number += 1
            try:
                met.append(timed(calls[number % len(calls)], server))
            except (BrushworkError, httpx.HTTPError) as error:
                met.append(str(error) or type(error).__name__)
        return met

    with ThreadPoolExecutor(cfg.visitors) as visitors:
        visits = visitors.map(visit, range(cfg.visitors))
        time.sleep(cfg.seconds / 2)  # by then every thread has the memory that it will need
        halfway = server.megabytes()
        met = [one for visit in visits for one in visit]
    times = sorted(one for one in met if isinstance(one, float)) or [float("nan")]
    errors = [one for one in met if isinstance(one, str)]
    middle, slow = (1000 * times[int(q * (len(times) - 1))] for q in (0.5, 0.95))
    print(
        f"{server.name}: {cfg.visitors} visitors, {len(times) / cfg.seconds:.1f} calls/s, "
        f"p50 {middle:.0f} ms, p95 {slow:.0f} ms, {len(errors)} errors {sorted(set(errors))[:2]}, "
        f"memory {halfway:.0f} MB halfway, {server.megabytes():.0f} MB at the end"
    )
    return len(times) / cfg.seconds


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
