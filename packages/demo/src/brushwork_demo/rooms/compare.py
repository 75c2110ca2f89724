"""The Compare room: the same seed through up to four generators, with three plain measures."""

import random
from collections.abc import Sequence
from typing import Any

import gradio as gr
import pandas as pd
from PIL import Image

from brushwork.data.aspects import height_and_width
from brushwork.gan.latents import MAX_SEED
from brushwork_demo import paint, serving
from brushwork_demo.models import Models, Painter
from brushwork_demo.text import data_url, escape, parse_int, visitor_errors

MAX_COMPARED = 4
SIDE = 384
"""Side in pixels, approximately, to which a picture is enlarged."""
MEASURES = {
    "Closeness": ("precision", "pictures that lie among the paintings"),
    "Variety": ("recall", "paintings that the pictures come near to"),
    "Novelty": ("authenticity", "pictures that are no near copy of a training painting"),
}
"""The plain name, the metric of `evaluate_gan.py`, and what is counted; more is better."""
EXPLAINED = (
    "↑ All three are percentages, and more is better. Closeness counts "
    f"{MEASURES['Closeness'][1]}; variety counts {MEASURES['Variety'][1]}; novelty counts "
    f"{MEASURES['Novelty'][1]}. Statistics of texture, or a neural network, decide what is near."
)
CURVES = {
    "loss_G": "Loss of the generator",
    "loss_D": "Loss of the discriminator",
    "D(x)": "Discriminator's mean for paintings, D(x)",
    "D(G(z))": "Discriminator's mean for fakes, D(G(z))",
}
"""What each curve of `metrics.jsonl` shows."""
EPOCH, GENERATOR = "Epoch", "Generator"
SPACES = {
    "texture": "Texture: colours, gradients and wavelets",
    "tf_efficientnet_lite2": "EfficientNet-Lite2, trained on photographs (ImageNet)",
    "tf_efficientnet_lite0": "EfficientNet-Lite0, trained on photographs (ImageNet)",
    "artist": "The artist classifier",
}
"""What the feature spaces of the bundled checkpoints are."""
COUNTS = {
    "n_real": "paintings",
    "n_fake": "generated pictures",
    "n_pairs": "pairs of a painting and a picture",
}
"""What the numbers of pictures in an evaluation count."""
WAITING = (
    '<p class="hint waiting">No pictures have come from the server yet. Press Another seed.</p>'
)
"""What stands in the room before the first pictures, and stays if the server is out of reach."""
OTHER_SPACES = " These generators were measured in different ways, so compare with care."
SCRIPT = """
const show = (at) => {
  for (const box of element.querySelectorAll(".stages")) {
    const last = box.children.length - 1;
    [...box.children].forEach((image, n) => {
      image.classList.toggle("shown", n == Math.round(at * last));
      image.setAttribute("aria-hidden", n != Math.round(at * last));
      if (n == Math.round(at * last))
        box.parentElement.querySelector("small").textContent = image.dataset.stage;
    });
  }
};
let timer;
element.addEventListener("input", (event) => show(event.target.value / event.target.max));
element.addEventListener("click", (event) => {
  const range = event.target.closest("button") && element.querySelector("input[type=range]");
  if (!range) return;
  clearInterval(timer);
  range.value = 0;
  show(0);
  timer = setInterval(() => {
    range.value = +range.value + 1;
    show(range.value / range.max);
    if (range.value == range.max) clearInterval(timer);
  }, 900);
});
"""


def results(painter: Painter) -> dict[str, float]:
    """Read the metrics in a checkpoint's config, by the names of `evaluate_gan.py`."""
    measured = painter.config.get("results", {})
    return {str(k): float(v) for k, v in measured.items() if isinstance(v, int | float)}


def plain_measures(painter: Painter) -> tuple[str, dict[str, float]]:
    """Choose the three plain measures, in [0, 1], of the first feature space that has all.

    Returns:
        The name of the space, and the measures by their plain names; both empty without results.
    """
    measured = results(painter)
    for key in measured:
        if not key.startswith("precision_"):
            continue
        space = key.removeprefix("precision_")
        found = {name: measured.get(f"{metric}_{space}") for name, (metric, _) in MEASURES.items()}
        if all(value is not None for value in found.values()):
            return space, found  # type: ignore[return-value]
    return "", {}


