"""Limit the files on the server: the uploads of each visitor, and all files together.

Gradio deletes files only by age. The limits here delete the oldest files first.
"""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Lock, Thread

import gradio as gr
from gradio.route_utils import API_PREFIX
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brushwork_demo.uploads import is_upload

MAX_BYTES = 2_000_000_000
"""Size of all files: uploads, generated pictures, videos."""
MAX_VISITOR_BYTES = 200_000_000
"""Size of the uploads from one address."""
MAX_VISITOR_FILES = 1000
"""Number of uploads from one address."""
SECONDS = 10
"""Time from one check of all files to the next."""


class Storage:
    """The files of a page's visitors."""

    def __init__(
        self,
        page: gr.Blocks,
        max_bytes: int = MAX_BYTES,
        max_visitor_bytes: int = MAX_VISITOR_BYTES,
        max_visitor_files: int = MAX_VISITOR_FILES,
    ) -> None:
        self.page = page
        self.max_bytes = max_bytes
        self.max_visitor_bytes = max_visitor_bytes
        self.max_visitor_files = max_visitor_files
        self._uploads: dict[str, list[str]] = {}
        self._lock = Lock()

    def uploaded(self, visitor: str, files: Iterable[str]) -> None:
        """Note a visitor's new uploads, and delete the oldest ones beyond the limits.

        Args:
            visitor: the address.
            files: paths of the uploads.
        """
        with self._lock:
            own = _sizes([*self._uploads.get(visitor, ()), *files])
            deleted = _delete_oldest(own, self.max_visitor_bytes, self.max_visitor_files)
            self._uploads[visitor] = [file for file in own if file not in deleted]

    def trim(self) -> None:
        """Delete the oldest files of all visitors beyond the limit."""
        keep = {
            file
            for component in self.page.blocks.values()
            for file in getattr(component, "keep_in_cache", ())
        }
        files = {file for group in self.page.temp_file_sets for file in list(group)} - keep
        deleted = _delete_oldest(_sizes(files), self.max_bytes, len(files))
        for group in self.page.temp_file_sets:
            group -= deleted
        with self._lock:
            remaining = {visitor: list(_sizes(own)) for visitor, own in self._uploads.items()}
            self._uploads = {visitor: own for visitor, own in remaining.items() if own}

    def watch(self) -> None:
        """Call `trim` every `SECONDS` from a thread, until the page is closed."""

        def repeat() -> None:
            while self.page.is_running:
                self.trim()
                time.sleep(SECONDS)

        Thread(target=repeat, name="storage", daemon=True).start()


class UploadLimit:
    """ASGI middleware that tells a `Storage` of each upload."""

    def __init__(self, app: ASGIApp, storage: Storage) -> None:
        self.app = app
        self.storage = storage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to Gradio; after an upload, read the paths from Gradio's answer."""
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or scope["path"] != f"{API_PREFIX}/upload"
        ):
            await self.app(scope, receive, send)
            return
        answer = bytearray()

        async def send_and_note(message: Message) -> None:
            answer.extend(message.get("body", b""))
            await send(message)

        await self.app(scope, receive, send_and_note)
        try:
            files = json.loads(answer)
        except ValueError:  # Gradio refused the upload
            return
        if isinstance(files, list):
            visitor = (scope.get("client") or ("", 0))[0]
            self.storage.uploaded(visitor, filter(is_upload, map(str, files)))


def _sizes(files: Iterable[str]) -> dict[str, int]:
    """Measure the existing ones of some files, from the oldest to the newest."""
    found = []
    for file in dict.fromkeys(files):
        try:
            status = Path(file).lstat()
        except OSError:
            continue
        found.append((status.st_ctime_ns, file, status.st_size))
    return {file: size for _, file, size in sorted(found)}


def _delete_oldest(sizes: Mapping[str, int], max_bytes: int, max_files: int) -> set[str]:
    """Delete files, the oldest first, until the others are within the limits.

    Args:
        sizes: size in bytes of each file, from the oldest to the newest.
        max_bytes: largest size of all files.
        max_files: largest number of files.

    Returns:
        The deleted files.
    """
    deleted: set[str] = set()
    total = sum(sizes.values())
    for file, size in sizes.items():
        if total <= max_bytes and len(sizes) - len(deleted) <= max_files:
            break
        Path(file).unlink(missing_ok=True)
        deleted.add(file)
        total -= size
    return deleted
