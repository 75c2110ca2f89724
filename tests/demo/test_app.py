"""The page as a service: its endpoints, its limits, and its answers to hostile calls."""

import asyncio
import base64
import html
import io
import json
import re
import socket
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from brushwork.classifier.identify import ArtistClassifier
from brushwork.errors import BrushworkError
from brushwork_demo import paint
from brushwork_demo.app import build
from brushwork_demo.middleware import MAX_BYTES, MAX_CALL_BYTES
from brushwork_demo.models import find_models
from brushwork_demo.rooms.identify import EXAMPLES
from brushwork_demo.uploads import decode

EXAMPLE = sorted(EXAMPLES.glob("*.jpg"))[0]


def call(server, name, data):
    """Make the two documented requests of a call, as curl would; return the event and its data."""
    started = httpx.post(f"{server.url}/gradio_api/call/{name}", json={"data": data}, timeout=60)
    if started.status_code != 200:
        return str(started.status_code), started.text
    event_id = started.json()["event_id"]
    answer = httpx.get(f"{server.url}/gradio_api/call/{name}/{event_id}", timeout=60).text
    event, _, rest = answer.partition("\n")
    return event.removeprefix("event: ").strip(), json.loads(rest.partition("data: ")[2] or "null")


def upload(server, content, name="painting.png"):
    """Upload a file; the answer has the path that a later call uses."""
    return httpx.post(
        f"{server.url}/gradio_api/upload", files={"files": (name, content)}, timeout=60
    )


def png(width=64, height=64, mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, (width, height), "red").save(file, "PNG")
    return file.getvalue()


def bomb(width=60_000, height=60_000):
    """Write a PNG of some kilobytes that unpacks to gigabytes."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(3_000_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_health_names_the_models(server):
    answer = httpx.get(f"{server.url}/health").json()
    assert answer == {"status": "ok", "painters": ["meadows", "meadows 2"], "identifies": True}


def test_the_page_loads_nothing_from_other_servers(server):
    page = httpx.get(server.url, timeout=60).text
    assert "fonts.googleapis.com" not in page and "cdn" not in page


def test_the_documented_client_gets_the_same_pictures_for_the_same_seed(server):
    client = Client(server.url, verbose=False)
    settings = {"painter": "meadows", "seed": 7, "count": 3, "truncation": 0.8, "stage": 1}
    first, again = (client.predict(**settings, api_name="/paint") for _ in range(2))
    assert len(first) == 3
    for one, other in zip(first, again, strict=True):
        with Image.open(one["image"]) as a, Image.open(other["image"]) as b:
            assert a.size == (32, 32) and a.format == "PNG"
            assert np.array_equal(np.asarray(a), np.asarray(b))


def test_stages_of_the_training_give_different_pictures(server):
    client = Client(server.url, verbose=False)
    seen = []
    for stage in (1, 2, 3, 0):
        [picture] = client.predict(seed=1, count=1, stage=stage, api_name="/paint")
        with Image.open(picture["image"]) as image:
            seen.append(np.asarray(image).tobytes())
    assert len(set(seen)) == 3 and seen[2] == seen[3]


def test_a_walk_is_answered_with_a_video(server):
    event, [film] = call(server, "walk", ["meadows", 1, 2, 1, 0, None])
    assert event == "complete"
    content = httpx.get(film["video"]["url"] if "video" in film else film["url"]).content
    assert b"ftyp" in content[:16]


@pytest.fixture(scope="module")
def info(server):
    return httpx.get(f"{server.url}/gradio_api/info").json()["named_endpoints"]


def test_only_the_documented_endpoints_are_public(info):
    assert set(info) == {"/models", "/paint", "/walk", "/identify"}


ACCEPTED = {
    "seed": {"type": "integer", "minimum": 0, "maximum": 4294967295, "default": 0},
    "truncation": {"type": "number", "minimum": 0.05, "maximum": 1, "default": 1},
    "stage": {"type": "integer", "minimum": 0, "maximum": 3, "default": 0},
    "painter": {"type": "string", "enum": ["", "meadows", "meadows 2"], "default": ""},
    "label": {"type": "string", "enum": ["", "everything"], "default": ""},
}


@pytest.mark.parametrize(("name", "low", "high"), [("paint", 1, 64), ("walk", 2, 12)])
def test_the_schema_of_an_endpoint_says_what_it_accepts(info, name, low, high):
    """Clients and the tools of MCP read this schema."""
    values = {one["parameter_name"]: one["type"] for one in info[f"/{name}"]["parameters"]}
    count = values.pop("count")
    assert values == ACCEPTED
    assert low == count["minimum"] and high == count["maximum"]
    assert low <= count["default"] <= high


def test_a_walk_works_with_its_defaults(info, models):
    values = {
        one["parameter_name"]: one["parameter_default"] for one in info["/walk"]["parameters"]
    }
    request = paint.prepare(models, **values)
    assert len(request.z) == values["count"] <= paint.MAX_STOPS


def test_the_page_names_no_folder_of_the_server(server):
    """Apart from the folder of uploads and results, whose paths are part of Gradio's protocol."""
    home = str(Path(__file__).parents[2])
    for address in ("", "/config", "/gradio_api/info", "/health"):
        assert home not in httpx.get(server.url + address, timeout=60).text, address


