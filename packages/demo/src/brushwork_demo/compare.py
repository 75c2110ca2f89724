"""Two tabs: painters side by side on the same seeds, and a quiz with real paintings and fakes."""

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
from gradio.components.base import Component
from PIL import Image, ImageOps

from brushwork.data import synthetic
from brushwork.gan.generator import MAX_SEED
from brushwork.report.figures import grid
from brushwork_demo import studio
from brushwork_demo.paint import enlarged
from brushwork_demo.studio import Painter, Studio
from brushwork_demo.uploads import picture as picture_of
from brushwork_demo.visits import KEPT_SECONDS
from brushwork_demo.words import data_url, escape, in_words, whole

MOST_COMPARED = 4
MOST_UPLOADS = 30
Wiring = tuple[Callable[..., Any], list[Component], list[Component]]


# Painters side by side.


def results(painter: Painter) -> dict[str, float]:
    """The measured numbers of a checkpoint, by the names that `evaluate_gan.py` gives them."""
    measured = painter.config.get("results", {})
    return {str(k): float(v) for k, v in measured.items() if isinstance(v, int | float)}


def side_by_side(rooms: Studio, names: list[str], seed: int) -> str:
    """Each painter's sixteen pictures for the same seed, above what was measured of it."""
    figures = []
    for name in names:
        who = rooms.painter(name)
        folder = who.stage(None)
        arrays = studio.paint(studio.order(folder, 16, seed, 1.0))
        sheet = grid(arrays, columns=4, gap=1)
        training = who.config.get("training", {})
        facts = {
            "Pixels": f"{who.side} × {who.side}",
            "Learned from": f"{training.get('num_paintings', 0):,} paintings",
            "For": f"{who.epochs[-1]:,.0f} epochs",
        } | {metric: f"{value:,.4g}" for metric, value in results(who).items()}
        rows = "".join(
            f"<tr><th scope='row'>{escape(k).replace('_', '_<wbr>')}</th><td>{escape(v)}</td></tr>"
            for k, v in facts.items()
        )
        figures.append(
            f'<figure><img src="{data_url(sheet)}" '
            f'alt="Sixteen pictures by the painter {escape(name)}, seed {seed}">'
            f"<figcaption>{escape(name)}</figcaption><table>{rows}</table></figure>"
        )
    note = (
        ""
        if any(results(rooms.painter(n)) for n in names)
        else ("<p class='hint'>No numbers were measured for these painters yet.</p>")
    )
    return f'<div class="compared">{"".join(figures)}</div>{note}'


def curve_names(rooms: Studio) -> list[str]:
    """What the painters' runs wrote down step by step."""
    keys = {key for who in rooms.painters.values() for line in who.curves for key in line}
    usual = ["loss_G", "loss_D", "D(x)", "D(G(z))"]
    return [k for k in usual if k in keys]


def curves(rooms: Studio, names: list[str], key: str) -> pd.DataFrame:
    """One value over the epochs of each painter's training."""
    rows = [
        {"epoch": line.get("epoch", line.get("step", 0)), key: line[key], "painter": name}
        for name in names
        for line in rooms.painter(name).curves
        if key in line
    ]
    return pd.DataFrame(rows, columns=["epoch", key, "painter"])


def compare_tab(rooms: Studio) -> Wiring:
    """Lay the comparison out.

    Returns:
        What to call when the tab is opened, from what, into what.
    """
    every = list(rooms.painters)
    first = every[:MOST_COMPARED]
    keys = curve_names(rooms)
    with gr.Row():
        names = gr.CheckboxGroup(
            every, value=first, label="Painters", info=f"Up to {MOST_COMPARED}.", elem_id="compared"
        )
        seed = gr.Number(
            0, label="Seed for all", precision=0, minimum=0, maximum=MAX_SEED, elem_id="same-seed"
        )
    again = gr.Button("Paint with all of them", variant="primary", elem_id="compare")
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

    @in_words
    def compare(names: list[str], seed: Any, key: str | None) -> list[Any]:
        if not 1 <= len(names) <= MOST_COMPARED:
            raise gr.Error(f"Choose 1 to {MOST_COMPARED} painters.", print_exception=False)
        seed = whole(seed, "seed", 0, MAX_SEED)
        drawn = gr.skip() if key is None else draw(names, key)
        return [side_by_side(rooms, names, seed), drawn]

    @in_words
    def draw(names: list[str], key: str) -> Any:
        return gr.update(value=curves(rooms, names, key), y=key, title=f"{key} while training")

    limits: dict[str, Any] = {
        "concurrency_limit": 8,
        "concurrency_id": "paint",
        "api_visibility": "private",
    }
    again.click(compare, [names, seed, key], [table, plot], **limits)
    key.input(draw, [names, key], plot, **limits)
    return compare, [names, seed, key], [table, plot]


# The quiz.


@dataclass(frozen=True)
class Quiz:
    """What a visitor has been asked, and the visitor's score; it never leaves the server."""

    round: int = 0
    right: int = 0
    machine: int = 0
    """Which of the two pictures the machine painted."""
    answered: bool = True
    own: tuple[bytes, ...] = field(default=(), repr=False)
    """The visitor's own pictures, reduced, as JPEG."""


