"""The Paint tab: pictures from latents, what lies between them, and how a painter learned.

A gallery is remembered as its latents, so that any picture can be painted again, varied, mixed,
walked from, or shown as an earlier stage of the training would have painted it.
"""

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch
from gradio.components.base import Component
from numpy.typing import NDArray
from PIL import Image

from brushwork.errors import BrushworkError
from brushwork.gan.generator import MAX_SEED, slerp
from brushwork.report.figures import save_animation
from brushwork_demo import identify, studio
from brushwork_demo.studio import Order, Painter, Studio
from brushwork_demo.words import fraction, in_words, whole

EVERYTHING = "everything"
MOST_PICTURES = 64
MOST_STOPS = 12
FRAMES_BETWEEN = 24
SHOWN_SIDE = 512
"""Single pictures and walks are enlarged to about this side."""


@dataclass(frozen=True)
class Easel:
    """What is in a visitor's gallery: enough to paint it again."""

    painter: str
    order: Order
    stage: int
    seed: int
    chosen: int | None = None
    aside: Order | None = None
    """A single picture, set aside to be mixed."""


# What can be painted: functions of numbers alone, also served as the API.


def prepare(
    rooms: Studio,
    painter: object,
    seed: object,
    count: object,
    truncation: object,
    stage: object,
    label: object = None,
) -> Easel:
    """Check what a visitor asks for, and draw what it starts from.

    Raises:
        BrushworkError: it makes no sense; says what would.
    """
    who = rooms.painter(str(painter) if painter else None)
    number = len(who.stages)
    if stage not in (None, 0, "0", ""):
        number = whole(stage, "stage", 1, len(who.stages))
    seed = whole(seed, "seed", 0, MAX_SEED)
    count = whole(count, "count", 1, MOST_PICTURES)
    truncation = fraction(truncation, "truncation", 0.05, 1.0)
    wanted = None if label in (None, "", EVERYTHING) else str(label)
    folder = who.stage(number)
    if wanted is not None and wanted not in studio.classes(folder):
        known = ", ".join(studio.classes(folder)[:20])
        raise BrushworkError(
            f"painter {who.name} knows no {wanted[:40]!r}; "
            + (f"it can be asked for {known}" if known else "it paints only one thing")
        )
    return Easel(who.name, studio.order(folder, count, seed, truncation, wanted), number, seed)


def pictures(easel: Easel) -> list[tuple[Image.Image, str]]:
    """The easel's pictures, each with the words that stand for it."""
    arrays = studio.paint(easel.order)
    return [
        (Image.fromarray(array), f"Picture {i} of {len(arrays)} by the painter {easel.painter}")
        for i, array in enumerate(arrays, 1)
    ]


def only(order: Order, index: int, times: int = 1) -> Order:
    """One of an order's pictures, as an order of its own."""
    return replace(order, z=order.z[[index] * times], y=order.y[[index] * times])


def variations(easel: Easel, index: int, strength: float = 0.35) -> Order:
    """As many pictures, all near the chosen one; it comes first itself."""
    same = only(easel.order, index, len(easel.order.z))
    z = torch.from_numpy(same.z)
    chance = np.random.default_rng((easel.seed, index))
    away = torch.from_numpy(chance.standard_normal(z.shape, np.float32))
    near = slerp(z, away, torch.full((len(z), 1), strength))
    near[0] = z[0]
    return replace(same, z=near.numpy())


def mixtures(one: Order, other: Order, num: int = 12) -> Order:
    """Pictures on the way from one to the other; where they are of two classes, half of each."""
    fractions = torch.linspace(0, 1, num)[:, None]
    between = slerp(torch.from_numpy(one.z[0]), torch.from_numpy(other.z[0]), fractions)
    y = np.where(fractions[:, 0].numpy() < 0.5, one.y[0], other.y[0])
    return replace(one, z=between.numpy(), y=y)


