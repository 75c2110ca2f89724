"""The quiz "Real or fake?": ten rounds, each with a generated and a real picture."""

import random
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from brushwork.data import synthetic
from brushwork.data.aspects import height_and_width
from brushwork.errors import BrushworkError
from brushwork.gan.latents import MAX_SEED
from brushwork_demo import serving
from brushwork_demo.models import Models, Painter
from brushwork_demo.paint import enlarged
from brushwork_demo.sessions import KEEP_SECONDS
from brushwork_demo.text import (
    colour_words,
    data_url,
    escape,
    parse_int,
    title_of,
    visitor_error,
    visitor_errors,
)
from brushwork_demo.uploads import decode

ROUNDS = 10
SIDE = 384
"""Side in pixels, approximately, to which the two pictures are enlarged."""
TRUNCATION = 0.7
SIDES = ("left", "right")
PAINTED = (
    "Brannoch Tulliver",
    "Corneel van Hulderen",
    "Elspeth Farraday-Lunn",
    "Giacinta Bellorofonte",
    "Ngaio Whitcombe",
    "Tadeáš Korvín",
)
"""Invented artists whose pictures look painted; no woodcuts, hatching, dots or facets."""
WAITING = (
    '<section class="quiz waiting"><p>No pair has come from the server yet.</p>'
    '<button type="button" class="go">Start</button></section>'
)
"""What stands in the room before the first pair, and stays if the server is out of reach."""
DELETED = (
    f'<section class="quiz"><p>The server deletes a game after {KEEP_SECONDS // 60} minutes '
    "without an answer. Yours is deleted, with its score.</p>"
    '<button type="button" class="go">New game</button></section>'
)
"""What stands in the room when the server has deleted a game before its last answer."""
SCRIPT = """
let acted = false;
// Each answer replaces the buttons, so the keyboard would lose its place.
new MutationObserver(() => {
  if (acted) element.querySelector(".go, [data-guess]")?.focus({preventScroll: true});
  acted = false;
}).observe(element, {childList: true, subtree: true});
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button || button.disabled) return;
  acted = !button.dataset.score;
  if (button.dataset.guess) trigger("guess", {index: button.dataset.guess});
  else if (button.dataset.score) {
    const text = button.dataset.score + " " + location.origin + location.pathname + "?room=quiz";
    if (navigator.share && matchMedia("(pointer: coarse)").matches)
      navigator.share({text}).catch(() => {});
    else navigator.clipboard?.writeText(text).then(() => button.textContent = "Copied");
  } else trigger("deal");
});
"""


@dataclass(frozen=True)
class Pair:
    """A fake and a real picture in random order."""

    fake: int
    """Index of the fake."""
    pictures: tuple[str, str]
    """As `data:` addresses."""
    alts: tuple[str, str]
    names: tuple[str, str]
    """What each of the two is; shown after the answer."""
    difference: str
    """A sentence about what tells the fake from the real one."""


@dataclass(frozen=True)
class Game:
    """A visitor's game; it never leaves the server."""

    answers: tuple[bool, ...] = ()
    """Whether each answer was right."""
    pair: Pair | None = None
    guess: int | None = None

    @property
    def round(self) -> int:
        """Number of the round, from 1; 0 before the first one."""
        return len(self.answers) + (self.pair is not None and self.guess is None)

    @property
    def right(self) -> int:
        """Right answers."""
        return sum(self.answers)

    @property
    def over(self) -> bool:
        """Whether all rounds are answered."""
        return len(self.answers) == ROUNDS

    @property
    def streaks(self) -> list[int]:
        """Length of the streak of right answers after each answer."""
        return [*accumulate(self.answers, lambda streak, right: streak * right + right, initial=0)]


def deal(models: Models, game: Game, rng: random.Random) -> Game:
    """Start the next round, or a new game after the last one."""
    if game.pair and game.guess is None:
        return game
    if game.over:
        game = Game()
    return replace(game, pair=pair(models, rng), guess=None)


def answer(game: Game, index: int) -> Game:
    """Count a visitor's guess of which picture is the fake."""
    if game.pair is None or game.guess is not None:
        raise visitor_error("This round is over. Start the next one.")
    return replace(game, guess=index, answers=(*game.answers, index == game.pair.fake))


