"""The Identify room: the likely artists of a picture, the evidence, similar training paintings."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from brushwork import checkpoint
from brushwork.classifier.answer import TRAITS, Identification, Neighbour, Picture
from brushwork.errors import BrushworkError
from brushwork.report import figures
from brushwork_demo import serving
from brushwork_demo.models import Models
from brushwork_demo.text import data_url, escape, explain, parse_int, title_of, visitor_errors
from brushwork_demo.uploads import CLASSIFIER_SIDE, is_usable, read_upload

EXAMPLES = Path(__file__).parents[1] / "examples"
MAX_EXAMPLES = 6
NO_CLASSIFIER = (
    "This page has no artist classifier. "
    "Train one and start the page with `brushwork-demo --classifier FOLDER`."
)
SCRIPT = """
// A file that the browser cannot draw, such as a TIFF, would look broken.
for (const [event, visibility] of [["error", "hidden"], ["load", ""]])
  document.addEventListener(event, ({target}) => {
    if (target.matches?.("#upload img")) target.style.visibility = visibility;
  }, true);

// Gradio's "File" would only clear the picture, or do nothing.
document.addEventListener("click", (event) => {
  const input = document.querySelector("#upload input[type=file]");
  if (!input || !event.target.closest?.("#upload [aria-label='Upload file']")) return;
  event.stopPropagation();
  input.click();
}, true);

// The examples are one stop for the keyboard, with arrow keys inside, and have their titles.
const examples = () => [...document.querySelectorAll("#examples .thumbnail-item")];
const stopAt = (at) => examples().forEach((one, n) => (one.tabIndex = n == at ? 0 : -1));
const waiting = setInterval(() => {
  if (!examples().length) return;
  clearInterval(waiting);
  stopAt(0);
  for (const one of examples()) one.ariaLabel = one.querySelector("img").alt;
}, 100);
document.addEventListener("keydown", (event) => {
  const all = examples(), at = all.indexOf(document.activeElement);
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  if (at < 0 || !step) return;
  event.preventDefault();
  const next = (at + step + all.length) % all.length;
  stopAt(next);
  all[next].focus();
});
"""
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


def answer(models: Models, picture: Picture) -> dict[str, Any]:
    """Identify a picture's artist, and return the answer as a JSON object.

    Style, genre and decade are the likeliest ones, under the names that the table of `identify.py`
    gives them; None if the classifier does not know them, as for "none of these artists".
    """
    found = serving.identify(classifier_of(models), picture)
    none = none_of_these(found)
    fields: dict[str, Any] = {
        "known": found.known,
        "artist": found.artist,
        "candidates": [
            {"artist": c.artist, "probability": round(float(c.probability), 4)}
            for c in found.candidates
        ],
        "none_probability": None if none is None else round(float(none), 4),
    }
    for trait in TRAITS:
        guess = next(iter(getattr(found, trait)), None)
        fields[trait] = guess and guess.value
        fields[f"{trait}_probability"] = guess and round(float(guess.probability), 4)
    return fields


def answer_html(models: Models, picture: Picture, heading: str = "") -> str:
    """Identify a picture's artist, and format each candidate as HTML: a bar and a line of text."""
    folder = classifier_of(models)
    found = serving.identify(folder, picture)
    return candidates_html(found, artist_descriptions(folder), heading)


def candidates_html(
    found: Identification, descriptions: Mapping[str, str], heading: str = ""
) -> str:
    """Format the candidates: names, probabilities, bars and descriptions below a verdict."""
    rows = [(c.artist, c.probability, descriptions.get(c.artist, "")) for c in found.candidates]
    return answer_section(rows, found.known, none_of_these(found), traits(found), heading)


def none_of_these(found: Identification) -> float | None:
    """Return the probability that no known artist painted it; None if the answer has none."""
    return found.none or None  # 0 in the answers of checkpoints that do not know strangers


