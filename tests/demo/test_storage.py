"""Limits on the files that the server stores for visitors."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from brushwork_demo.storage import Storage, UploadLimit


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def page(folder):
    example = SimpleNamespace(keep_in_cache={str(folder / "example.png")})
    return SimpleNamespace(temp_file_sets=[set(), set()], blocks={1: example}, is_running=True)


def store(folder, *names, size=100):
    """Write files in alphabetical order; return their paths. Names decide between equal times."""
    for name in names:
        (folder / name).write_bytes(bytes(size))
    return [str(folder / name) for name in names]


def left(folder):
    return {path.name for path in folder.iterdir()}


def test_the_oldest_uploads_of_a_visitor_are_deleted_beyond_the_limit(page, folder):
    storage = Storage(page, max_visitor_bytes=250)
    storage.uploaded("Berthe", store(folder, "a"))
    storage.uploaded("Claude", store(folder, "b"))
    for name in "cde":
        storage.uploaded("Berthe", store(folder, name))
    assert left(folder) == {"b", "d", "e"}


def test_the_number_of_uploads_of_a_visitor_is_limited(page, folder):
    storage = Storage(page, max_visitor_files=2)
    storage.uploaded("Berthe", store(folder, *"abc", size=1))
    assert len(left(folder)) == 2


def test_the_oldest_files_of_all_visitors_are_deleted_beyond_the_limit(page, folder):
    storage = Storage(page, max_bytes=250)
    example, first, *rest = store(folder, "example.png", "a", "b", "c")
    uploads, results = page.temp_file_sets
    uploads.update([example, first])
    results.update(rest)
    storage.trim()
    assert left(folder) == {"example.png", "b", "c"}, "an example of the page is kept"
    assert first not in uploads and results == set(rest)


def request(storage, scope, answer):
    """Send one request through the middleware to an application that gives an answer."""

    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})

    async def send(_message):
        pass

    scope = {"type": "http", "method": "POST", "client": ("192.0.2.7", 9)} | scope
    asyncio.run(UploadLimit(app, storage)(scope, None, send))


def test_uploads_are_counted_for_their_address(page, folder):
    storage = Storage(page, max_visitor_bytes=150)
    for name in "ab":
        answer = json.dumps(store(folder, name)).encode()
        request(storage, {"path": "/gradio_api/upload"}, answer)
    assert left(folder) == {"b"}


@pytest.mark.parametrize(
    "scope",
    [
        {"path": "/gradio_api/file=x/upload", "method": "GET"},
        {"path": "/gradio_api/call/upload"},
        {"path": "/gradio_api/upload", "method": "GET"},
    ],
)
def test_a_file_that_a_visitor_names_is_never_deleted(page, folder, scope):
    answer = json.dumps(store(folder, "a")).encode()
    request(Storage(page, max_visitor_bytes=1), scope, answer)
    assert left(folder) == {"a"}


def test_a_file_outside_the_folder_of_uploads_is_never_deleted(page, folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    answer = json.dumps([*store(other, "a"), str(folder / ".." / other.name / "a")]).encode()
    request(Storage(page, max_visitor_bytes=1), {"path": "/gradio_api/upload"}, answer)
    assert left(other) == {"a"}


@pytest.mark.parametrize("answer", [b"", b"too large", b"{}", b"[1, null]"])
def test_a_refused_upload_is_not_counted(page, folder, answer):
    store(folder, "a")
    request(Storage(page, max_visitor_bytes=1), {"path": "/gradio_api/upload"}, answer)
    assert left(folder) == {"a"}