def test_an_uploaded_picture_is_identified(server):
    client = Client(server.url, verbose=False)
    found = client.predict(handle_file(str(EXAMPLE)), api_name="/identify")
    assert {"known", "artist", "candidates", "none_probability", "decade"} <= set(found)
    assert sum(c["probability"] for c in found["candidates"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("size", [(200, 150), (700, 500)])
def test_the_page_answers_as_python_does_for_the_file(server, size, classifier_folder, tmp_path):
    """A small JPEG would change if it were compressed again."""
    file = tmp_path / "painting.jpg"
    with Image.open(EXAMPLE) as example:
        example.resize(size).save(file, quality=60)
    found = Client(server.url, verbose=False).predict(handle_file(str(file)), api_name="/identify")
    answer = ArtistClassifier.from_pretrained(classifier_folder).identify(file)
    for one, other in zip(found["candidates"], answer.candidates, strict=True):
        assert one["artist"] == other.artist
        assert one["probability"] == pytest.approx(other.probability, abs=1e-4)


@pytest.mark.parametrize("seed", [1.5, "1.5", -1, None])
def test_a_seed_that_is_no_whole_number_is_refused_and_not_rounded(server, seed):
    event, answer = call(server, "paint", ["meadows", seed, 1, 1, 0, ""])
    assert event == "error" and answer["error"].startswith("Seed ")


def test_many_visitors_at_once_get_their_own_pictures(server):
    def paint(seed):
        event, [pictures] = call(server, "paint", ["meadows", seed, 1, 1, 0, ""])
        assert event == "complete"
        return httpx.get(pictures[0]["image"]["url"], timeout=60).content

    with ThreadPoolExecutor(12) as visitors:
        crowded = list(visitors.map(paint, range(12)))
    alone = [paint(seed) for seed in (0, 5, 11)]
    assert len(set(crowded)) == 12
    for seed, picture in zip((0, 5, 11), alone, strict=True):
        one, other = (np.asarray(Image.open(io.BytesIO(p)), int) for p in (crowded[seed], picture))
        assert abs(one - other).max() <= 1  # a batch of another size may round otherwise


SIXTEEN = ["meadows", 0, 1, 1, 0, None]


def with_one(index, value):
    return [*SIXTEEN[:index], value, *SIXTEEN[index + 1 :]]


HOSTILE_CALLS = {
    "an unknown painter": with_one(0, "Rembrandt"),
    "a path as a painter": with_one(0, "../../../../etc/passwd"),
    "a painter of another type": with_one(0, {"path": "/etc/passwd"}),
    "a negative seed": with_one(1, -1),
    "a seed out of range": with_one(1, 2**70),
    "a huge count": with_one(2, 10**9),
    "no pictures": with_one(2, 0),
    "a word as a count": with_one(2, "many"),
    "a list as a count": with_one(2, [[[[1]]]]),
    "an infinite truncation": with_one(3, 1e999),
    "a truncation of another type": with_one(3, {"a": 1}),
    "a missing stage": with_one(4, 99),
    "an unknown class": with_one(5, "💀 " * 1000),
    "too few values": ["meadows"],
    "no values": [],
}


@pytest.mark.parametrize("data", HOSTILE_CALLS.values(), ids=HOSTILE_CALLS)
def test_an_invalid_call_is_answered_with_a_readable_error(server, data):
    if any(value == float("inf") for value in data if isinstance(value, float)):
        data = json.loads(json.dumps(data).replace("Infinity", '"Infinity"'))
    event, answer = call(server, "paint", data)
    assert event in ("error", "422", "400"), answer
    text = answer if isinstance(answer, str) else str((answer or {}).get("error") or answer)
    assert len(text.split()) >= 3 and not any(
        part in text for part in ("Traceback", "site-packages", "`")
    )


HOSTILE_FILES = {
    "a bomb": bomb(),
    "truncated": EXAMPLE.read_bytes()[:5000],
    "empty": b"",
    "text": b"this is no picture",
    "HTML": b"<html><script>alert(1)</script></html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "EPS, which would start Ghostscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "a pickle": b"\x80\x04cos\nsystem\n(S'echo hi'\ntR.",
    "one pixel": png(1, 1),
    "a thread of pixels": png(4000, 16),
    "random bytes after a JPEG's start": b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20,
}


def test_a_bad_upload_is_answered_with_a_readable_error(server):
    [path] = upload(server, bomb(), "bomb.png").json()
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    event, answer = call(server, "identify", [file])
    assert event == "error"
    assert "60000x60000 pixels, more than" in answer["error"]


@pytest.mark.parametrize("content", HOSTILE_FILES.values(), ids=HOSTILE_FILES)
def test_a_file_that_is_not_a_usable_picture_is_refused_with_the_reason(content):
    with pytest.raises(BrushworkError, match=r"this file cannot be used: .*; use a JPEG"):
        decode(content)


HOSTILE_NAMES = {
    "up the tree": "../../../../tmp/evil.png",
    "absolute": "/etc/passwd.png",
    "Unicode": "Гоген ‮gnp.🎨.png",
    "a null": "a\x00b.png",
    "long": "x" * 5000 + ".png",
}


@pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
def test_an_upload_stays_in_the_servers_folder_whatever_its_name(server, name):
    answer = upload(server, png(), name)
    if answer.status_code == 200:
        [path] = answer.json()
        assert path.startswith(str(server.files))
    assert httpx.get(f"{server.url}/health").status_code == 200


HOSTILE_PLACES = {
    "a file of the machine": {"path": "/etc/passwd"},
    "a file of the page": {"path": "pyproject.toml"},
    "an address": {"path": "http://127.0.0.1:22/"},
    "an address beside a path": {"path": "x", "url": "data:image/png;base64,AAAA"},
    "a file address": {"path": "file:///etc/passwd"},
    "a number": 5,
    "a dictionary without a path": {"a": []},
    "a list": ["a", "b"],
    "nothing": None,
    "base64": base64.b64encode(png()).decode(),
}


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}], ids=["", "meta"])
@pytest.mark.parametrize("value", HOSTILE_PLACES.values(), ids=HOSTILE_PLACES)
def test_only_an_uploaded_file_is_identified(server, value, meta):
    if isinstance(value, dict) and "path" in value:
        value = value | meta
    event, answer = call(server, "identify", [value])
    assert event in ("error", "422"), answer
    assert "root:" not in str(answer) and len(str(answer).split()) >= 3


