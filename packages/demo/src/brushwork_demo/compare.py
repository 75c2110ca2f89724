"""The Compare tab: painters side by side on the same seeds, and the quiz "real or generated"."""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from brushwork.data import synthetic
from brushwork.gan.generator import MAX_SEED
from brushwork.report.figures import grid
from brushwork_demo import serving
from brushwork_demo.models import Models, Painter
from brushwork_demo.paint import TabEvent, enlarged
from brushwork_demo.sessions import KEEP_SECONDS
from brushwork_demo.text import data_url, escape, parse_int, visitor_error, visitor_errors
from brushwork_demo.uploads import read_upload

MAX_COMPARED = 4
MAX_UPLOADS = 30
QUIZ_SIDE = 384
"""Side in pixels, approximately, to which the two pictures of the quiz are enlarged."""
QUIZ_TRUNCATION = 0.9
OWN_BYTES = 40_000
"""Largest size of one of a visitor's own pictures, which the server keeps during the quiz."""
SIDES = ("left", "right")


# Painters side by side.


def results(painter: Painter) -> dict[str, float]:
    """Read the metrics in a checkpoint's config, by the names of `evaluate_gan.py`."""
    measured = painter.config.get("results", {})
    return {str(k): float(v) for k, v in measured.items() if isinstance(v, int | float)}


def side_by_side(models: Models, names: list[str], seed: int) -> str:
    """Generate sixteen pictures by each painter with one seed; HTML with each painter's metrics."""
    figures = "".join(_figure(models.painter(name), name, seed) for name in names)
    note = ""
    if not any(results(models.painter(name)) for name in names):
        note = "<p class='hint'>No metrics are recorded for these painters.</p>"
    return f'<div class="compared">{figures}</div>{note}'


def _figure(painter: Painter, name: str, seed: int) -> str:
    arrays = serving.paint(serving.paint_request(painter.stage(None), num=16, seed=seed))
    training = painter.config.get("training", {})
    facts = {
        "Pixels": f"{painter.side} × {painter.side}",
        "Training set": f"{training.get('num_paintings', 0):,} paintings",
        "Training": f"{painter.epochs[-1]:,.0f} epochs",
    } | {metric: f"{value:,.4g}" for metric, value in results(painter).items()}
    # <wbr> lets the browser break a long name such as kid_error_inception.
    rows = "".join(
        f"<tr><th scope='row'>{escape(k).replace('_', '_<wbr>')}</th><td>{escape(v)}</td></tr>"
        for k, v in facts.items()
    )
    return (
        f'<figure><img src="{data_url(grid(arrays, columns=4, gap=1))}" '
        f'alt="Sixteen pictures by the painter {escape(name)}, seed {seed}">'
        f"<figcaption>{escape(name)}</figcaption><table>{rows}</table></figure>"
    )


def curve_names(models: Models) -> list[str]:
    """List the curves that at least one painter's run recorded."""
    keys = {key for who in models.painters.values() for line in who.curves for key in line}
    return [key for key in ("loss_G", "loss_D", "D(x)", "D(G(z))") if key in keys]


def curves(models: Models, names: list[str], key: str) -> pd.DataFrame:
    """Collect one curve of several painters in a table: columns `epoch`, `key` and `painter`."""
    rows = [
        {"epoch": line.get("epoch", line.get("step", 0)), key: line[key], "painter": name}
        for name in names
        for line in models.painter(name).curves
        if key in line
    ]
    return pd.DataFrame(rows, columns=["epoch", key, "painter"])


