"""The page: its tabs put together, its API, its limits, and the server around it."""

import logging
import sys
from threading import Thread, main_thread
from typing import Any

import gradio as gr
from gradio.components.base import Component
from gradio.events import api
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from brushwork.errors import BrushworkError
from brushwork.gan.generator import MAX_SEED
from brushwork_demo import about, compare, identify, look, paint, studio
from brushwork_demo.guards import MOST_BYTES, AnswerInWords, BodyLimit
from brushwork_demo.studio import Studio
from brushwork_demo.uploads import LIMITS, LOOKED_AT, picture, refuse_addresses
from brushwork_demo.visits import MOST_REMEMBERED, forget_calls, remember_little
from brushwork_demo.words import FAULT, in_words, sentence, whole

MOST_WAITING = 200
"""Requests in the queue; who comes after these is told to come back later."""
FILES_KEPT = 900
"""Seconds that a visitor's files and pictures stay on this server."""


class Page(gr.Blocks):
    """Blocks that answer a call of the wrong shape in words."""

    def get_block_name(self) -> str:
        """What the browser shows it as."""
        return "blocks"

    async def preprocess_data(self, block_fn, inputs, *args, **kwargs):  # noqa: D102
        try:
            refuse_addresses(inputs)
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except BrushworkError as error:
            raise gr.Error(sentence(str(error)), print_exception=False, title="Sorry") from None
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception:
            names = ", ".join(str(i.label or i.get_block_name()) for i in block_fn.inputs)
            raise gr.Error(
                f"These values do not fit. Expected, in this order: {names}.",
                print_exception=False,
                title="Sorry",
            ) from None

    async def process_api(self, *args, **kwargs):  # noqa: D102
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:  # in what Gradio does before and after our functions
            logging.getLogger(__name__).error("a call failed: %r", error)
            raise gr.Error(FAULT, print_exception=False, title="Sorry") from None


def build(rooms: Studio) -> gr.Blocks:
    """The page with all its tabs and endpoints."""
    with Page(
        title="brushwork: who painted this, and can you paint me another?",
        analytics_enabled=False,
        delete_cache=(60, FILES_KEPT),
        fill_width=True,
    ) as page:
        gr.HTML(
            "<h1>brushwork</h1><p>Who painted this, and can you paint me another?</p>",
            elem_id="title",
        )
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Paint", id="paint"):
                filled, open_link = paint.tab(rooms)
            with gr.Tab("Identify", id="identify"):
                identify.tab(rooms)
            with gr.Tab("Real or fake?", id="quiz") as quiz_tab:
                quiz = compare.quiz_tab(rooms)
            with gr.Tab("Compare", id="compare") as compare_tab:
                comparison = compare.compare_tab(rooms)
            with gr.Tab("About", id="about"):
                about.tab(rooms)
        page.load(open_link, None, filled, api_visibility="private")
        for opened, wiring in ((quiz_tab, quiz), (compare_tab, comparison)):
            opened.select(*wiring, api_visibility="private")
        _add_endpoints(rooms)
    page.queue(max_size=MOST_WAITING, default_concurrency_limit=8)
    forget_calls(page)
    return page