def pair(rooms: Studio, painter: str, own: tuple[bytes, ...]) -> tuple[int, list[Image.Image]]:
    """A fake and a real painting in random order, at the same size; and which is the fake."""
    who = rooms.painter(painter)
    folder, chance = who.stage(None), random.Random()
    fake = studio.paint(studio.order(folder, 1, chance.randrange(MAX_SEED), 0.9))[0]
    if own:
        square = Image.open(io.BytesIO(chance.choice(own)))
        real = np.asarray(square.resize((who.side, who.side), Image.Resampling.LANCZOS))
    else:
        real = np.asarray(drawn(wanted_genre(who), chance, who.side))
    machine = chance.randrange(2)
    both = [fake, real] if machine == 0 else [real, fake]
    return machine, [enlarged(np.asarray(picture), 384) for picture in both]


def small_jpeg(picture: Image.Image) -> bytes:
    """The middle of a picture, 256 pixels square."""
    file = io.BytesIO()
    ImageOps.fit(picture.convert("RGB"), (256, 256)).save(file, "JPEG", quality=90)
    return file.getvalue()


def wanted_genre(painter: Painter) -> str | None:
    """The one genre that a painter learned, if the synthetic paintings have it too."""
    genres = painter.config.get("training", {}).get("genre") or ()
    genres = [genres] if isinstance(genres, str) else list(genres)
    return genres[0] if len(genres) == 1 and genres[0] in synthetic.PAINTERS else None


def drawn(genre: str | None, chance: random.Random, side: int) -> Image.Image:
    """A painting drawn by code, of a genre if given."""
    while True:
        index = chance.randrange(1_000_000)
        if genre is None or synthetic.describe(index)["genre"] == genre:
            return synthetic.draw(index, side=side)


def quiz_tab(rooms: Studio) -> Wiring:
    """Lay the quiz out.

    Returns:
        What to call when the tab is opened, from what, into what.
    """
    names = list(rooms.painters)
    state = gr.State(Quiz(), time_to_live=KEPT_SECONDS)
    gr.Markdown(
        "One of the two was painted by the machine, the other is one of your own pictures, "
        "or, without any, a painting drawn by code. Which one is the machine's?"
    )
    with gr.Row():
        painter = gr.Dropdown(names, value=names[0], label="Painter", elem_id="quiz-painter")
        own = gr.UploadButton(
            "Use my own pictures instead",
            file_count="multiple",
            file_types=["image"],
            elem_id="own",
        )
    start = gr.Button("Show me two", variant="primary", elem_id="start")
    with gr.Row(elem_id="quiz-pair"):
        shown, guesses = [], []
        for side in ("left", "right"):
            with gr.Column(min_width=140):
                shown.append(
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
    said = gr.HTML(elem_id="score")

    @in_words
    def show_pair(quiz: Quiz, name: str) -> list[Any]:
        machine, pictures = pair(rooms, name, quiz.own)
        quiz = replace(quiz, round=quiz.round + quiz.answered, machine=machine, answered=False)
        images = [gr.update(value=picture, visible=True) for picture in pictures]
        buttons = [
            gr.update(visible=True, interactive=True, variant="secondary", value=f"The {side} one")
            for side in ("left", "right")
        ]
        return [quiz, *images, *buttons, score(quiz), "Show me two others"]

    def guess(side: int):
        @in_words
        def guessed(quiz: Quiz) -> list[Any]:
            if quiz.answered:
                raise gr.Error("Ask for two others first.", print_exception=False)
            right = side == quiz.machine
            quiz = replace(quiz, answered=True, right=quiz.right + right)
            labels = ["A painting" if quiz.own == () else "Your picture"] * 2
            labels[quiz.machine] = "The machine's"
            buttons = [
                gr.update(
                    value=label,
                    interactive=False,
                    variant="primary" if i == quiz.machine else "secondary",
                )
                for i, label in enumerate(labels)
            ]
            return [quiz, *buttons, score(quiz, right)]

        return guessed

    @in_words
    def take(files: Any) -> list[Any]:
        files = files if isinstance(files, list) else [files]
        if len(files) > MOST_UPLOADS:
            raise gr.Error(f"Up to {MOST_UPLOADS} pictures, please.", print_exception=False)
        taken = [taken for file in files if (taken := picture_of(file)) is not None]
        own = tuple(small_jpeg(picture) for picture in taken)
        return [Quiz(own=own), gr.update(label=f"Using {len(own)} of your own")]

    limits: dict[str, Any] = {
        "concurrency_limit": 8,
        "concurrency_id": "paint",
        "api_visibility": "private",
    }
    asked = [state, *shown, *guesses, said, start]
    start.click(show_pair, [state, painter], asked, **limits)
    painter.input(show_pair, [state, painter], asked, **limits)
    for side, button in enumerate(guesses):
        button.click(guess(side), state, [state, *guesses, said], **limits)
    own.upload(take, own, [state, own], preprocess=False, **limits).success(
        show_pair, [state, painter], asked, **limits
    )
    return show_pair, [state, painter], asked


def score(quiz: Quiz, right: bool | None = None) -> str:
    """What has been guessed so far, in words."""
    asked = quiz.round if quiz.answered else quiz.round - 1
    verdict = {None: "", True: "Right! ", False: "Fooled! "}[right]
    count = f"{quiz.right} of {asked} right" if asked else "Which one is the machine's?"
    return f'<p class="score" aria-live="polite"><b>{verdict}</b>{count}</p>'