def side_by_side(models: Models, names: Sequence[str], seed: int) -> str:
    """Generate one picture by each painter and each of its stages, as HTML with the measures."""
    figures = "".join(_figure(models, name, seed) for name in names)
    spaces = {plain_measures(models.painter(name))[0] for name in names} - {""}
    note = EXPLAINED + (OTHER_SPACES if len(spaces) > 1 else "")
    if not spaces:
        note = "No measures are recorded for these generators."
    most = max(len(models.painter(name).stages) for name in names)
    film = ""
    if most > 1:
        film = (
            '<div class="film-of-training"><button type="button">Play the training</button>'
            f'<input type="range" min="0" max="{most - 1}" value="{most - 1}" step="1" '
            'aria-label="Stage of the training"></div>'
        )
    return f'{film}<div class="compared">{figures}</div><p class="hint">{note}</p>'


def _figure(models: Models, name: str, seed: int) -> str:
    painter = models.painter(name)
    title = models.titles[name]
    requests = [
        serving.paint_request(folder, num=1, seed=seed, truncation=0.8) for folder in painter.stages
    ]
    images = ""
    for i, array in enumerate(serving.paint_each(requests)):
        last = i == len(requests) - 1
        large: Image.Image = paint.enlarged(array[0], SIDE)
        stage = f"after {painter.epochs[i]:,.0f} epochs"
        images += (
            f'<img src="{data_url(large)}" class="{"shown" if last else ""}" '
            f'aria-hidden="{str(not last).lower()}" width="{SIDE}" height="{SIDE}" '
            f'data-stage="{stage}" alt="{escape(paint.described(array[0], title))}, seed {seed}, '
            f'{stage}">'
        )
    rows = "".join(
        f"<tr><th scope='row'>{measure} ↑</th><td>{value:.0%}</td></tr>"
        for measure, value in plain_measures(painter)[1].items()
    )
    return (
        f'<figure><div class="stages">{images}</div><figcaption>{escape(title)}<br>'
        f"<small>after {painter.epochs[-1]:,.0f} epochs</small></figcaption>"
        f"<table>{rows}</table></figure>"
    )


def all_measures(models: Models, names: Sequence[str]) -> str:
    """Format all that is recorded about painters as one table, as HTML."""
    columns: list[dict[str, str]] = []
    for name in names:
        painter = models.painter(name)
        training = painter.config.get("training", {})
        facts = {
            "pixels": "{1} x {0}".format(*height_and_width(painter.side, painter.aspect)),
            "training set": f"{training.get('num_paintings', 0):,} paintings",
            "training": f"{painter.epochs[-1]:,.0f} epochs",
        }
        columns.append(facts | {key: f"{value:,.4g}" for key, value in results(painter).items()})
    keys = dict.fromkeys(key for column in columns for key in column)
    head = "".join(f"<th scope='col'>{escape(models.titles[name])}</th>" for name in names)
    body = ""
    spaces = [key.removeprefix("precision_") for key in keys if key.startswith("precision_")]
    for space in ["", *spaces]:
        suffix = f"_{space}" if space else ""
        ours = [key for key in keys if _space_of(key, spaces) == space]
        if space:
            body += (
                f"<tr><th scope='rowgroup' colspan='{len(names) + 1}'>Feature space: "
                f"<b>{escape(SPACES.get(space, space))}</b></th></tr>"
            )
        body += "".join(
            f"<tr><th scope='row'>{escape(_spelled(key.removesuffix(suffix)))}</th>"
            + "".join(f"<td>{escape(column.get(key, ''))}</td>" for column in columns)
            + "</tr>"
            for key in ours
        )
    return f'<div class="measures"><table><tr><td></td>{head}</tr>{body}</table></div>'


def _spelled(metric: str) -> str:
    """Write a metric's name as people do: "kid_error" is "KID error"."""
    if metric in COUNTS:
        return COUNTS[metric]
    short = {"cas", "emd", "fid", "is", "kid", "mmd", "nn"}
    return " ".join(word.upper() if word in short else word for word in metric.split("_"))


def _space_of(key: str, spaces: Sequence[str]) -> str:
    """Return the feature space that ends a metric's name; "" for a number without one."""
    return next((space for space in spaces if key.endswith(f"_{space}")), "")


def curve_names(models: Models) -> list[tuple[str, str]]:
    """List the curves that at least one painter's run recorded: what each shows, and its key."""
    keys = {key for who in models.painters.values() for line in who.curves for key in line}
    return [(text, key) for key, text in CURVES.items() if key in keys]