def walk(easel: Easel, file: Path, progress: gr.Progress) -> None:
    """A film from picture to picture and back to the first, as MP4, within one class."""
    num = min(len(easel.order.z), MOST_STOPS)
    stops = torch.from_numpy(easel.order.z[:num])
    if num < 2:  # nowhere to go: around in the neighbourhood
        around = replace(easel, order=only(easel.order, 0, 4))
        stops = torch.from_numpy(variations(around, 0).z)
    fractions = torch.linspace(0, 1, FRAMES_BETWEEN + 1)[:-1, None]
    pace = only(easel.order, 0, FRAMES_BETWEEN)

    def frames() -> Iterator[Image.Image]:
        for i, start in enumerate(stops):
            progress((i, len(stops)), desc="Walking", unit="pictures")
            z = slerp(start, stops[(i + 1) % len(stops)], fractions)
            for array in studio.paint(replace(pace, z=z.numpy())):
                yield enlarged(array, 384)

    save_animation(frames(), file)


def enlarged(array: NDArray[np.uint8], side: int = SHOWN_SIDE) -> Image.Image:
    """A small picture by a whole number of times its size, smoothly."""
    picture = Image.fromarray(array)
    times = max(1, side // picture.width)
    size = (picture.width * times, picture.height * times)
    return picture.resize(size, Image.Resampling.BICUBIC)


def film_file() -> Path:
    """A new name in this page's own folder of temporary files."""
    with tempfile.NamedTemporaryFile(prefix="walk-", suffix=".mp4", delete=False) as file:
        return Path(file.name)


# The tab.


def stage_label(rooms: Studio, painter: str, stage: int) -> str:
    """What the slider over the training says."""
    who = rooms.painter(painter)
    return f"Training: after {who.epochs[stage - 1]:,.0f} of {who.epochs[-1]:,.0f} epochs"


def last_stage(painter: Painter) -> int:
    """The end of the slider of stages: above its beginning, 1, even where it is hidden."""
    return max(2, len(painter.stages))


def choices_of(painter: Painter) -> list[str]:
    """What a visitor can ask a painter for."""
    return [EVERYTHING, *studio.classes(painter.stages[-1])]


def tab(rooms: Studio) -> tuple[list[Component], Any]:
    """Lay the tab out.

    Returns:
        The components that a link to the page fills, and the function that does.
    """
    first = rooms.painter(None)
    names = list(rooms.painters)
    easel = gr.State(None, time_to_live=3600)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            painter = gr.Dropdown(names, value=first.name, label="Painter", elem_id="painter")
            label = gr.Dropdown(
                choices_of(first),
                value=EVERYTHING,
                label="What to paint",
                visible=len(choices_of(first)) > 1,
                elem_id="label",
            )
            again = gr.Button("Paint new ones", variant="primary", elem_id="again")
            stage = gr.Slider(
                1,
                last_stage(first),
                value=len(first.stages),
                step=1,
                label=stage_label(rooms, first.name, len(first.stages)),
                info="The same pictures, as the painter would have painted them earlier.",
                visible=len(first.stages) > 1,
                buttons=[],
                elem_id="stage",
            )
            count = gr.Slider(
                1, MOST_PICTURES, value=16, step=1, label="Pictures", buttons=[], elem_id="count"
            )
            truncation = gr.Slider(
                0.1,
                1,
                value=1,
                step=0.05,
                label="Variety",
                info="Less is more of the same, with fewer failures (truncation).",
                buttons=[],
                elem_id="truncation",
            )
            seed = gr.Number(
                0,
                label="Seed",
                info="The same seed paints the same pictures; the page's address keeps it.",
                precision=0,
                minimum=0,
                maximum=MAX_SEED,
                elem_id="seed",
            )
        with gr.Column(scale=5, min_width=320):
            gallery = gr.Gallery(
                label="Gallery",
                show_label=False,
                format="png",
                columns=4,
                height="auto",
                object_fit="cover",
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="gallery",
            )
            film_button = gr.Button("Walk through these pictures (video)", elem_id="walk")
            film = gr.Video(
                label="A walk through latent space",
                autoplay=True,
                loop=True,
                visible=False,
                interactive=False,
                buttons=["download"],
                elem_id="film",
            )
        with gr.Column(scale=3, min_width=280):
            hint = gr.Markdown("Choose a picture to look closer.", elem_id="hint")
            chosen = gr.Image(
                label="Chosen picture",
                format="png",
                interactive=False,
                buttons=["download", "fullscreen"],
                alt_text="The chosen picture, enlarged",
                visible=False,
                elem_id="chosen",
            )
            with gr.Column(visible=False, elem_id="actions") as actions:
                like = gr.Button("More like this", elem_id="like")
                with gr.Row():
                    aside = gr.Button("Set aside to mix", size="md", elem_id="aside")
                    mix = gr.Button("Mix with it", size="md", interactive=False, elem_id="mix")
                who = gr.Button("Who painted it?", visible=bool(rooms.classifier), elem_id="who")
            verdict = gr.HTML(visible=False, elem_id="verdict")
            known = gr.HTML(visible=False, elem_id="known")

    shown = [gallery, easel, hint, chosen, actions, verdict, known, mix, film]
    controls = [painter, seed, count, truncation, stage, label]

    def show(new: Easel, said: str = "Choose a picture to look closer.") -> list[Any]:
        """Fill the gallery, and forget what was chosen in the one before."""
        hidden = [gr.update(visible=False)] * 4
        mixing = gr.update(interactive=new.aside is not None)
        film_too = gr.update(visible=False, value=None)
        return [pictures(new), new, said, *hidden, mixing, film_too]

    @in_words
    def repaint(was: Easel | None, *asked: Any) -> list[Any]:
        new = prepare(rooms, *asked)
        kept = was.aside if was and was.painter == new.painter else None
        return show(replace(new, aside=kept))

    @in_words
    def paint_new(was: Easel | None, painter, count, truncation, stage, label) -> list[Any]:
        seed = random.randrange(100_000)
        return [*repaint(was, painter, seed, count, truncation, stage, label), seed]

    @in_words
    def change_painter(was: Easel | None, painter, seed, count, truncation) -> list[Any]:
        num = len(rooms.painter(painter).stages)
        stages = gr.update(
            maximum=last_stage(rooms.painter(painter)),
            value=num,
            visible=num > 1,
            label=stage_label(rooms, painter, num),
        )
        choices = choices_of(rooms.painter(painter))
        labels = gr.update(choices=choices, value=EVERYTHING, visible=len(choices) > 1)
        return [*repaint(was, painter, seed, count, truncation, num), stages, labels]

    @in_words
    def change_stage(was: Easel | None, painter, stage) -> list[Any]:
        number = whole(stage, "stage", 1, len(rooms.painter(painter).stages))
        label = gr.update(label=stage_label(rooms, painter, number))
        if was is None or was.painter != painter:
            raise gr.Error("Paint something first.", print_exception=False)
        folder = rooms.painter(painter).stage(number)
        new = replace(was, stage=number, order=replace(was.order, folder=folder))
        large = gr.skip() if new.chosen is None else enlarged(chosen_pixels(new))
        return [pictures(new), new, large, label]

    def chosen_pixels(on: Easel) -> NDArray[np.uint8]:
        return studio.paint(only(on.order, on.chosen or 0))[0]

    def needed(on: Easel | None) -> Easel:
        if on is None or on.chosen is None:
            raise gr.Error("Choose a picture in the gallery first.", print_exception=False)
        return on

    @in_words
    def choose(on: Easel | None, event: gr.SelectData) -> list[Any]:
        if on is None:
            raise gr.Error("Paint something first.", print_exception=False)
        on = replace(on, chosen=whole(event.index, "picture", 0, len(on.order.z) - 1))
        hidden = gr.update(visible=False)
        title = f"**Picture {(on.chosen or 0) + 1}** of {len(on.order.z)}, painter {on.painter}"
        large = gr.update(value=enlarged(chosen_pixels(on)), visible=True)
        return [on, title, large, gr.update(visible=True), hidden, hidden]

    @in_words
    def more_like(on: Easel | None) -> list[Any]:
        on = needed(on)
        near = replace(on, order=variations(on, on.chosen or 0), chosen=None)
        return show(near, "The picture you chose, first, and its neighbours.")

    @in_words
    def set_aside(on: Easel | None) -> list[Any]:
        on = needed(on)
        gr.Info("Set aside. Choose another picture and mix the two.", duration=4)
        return [replace(on, aside=only(on.order, on.chosen or 0)), gr.update(interactive=True)]

    @in_words
    def mix_two(on: Easel | None) -> list[Any]:
        on = needed(on)
        if on.aside is None:
            raise gr.Error("Set one picture aside first.", print_exception=False)
        between = mixtures(on.aside, only(on.order, on.chosen or 0))
        mixed = replace(on, order=replace(between, folder=on.order.folder), chosen=None)
        return show(mixed, "From the picture set aside, first, to the chosen one, last.")

    @in_words
    def who_painted(on: Easel | None) -> list[Any]:
        on = needed(on)
        picture = Image.fromarray(chosen_pixels(on))
        nearest = identify.nearest_html(rooms, picture)
        said = identify.answer_html(rooms, picture, heading="Who would have painted this?")
        return [
            gr.update(value=said, visible=True),
            gr.update(value=nearest, visible=bool(nearest)),
        ]

    @in_words
    def film_of(on: Easel | None, progress=gr.Progress()) -> Any:  # noqa: B008
        if on is None:
            raise gr.Error("Paint something first.", print_exception=False)
        file = film_file()
        walk(on, file, progress)
        return gr.update(value=str(file), visible=True)

    @in_words
    def open_link(request: gr.Request) -> list[Any]:
        """Paint what the address of the page says, or the first painter's first pictures."""
        asked = request.query_params
        wish = [asked.get(key, usual) for key, usual in LINK.items()]
        try:
            on = prepare(rooms, *wish)
        except BrushworkError:
            gr.Warning("This link's settings are not ones that this page knows.")
            wish = list(LINK.values())
            on = prepare(rooms, *wish)
        num = len(rooms.painter(on.painter).stages)
        stages = gr.update(
            maximum=last_stage(rooms.painter(on.painter)),
            value=on.stage,
            visible=num > 1,
            label=stage_label(rooms, on.painter, on.stage),
        )
        choices = choices_of(rooms.painter(on.painter))
        labels = gr.update(choices=choices, value=wish[5] or EVERYTHING, visible=len(choices) > 1)
        return [*show(on), on.painter, on.seed, len(on.order.z), float(wish[3]), stages, labels]

    limits: dict[str, Any] = {
        "concurrency_limit": 16,
        "concurrency_id": "paint",
        "api_visibility": "private",
    }
    live: dict[str, Any] = {**limits, "trigger_mode": "always_last", "show_progress": "hidden"}
    wishes = [easel, *controls]
    events = [
        again.click(
            paint_new, [easel, painter, count, truncation, stage, label], [*shown, seed], **limits
        ),
        painter.input(
            change_painter,
            [easel, painter, seed, count, truncation],
            [*shown, stage, label],
            **limits,
        ),
        gr.on([count.input, truncation.input], repaint, wishes, shown, **live),
        gr.on([seed.submit, seed.blur, label.input], repaint, wishes, shown, **limits),
        stage.input(change_stage, [easel, painter, stage], [gallery, easel, chosen, stage], **live),
    ]
    for event in events:  # the address always says what the gallery shows
        event.success(None, controls, None, js=REMEMBER, api_visibility="private")
    gallery.select(choose, easel, [easel, hint, chosen, actions, verdict, known], **limits)
    like.click(more_like, easel, shown, **limits)
    aside.click(set_aside, easel, [easel, mix], **limits)
    mix.click(mix_two, easel, shown, **limits)
    who.click(who_painted, easel, [verdict, known], **limits)
    film_button.click(
        film_of,
        easel,
        film,
        concurrency_limit=2,
        concurrency_id="walk",
        api_visibility="private",
        show_progress_on=film_button,
    )
    return [*shown, *controls], open_link


LINK: dict[str, Any] = {
    "painter": None,
    "seed": 0,
    "count": 16,
    "truncation": 1,
    "stage": None,
    "label": None,
}
"""What a link to the page may say, and what holds where it does not."""

REMEMBER = """(painter, seed, count, truncation, stage, label) => {
  const link = new URLSearchParams({painter, seed, count, truncation, stage, label});
  history.replaceState(null, "", "?" + link);
}"""
