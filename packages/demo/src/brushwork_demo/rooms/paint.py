"""The Paint room: one large picture, and what can be done with it.

The browser holds recipes (see `brushwork_demo.paint`) and asks the server for their pictures, so
the server keeps nothing about a visitor. `paint.js` places the pictures.
"""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr
from PIL import Image, ImageOps

from brushwork.data.aspects import describe_size
from brushwork.errors import BrushworkError
from brushwork.report.figures import grid
from brushwork_demo import paint, serving
from brushwork_demo.models import Models
from brushwork_demo.rooms import identify
from brushwork_demo.text import data_url, escape, server_answers, visitor_errors

SCRIPT = (Path(__file__).parent / "paint.js").read_text(encoding="utf-8")
TRUNCATION = 0.8
"""Variety at which the room opens: fewer failures than with all of it."""
CARD_SIDE = 128
SAVED_SIDE = 1024
"""Side in pixels, approximately, of a picture that a visitor downloads."""
SHEET_SIDE = 256
MAX_AT_ONCE = 16
"""Recipes that the server paints in one call."""
MAX_FAVOURITES = 60
# Gradio shows its progress in an output that is visible; on a phone it is below the screen.
SHOW = """() => {
  (window.brushworkAsked ||= {})["%s"] = window.brushworkMoves;
  setTimeout(() => document.getElementById("%s")?.scrollIntoView({block: "nearest"}), 100);
  return {visible: true, __type__: "update"};
}"""
HIDE = """() => {
  window.brushworkMoves = (window.brushworkMoves || 0) + 1;
  return Array(2).fill({value: null, visible: false, __type__: "update"});
}"""
# A call that had not reached the server when its picture was left could not be cancelled.
HIDE_IF_LATE = """() => window.brushworkAsked["%s"] == window.brushworkMoves
  ? {__type__: "update"} : {value: null, visible: false, __type__: "update"}"""
# A list of one output: the new favourites.
KEEP = f"""(kept, recipe) => [kept.includes(recipe)
  ? kept.filter((one) => one != recipe) : [recipe, ...kept].slice(0, {MAX_FAVOURITES})]"""


def show(models: Models, recipes: Any) -> list[dict[str, str]]:
    """Paint the pictures of recipes.

    Args:
        models: the models of the page.
        recipes: 1 to `MAX_AT_ONCE` recipes, each as a dictionary.

    Returns:
        For each recipe the picture as a `data:` address, its text for screen readers, and which
        picture it is in a few words.

    Raises:
        BrushworkError: a recipe is not valid.
    """
    chosen = checked_recipes(recipes, MAX_AT_ONCE)
    arrays = serving.paint_each([paint.recipe_request(models, recipe) for recipe in chosen])
    return [
        {
            "src": data_url(Image.fromarray(array[0])),
            "alt": paint.described(array[0], paint.title_of_recipe(models, recipe)),
            "which": paint.in_words(recipe.get("seed")),
        }
        for array, recipe in zip(arrays, chosen, strict=True)
    ]


def save(models: Models, recipe: Any) -> dict[str, str]:
    """Paint one recipe enlarged, as a PNG to download."""
    [one] = checked_recipes([recipe], 1)
    [picture] = serving.paint(paint.recipe_request(models, one))
    return {"src": data_url(paint.enlarged(picture, SAVED_SIDE), "png")}


def sheet(models: Models, recipes: Any) -> dict[str, str]:
    """Paint a visitor's favourites on one sheet, as a JPEG to download."""
    chosen = checked_recipes(recipes, MAX_FAVOURITES)
    arrays = serving.paint_each([paint.recipe_request(models, recipe) for recipe in chosen])
    size, white = (SHEET_SIDE, SHEET_SIDE), (255, 255, 255)
    pictures = [Image.fromarray(array[0]) for array in arrays]
    tiles = [ImageOps.pad(one, size, Image.Resampling.BICUBIC, color=white) for one in pictures]
    return {"src": data_url(grid(paint.stacked(tiles), gap=8))}


