"""The Identify tab: the likely artists of a picture, the evidence, similar training paintings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from brushwork import checkpoint
from brushwork.errors import BrushworkError
from brushwork.report import figures
from brushwork_demo import serving
from brushwork_demo.models import Models
from brushwork_demo.text import data_url, escape, visitor_errors
from brushwork_demo.uploads import CLASSIFIER_SIDE, read_upload

if TYPE_CHECKING:
    from brushwork.classifier.identify import Identification, Neighbour

EXAMPLES = Path(__file__).parent / "examples"
NO_CLASSIFIER = (
    "This page has no artist classifier. "
    "Train one and start the page with `brushwork-demo --classifier FOLDER`."
)
MAX_NAMES = 60
"""Artists that the tab lists by name before a picture is there."""


def classifier_of(models: Models) -> Path:
    """Return the folder of the page's classifier.

    Raises:
        BrushworkError: the page has no classifier.
    """
    if models.classifier is None:
        raise BrushworkError(NO_CLASSIFIER)
    return models.classifier


def answer(models: Models, picture: Image.Image) -> dict[str, Any]:
    """Identify a picture's artist, and return the answer as a JSON object."""
    found = serving.identify(classifier_of(models), picture)
    return {
        "known": found.known,
        "artist": found.artist,
        "candidates": [
            {"artist": c.artist, "probability": round(float(c.probability), 4)}
            for c in found.candidates
        ],
    }


def answer_html(models: Models, picture: Image.Image, heading: str = "") -> str:
    """Identify a picture's artist, and format each candidate as HTML: a bar and a line of text."""
    folder = classifier_of(models)
    found = serving.identify(folder, picture)
    return candidates_html(found, artist_descriptions(folder), heading)


def candidates_html(
    found: "Identification", descriptions: Mapping[str, str], heading: str = ""
) -> str:
    """Format the candidates: names, probabilities, bars and descriptions below a verdict."""
    best = found.candidates[0]
    if found.known:
        verdict = escape(best.artist)
        detail = f"with a probability of {best.probability:.0%}"
    else:
        verdict = "Unknown artist"
        detail = (
            "Not similar enough to any artist that the classifier knows. The most likely of them "
            f"is {escape(best.artist)} ({best.probability:.0%})."
        )
    rows = "".join(
        f'<li><span class="who">{escape(c.artist)}</span>'
        f'<span class="share">{c.probability:.1%}</span>'
        f'<span class="bar" aria-hidden="true"><i style="width:{c.probability:.2%}"></i></span>'
        f'<span class="line">{escape(descriptions.get(c.artist, ""))}</span></li>'
        for c in found.candidates
    )
    head = f'<p class="over">{escape(heading)}</p>' if heading else ""
    return (
        f'<section class="answer" aria-live="polite">{head}<h3>{verdict}</h3>'
        f"<p>{detail}</p><ol>{rows}</ol></section>"
    )


def artist_descriptions(folder: Path) -> dict[str, str]:
    """Read a line of text about each artist from the checkpoint's `config.json`."""
    lines = checkpoint.load_config(folder).get("about_artists", {})
    return lines if isinstance(lines, dict) else {}


def introduction(artists: Sequence[str]) -> str:
    """Format the first text of the tab: the artists that the classifier knows."""
    some = ", ".join(escape(name) for name in artists[:MAX_NAMES])
    rest = f" and {len(artists) - MAX_NAMES:,} more" if len(artists) > MAX_NAMES else ""
    return (
        "<section class='answer'><h3>Who painted it?</h3>"
        f"<p>The classifier knows {len(artists):,} artists. It answers “unknown artist” for a "
        f"painting that is not similar to theirs.</p><p class='hint'>{some}{rest}.</p></section>"
    )


def nearest_html(models: Models, picture: Image.Image) -> str:
    """Format the most similar training paintings: artist, title and, if saved, a thumbnail.

    Empty if the page has no classifier, or the classifier has no index.
    """
    if models.classifier is None:
        return ""
    rows = "".join(
        f"<li>{_thumbnail(near)}<span><b>{escape(near.artist)}</b><br>{escape(near.title)}</span>"
        f'<span class="share">{near.similarity:.0%} similar</span></li>'
        for near in serving.nearest(models.classifier, picture)
    )
    head = "<h4>Most similar training paintings</h4>"
    return f'<section class="alike">{head}<ul>{rows}</ul></section>' if rows else ""


def _thumbnail(near: "Neighbour") -> str:
    if near.thumbnail is None:
        return ""
    return f'<img src="{data_url(near.thumbnail)}" alt="{escape(near.title)}">'


def tab(models: Models) -> None:
    """Add the components of the tab to the page."""
    if models.classifier is None:
        gr.Markdown(NO_CLASSIFIER, elem_id="no-classifier")
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
                    label="Examples: drawn by code, or generated by a painter of this page",
                    cache_examples=False,
                    api_visibility="private",
                    elem_id="examples",
                    example_labels=None,
                )
        with gr.Column(scale=4, min_width=300):
            verdict = gr.HTML(
                introduction(checkpoint.load_config(models.classifier).get("artists", [])),
                elem_id="answer",
            )
            with gr.Row(visible=False) as more:
                heat = gr.Image(
                    label="Evidence map (Grad-CAM)",
                    format="jpeg",
                    interactive=False,
                    buttons=["fullscreen"],
                    alt_text="Heat map of the parts that are evidence for the artist",
                    elem_id="heat",
                )
            reason = gr.Radio([], label="Evidence for", visible=False, elem_id="reason")
            known = gr.HTML(visible=False, elem_id="nearest")

    @visitor_errors
    def name_artist(file: Any) -> list[Any]:
        picture = read_upload(file, CLASSIFIER_SIDE)
        if picture is None:
            hidden = gr.update(visible=False)
            return ["", hidden, hidden, hidden]
        folder = classifier_of(models)
        found = serving.identify(folder, picture)
        names = [c.artist for c in found.candidates]
        return [
            candidates_html(found, artist_descriptions(folder)),
            gr.update(choices=names, value=names[0], visible=True),
            gr.skip(),
            gr.skip(),
        ]

    @visitor_errors
    def explain_answer(file: Any, artist: Any) -> list[Any]:
        picture = read_upload(file)
        if picture is None:
            return [gr.skip(), gr.update(visible=False), gr.update(visible=False)]
        similar = nearest_html(models, picture)
        heat_map = evidence(picture, artist)
        return [
            heat_map,
            gr.update(visible=heat_map is not None),
            gr.update(value=similar, visible=bool(similar)),
        ]

    @visitor_errors
    def change_artist(file: Any, artist: Any) -> Any:
        picture = read_upload(file)
        return gr.skip() if picture is None else evidence(picture, artist)

    def evidence(picture: Image.Image, artist: Any) -> Image.Image | None:
        folder = classifier_of(models)
        if artist not in serving.artists(folder):
            artist = None
        try:
            return figures.overlay(picture, serving.explain(folder, picture, artist))
        except BrushworkError:  # Grad-CAM needs feature maps, which some backbones do not have
            return None

    limits: dict[str, Any] = {
        "concurrency_limit": 16,
        "concurrency_id": "identify",
        "api_visibility": "private",
        "preprocess": False,
    }
    image.change(name_artist, image, [verdict, reason, more, known], **limits).success(
        explain_answer, [image, reason], [heat, more, known], show_progress="hidden", **limits
    )
    reason.input(change_artist, [image, reason], heat, **limits)
