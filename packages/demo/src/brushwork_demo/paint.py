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
from numpy.typing import NDArray
from PIL import Image

from brushwork.figures import save_animation
from brushwork.generator import MAX_SEED, slerp
from brushwork_demo import identify, studio
from brushwork_demo.studio import Studio
from brushwork_demo.words import fraction, in_words, whole

MOST_PICTURES = 64
MOST_STOPS = 12
FRAMES_BETWEEN = 24
SHOWN_SIDE = 512
"""Single pictures and walks are enlarged to about this side."""


@dataclass(frozen=True)
class Easel:
    """What is in a visitor's gallery: enough to paint it again."""

    painter: str
    z: NDArray[np.float32]  # (N, Z)
    stage: int
    seed: int
    chosen: int | None = None
    aside: NDArray[np.float32] | None = None  # (Z,), set aside to be mixed


# What can be painted: functions of numbers alone, also served as the API.


def latents(
    rooms: Studio, painter: object, seed: object, count: object, truncation: object, stage: object
) -> Easel:
    """Check what a visitor asks for, and draw its latents.

    Raises:
        BrushworkError: it makes no sense; says what would.
    """
    who = rooms.painter(None if painter is None else str(painter))
    number = len(who.stages)
    if stage not in (None, 0):
        number = whole(stage, "stage", 1, len(who.stages))
    seed = whole(seed, "seed", 0, MAX_SEED)
    count = whole(count, "count", 1, MOST_PICTURES)
    truncation = fraction(truncation, "truncation", 0.05, 1.0)
    z = studio.latents(who.stage(number), count, seed, truncation)
    return Easel(who.name, z, number, seed)


def pictures(rooms: Studio, easel: Easel) -> list[tuple[Image.Image, str]]:
    """The easel's pictures, each with the words that stand for it."""
    arrays = studio.paint(rooms.painter(easel.painter).stage(easel.stage), easel.z)
    return [
        (Image.fromarray(array), f"Picture {i} of {len(arrays)} by the painter {easel.painter}")
        for i, array in enumerate(arrays, 1)
    ]


def variations(easel: Easel, index: int, strength: float = 0.35) -> Easel:
    """As many latents, all near the chosen one; it comes first itself."""
    z = torch.from_numpy(easel.z)
    towards = np.random.default_rng((easel.seed, index)).standard_normal(z.shape, np.float32)
    away = torch.from_numpy(towards) * z[index].norm() / z.shape[1] ** 0.5
    near = slerp(z[index].expand_as(z), away, torch.full((len(z), 1), strength))
    near[0] = z[index]
    return replace(easel, z=near.numpy(), chosen=None)


def mixtures(easel: Easel, one: NDArray[np.float32], other: NDArray[np.float32]) -> Easel:
    """Twelve latents on the way from one to the other."""
    steps = torch.linspace(0, 1, 12)[:, None]
    between = slerp(torch.from_numpy(one), torch.from_numpy(other), steps)
    return replace(easel, z=between.numpy(), chosen=None)


def walk(rooms: Studio, easel: Easel, file: Path, progress: gr.Progress) -> None:
    """A film from picture to picture and back to the first, as MP4."""
    stops = torch.from_numpy(easel.z[:MOST_STOPS])
    if len(stops) < 2:
        stops = torch.from_numpy(variations(replace(easel, z=easel.z[[0] * 4]), 0).z)
    folder = rooms.painter(easel.painter).stage(easel.stage)
    fractions = torch.linspace(0, 1, FRAMES_BETWEEN + 1)[:-1, None]

    def frames() -> Iterator[Image.Image]:
        for i, start in enumerate(stops):
            progress((i, len(stops)), desc="Walking", unit="pictures")
            end = stops[(i + 1) % len(stops)]
            for array in studio.paint(folder, slerp(start, end, fractions).numpy()):
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


