"""ASGI middleware in front of Gradio: a limit on request bodies, and readable errors."""

import logging

from gradio.route_utils import API_PREFIX, FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brushwork_demo.preview import PICTURE
from brushwork_demo.uploads import LIMITS

MAX_BYTES = LIMITS.max_bytes + 5_000_000
"""Limit of a request's body: the largest upload, and its multipart encoding."""
MAX_CALL_BYTES = 1_000_000
"""Limit of the body of a call, which contains no file. The queue keeps the calls that wait."""


class ReadableErrors:
    """Answer with a JSON error if Gradio fails on a request.

    If the answer has already begun, end it, so that the client does not wait for the rest.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to Gradio, and answer with an error if Gradio raises an exception."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except FnIndexInferError:
            message = "no such endpoint; /gradio_api/info lists all endpoints"
            await JSONResponse({"error": message}, 404)(scope, receive, send)
        except Exception as error:
            # An HTTPException here is an answer whose status could not be sent any more.
            if not isinstance(error.__cause__, HTTPException):
                logging.getLogger(__name__).error("%s: %r", scope["path"], error)
            if begun:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                message = "this request is not valid; reload the page, or see /gradio_api/info"
                await JSONResponse({"error": message}, 400)(scope, receive, send)


class BodyLimit:
    """Refuse a request whose body is too large.

    Args:
        app: the next application.
        max_bytes: limit for uploads, and for MCP, whose calls may contain a file.
        max_call_bytes: limit for all other requests.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, max_call_bytes: int = MAX_CALL_BYTES) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.max_call_bytes = max_call_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check the announced length of the body first; then count the bytes that arrive."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_file = scope["path"].startswith((f"{API_PREFIX}/upload", f"{API_PREFIX}/mcp"))
        limit = self.max_bytes if has_file else self.max_call_bytes
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > limit:
            message = f"the request has more than {limit:,} bytes; send a smaller one"
            await JSONResponse({"error": message}, 413)(scope, receive, send)
            return
        received = 0

        async def receive_and_count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                return {"type": "http.disconnect"}
            return message

        await self.app(scope, receive_and_count, send)


class BusyLimit:
    """Refuse a call of the page's script, or a picture of a preview, while too many others wait.

    Gradio's queue limits its own events; these requests do not pass through it.

    Args:
        app: the next application.
        max_calls: calls at the same time.
    """

    def __init__(self, app: ASGIApp, max_calls: int) -> None:
        self.app = app
        self.max_calls = max_calls
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the requests that are being answered."""
        path = scope["path"] if scope["type"] == "http" else ""
        if not path.startswith((f"{API_PREFIX}/component_server", PICTURE)):
            await self.app(scope, receive, send)
            return
        if self.calls >= self.max_calls:
            message = "too many visitors at the moment; try again in a few seconds"
            await JSONResponse({"error": message}, 503)(scope, receive, send)
            return
        self.calls += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.calls -= 1
