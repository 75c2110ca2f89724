"""What stands between the network and Gradio: a limit on bodies, and words for its failures."""

import logging

from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brushwork_demo.uploads import LIMITS

MOST_BYTES = LIMITS.max_bytes + 5_000_000
"""Of one request's body, an upload's wrapping included."""


class AnswerInWords:
    """Answer in words where a request makes Gradio fail, and end an answer that has begun."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and note whether an answer has begun."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except FnIndexInferError:
            words = "there is no such endpoint; /gradio_api/info lists those there are"
            await JSONResponse({"error": words}, 404)(scope, receive, send)
        except Exception as error:
            if not isinstance(error.__cause__, HTTPException):  # its status could not be sent
                logging.getLogger(__name__).error("%s: %r", scope["path"], error)
            if begun:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                words = "this request cannot be answered; reload the page, or see /gradio_api/info"
                await JSONResponse({"error": words}, 400)(scope, receive, send)


class BodyLimit:
    """Refuse a request whose body is larger than any that the page sends."""

    def __init__(self, app: ASGIApp, most: int):
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes in; what is announced as too large is not even read."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self.most:
            refusal = JSONResponse({"error": f"more than {self.most:,} bytes"}, 413)
            await refusal(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.most:
                return {"type": "http.disconnect"}
            return message

        await self.app(scope, counted, send)