def compare_tab(models: Models) -> TabEvent:
    """Add the components of the Compare tab to the page.

    Returns:
        The event that compares the first painters when the tab is opened.
    """
    painters = list(models.painters)
    keys = curve_names(models)
    with gr.Row():
        names = gr.CheckboxGroup(
            painters,
            value=painters[:MAX_COMPARED],
            label="Painters",
            info=f"Choose up to {MAX_COMPARED}.",
            elem_id="compared",
        )
        seed = gr.Number(
            0, label="Seed for all", precision=0, minimum=0, maximum=MAX_SEED, elem_id="same-seed"
        )
    again = gr.Button("Compare these painters", variant="primary", elem_id="compare")
    table = gr.HTML(elem_id="comparison")
    key = gr.Dropdown(keys, value=keys[0] if keys else None, label="Curve", visible=bool(keys))
    plot = gr.LinePlot(
        None,
        x="epoch",
        y=keys[0] if keys else "loss_G",
        color="painter",
        height=260,
        visible=bool(keys),
        elem_id="curves",
        buttons=[],
    )

    @visitor_errors
    def compare(names: list[str], seed: Any, key: str | None) -> list[Any]:
        if not 1 <= len(names) <= MAX_COMPARED:
            raise visitor_error(f"Choose 1 to {MAX_COMPARED} painters.")
        number = parse_int(seed, "seed", 0, MAX_SEED)
        drawn = gr.skip() if key is None else draw(names, key)
        return [side_by_side(models, names, number), drawn]

    @visitor_errors
    def draw(names: list[str], key: str) -> Any:
        return gr.update(value=curves(models, names, key), y=key, title=f"{key} during training")

    limits: dict[str, Any] = {
        "concurrency_limit": 8,
        "concurrency_id": "paint",
        "api_visibility": "private",
    }
    again.click(compare, [names, seed, key], [table, plot], **limits)
    key.input(draw, [names, key], plot, **limits)
    return TabEvent(compare, inputs=[names, seed, key], outputs=[table, plot])


# The quiz.


@dataclass(frozen=True)
class Quiz:
    """A visitor's current question and score; it never leaves the server."""

    round: int = 0
    right: int = 0
    fake: int = 0
    """Index of the generated picture of the two."""
    answered: bool = True
    own: tuple[bytes, ...] = field(default=(), repr=False)
    """The visitor's own pictures, reduced, as JPEG."""


def pair(models: Models, name: str, own: tuple[bytes, ...]) -> tuple[int, list[Image.Image]]:
    """Choose a fake and a real picture, in random order and of the same size.

    Args:
        models: the models of the page.
        name: name of the painter.
        own: JPEGs to take the real one from; empty for a synthetic painting.

    Returns:
        The index of the fake, and the two pictures.
    """
    painter = models.painter(name)
    rng = random.Random()
    request = serving.paint_request(
        painter.stage(None), num=1, seed=rng.randrange(MAX_SEED), truncation=QUIZ_TRUNCATION
    )
    fake = serving.paint(request)[0]
    if own:
        size = (painter.side, painter.side)
        real = Image.open(io.BytesIO(rng.choice(own))).resize(size, Image.Resampling.LANCZOS)
    else:
        real = draw_painting(quiz_genre(painter), rng, painter.side)
    index = rng.randrange(2)
    both = [fake, np.asarray(real)] if index == 0 else [np.asarray(real), fake]
    return index, [enlarged(array, QUIZ_SIDE) for array in both]


def small_jpeg(picture: Image.Image) -> bytes:
    """Crop the centre of a picture and reduce it to a JPEG of 256 x 256 pixels.

    The quality is 90; lower if the file would have more than `OWN_BYTES`.
    """
    reduced = ImageOps.fit(picture.convert("RGB"), (256, 256))
    encoded = b""
    for quality in (90, 75, 50, 25):
        file = io.BytesIO()
        reduced.save(file, "JPEG", quality=quality)
        encoded = file.getvalue()
        if len(encoded) <= OWN_BYTES:
            break
    return encoded


def quiz_genre(painter: Painter) -> str | None:
    """Return the genre of a painter's training set if it is a single, synthetic one."""
    genres = painter.config.get("training", {}).get("genre") or ()
    genres = [genres] if isinstance(genres, str) else list(genres)
    return genres[0] if len(genres) == 1 and genres[0] in synthetic.GENRES else None


def draw_painting(genre: str | None, rng: random.Random, side: int) -> Image.Image:
    """Draw a random synthetic painting; None for any genre."""
    while True:
        index = rng.randrange(1_000_000)
        if genre is None or synthetic.describe(index)["genre"] == genre:
            return synthetic.draw(index, side=side)