def _add_endpoints(rooms: Studio) -> None:
    """What programs may call: through `gradio_client`, curl, or as tools of MCP."""

    def models() -> dict[str, Any]:
        """Which painters there are, with their sides in pixels and stages of training, and whether
        artists can be identified.
        """
        painters = {
            who.name: {
                "side": who.side,
                "stages": len(who.stages),
                "epochs": who.epochs[-1],
                "labels": list(studio.classes(who.stages[-1])),
            }
            for who in rooms.painters.values()
        }
        return {"painters": painters, "identifies": rooms.classifier is not None}

    @in_words
    def paint_pictures(painter, seed, count, truncation, stage, label):
        """Paint pictures. The same seed paints the same pictures.

        Args:
            painter: one of the names that `models` gives; the first one if empty.
            seed: from 0 to 4294967295.
            count: 1 to 64 pictures.
            truncation: above 0.05 for hardly any variety, 1 for all of it.
            stage: 1 for the earliest stage of the painter's training; 0 for the finished painter.
            label: one of the painter's classes, if it has any; all of them if empty.
        """
        asked = painter, seed, count, truncation, stage, label
        return paint.pictures(paint.prepare(rooms, *asked))

    @in_words
    def walk_film(painter, seed, count, truncation, stage, label, progress=gr.Progress()):  # noqa: B008, D417
        """A film of a walk through a painter's pictures and back to the first, as MP4.

        Args:
            painter: one of the names that `models` gives; the first one if empty.
            seed: from 0 to 4294967295.
            count: 2 to 12 pictures to walk through.
            truncation: above 0.05 for hardly any variety, 1 for all of it.
            stage: 1 for the earliest stage of the painter's training; 0 for the finished painter.
            label: one of the painter's classes, if it has any; all of them if empty.
        """
        count = whole(count, "count", 2, paint.MOST_STOPS)
        easel = paint.prepare(rooms, painter, seed, count, truncation, stage, label)
        file = paint.film_file()
        paint.walk(easel, file, progress)
        return str(file)

    @in_words
    def identify_artist(image):
        """Who may have painted a picture: up to five artists with calibrated probabilities, and
        whether it is like any artist the classifier knows.

        Args:
            image: the picture, as an uploaded file.
        """
        decoded = picture(image, LOOKED_AT)
        if decoded is None:
            raise BrushworkError("no picture was sent; upload one")
        return identify.answer(rooms, decoded)

    api(models, api_name="models", queue=False)
    with gr.Row(visible=False):
        wishes: list[Component] = [
            gr.Textbox("", label="painter"),
            gr.Number(0, label="seed", precision=0, minimum=0, maximum=MAX_SEED),
            gr.Number(16, label="count", precision=0, minimum=1, maximum=paint.MOST_PICTURES),
            gr.Number(1, label="truncation", minimum=0.05, maximum=1),
            gr.Number(0, label="stage", precision=0, minimum=0, maximum=1000),
            gr.Textbox("", label="label"),
        ]
        painted = gr.Gallery(label="pictures", format="png", interactive=False)
        film = gr.Video(label="film", interactive=False)
        image = gr.Image(label="image")
        artists = gr.JSON(label="artists")
    gr.on(
        [], paint_pictures, wishes, painted, api_name="paint",
        concurrency_limit=16, concurrency_id="paint",
    )  # fmt: skip
    gr.on([], walk_film, wishes, film, api_name="walk", concurrency_limit=2, concurrency_id="walk")
    gr.on(
        [], identify_artist, image, artists, api_name="identify",
        concurrency_limit=16, concurrency_id="identify", preprocess=False,
    )  # fmt: skip


def health_route(rooms: Studio) -> Route:
    """`/health`, for whoever watches over the server."""

    async def health(_request: Any) -> JSONResponse:
        models = {"painters": list(rooms.painters), "identifies": rooms.classifier is not None}
        return JSONResponse({"status": "ok"} | models)

    return Route("/health", health)


def _warm_up(rooms: Studio) -> None:
    try:
        studio.warm_up(rooms)
    except BrushworkError as error:  # whoever asks for this model is told the same
        print(f"error: {error}", file=sys.stderr)
    except RuntimeError:  # nothing can be computed any more if the server was stopped meanwhile,
        main_thread().join(timeout=10)  # which may still be on its way out
        if main_thread().is_alive():
            raise


def launch(
    rooms: Studio,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    auth: tuple[str, str] | None = None,
    mcp: bool = False,
) -> gr.Blocks:
    """Serve the page from threads of this process.

    Args:
        rooms: what to show.
        host: where to listen; "0.0.0.0" for everyone who can reach this machine.
        port: 7860, or the next that is free, by default.
        share: also under a public address of Gradio's for a week.
        auth: a name and a password to ask for.
        mcp: also offer the endpoints as tools of the Model Context Protocol.

    Raises:
        BrushworkError: the port is taken, or cannot be listened on.
    """
    studio.open_painters(rooms)
    page = build(rooms)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            share=share,
            auth=auth,
            mcp_server=mcp,
            theme=look.THEME,
            css=look.CSS,
            head=look.HEAD,
            footer_links=["api", "settings"],
            run_history=False,
            show_error=False,
            max_file_size=LIMITS.max_bytes,
            max_threads=64,
            state_session_capacity=MOST_REMEMBERED,
            app_kwargs={
                "routes": [health_route(rooms)],
                "middleware": [
                    Middleware(AnswerInWords),
                    Middleware(BodyLimit, most=MOST_BYTES),
                ],
            },
            prevent_thread_lock=True,
            ssr_mode=False,
            enable_monitoring=False,
            _frontend=False,  # or it would ask itself for the page first, and give up if it is slow
        )
    except OSError as error:
        raise BrushworkError(f"cannot listen on {host}:{port or 7860}: {error}") from error
    if share and not page.share_url:
        told = "no public address could be had, which takes a way to gradio.live"
        print(f"error: {told}; the page is served at {page.local_url} alone", file=sys.stderr)
    remember_little(page)
    # The first visitor's page is on its way while the models are opened.
    Thread(target=_warm_up, args=(rooms,), daemon=True).start()
    return page