def pair(models: Models, rng: random.Random) -> Pair:
    """Choose a fake of one of the best painters, and a real picture of its genre and size."""
    name = rng.choice(best_painters(models))
    painter = models.painter(name)
    request = serving.paint_request(
        painter.stage(None), num=1, seed=rng.randrange(MAX_SEED), truncation=TRUNCATION
    )
    fake = serving.paint(request)[0]
    real, source = real_picture(models, painter, rng)
    index = rng.randrange(2)
    arrays = (fake, real) if index == 0 else (real, fake)
    names = (f"Generated: {models.titles[name]}", source)
    return Pair(
        fake=index,
        pictures=tuple(data_url(enlarged(array, SIDE)) for array in arrays),  # type: ignore[arg-type]
        alts=tuple(colour_words(array) for array in arrays),  # type: ignore[arg-type]
        names=names if index == 0 else (names[1], names[0]),
        difference=difference(fake, real),
    )


def best_painters(models: Models) -> list[str]:
    """Name the painters of the largest pictures; without real pictures, those of a drawn genre."""
    largest = max(painter.side for painter in models.painters.values())
    best = {n: painter for n, painter in models.painters.items() if painter.side == largest}
    drawn = [n for n, painter in best.items() if painter.genre in synthetic.GENRES]
    return drawn if drawn and not models.pictures else [*best]


def real_picture(
    models: Models, painter: Painter, rng: random.Random
) -> tuple[NDArray[np.uint8], str]:
    """Choose a real picture (H, W, 3) for a painter, and say what it is.

    It is one of the deployer's pictures, if possible in the folder of the painter's genre;
    without such a folder it is a painting drawn by code.
    """
    height, width = height_and_width(painter.side, painter.aspect)
    genre = painter.genre
    if models.pictures:
        of_genre = [file for file in models.pictures if genre and file.parent.name == genre]
        files = list(of_genre or models.pictures)
        rng.shuffle(files)
        for file in files:
            with suppress(BrushworkError):  # this one cannot be read
                picture = ImageOps.fit(decode(file), (width, height), Image.Resampling.LANCZOS)
                return np.asarray(picture), f"Real: {title_of(file)}"
        raise BrushworkError("none of the pictures of this page can be read")
    while True:
        index = rng.randrange(1_000_000)
        drawn = synthetic.describe(index)
        of_genre = genre not in synthetic.GENRES or drawn["genre"] == genre
        if of_genre and drawn["artist"] in PAINTED:
            picture = synthetic.draw(index, side=max(height, width))
            fitted = ImageOps.fit(picture, (width, height))
            return np.asarray(fitted), "Not generated: drawn by code"


def difference(fake: NDArray[np.uint8], real: NDArray[np.uint8]) -> str:
    """Say how the fake differs from the real picture most: in its fine detail or its colours."""
    # One level of 255 more on both sides: a picture may have no colour at all.
    detail = (_detail(fake) + 1) / (_detail(real) + 1)
    colour = (_colour(fake) + 1) / (_colour(real) + 1)
    if max(detail, 1 / detail) < 1.15 and max(colour, 1 / colour) < 1.15:
        return "In detail and colour the two are alike."
    if abs(np.log(detail)) >= abs(np.log(colour)):
        return f"The fake has {_times(detail)} fine detail as the other one."
    return f"The fake has {_times(colour)} colour as the other one."


def _times(ratio: float) -> str:
    return f"{ratio:.1f} times as much" if ratio > 1 else f"{ratio:.0%} as much"


def _detail(array: NDArray[np.uint8]) -> float:
    """Mean difference of neighbouring pixels."""
    grey = array.mean(-1)
    return float(abs(np.diff(grey, axis=0)).mean() + abs(np.diff(grey, axis=1)).mean())


def _colour(array: NDArray[np.uint8]) -> float:
    """Mean difference of the largest and the smallest channel."""
    return float((array.max(-1).astype(float) - array.min(-1)).mean())


