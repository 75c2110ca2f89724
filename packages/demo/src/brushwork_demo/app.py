"""The page: its tabs, its API, its limits, and the server."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread, main_thread
from typing import Any

import gradio as gr
from gradio.events import api
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from brushwork.engine import Engine
from brushwork.errors import BrushworkError
from brushwork.gan.latents import MAX_SEED
from brushwork_demo import paint, serving, theme
from brushwork_demo.middleware import MAX_BYTES, BodyLimit, BusyLimit, ReadableErrors
from brushwork_demo.models import Models
from brushwork_demo.network import bypass_proxies, url_host
from brushwork_demo.preview import Preview, picture_route
from brushwork_demo.rooms import about, compare, identify, quiz
from brushwork_demo.rooms import paint as paint_room
from brushwork_demo.sessions import (
    CHECK_SECONDS,
    KEEP_SECONDS,
    MAX_VISITORS,
    limit_pending_calls,
    use_small_sessions,
)
from brushwork_demo.storage import Storage, UploadLimit
from brushwork_demo.text import INTERNAL_ERROR, parse_int, visitor_error, visitor_errors
from brushwork_demo.tools import accept_files_only
from brushwork_demo.uploads import CLASSIFIER_SIDE, LIMITS, read_upload, require_uploads

MAX_WAITING = 200
"""Requests in the queue; Gradio refuses further ones with a message."""


MESSAGES = (Path(__file__).parent / "messages.js").read_text(encoding="utf-8")
ROOM_OPENED = "() => {dispatchEvent(new CustomEvent('brushwork:room', {detail: '%s'}));}"
"""Tells `paint.js`, which keeps the address of the page, which room a visitor opened."""


class Page(gr.Blocks):
    """A Gradio page that answers a call with wrong arguments with a readable error."""

    def get_block_name(self) -> str:
        """Return the name of `gr.Blocks` in Gradio's frontend, which does not know this class."""
        return "blocks"

    def get_api_info(self, *args: Any, **kwargs: Any) -> Any:
        """Describe the endpoints, with the range and the default of each value."""
        info: dict[str, Any] = super().get_api_info(*args, **kwargs)  # type: ignore[assignment]
        for function in self.fns.values():
            endpoint = info["named_endpoints"].get(f"/{function.api_name}")
            if function.api_visibility == "public" and endpoint:
                for value, component in zip(endpoint["parameters"], function.inputs, strict=True):
                    value["type"] = value["type"] | _accepted_values(component)
        return info

    async def preprocess_data(self, block_fn: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuse files that were not uploaded, and report values that do not fit."""
        try:
            require_uploads(inputs)
            return await super().preprocess_data(block_fn, inputs, *args, **kwargs)
        except BrushworkError as error:
            raise visitor_error(str(error)) from None
        except gr.Error as error:
            raise visitor_error(str(error.message)) from None
        except Exception:
            names = ", ".join(str(i.label or i.get_block_name()) for i in block_fn.inputs)
            raise visitor_error(
                f"these values do not match the endpoint; it takes, in this order: {names}"
            ) from None

    async def process_api(self, *args: Any, **kwargs: Any) -> Any:
        """Log and report errors that Gradio raises before or after our functions."""
        try:
            return await super().process_api(*args, **kwargs)
        except gr.Error:
            raise
        except Exception as error:
            logging.getLogger(__name__).error("a call failed: %r", error)
            raise visitor_error(INTERNAL_ERROR) from None


def _accepted_values(component: Any) -> dict[str, Any]:
    """Describe a component's range and default as a JSON schema; {} for a file."""
    schema: dict[str, Any] = {}
    if isinstance(component, gr.Number | gr.Dropdown):
        schema["default"] = component.value
    if isinstance(component, gr.Number):
        schema |= {"minimum": component.minimum, "maximum": component.maximum}
    return schema


def build(models: Models) -> gr.Blocks:
    """Build the page with all tabs and endpoints."""
    with Page(
        title="brushwork: who painted this, and can you paint me another?",
        analytics_enabled=False,
        delete_cache=(CHECK_SECONDS, KEEP_SECONDS),
        fill_width=True,
    ) as page:
        gr.HTML(
            "<h1>brushwork</h1><p>Who painted this, and can you paint me another?</p>",
            js_on_load=MESSAGES.replace("MAX_MB", str(LIMITS.max_bytes // 1_000_000)).replace(
                "MAX_SEED", f"{MAX_SEED:,}"
            ),
            elem_id="title",
        )
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Paint", id="paint") as paint_tab:
                paint_room.room(models)
            with gr.Tab("Identify", id="identify") as identify_tab:
                identify.room(models)
            with gr.Tab("Quiz", id="quiz") as quiz_tab:
                quiz_opened = quiz.room(models)
            with gr.Tab("Compare", id="compare") as compare_tab:
                compare_opened = compare.room(models)
            with gr.Tab("About", id="about") as about_tab:
                about.room(models)
        for tab in (paint_tab, identify_tab, quiz_tab, compare_tab, about_tab):
            tab.select(None, js=ROOM_OPENED % tab.id, api_visibility="private")
        for tab, (function, inputs, outputs) in (
            (quiz_tab, quiz_opened),
            (compare_tab, compare_opened),
        ):
            tab.select(function, inputs, outputs, api_visibility="private")
        _add_endpoints(models)
    page.queue(max_size=MAX_WAITING, default_concurrency_limit=8)
    limit_pending_calls(page)
    return page


# The endpoints for programs: `gradio_client`, curl, or tools of the Model Context Protocol (MCP).
# MCP takes a tool's name and description from the function's name and docstring, and the types,
# ranges and defaults of its values from the components.


def _add_endpoints(models: Models) -> None:
    """Add the public endpoints to the page."""

    @visitor_errors
    def paint_pictures(
        painter: Any, seed: Any, count: Any, truncation: Any, stage: Any, label: Any
    ) -> list[Any]:
        """Generate pictures. The same seed gives the same pictures.

        Args:
            painter: one of the names that `models` returns; empty for the first one.
            seed: a whole number from 0 to 4294967295.
            count: number of pictures, a whole number from 1 to 64.
            truncation: variety, from 0.05 (hardly any) to 1 (all of it).
            stage: stage of the painter's training, from 1; 0 for the finished painter.
            label: one of the painter's classes; empty for all classes.
        """
        request = paint.prepare(models, painter, seed, count, truncation, stage, label)
        named = {"painter": painter, "label": label}
        return paint.pictures(request, paint.title_of_recipe(models, named))

    @visitor_errors
    def walk_film(  # noqa: D417
        painter: Any,
        seed: Any,
        count: Any,
        truncation: Any,
        stage: Any,
        label: Any,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> str:
        """Generate a video of a latent walk through a painter's pictures and back, as MP4.

        Args:
            painter: one of the names that `models` returns; empty for the first one.
            seed: a whole number from 0 to 4294967295.
            count: number of pictures that the walk passes through, a whole number from 2 to 12.
            truncation: variety, from 0.05 (hardly any) to 1 (all of it).
            stage: stage of the painter's training, from 1; 0 for the finished painter.
            label: one of the painter's classes; empty for all classes.
        """
        num = parse_int(count, "count", 2, paint.MAX_STOPS)
        request = paint.prepare(models, painter, seed, num, truncation, stage, label)
        file = paint.walk_file()
        film.temp_files.add(str(file))  # otherwise Gradio never deletes it
        paint.walk(request, file, progress)
        return str(file)

    @visitor_errors
    def identify_artist(image: Any) -> dict[str, Any]:
        """Identify the artist of a picture: up to five artists with calibrated probabilities, the
        probability of none of the classifier's artists, and the likeliest style, genre and decade
        with their probabilities. What the classifier does not know is null.

        Args:
            image: the picture, as an uploaded JPEG, PNG or WebP of at most 20 MB.
        """
        picture = read_upload(image, CLASSIFIER_SIDE)
        if picture is None:
            raise BrushworkError("no picture was sent; upload one")
        return identify.answer(models, picture)

    api(_models_endpoint(models), api_name="models", queue=False)
    finished = [painter.stages[-1] for painter in models.painters.values()]
    labels = dict.fromkeys(name for folder in finished for name in serving.classes(folder))
    num_stages = max(len(painter.stages) for painter in models.painters.values())
    with gr.Row(visible=False):
        painter = gr.Dropdown(["", *models.painters], value="", label="painter")
        seed = gr.Number(0, label="seed", precision=0, minimum=0, maximum=MAX_SEED)
        count = gr.Number(16, label="count", precision=0, minimum=1, maximum=paint.MAX_PICTURES)
        stops = gr.Number(6, label="count", precision=0, minimum=2, maximum=paint.MAX_STOPS)
        truncation = gr.Number(1, label="truncation", minimum=0.05, maximum=1)
        stage = gr.Number(0, label="stage", precision=0, minimum=0, maximum=num_stages)
        label = gr.Dropdown(["", paint.ALL_CLASSES, *labels], value="", label="label")
        pictures = gr.Gallery(label="pictures", format="png", interactive=False)
        film = gr.Video(label="film", interactive=False)
        image = gr.Image(label="image")
        artists = gr.JSON(label="artists")
    gr.on(
        [],
        paint_pictures,
        [painter, seed, count, truncation, stage, label],
        pictures,
        api_name="paint",
        concurrency_limit=16,
        concurrency_id="paint",
        preprocess=False,  # which would round 1.5 to a whole number
    )
    gr.on(
        [],
        walk_film,
        [painter, seed, stops, truncation, stage, label],
        film,
        api_name="walk",
        concurrency_limit=2,
        concurrency_id="walk",
        preprocess=False,
    )
    gr.on(
        [],
        identify_artist,
        image,
        artists,
        api_name="identify",
        concurrency_limit=16,
        concurrency_id="identify",
        preprocess=False,
    )


def _models_endpoint(served: Models) -> Callable[[], dict[str, Any]]:
    def models() -> dict[str, Any]:
        """List the painters with the side of their pictures in pixels, their stages of training,
        epochs and classes, and whether this page can identify artists.
        """
        painters = {
            painter.name: {
                "side": painter.side,
                "stages": len(painter.stages),
                "epochs": painter.epochs[-1],
                "labels": list(serving.classes(painter.stages[-1])),
            }
            for painter in served.painters.values()
        }
        return {"painters": painters, "identifies": served.classifier is not None}

    return models


def health_route(models: Models) -> Route:
    """Build the route `/health`, for programs that monitor the server."""

    async def health(_request: Any) -> JSONResponse:
        return JSONResponse(
            {
                "status": "ok",
                "painters": list(models.painters),
                "identifies": models.classifier is not None,
            }
        )

    return Route("/health", health)


def say(message: str) -> None:
    """Print what the server is doing while it starts."""
    print(f"* {message}", flush=True)


def _warm_up(models: Models) -> None:
    try:
        serving.warm_up(models)
        say("ready: every model has computed once")
    except BrushworkError as error:  # a visitor who needs this model gets the same message
        print(f"error: {error}", file=sys.stderr)
    except RuntimeError:
        # Threads cannot compute any more once the main thread has ended or is about to end.
        main_thread().join(timeout=10)
        if main_thread().is_alive():
            raise


def launch(
    models: Models,
    host: str = "127.0.0.1",
    port: int | None = None,
    share: bool = False,
    auth: tuple[str, str] | None = None,
    mcp: bool = False,
    engine: Engine = "auto",
    ready: Callable[[], None] = lambda: None,
) -> gr.Blocks:
    """Serve the page from threads of this process.

    Args:
        models: the models of the page.
        host: address to listen on, such as "127.0.0.1" or "::1"; "0.0.0.0" accepts connections
            from other machines.
        port: by default 7860, or the next free port.
        share: also serve the page under a public gradio.live address for a week.
        auth: a name and a password that visitors have to enter.
        mcp: also offer the endpoints as tools of the Model Context Protocol.
        engine: what computes; see `brushwork.engine`.
        ready: called before the server takes the port.

    Raises:
        BrushworkError: a checkpoint is broken, or the address cannot be used.
    """
    num = len(models.painters)
    say(f"opening {num} generator{'' if num == 1 else 's'}")
    say(serving.open_models(models, engine))
    say("building the page")
    page = build(models)
    storage = Storage(page)
    bypass_proxies(host)
    # The picture of a preview needs no password, so a page that has one offers none.
    routes = [health_route(models)] if auth else [health_route(models), picture_route(models)]
    first = None if auth else paint_room.cover_recipe(models, models.painter(None).name)
    ready()
    try:
        page.launch(
            server_name=url_host(host),
            server_port=port,
            share=share,
            auth=auth,
            mcp_server=mcp,
            theme=theme.THEME,
            css=theme.CSS,
            footer_links=["api", "settings"],
            run_history=False,
            show_error=False,
            max_file_size=LIMITS.max_bytes,
            max_threads=64,
            state_session_capacity=MAX_VISITORS,
            app_kwargs={
                "routes": routes,
                "middleware": [
                    Middleware(Preview, models=models, first=first),
                    Middleware(ReadableErrors),
                    Middleware(BodyLimit, max_bytes=MAX_BYTES),
                    Middleware(BusyLimit, max_calls=MAX_WAITING),
                    Middleware(UploadLimit, storage=storage),
                ],
            },
            prevent_thread_lock=True,
            ssr_mode=False,
            quiet=True,
            enable_monitoring=False,
            # Otherwise Gradio first requests its own page, and gives up if that takes long.
            _frontend=False,
        )
    except OSError as error:
        raise BrushworkError(
            f"cannot listen on {url_host(host)}:{port or 7860} ({error}); choose another `port`"
        ) from error
    if share and not page.share_url:
        print(
            f"error: gradio.live gave no public address; the page is served at {page.local_url} "
            "only; check the network",
            file=sys.stderr,
        )
    say(f"serving {page.local_url}" + (f" and {page.share_url}" if page.share_url else ""))
    use_small_sessions(page)
    accept_files_only(page)
    storage.watch()
    # In a thread, so that the first visitor gets the page meanwhile.
    Thread(target=_warm_up, args=(models,), daemon=True).start()
    return page