def quiz_tab(models: Models) -> TabEvent:
    """Add the components of the quiz to the page.

    Returns:
        The event that shows two pictures when the tab is opened.
    """
    names = list(models.painters)
    state = gr.State(Quiz(), time_to_live=KEEP_SECONDS)
    gr.Markdown(
        "One of the two pictures is generated by the painter below. The other one is one of your "
        "own pictures or, if you upload none, a painting drawn by code. Which one is generated?"
    )
    with gr.Row():
        painter = gr.Dropdown(names, value=names[0], label="Painter", elem_id="quiz-painter")
        own = gr.UploadButton(
            "Use my own pictures instead",
            file_count="multiple",
            file_types=["image"],
            elem_id="own",
        )
    start = gr.Button("Show two pictures", variant="primary", elem_id="start")
    images: list[gr.Image] = []
    guesses: list[gr.Button] = []
    with gr.Row(elem_id="quiz-pair"):
        for side in SIDES:
            with gr.Column(min_width=140):
                images.append(
                    gr.Image(
                        label=f"On the {side}",
                        show_label=False,
                        format="png",
                        interactive=False,
                        visible=False,
                        buttons=[],
                        alt_text=f"The picture on the {side}",
                        elem_id=f"quiz-{side}",
                    )
                )
                guesses.append(gr.Button(f"The {side} one", visible=False, elem_id=f"guess-{side}"))
    score = gr.HTML(elem_id="score")

    @visitor_errors
    def show_pair(quiz: Quiz, name: str) -> list[Any]:
        fake, pictures = pair(models, name, quiz.own)
        quiz = replace(quiz, round=quiz.round + quiz.answered, fake=fake, answered=False)
        shown = [gr.update(value=picture, visible=True) for picture in pictures]
        buttons = [
            gr.update(visible=True, interactive=True, variant="secondary", value=f"The {side} one")
            for side in SIDES
        ]
        return [quiz, *shown, *buttons, score_html(quiz), "Show two other pictures"]

    def guess(index: int) -> Callable[[Quiz], list[Any]]:
        @visitor_errors
        def answer(quiz: Quiz) -> list[Any]:
            if quiz.answered:
                raise visitor_error("You have answered this one. Show two other pictures.")
            right = index == quiz.fake
            quiz = replace(quiz, answered=True, right=quiz.right + right)
            labels = ["Your picture" if quiz.own else "Drawn by code"] * 2
            labels[quiz.fake] = "Generated"
            buttons = [
                gr.update(
                    value=label,
                    interactive=False,
                    variant="primary" if i == quiz.fake else "secondary",
                )
                for i, label in enumerate(labels)
            ]
            return [quiz, *buttons, score_html(quiz, right)]

        return answer

    @visitor_errors
    def take_uploads(value: Any) -> list[Any]:
        files = value if isinstance(value, list) else [value]
        if len(files) > MAX_UPLOADS:
            raise visitor_error(f"Upload at most {MAX_UPLOADS} pictures.")
        pictures = [picture for file in files if (picture := read_upload(file)) is not None]
        jpegs = tuple(small_jpeg(picture) for picture in pictures)
        return [Quiz(own=jpegs), gr.update(label=f"Using {len(jpegs)} of your own")]

    limits: dict[str, Any] = {
        "concurrency_limit": 8,
        "concurrency_id": "paint",
        "api_visibility": "private",
    }
    outputs = [state, *images, *guesses, score, start]
    start.click(show_pair, [state, painter], outputs, **limits)
    painter.input(show_pair, [state, painter], outputs, **limits)
    for index, button in enumerate(guesses):
        button.click(guess(index), state, [state, *guesses, score], **limits)
    own.upload(take_uploads, own, [state, own], preprocess=False, **limits).success(
        show_pair, [state, painter], outputs, **limits
    )
    return TabEvent(show_pair, inputs=[state, painter], outputs=outputs)


def score_html(quiz: Quiz, right: bool | None = None) -> str:
    """Format the score, after an answer with whether it was right."""
    num_answered = quiz.round if quiz.answered else quiz.round - 1
    verdict = {None: "", True: "Right! ", False: "Wrong. "}[right]
    count = f"{quiz.right} of {num_answered} right" if num_answered else "Which one is generated?"
    return f'<p class="score" aria-live="polite"><b>{verdict}</b>{count}</p>'