def page(game: Game) -> str:
    """Format the state of a game as HTML."""
    if game.pair is None:
        return WAITING
    answered = game.guess is not None
    cards = ""
    for i, side in enumerate(SIDES):
        kind = ("fake " if i == game.pair.fake else "") + ("guess" if i == game.guess else "")
        below = escape(game.pair.names[i]) if answered else "This is the fake"
        cards += (
            f'<button type="button" data-guess="{i}" class="{kind if answered else ""}" '
            f'{"disabled" if answered else ""}><img src="{game.pair.pictures[i]}" width="384" '
            f'height="384" alt="The picture on the {side}: mostly {game.pair.alts[i]}">'
            f"<span>{below}</span></button>"
        )
    told = "<p><b>Real or fake?</b> A neural network generated one of the two. Which one?</p>"
    if answered:
        verdict = "Right." if game.guess == game.pair.fake else "Wrong."
        told = f"<p><b>{verdict}</b> {game.pair.difference}</p>"
        told += '<button type="button" class="go">Next pair</button>'
        if game.over:
            marks = "".join(f'<i class="{"right" if one else ""}"></i>' for one in game.answers)
            told = (
                f"<p><b>{verdict}</b> {game.pair.difference}</p>"
                f"<p><b>You found {game.right} of the {ROUNDS} fakes.</b> {comment(game)}</p>"
                f'<span class="rounds" aria-hidden="true">{marks}</span>'
                '<button type="button" class="go">Play again</button> '
                f'<button type="button" class="go" data-score="{result(game)}">'
                "Share my score</button>"
            )
    score = (
        f'<p class="score"><span>Round {game.round} of {ROUNDS}</span>'
        f"<span>{game.right} right</span><span>Streak {game.streaks[-1]}</span></p>"
    )
    return (
        f'<section class="quiz">{score}<div class="told" aria-live="polite">{told}</div>'
        f'<div class="pair">{cards}</div></section>'
    )


def comment(game: Game) -> str:
    """Say what a final score means: guessing alone gets half of the rounds right."""
    if game.right >= ROUNDS * 0.8:
        return f"The generators do not fool you. Best streak: {max(game.streaks)}."
    return f"Guessing finds {ROUNDS // 2} on average. Best streak: {max(game.streaks)}."


def result(game: Game) -> str:
    """Write the text of a score to share."""
    found = f"I found {game.right} of {ROUNDS} generated paintings"
    squares = "".join("🟩" if right else "🟥" for right in game.answers)
    return f"Real or fake? {found}. {squares} Can you?"


def room(models: Models) -> tuple[Any, list[Any], list[Any]]:
    """Place the components of the room.

    Returns:
        The function that starts the game when the room is opened, its inputs and its outputs.
    """
    state = gr.State(Game(), time_to_live=KEEP_SECONDS)
    # In the browser, so that the server can tell a deleted game from one that has not begun.
    unfinished = gr.Checkbox(False, visible=False)
    board = gr.HTML(page(Game()), js_on_load=SCRIPT, elem_id="quiz")
    outputs = [state, unfinished, board]
    limits: dict[str, Any] = {
        "concurrency_limit": 8,
        "concurrency_id": "paint",
        "api_visibility": "private",
    }

    def shown(game: Game) -> list[Any]:
        return [game, not game.over, page(game)]

    @visitor_errors
    def guess(game: Game, event: gr.EventData) -> list[Any]:
        if game.pair is None:
            return [game, False, DELETED]
        return shown(answer(game, parse_int(guessed(event), "the picture", 0, 1)))

    @visitor_errors
    def start(game: Game, unfinished: bool) -> list[Any]:
        if game.pair is None and unfinished:
            return [game, False, DELETED]
        return shown(deal(models, game, random.Random()))

    board.guess(guess, state, outputs, **limits)  # pyright: ignore[reportAttributeAccessIssue]
    board.deal(start, [state, unfinished], outputs, **limits)  # pyright: ignore[reportAttributeAccessIssue]
    return start, [state, unfinished], outputs


def guessed(event: gr.EventData) -> Any:
    """Return which picture the page's script sent; None if another program sent no data."""
    try:
        return getattr(event, "index", None)
    except TypeError:
        return None
