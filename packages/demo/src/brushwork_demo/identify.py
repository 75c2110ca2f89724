"""The Identify tab: who may have painted a picture, where the classifier looked, what is alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from brushwork import checkpoint
from brushwork.errors import BrushworkError
from brushwork.report import figures
from brushwork_demo import studio
from brushwork_demo.studio import Studio
from brushwork_demo.uploads import LOOKED_AT
from brushwork_demo.uploads import picture as picture_of
from brushwork_demo.words import data_url, escape, in_words

if TYPE_CHECKING:
    from brushwork.classifier.identify import Identification, Neighbour

EXAMPLES = Path(__file__).parent / "examples"
NONE_HERE = (
    "This page was started without an artist classifier. "
    "Train one and start the page with `brushwork-demo --classifier FOLDER`."
)


def classifier_of(rooms: Studio) -> Path:
    """The folder of this page's classifier.

    Raises:
        BrushworkError: it has none.
    """
    if rooms.classifier is None:
        raise BrushworkError(NONE_HERE)
    return rooms.classifier


def answer(rooms: Studio, picture: Image.Image) -> dict[str, Any]:
    """Who may have painted it, as JSON."""
    found = studio.identify(classifier_of(rooms), picture)
    return {
        "known": found.known,
        "artist": found.artist,
        "candidates": [
            {"artist": c.artist, "probability": round(float(c.probability), 4)}
            for c in found.candidates
        ],
    }


def answer_html(rooms: Studio, picture: Image.Image, heading: str = "") -> str:
    """Who may have painted it, as bars with a line on each artist."""
    folder = classifier_of(rooms)
    found = studio.identify(folder, picture)
    return candidates_html(found, lines_on_artists(folder), heading)


def candidates_html(found: "Identification", lines: dict[str, str], heading: str = "") -> str:
    """Names, probabilities and bars; above them the verdict in words."""
    best = found.candidates[0]
    if found.known:
        verdict = f"{escape(best.artist)}"
        sure = f"with a probability of {best.probability:.0%}"
    else:
        verdict = "Unlike any artist I know"
        sure = f"the nearest guess is {escape(best.artist)}, at {best.probability:.0%}"
    rows = "".join(
        f'<li><span class="who">{escape(c.artist)}</span>'
        f'<span class="share">{c.probability:.1%}</span>'
        f'<span class="bar" aria-hidden="true"><i style="width:{c.probability:.2%}"></i></span>'
        f'<span class="line">{escape(lines.get(c.artist, ""))}</span></li>'
        for c in found.candidates
    )
    head = f'<p class="over">{escape(heading)}</p>' if heading else ""
    return (
        f'<section class="answer" aria-live="polite">{head}<h3>{verdict}</h3>'
        f"<p>{sure}</p><ol>{rows}</ol></section>"
    )


def lines_on_artists(folder: Path) -> dict[str, str]:
    """A short line on each artist, as the checkpoint's `config.json` has them."""
    lines = checkpoint.load_config(folder).get("about_artists", {})
    return lines if isinstance(lines, dict) else {}


def introduction(artists: Sequence[str]) -> str:
    """What the tab says before a painting is there: whom it could name."""
    some = ", ".join(escape(name) for name in artists[:60])
    rest = f" and {len(artists) - 60:,} more" if len(artists) > 60 else ""
    return (
        "<section class='answer'><h3>Whose painting is it?</h3>"
        f"<p>I know {len(artists):,} artists, and say so when a painting is unlike any of theirs."
        f"</p><p class='hint'>{some}{rest}.</p></section>"
    )


def nearest_html(rooms: Studio, picture: Image.Image) -> str:
    """Known paintings that look alike: artist, title and, where the index has it, a small picture.

    Empty where the classifier has no index.
    """
    if rooms.classifier is None:
        return ""
    rows = "".join(
        f"<li>{_thumbnail(near)}<span><b>{escape(near.artist)}</b><br>{escape(near.title)}</span>"
        f'<span class="share">{near.similarity:.0%} alike</span></li>'
        for near in studio.nearest(rooms.classifier, picture)
    )
    head = "<h4>Nearest paintings that I learned from</h4>"
    return f'<section class="alike">{head}<ul>{rows}</ul></section>' if rows else ""


def _thumbnail(near: "Neighbour") -> str:
    if near.thumbnail is None:
        return ""
    return f'<img src="{data_url(near.thumbnail)}" alt="{escape(near.title)}">'


def tab(rooms: Studio) -> None:
    """Lay the tab out."""
    if rooms.classifier is None:
        gr.Markdown(NONE_HERE, elem_id="no-classifier")
        return
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            image = gr.Image(
                label="A painting",
                format="jpeg",
                sources=["upload", "webcam", "clipboard"],
                height=380,
                placeholder="Drop a painting here, paste one, or click to choose a file",
                alt_text="The painting to identify",
                elem_id="upload",
            )
            files = sorted(EXAMPLES.glob("*.jpg"))
            if files:
                gr.Examples(
                    [[str(file)] for file in files],
                    image,
                    label="Or try one of these, drawn by code or painted by the painters here",
                    cache_examples=False,
                    api_visibility="private",
                    elem_id="examples",
                    example_labels=None,
                )
        with gr.Column(scale=4, min_width=300):
            verdict = gr.HTML(
                introduction(checkpoint.load_config(rooms.classifier).get("artists", [])),
                elem_id="answer",
            )
            with gr.Row(visible=False) as more:
                heat = gr.Image(
                    label="Where I looked",
                    format="jpeg",
                    interactive=False,
                    buttons=["fullscreen"],
                    alt_text="Heat map of the parts that spoke for the artist",
                    elem_id="heat",
                )
            reason = gr.Radio([], label="What spoke for", visible=False, elem_id="reason")
            known = gr.HTML(visible=False, elem_id="nearest")

    @in_words
    def name_artist(file: Any) -> list[Any]:
        picture = picture_of(file, LOOKED_AT)
        if picture is None:
            hidden = gr.update(visible=False)
            return ["", hidden, hidden, hidden]
        folder = classifier_of(rooms)
        found = studio.identify(folder, picture)
        names = [c.artist for c in found.candidates]
        said = candidates_html(found, lines_on_artists(folder))
        choice = gr.update(choices=names, value=names[0], visible=True)
        return [said, choice, gr.skip(), gr.skip()]

    @in_words
    def look_closer(file: Any, artist: Any) -> list[Any]:
        picture = picture_of(file)
        if picture is None:
            return [gr.skip(), gr.update(visible=False), gr.update(visible=False)]
        near = nearest_html(rooms, picture)
        map_of = heat_map(picture, artist)
        return [
            map_of,
            gr.update(visible=map_of is not None),
            gr.update(value=near, visible=bool(near)),
        ]

    @in_words
    def look_again(file: Any, artist: Any) -> Any:
        picture = picture_of(file)
        return gr.skip() if picture is None else heat_map(picture, artist)

    def heat_map(picture: Image.Image, artist: Any) -> Image.Image | None:
        folder = classifier_of(rooms)
        if artist not in studio.artists(folder):
            artist = None
        try:
            return figures.overlay(picture, studio.explain(folder, picture, artist))
        except BrushworkError:  # not every backbone can be asked where it looked
            return None

    limits: dict[str, Any] = {
        "concurrency_limit": 16,
        "concurrency_id": "identify",
        "api_visibility": "private",
        "preprocess": False,
    }
    image.change(name_artist, image, [verdict, reason, more, known], **limits).success(
        look_closer, [image, reason], [heat, more, known], show_progress="hidden", **limits
    )
    reason.input(look_again, [image, reason], heat, **limits)