def traits(found: Identification) -> dict[str, str]:
    """Return the likeliest style, genre and decade, as far as the answer has them."""
    columns = {"Style": found.style, "Genre": found.genre, "Decade": found.decade}
    return {
        name: f"{guesses[0].value}, {rounded(guesses[0].probability)}"
        for name, guesses in columns.items()
        if guesses
    }


def rounded(probability: float) -> str:
    """Format a probability; never as 100%, which would be a certainty.

    >>> rounded(0.451), rounded(0.997)
    ('45%', 'over 99%')
    """
    return "over 99%" if probability >= 0.995 else f"{probability:.0%}"


def answer_section(
    rows: Sequence[tuple[str, float, str]],
    known: bool,
    none: float | None = None,
    traits: Mapping[str, str] | None = None,
    heading: str = "",
) -> str:
    """Format an answer as HTML.

    Args:
        rows: name, probability and description of each candidate, the likeliest first.
        known: whether the first name is the answer.
        none: the probability that it is none of the known artists; then all of them sum to 1 with
            it. Without it, the bars share out 1 among the known artists.
        traits: further answers, such as {"Style": "Impressionism, 80%"}.
        heading: a line above the verdict.
    """
    best, probability, _ = rows[0]
    if known:
        verdict, detail = escape(best), f"with a probability of {rounded(probability)}"
    else:
        verdict = "None of the known artists"
        detail = f"If it is one of them, most likely {escape(best)}."
        if none is None:
            detail += " The bars share out 100% among the known artists."
    bars = "".join(_bar(*row) for row in rows)
    if none is not None:
        line = "An artist that the classifier does not know, or no painting"
        bars += _bar("None of these", none, line, "none")
    more = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>"
        for name, text in (traits or {}).items()
    )
    head = f'<p class="over">{escape(heading)}</p>' if heading else ""
    return (
        f'<section class="answer" aria-live="polite">{head}<h3>{verdict}</h3>'
        f"<p>{detail}</p><ol>{bars}</ol>{f'<dl>{more}</dl>' if more else ''}</section>"
    )


def _bar(name: str, probability: float, line: str, kind: str = "") -> str:
    return (
        f'<li class="{kind}"><span class="who">{escape(name)}</span>'
        f'<span class="share">{probability:.1%}</span>'
        f'<span class="bar" aria-hidden="true"><i style="width:{probability:.2%}"></i></span>'
        f'<span class="line">{escape(line)}</span></li>'
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
        f"<p>The classifier knows {len(artists):,} artists. If a painting is probably by somebody "
        f"else, it says so.</p><p class='hint'>{some}{rest}.</p></section>"
    )


def nearest_html(models: Models, picture: Picture) -> str:
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


def _thumbnail(near: Neighbour) -> str:
    if near.thumbnail is None:
        return ""
    return f'<img src="{data_url(near.thumbnail)}" alt="{escape(near.title)}">'