@pytest.fixture(scope="module")
def config(server):
    return httpx.get(f"{server.url}/config", timeout=60).json()


def join(server, event, data, **settings):
    """Trigger an event of the page, as a visitor's own program could; None if it is refused."""
    settings |= {"fn_index": event["id"], "session_hash": f"x{event['id']}", "trigger_id": None}
    joined = httpx.post(f"{server.url}/gradio_api/queue/join", json=settings | {"data": data})
    if joined.status_code != 200:
        assert joined.status_code in (400, 404, 422)
        return None
    stream = f"{server.url}/gradio_api/queue/data?session_hash={settings['session_hash']}"
    lines = httpx.get(stream, timeout=60).text.splitlines()
    [done] = [json.loads(line[6:]) for line in lines if "process_completed" in line]
    return done


@pytest.fixture(scope="module")
def events_of_files(config):
    """The events and endpoints that take a file, with the numbers of these inputs."""
    images = {one["id"] for one in config["components"] if one["type"] == "image"}
    found = [
        (event, [n for n, id_ in enumerate(event["inputs"]) if id_ in images])
        for event in config["dependencies"]
        if event["backend_fn"] and images & {*event["inputs"]}
    ]
    assert len(found) == 4, "the endpoint, and three events of the Identify room"
    return found


