"""Compare the speed of the web demo with a plain `gr.Interface` of the same models.

    uv run experiments/benchmark_demo.py
    uv run experiments/benchmark_demo.py --visitors 8 --seconds 10

Each runs as a server and is called over HTTP: a picture is uploaded and identified, and sixteen
pictures are painted. One visitor calls both servers alternately (A B A B ...). Then --visitors
visitors call one server for --seconds, and after it the other. The script prints medians, errors,
the server's memory, and a line `ratio NAME VALUE` (above 1: the web demo is faster).
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
from typing import Annotated

import httpx
from PIL import Image

from brushwork.data import synthetic
from brushwork.errors import BrushworkError, report_errors
from brushwork_demo.models import find_models
from settings import Count, Positive, Range, read_flags


@dataclass(frozen=True)
class Config:
    """Settings: what to serve, and for how long."""

    generator: str | None = None
    """Checkpoint of a generator; by default the first bundled one."""
    classifier: str | None = None
    """Checkpoint of a classifier; by default the bundled one. Without any, it is not timed."""
    rounds: Count = 20
    """Calls of each endpoint of each server by one visitor."""
    visitors: Annotated[int, Range(1, 10_000)] = 32
    """Visitors that call a server at once."""
    seconds: Positive = 60
    """Seconds for which they call it."""
    num: Annotated[int, Range(1, 1000)] = 16
    """Pictures generated per call."""


@dataclass
class Server:
    """A running server and how to call it.

    Attributes:
        name: "ours" or "plain".
        url: of its page.
        pid: of its process.
        stop: end its process.
        paint_arguments: the arguments of its endpoint `paint`.
        seconds_to_page: from its start to its first answer.
        times: seconds of each call by one visitor, by name of the call.
        client: of HTTP.
    """

    name: str
    url: str
    pid: int
    stop: Callable[[], None]
    paint_arguments: list
    seconds_to_page: float = 0
    times: dict[str, list[float]] = field(default_factory=dict)
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
    servers = [
        serve(cfg, name=name, generator=generator, classifier=classifier)
        for name in ("ours", "plain")
    ]
    file = io.BytesIO()
    synthetic.draw(0, side=512).save(file, "JPEG", quality=90)
    calls: dict[str, Call] = {
        f"paint {cfg.num}": lambda server: server.call("paint", server.paint_arguments)
    }
    if classifier:
        calls["identify"] = lambda server: server.identify(file.getvalue())
    try:
        for _ in range(cfg.rounds):
            for name, call in calls.items():
                for server in servers:
                    server.times.setdefault(name, []).append(seconds_of(call, server))
        print_times(cfg, servers=servers, names=list(calls))
        rates = [call_at_once(cfg, server, calls=list(calls.values())) for server in servers]
        print(f"ratio crowd_calls_per_second {rates[0] / max(rates[1], 1e-9):.2f}")
    finally:
        for server in servers:
            server.stop()


def print_times(cfg: Config, servers: list[Server], names: list[str]) -> None:
    """Print the median time of each call by one visitor, the ratios, and the time of the start."""
    print(f"{os.cpu_count()} cores, float32; milliseconds, median of {cfg.rounds} calls")
    for name in names:
        # The first call of each kind is slower: models are loaded.
        ours, plain = (1000 * statistics.median(server.times[name][1:]) for server in servers)
        print(f"{name:<12} ours {ours:7.0f}   plain {plain:7.0f}")
        print(f"ratio {name.split()[0]}_latency {plain / ours:.2f}")
    print("first page  ", *(f"{each.name} {each.seconds_to_page:7.1f} s" for each in servers))


def serve(cfg: Config, name: str, generator: str, classifier: str | None) -> Server:
    """Start one of the two servers in a process of its own, and wait for its page."""
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
    server = Server(
        name=name,
        url=f"http://127.0.0.1:{port}",
        pid=process.pid or 0,
        stop=process.terminate,
        paint_arguments=["", 0, cfg.num, 1, 0, ""] if name == "ours" else [0, cfg.num],
    )
    while time.perf_counter() - start < 300:
        try:
            httpx.get(server.url, timeout=60).raise_for_status()
            server.seconds_to_page = time.perf_counter() - start
            return server
        except httpx.TransportError:
            time.sleep(0.05)
    raise BrushworkError(
        f"the server {name} did not answer within five minutes; see its messages above"
    )


def seconds_of(call: Call, server: Server) -> float:
    """Measure the seconds of one call."""
    start = time.perf_counter()
    call(server)
    return time.perf_counter() - start


def call_at_once(cfg: Config, server: Server, calls: list[Call]) -> float:
    """Let many visitors call a server at once; print the results, and return calls per second."""
    end = time.perf_counter() + cfg.seconds

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
        time.sleep(cfg.seconds / 2)  # until every thread of the server has allocated its memory
        halfway = server.megabytes()
        results = [result for visit in visits for result in visit]
    times = sorted(result for result in results if isinstance(result, float)) or [float("nan")]
    errors = [result for result in results if isinstance(result, str)]
    median, slow = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.95))
    print(
        f"{server.name}: {cfg.visitors} visitors, {len(times) / cfg.seconds:.1f} calls/s, "
        f"p50 {median:.0f} ms, p95 {slow:.0f} ms, {len(errors)} errors {sorted(set(errors))[:2]}, "
        f"memory {halfway:.0f} MB halfway, {server.megabytes():.0f} MB at the end"
    )
    return len(times) / cfg.seconds


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
