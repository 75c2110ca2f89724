"""The preview of a link to the page: title, text and picture (Open Graph, https://ogp.me)."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brushwork.errors import BrushworkError
from brushwork_demo import paint, serving
from brushwork_demo.models import Models
from brushwork_demo.text import escape, jpeg

PICTURE = "/picture.jpg"
SIDE = 768
"""Side in pixels, approximately, of the picture of a preview."""
FIELDS = ("painter", "seed", "truncation", "stage", "label")
NAME = "brushwork"
TEXT = "Who painted this, and can you paint me another?"
ROOMS = {
    "identify": "Who painted this?",
    "quiz": "Real or fake? Ten rounds",
    "compare": "Four generators, one seed",
    "about": "About",
}
# Gradio's template has these elements with its own name and picture.
GRADIO_PREVIEW = re.compile(
    rb'<meta\s+(?:property="og:[^"]*"|name="twitter:[^"]*")\s+content="[^"]*"\s*/>\s*'
)
CHARSET = b'<meta charset="utf-8" />'
GRADIO_TITLE = re.compile(rb"<title>.*?</title>\s*", re.DOTALL)


def picture_route(models: Models) -> Route:
    """Build the route of the picture of a preview; its address has the recipe."""

    def painted(recipe: Mapping[str, str]) -> bytes:
        [array] = serving.paint(paint.recipe_request(models, recipe))
        return jpeg(paint.enlarged(array, SIDE))

    async def picture(request: Request) -> Response:
        try:
            content = await run_in_threadpool(painted, recipe_of(request.query_params))
        except BrushworkError:
            return Response("no such picture", 404)
        return Response(
            content, media_type="image/jpeg", headers={"Cache-Control": "public, max-age=86400"}
        )

    return Route(PICTURE, picture)


def recipe_of(query: Mapping[str, str]) -> dict[str, str]:
    """Select the parts of an address that are a recipe."""
    return {field: query[field][: paint.MAX_RECIPE] for field in FIELDS if query.get(field)}


def elements(models: Models, request: Request, first: Mapping[str, Any] | None) -> str:
    """Write the elements of a page's head that describe it.

    Args:
        models: the models of the page.
        request: of the page, with its address.
        first: the recipe of the picture on which the page opens; None for a page with a password,
            whose preview has no picture.
    """
    query = request.query_params
    heading = f"{ROOMS.get(query.get('room', ''), TEXT)} · {NAME}"
    root = f"{_scheme(request)}://{request.url.netloc}{request.scope.get('root_path', '')}"
    values = {
        "og:type": "website",
        "og:site_name": NAME,
        "og:url": f"{root}/?{urlencode(query)}" if query else f"{root}/",
        "og:description": TEXT,
    }
    if first is not None:
        recipe = recipe_of(query) if query.get("seed") else {}
        try:
            title = paint.title_of_recipe(models, recipe)
        except BrushworkError:  # the link is not valid here
            recipe = {}
        if recipe:
            heading = f"{title}, {paint.in_words(recipe['seed'])} · {NAME}"
        shown = recipe or {key: str(value) for key, value in first.items()}
        values["og:image"] = f"{root}{PICTURE}?{urlencode(shown)}"
        values["og:image:alt"] = "A picture that a neural network painted"
    values["og:title"] = heading
    lines = [f"<title>{escape(heading)}</title>", f'<meta name="description" content="{TEXT}">']
    lines += [f'<meta property="{k}" content="{escape(v)}">' for k, v in values.items()]
    return "\n".join([*lines, '<meta name="twitter:card" content="summary_large_image">'])


def _scheme(request: Request) -> str:
    """Return "https" also behind a proxy that ends the encryption."""
    forwarded = request.headers.get("x-forwarded-proto", request.url.scheme)
    return "https" if forwarded.partition(",")[0].strip() == "https" else "http"


class Preview:
    """ASGI middleware that replaces Gradio's preview of the page by that of its picture.

    Args:
        app: the next application.
        models: the models of the page.
        first: the recipe of the picture on which the page opens; None for a page with a password.
    """

    def __init__(self, app: ASGIApp, models: Models, first: Mapping[str, Any] | None) -> None:
        self.app = app
        self.models = models
        self.first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to Gradio, and rewrite the head of the page."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        start: Message = {}
        content = bytearray()

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            content.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            page = self.rewritten(Request(scope), bytes(content))
            headers = MutableHeaders(raw=start["headers"])
            headers["content-length"] = str(len(page))
            await send(start)
            await send({"type": "http.response.body", "body": page})

        await self.app(scope, receive, collect)

    def rewritten(self, request: Request, page: bytes) -> bytes:
        """Replace the description of the page in its HTML."""
        head, found, rest = page.partition(b"</head>")
        if not found:  # the answer is no page
            return page
        head = GRADIO_TITLE.sub(b"", GRADIO_PREVIEW.sub(b"", head))
        described = elements(self.models, request, self.first).encode()
        return head.replace(CHARSET, CHARSET + b"\n" + described, 1) + found + rest