def tab(rooms: Studio) -> tuple[list[gr.components.Component], Any]:
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
            again = gr.Button("Paint new ones", variant="primary", elem_id="again")
            stage = gr.Slider(
                1,
                len(first.stages),
                value=len(first.stages),
                step=1,
                label=stage_label(rooms, first.name, len(first.stages)),
                info="The same pictures, as the painter would have painted them earlier.",
                visible=len(first.stages) > 1,
                elem_id="stage",
            )
            count = gr.Slider(1, MOST_PICTURES, value=16, step=1, label="Pictures", elem_id="count")
            truncation = gr.Slider(
                0.1,
                1,
                value=1,
                step=0.05,
                label="Variety",
                info="Less is more of the same, with fewer failures (truncation).",
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
            known = gr.Gallery(
                label="Nearest known paintings",
                columns=3,
                height="auto",
                allow_preview=False,
                interactive=False,
                visible=False,
                buttons=[],
                elem_id="known",
            )

    shown = [gallery, easel, hint, chosen, actions, verdict, known, mix, film]
    controls = [painter, seed, count, truncation, stage]

    def show(new: Easel, said: str = "Choose a picture to look closer.") -> list[Any]:
        """Fill the gallery, and forget what was chosen in the one before."""
        hidden = [gr.update(visible=False)] * 4
        mixing = gr.update(interactive=new.aside is not None)
        film_too = gr.update(visible=False, value=None)
        return [pictures(rooms, new), new, said, *hidden, mixing, film_too]

    @in_words
    def repaint(was: Easel | None, *asked: Any) -> list[Any]:
        new = latents(rooms, *asked)
        kept = was.aside if was and was.painter == new.painter else None
        return show(replace(new, aside=kept))

    @in_words
    def paint_new(was: Easel | None, painter, count, truncation, stage) -> list[Any]:
        seed = random.randrange(100_000)
        return [*repaint(was, painter, seed, count, truncation, stage), seed]

    @in_words
    def change_painter(was: Easel | None, painter, seed, count, truncation) -> list[Any]:
        num = len(rooms.painter(painter).stages)
        stages = gr.update(
            maximum=num, value=num, visible=num > 1, label=stage_label(rooms, painter, num)
        )
        return [*repaint(was, painter, seed, count, truncation, num), stages]

    @in_words
    def change_stage(was: Easel | None, painter, stage) -> list[Any]:
        number = whole(stage, "stage", 1, len(rooms.painter(painter).stages))
        label = gr.update(label=stage_label(rooms, painter, number))
        if was is None or was.painter != painter:
            raise gr.Error("Paint something first.", print_exception=False)
        new = replace(was, stage=number)
        large = gr.skip() if new.chosen is None else picture_of(new)
        return [pictures(rooms, new), new, large, label]

    def picture_of(on: Easel) -> Image.Image:
        folder = rooms.painter(on.painter).stage(on.stage)
        return enlarged(studio.paint(folder, on.z[[on.chosen or 0]])[0])

    def needed(on: Easel | None) -> Easel:
        if on is None or on.chosen is None:
            raise gr.Error("Choose a picture in the gallery first.", print_exception=False)
        return on

    @in_words
    def choose(on: Easel | None, event: gr.SelectData) -> list[Any]:
        if on is None:
            raise gr.Error("Paint something first.", print_exception=False)
        on = replace(on, chosen=whole(event.index, "picture", 0, len(on.z) - 1))
        hidden = gr.update(visible=False)
        title = f"**Picture {(on.chosen or 0) + 1}** of {len(on.z)}, painter {on.painter}"
        large = gr.update(value=picture_of(on), visible=True)
        return [on, title, large, gr.update(visible=True), hidden, hidden]

    @in_words
    def more_like(on: Easel | None) -> list[Any]:
        on = needed(on)
        return show(variations(on, on.chosen or 0), "The picture you chose, and its neighbours.")

    @in_words
    def set_aside(on: Easel | None) -> list[Any]:
        on = needed(on)
        gr.Info("Set aside. Choose another picture and mix the two.", duration=4)
        return [replace(on, aside=on.z[on.chosen or 0]), gr.update(interactive=True)]

    @in_words
    def mix_two(on: Easel | None) -> list[Any]:
        on = needed(on)
        if on.aside is None:
            raise gr.Error("Set one picture aside first.", print_exception=False)
        mixed = mixtures(on, on.aside, on.z[on.chosen or 0])
        return show(mixed, "From the picture set aside, first, to the chosen one, last.")

    @in_words
    def who_painted(on: Easel | None) -> list[Any]:
        on = needed(on)
        folder = rooms.painter(on.painter).stage(on.stage)
        picture = Image.fromarray(studio.paint(folder, on.z[[on.chosen or 0]])[0])
        nearest = identify.nearest_paintings(rooms, picture)
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
        walk(rooms, on, file, progress)
        return gr.update(value=str(file), visible=True)

    @in_words
    def open_link(request: gr.Request) -> list[Any]:
        """Paint what the address of the page says, or the first painter's first pictures."""
        asked = request.query_params
        wish = [asked.get(key, usual) for key, usual in LINK.items()]
        try:
            on = latents(rooms, *wish)
        except Exception:
            gr.Warning("This link's settings are not ones that this page knows.")
            wish = list(LINK.values())
            on = latents(rooms, *wish)
        num = len(rooms.painter(on.painter).stages)
        stages = gr.update(
            maximum=num,
            value=on.stage,
            visible=num > 1,
            label=stage_label(rooms, on.painter, on.stage),
        )
        return [*show(on), on.painter, on.seed, len(on.z), float(wish[3]), stages]

    limits = {"concurrency_limit": 16, "concurrency_id": "paint", "api_visibility": "private"}
    live = limits | {"trigger_mode": "always_last", "show_progress": "hidden"}
    wishes = [easel, *controls]
    events = [
        again.click(
            paint_new, [easel, painter, count, truncation, stage], [*shown, seed], **limits
        ),
        painter.input(
            change_painter, [easel, painter, seed, count, truncation], [*shown, stage], **limits
        ),
        gr.on([count.input, truncation.input], repaint, wishes, shown, **live),
        gr.on([seed.submit, seed.blur], repaint, wishes, shown, **limits),
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


LINK: dict[str, Any] = {"painter": None, "seed": 0, "count": 16, "truncation": 1, "stage": None}
"""What a link to the page may say, and what holds where it does not."""

REMEMBER = """(painter, seed, count, truncation, stage) => {
  const link = new URLSearchParams({painter, seed, count, truncation, stage});
  history.replaceState(null, "", "?" + link);
}"""