def example_files(models: Models) -> list[Path]:
    """List the examples: pictures of whoever serves the page, or the bundled ones.

    Files that cannot be used are left out, and their names printed.
    """
    files = models.pictures or sorted(EXAMPLES.glob("*.jpg"))
    step = -(-len(files) // MAX_EXAMPLES)
    usable = {file: is_usable(file) for file in files[::step]}
    if unusable := [file.name for file, is_good in usable.items() if not is_good]:
        print(f"warning: no example, because it cannot be read: {', '.join(unusable)}")
    return [file for file, is_good in usable.items() if is_good]


def room(models: Models) -> None:
    """Place the components of the room."""
    if models.classifier is None:
        gr.Markdown(NO_CLASSIFIER, elem_id="no-classifier")
        return
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300, elem_id="upload-column"):
            image = gr.Image(
                label="A painting",
                format="jpeg",
                sources=["upload", "webcam", "clipboard"],
                # On a phone, the camera on the back.
                webcam_options=gr.WebcamOptions(
                    mirror=False, constraints={"video": {"facingMode": "environment"}}
                ),
                height="clamp(200px, 34vh, 400px)",
                placeholder="Choose a picture of a painting, drop it here, or use the camera below",
                alt_text="The painting to identify",
                elem_id="upload",
            )
        with gr.Column(scale=4, min_width=300):
            verdict = gr.HTML(
                introduction(checkpoint.load_config(models.classifier).get("artists", [])),
                js_on_load=SCRIPT,
                elem_id="answer",
            )
    files = example_files(models)
    examples = gr.Gallery(
        [(str(file), title_of(file)) for file in files],
        label="Examples" if models.pictures else "Examples, generated by this page",
        columns=MAX_EXAMPLES,
        rows=1,
        height="auto",
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_id="examples",
    )
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300, visible=False) as more:
            reason = gr.Radio([], label="Evidence for", elem_id="reason")
            heat = gr.ImageSlider(
                label="Painting and evidence",
                format="jpeg",
                interactive=False,
                buttons=["fullscreen"],
                slider_position=50,
                elem_id="heat",
            )
        with gr.Column(scale=4, min_width=300):
            known = gr.HTML(visible=False, elem_id="nearest")

    @visitor_errors
    def choose_example(event: gr.SelectData) -> str:
        index = parse_int(event.index, "the example", 0, len(files) - 1)
        # The gallery's copy: Gradio sends no file from outside the working directory.
        return examples.value[index]["image"]["path"]

    def name_artist(file: Any) -> list[Any]:
        hidden = gr.update(visible=False)
        folder = classifier_of(models)
        try:
            picture = read_upload(file, CLASSIFIER_SIDE)
            found = picture and serving.identify(folder, picture)
        except Exception as error:  # the answer to an earlier picture must not stay
            problem = f"<p>{escape(explain(error, 'name_artist'))}</p>"
            refused = f'<section class="answer" role="alert"><h3>No answer</h3>{problem}</section>'
            return [refused, gr.update(choices=[], value=None), hidden, hidden]
        if not found:
            return [introduction(serving.artists(folder)), gr.skip(), hidden, hidden]
        names = [c.artist for c in found.candidates]
        return [
            candidates_html(found, artist_descriptions(folder)),
            gr.update(choices=names, value=names[0]),
            gr.skip(),
            gr.skip(),
        ]

    @visitor_errors
    def explain_answer(file: Any, artist: Any) -> list[Any]:
        picture = None if artist is None else read_upload(file)  # no artist: it was refused
        if picture is None:
            return [gr.skip(), gr.update(visible=False), gr.update(visible=False)]
        shown, reason = evidence(picture, artist)
        similar = reason + nearest_html(models, picture)
        return [
            shown,
            gr.update(visible=shown is not None),
            gr.update(value=similar, visible=bool(similar)),
        ]

    @visitor_errors
    def change_artist(file: Any, artist: Any) -> Any:
        picture = read_upload(file)
        return gr.skip() if picture is None else evidence(picture, artist)[0]

    def evidence(picture: bytes, artist: Any) -> tuple[tuple[Image.Image, Image.Image] | None, str]:
        """Draw the evidence over a picture, a JPEG; without a heat map, say why there is none."""
        folder = classifier_of(models)
        if artist not in serving.artists(folder):
            artist = None
        try:
            heat = serving.explain(folder, picture, artist)
        except BrushworkError as error:
            return None, f'<p class="hint">No map of the evidence: {escape(error)}.</p>'
        shown = Image.open(io.BytesIO(picture)).convert("RGB")
        return (shown, figures.overlay(shown, heat)), ""

    limits: dict[str, Any] = {
        "concurrency_limit": 16,
        "concurrency_id": "identify",
        "api_visibility": "private",
        "preprocess": False,
    }
    examples.select(choose_example, None, image, api_visibility="private")
    image.change(name_artist, image, [verdict, reason, more, known], **limits).success(
        explain_answer, [image, reason], [heat, more, known], show_progress="hidden", **limits
    )
    reason.input(change_artist, [image, reason], heat, **limits)