def curves(models: Models, names: Sequence[str], key: str) -> pd.DataFrame:
    """Collect one curve of several painters in a table: `EPOCH`, what it shows, and `GENERATOR`.

    A visitor reads the names of the columns and the numbers.
    """
    text = CURVES[key]
    rows = [
        {
            EPOCH: round(line.get("epoch", line.get("step", 0)), 1),
            text: float(f"{line[key]:.4g}"),
            GENERATOR: models.titles[name],
        }
        for name in names
        for line in models.painter(name).curves
        if key in line
    ]
    return pd.DataFrame(rows, columns=[EPOCH, text, GENERATOR])


def chosen_are_valid(names: Any, seed: Any, _key: Any) -> list[dict[str, Any]]:
    """Mark the inputs that cannot be compared, for Gradio's validation of an event."""
    few = isinstance(names, list) and 1 <= len(names) <= MAX_COMPARED
    whole = isinstance(seed, int | float) and float(seed).is_integer() and 0 <= seed <= MAX_SEED
    return [
        gr.validate(few, f"Choose 1 to {MAX_COMPARED}."),
        gr.validate(whole, f"Choose a whole number from 0 to {MAX_SEED:,}."),
        gr.validate(True, ""),
    ]


def room(models: Models) -> tuple[Any, list[Any], list[Any]]:
    """Place the components of the room.

    Returns:
        The function that fills the room when it is opened, its inputs and its outputs.
    """
    painters = list(models.painters)
    keys = curve_names(models)
    with gr.Column(elem_id="choice"), gr.Row(equal_height=False):
        # The first one is placed first, and what follows must not move it.
        with gr.Column(scale=1, min_width=320), gr.Row(equal_height=True):
            seed = gr.Number(
                7,
                label="Seed for all",
                minimum=0,
                maximum=MAX_SEED,
                elem_id="same-seed",
                min_width=120,
            )
            again = gr.Button(
                "Another seed", variant="primary", elem_id="another-seed", min_width=140
            )
        names = gr.CheckboxGroup(
            [(title, name) for name, title in models.titles.items()],
            value=painters[:MAX_COMPARED],
            label=f"Generators, up to {MAX_COMPARED}",
            elem_id="compared",
            scale=3,
            min_width=320,
        )
    table = gr.HTML(WAITING, js_on_load=SCRIPT, elem_id="comparison")
    with gr.Accordion("All measures and training curves", open=False):
        measures = gr.HTML(elem_id="measures")
        key = gr.Dropdown(
            keys, value=keys[0][1] if keys else None, label="Curve", visible=bool(keys)
        )
        plot = gr.LinePlot(
            None,
            x=EPOCH,
            y=keys[0][0] if keys else CURVES["loss_G"],
            color=GENERATOR,
            height=260,
            visible=bool(keys),
            elem_id="curves",
            buttons=[],
        )

    @visitor_errors
    def compare(chosen: list[str], number: Any, curve: str | None) -> list[Any]:
        value = parse_int(number, "seed", 0, MAX_SEED)
        drawn = gr.skip() if curve is None else draw(chosen, curve)
        return [side_by_side(models, chosen, value), all_measures(models, chosen), drawn, value]

    @visitor_errors
    def compare_typed(chosen: list[str], number: Any, curve: str | None, last: Any) -> list[Any]:
        return [gr.skip()] * 4 if number == last else compare(chosen, number, curve)

    @visitor_errors
    def compare_another(chosen: list[str], curve: str | None) -> list[Any]:
        value = random.randrange(100_000)
        return [value, *compare(chosen, value, curve)]

    @visitor_errors
    def draw(chosen: list[str], curve: str) -> Any:
        value = curves(models, chosen, curve)
        return gr.update(value=value, y=CURVES[curve], title=f"{CURVES[curve]} during training")

    limits: dict[str, Any] = {
        "concurrency_limit": 8,
        "concurrency_id": "paint",
        "api_visibility": "private",
    }
    compared = gr.State()  # the seed of the pictures that are there
    inputs, outputs = [names, seed, key], [table, measures, plot, compared]
    again.click(
        compare_another,
        [names, key],
        [seed, *outputs],
        # The seed is drawn, so there is none to check.
        validator=lambda chosen, curve: chosen_are_valid(chosen, 0, curve)[::2],
        **limits,
    )
    gr.on(
        [names.input, seed.submit],
        compare,
        inputs,
        outputs,
        validator=chosen_are_valid,
        trigger_mode="always_last",
        **limits,
    )
    seed.blur(
        compare_typed,
        [*inputs, compared],
        outputs,
        validator=lambda *values: [*chosen_are_valid(*values[:3]), gr.validate(True, "")],
        **limits,
    )
    key.input(draw, [names, key], plot, **limits)
    return compare, inputs, outputs