@pytest.mark.parametrize(
    "place",
    ["a picture of the page", "nowhere", "a link", "a folder", "up the tree", "a null", "a child"],
)
@pytest.mark.parametrize(
    "wrap",
    [lambda file: file, lambda file: [file], lambda file: {"image": file}],
    ids=["alone", "in a list", "under a key"],
)
def test_no_event_opens_a_file_that_was_not_uploaded(server, events_of_files, place, wrap):
    """Or says whether there is such a file."""
    [uploaded] = upload(server, png()).json()
    link = Path(uploaded).with_name("link.jpg")
    link.symlink_to(EXAMPLE)
    path = {
        "a picture of the page": EXAMPLE,
        "nowhere": EXAMPLE.with_name("nowhere.jpg"),
        "a link": link,
        "a folder": link.parent,
        "up the tree": f"{link.parent}/../../../../../../../../../../{EXAMPLE}",
        "a null": f"{uploaded}\0",
        "a child": f"{uploaded}/child.jpg",
    }[place]
    try:
        for event, inputs in events_of_files:
            data = ["Claude Monet"] * len(event["inputs"])
            for n in inputs:
                data[n] = wrap({"path": str(path)})
            done = join(server, event, data)
            assert not done["success"]
            assert done["output"]["error"] == (
                "This picture is not among the uploaded ones; upload it again."
            )
    finally:
        link.unlink()


def test_every_event_opens_an_uploaded_file(server, events_of_files):
    [path] = upload(server, EXAMPLE.read_bytes(), "painting.jpg").json()
    for event, inputs in events_of_files:
        data = ["Claude Monet"] * len(event["inputs"])
        for n in inputs:
            data[n] = {"path": path, "meta": {"_type": "gradio.FileData"}}
        done = join(server, event, data)
        assert done["success"] and "No answer" not in str(done["output"]["data"])


def test_an_example_is_identified_as_an_upload_is(server, config, events_of_files):
    [gallery] = [c["id"] for c in config["components"] if c["props"].get("elem_id") == "examples"]
    [choose] = [e for e in config["dependencies"] if [gallery, "select"] in e["targets"]]
    chosen = join(server, choose, [], event_data={"index": 0, "value": {}})
    [example] = chosen["output"]["data"]
    [identify] = [event for event, _ in events_of_files if event["api_name"] == "identify"]
    assert join(server, identify, [example])["success"]


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "pyproject.toml", "../../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd"]
)
def test_files_of_the_machine_are_not_served(server, path):
    assert httpx.get(f"{server.url}/gradio_api/file={path}").status_code in (403, 404)


JSON = {"content-type": "application/json"}
HOSTILE_REQUESTS = {
    "no JSON": ("call/paint", {"content": b"paint me one", "headers": JSON}),
    "JSON without end": (
        "call/paint",
        {"content": b'{"data": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "headers": JSON},
    ),
    "values that are no list": ("call/paint", {"json": {"data": "x"}}),
    "an unknown endpoint": ("call/steal", {"json": {"data": []}}),
    "an unknown event of the page": (
        "queue/join",
        {"json": {"data": [], "fn_index": 9999, "session_hash": "x"}},
    ),
    "an upload of nothing": ("upload", {}),
    "a method of a component": (
        "component_server",
        {"json": {"data": 1, "component_id": 1, "session_hash": "x", "fn_name": "ls"}},
    ),
}


@pytest.mark.parametrize("request_", HOSTILE_REQUESTS.values(), ids=HOSTILE_REQUESTS)
def test_an_invalid_request_is_answered_with_a_readable_error(server, request_):
    path, body = request_
    answer = httpx.post(f"{server.url}/gradio_api/{path}", timeout=60, **body)
    assert answer.status_code in (400, 403, 404, 422)
    assert len(answer.text.split()) >= 2 and "Traceback" not in answer.text


def test_the_answer_to_an_unknown_call_is_an_error(server):
    answer = httpx.get(f"{server.url}/gradio_api/call/paint/0123", timeout=60)
    assert answer.text.startswith("event: error")


HOSTILE_VALUES = {
    "nothing": None,
    "a number": 1,
    "a word": "paint",
    "too many": [{"seed": str(n)} for n in range(61)],
    "no recipe": [[1, 2]],
    "a deep latent": [{"seed": "(" * 390}],
    "a path": [{"seed": "../../../etc/passwd", "painter": "/etc/passwd"}],
    "a class of another type": [{"label": {"a": [1]}}],
    "a truncation of another type": [{"truncation": [[[]]]}],
}


@pytest.mark.parametrize("function", ["show", "sheet", "save"])
@pytest.mark.parametrize("value", HOSTILE_VALUES.values(), ids=HOSTILE_VALUES)
def test_a_call_of_the_script_is_answered_with_a_sentence(server, paint_id, function, value):
    body = {"data": value, "component_id": paint_id, "fn_name": function, "session_hash": "x"}
    answer = httpx.post(f"{server.url}/gradio_api/component_server/", json=body, timeout=60)
    assert answer.status_code == 200
    message = answer.json()["error"]
    assert len(message.split()) >= 4 and "internal" not in message


@pytest.fixture(scope="module")
def paint_id(server):
    components = httpx.get(f"{server.url}/config", timeout=60).json()["components"]
    [found] = [one["id"] for one in components if one["props"].get("elem_id") == "paint"]
    return found


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("?painter=meadows&seed=7.2&truncation=0.5", 200),
        ("?painter=nobody", 404),
        ("?seed=%00", 404),
        ("?stage=99", 404),
        ("?seed=" + "9" * 5000, 404),
        ("?label=cats", 404),
    ],
)
def test_the_picture_of_a_preview_is_a_jpeg(server, query, status):
    answer = httpx.get(f"{server.url}/picture.jpg{query}", timeout=60)
    assert answer.status_code == status
    if status == 200:
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.format == "JPEG" and picture.size == (768, 768)