def checked_recipes(recipes: Any, most: int) -> list[dict[str, Any]]:
    """Check that a visitor's value is a list of 1 to `most` dictionaries, and return it.

    Raises:
        BrushworkError: it is not.
    """
    if not isinstance(recipes, list) or not 1 <= len(recipes) <= most:
        raise BrushworkError(f"this call takes a list of 1 to {most} pictures")
    if not all(isinstance(recipe, dict) for recipe in recipes):
        raise BrushworkError("a picture is described by painter, seed, truncation, stage and label")
    return recipes


def covers(models: Models) -> dict[str, dict[str, str]]:
    """Paint the picture that stands for each painter, by the painter's name."""
    painters = [*models.painters.values()]
    recipes = [cover_recipe(models, painter.name) for painter in painters]
    shown: list[dict[str, str]] = []
    for start in range(0, len(recipes), MAX_AT_ONCE):
        shown += show(models, recipes[start : start + MAX_AT_ONCE])
    return dict(zip(models.painters, shown, strict=True))


def cover_recipe(models: Models, painter: str) -> dict[str, Any]:
    """Return the recipe of the picture that stands for a painter."""
    seed = str(models.painter(painter).cover_seed)
    return {"painter": painter, "seed": seed, "truncation": f"{TRUNCATION:g}"}


def room(models: Models) -> None:
    """Place the components of the room."""
    shown = covers(models)
    favourites = gr.BrowserState([], storage_key="brushwork-favourites", secret="brushwork")
    stage = gr.HTML(
        urlencode(cover_recipe(models, models.painter(None).name)),
        html_template="${body}",
        js_on_load=SCRIPT,
        apply_default_css=False,
        elem_id="paint",
        server_functions=[
            server_answers(show, models),
            server_answers(save, models),
            server_answers(sheet, models),
        ],
        body=body(models, shown),
        painters=[describe(models, name) for name in models.painters],
        covers=shown,
        truncation=f"{TRUNCATION:g}",
    )
    with gr.Accordion("Video and classifier", open=False):
        gr.Markdown("Both take the large picture above.")
        with gr.Row():
            film_button = gr.Button("Video of a walk around it", elem_id="walk")
            who_button = gr.Button(
                "What the classifier says", elem_id="who", visible=models.classifier is not None
            )
        film = gr.Video(
            label="A walk around the picture",
            autoplay=True,
            loop=True,
            visible=False,
            interactive=False,
            buttons=["download"],
            elem_id="film",
        )
        verdict = gr.HTML(visible=False, elem_id="verdict")

    @visitor_errors
    def who_painted(recipe: Any) -> Any:
        [picture] = serving.paint(paint.recipe_request(models, parsed(recipe, models)))
        image = Image.fromarray(picture)
        answer = identify.answer_html(models, image, heading="The classifier says")
        return gr.update(value=answer + identify.nearest_html(models, image), visible=True)

    @visitor_errors
    def make_film(recipe: Any, progress: gr.Progress = gr.Progress()) -> Any:  # noqa: B008
        file = paint.walk_file()
        film.temp_files.add(str(file))  # otherwise Gradio never deletes it
        paint.walk(paint.recipe_request(models, parsed(recipe, models)), file, progress)
        return gr.update(value=str(file), visible=True)

    stage.keep(  # pyright: ignore[reportAttributeAccessIssue]
        None, [favourites, stage], favourites, js=KEEP, api_visibility="private"
    )
    favourites.change(
        None,
        favourites,
        None,
        js="(kept) => {window.brushworkKept = kept; dispatchEvent(new Event('brushwork:kept'));}",
        api_visibility="private",
    )
    who_answers = who_button.click(
        None, None, verdict, api_visibility="private", js=SHOW % ("verdict", "verdict")
    ).then(
        who_painted,
        stage,
        verdict,
        concurrency_limit=16,
        concurrency_id="identify",
        api_visibility="private",
    )
    film_comes = film_button.click(
        None, None, film, api_visibility="private", js=SHOW % ("film", "film")
    ).then(
        make_film,
        stage,
        film,
        concurrency_limit=2,
        concurrency_id="walk",
        api_visibility="private",
    )
    # What was made of an earlier picture would look like that of the new one.
    who_answers.then(None, None, verdict, api_visibility="private", js=HIDE_IF_LATE % "verdict")
    film_comes.then(None, None, film, api_visibility="private", js=HIDE_IF_LATE % "film")
    stage.moved(  # pyright: ignore[reportAttributeAccessIssue]
        None,
        None,
        [film, verdict],
        js=HIDE,
        cancels=[who_answers, film_comes],
        api_visibility="private",
    )