def preview(page):
    return dict(re.findall(r'<meta (?:property|name)="([^"]+)" content="([^"]*)"', page))


def test_a_link_has_a_preview_of_its_picture(server):
    page = httpx.get(f"{server.url}/?painter=meadows&seed=7.2", timeout=60).text
    found = preview(page)
    assert found["og:title"] == "Meadows, a variation of picture 7 · brushwork"
    assert page.count("<title>Meadows, a variation of picture 7 · brushwork</title>") == 1
    address = html.unescape(found["og:image"])
    assert address == f"{server.url}/picture.jpg?painter=meadows&seed=7.2"
    assert httpx.get(address, timeout=60).headers["content-type"] == "image/jpeg"
    assert page.count('property="og:image"') == 1 and "Click to try out" not in page
    assert "Gradio" not in found.values() and len(found["description"]) > 20


@pytest.mark.parametrize(
    "query", ["?room=quiz", "?seed=%22%3E%3Cscript%3Ealert(1)%3C/script%3E", "?painter=x&seed=1"]
)
def test_the_preview_of_any_other_link_is_that_of_the_page(server, query):
    headers = {"x-forwarded-proto": "https", "host": 'evil"><script>'}
    page = httpx.get(f"{server.url}/{query}", headers=headers, timeout=60).text
    found = preview(page)
    assert found["og:title"].endswith(" · brushwork") and found["og:image"].startswith("https://")
    assert "<script>alert" not in page and 'evil"><script>' not in page.split("window.gradio")[0]


def test_the_server_makes_no_requests_for_a_visitor(server):
    answer = httpx.get(f"{server.url}/gradio_api/proxy=http://127.0.0.1:22/", timeout=60)
    assert answer.status_code in (400, 403, 404)


def test_the_events_of_the_page_answer_wrong_values_with_a_readable_error(server, config):
    """A visitor's own program may send them without the page's components."""
    events = [one for one in config["dependencies"] if one["api_visibility"] == "private"]
    events = [one for one in events if one["backend_fn"]]
    assert len(events) > 10
    for event in events:
        if done := join(server, event, [{"a": [1]}] * len(event["inputs"])):
            message = done["output"].get("error")
            assert done["success"] or len(str(message).split()) >= 3, (event["id"], message)


@pytest.mark.parametrize(("path", "limit"), [("upload", MAX_BYTES), ("call/paint", MAX_CALL_BYTES)])
def test_a_body_that_is_too_large_is_not_read(server, path, limit):
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        request = f"POST /gradio_api/{path} HTTP/1.1\r\nHost: {host}\r\n"
        connection.sendall(f"{request}Content-Length: {limit + 1}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_the_server_still_paints_after_all_hostile_calls(server):
    event, _ = call(server, "paint", SIXTEEN)
    assert event == "complete"
    assert "Traceback" not in server.printed


def test_the_page_of_the_bundled_models_can_be_built():
    """The page also works for painters with a single stage."""
    models = find_models()
    assert any(len(painter.stages) == 1 for painter in models.painters.values())

    async def page():  # Gradio creates locks, which need a running event loop
        return build(models)

    names = {block.elem_id for block in asyncio.run(page()).blocks.values()}
    assert {"paint", "upload", "quiz", "comparison"} <= names