def parsed(recipe: Any, models: Models) -> dict[str, Any]:
    """Read the recipe in the value of the stage; the opening picture while there is none."""
    if not recipe:
        return cover_recipe(models, models.painter(None).name)
    return dict(parse_qsl(str(recipe)[: 2 * paint.MAX_RECIPE]))


def describe(models: Models, name: str) -> dict[str, Any]:
    """Describe a painter for the browser."""
    painter = models.painter(name)
    return {
        "name": name,
        "title": models.titles[name],
        "seed": str(painter.cover_seed),
        "epochs": [round(epoch) for epoch in painter.epochs],
        "classes": list(serving.classes(painter.stages[-1])),
    }


def body(models: Models, shown: dict[str, dict[str, str]]) -> str:
    """Write the HTML of the stage; `paint.js` fills the strips."""
    first = models.painter(None).name
    cards = "".join(
        f'<button type="button" role="radio" data-painter="{escape(name)}" '
        f'aria-checked="{str(name == first).lower()}" tabindex="{0 if name == first else -1}">'
        f'<img src="{shown[name]["src"]}" alt="" width="{CARD_SIDE}" height="{CARD_SIDE}">'
        f"<span>{escape(title)}</span><small>{facts(models, name)}</small></button>"
        for name, title in models.titles.items()
    )
    cover = shown[first]
    return f"""
<figure class="picture">
  <img id="picture" src="{cover["src"]}" alt="{escape(cover["alt"])}" width="640" height="640">
  <p class="wait" aria-hidden="true">Painting …</p>
  <figcaption><b id="what">{escape(models.titles[first])}</b>
    <span id="which">{escape(cover["which"])}</span></figcaption>
  <p id="message" role="status"></p>
</figure>
<div class="actions">
  <button type="button" id="another" class="main">Another</button>
  <button type="button" id="back" disabled>Back</button>
  <button type="button" id="keep" aria-pressed="false">♡ Keep</button>
  <button type="button" id="like">More like this</button>
  <button type="button" id="mix">Mix…</button>
  <button type="button" id="stroll">Walk</button>
  <button type="button" id="share">Link</button>
  <button type="button" id="save">Save</button>
</div>
<div class="strips">
  <div id="strip" class="strip" role="listbox" aria-orientation="horizontal"
    aria-label="Pictures you have seen, the newest last"></div>
  <div id="shelf" hidden><h3>Kept in this browser
    <button type="button" id="sheet">Download as a sheet</button></h3>
    <div id="kept" class="strip" role="listbox" aria-orientation="horizontal"
      aria-label="Pictures you have kept"></div></div>
</div>
<div class="choose">
  <div class="around">
    <div id="pad" role="slider" tabindex="0" aria-label="Nearby pictures"
      aria-valuemin="-1" aria-valuemax="1" aria-valuenow="0" aria-valuetext="in the middle"
      ><i></i></div>
    <p>Drag the dot, or use the arrow keys: the picture follows.</p>
  </div>
  <label>Variety <input id="variety" type="range" min="0.1" max="1" step="0.05"
    value="{TRUNCATION:g}"></label>
  <label id="class-row" hidden>In the manner of <select id="class"></select></label>
  <div class="cards" role="radiogroup" aria-label="What to paint">{cards}</div>
  <details><summary>More</summary>
    <label id="stage-row" hidden><span id="stage-text">Training</span>
      <input id="stage" type="range" min="1" max="2" step="1" value="1"></label>
    <label>Picture number <input id="seed" type="text" inputmode="numeric" maxlength="400"
      autocomplete="off"></label>
    <p>The same number, variety and painter give the same picture on every machine.</p>
  </details>
</div>"""


def facts(models: Models, name: str) -> str:
    """Say in a few words what a painter was trained on."""
    painter = models.painter(name)
    num = painter.config.get("training", {}).get("num_paintings", 0)
    return f"{describe_size(painter.side, painter.aspect)}, from {num:,} paintings"
