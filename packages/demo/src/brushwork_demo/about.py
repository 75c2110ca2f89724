"""The About tab: what this is, how good it is by its own measurements, and what it is not for."""

from typing import Any

import gradio as gr

from brushwork import checkpoint
from brushwork_demo.compare import results
from brushwork_demo.studio import Painter, Studio

WHAT = """\
## Who painted this, and can you paint me another?

**Paint** lets small neural networks paint: each *painter* is a generative adversarial network (GAN)
that learned from paintings of one kind. A *seed* stands for the random numbers that a picture
starts from; the same seed paints the same picture again. **Identify** names the artist of a
painting, as far as a network can that has seen some paintings of each. **Real or fake?** and
**Compare** let you judge the painters for yourself.

It is part of *brushwork*, open source, which trains, measures and shows such networks.
"""
LIMITS = """\
## What it must not be used for

- **Not for attribution.** Whether a painting is by an artist, and what it is worth, is for people
  who can examine it. The classifier knows a short list of artists, judges a photograph by its
  looks, and is sometimes sure and wrong.
- **Not to deceive.** Don't pass these pictures off as a person's work, as an artist's, or as old.
- A painter that learned from few paintings may repeat parts of them; look at the nearest known
  paintings before you call a picture new. The licence of what it learned from may bind its
  pictures.

## What happens to your pictures

They are reduced, looked at, and deleted from this server within a quarter of an hour. Nothing is
kept, published or learned from.
"""


CLASSIFIER_WORDS = {
    "top1": "the artist is named right for {:.0%}",
    "top3": "is among the first three for {:.0%}",
    "top5": "among the first five for {:.0%}",
    "macro_f1": "macro F1 {:.3f}",
    "calibration_error": "calibration error {:.3f}",
    "taken_for_known": "of paintings by artists it never saw, {:.0%} are taken for one it knows",
}
"""Measurements of `evaluate_classifier.py`, as a visitor may read them."""


def painter_card(painter: Painter) -> str:
    """A painter's data and numbers, as its checkpoint records them, in Markdown."""
    training = painter.config.get("training", {})
    numbers = "; ".join(f"{metric} {value:,.4g}" for metric, value in results(painter).items())
    chosen = ", ".join(
        f"{kind} {names if isinstance(names, str) else ', '.join(names)}"
        for kind in ("genre", "style", "artist")
        if (names := training.get(kind))
    )
    return (
        f"- **{painter.name}**: {painter.side} pixels, learned from "
        f"{training.get('num_paintings', 0):,} paintings ({training.get('data', 'unknown')}"
        f"{', ' + chosen if chosen else ''}) for {painter.epochs[-1]:,.0f} epochs. "
        f"{'Measured: ' + numbers + '.' if numbers else 'Not measured yet.'}"
    )


def classifier_card(config: dict[str, Any]) -> str:
    """What the classifier knows and how often it is right, in Markdown."""
    training = config.get("training", {})
    results = config.get("results", {})
    split = "test" if "test" in results else "validation"
    measured = results.get(split, {})
    numbers = "; ".join(
        words.format(measured[name])
        for name, words in CLASSIFIER_WORDS.items()
        if measured.get(name) is not None
    )
    if numbers:
        numbers = f"on {measured.get('num_paintings', 0):,} {split} paintings: {numbers}"
    return (
        f"- **Classifier**: learned from {training.get('num_paintings', 0):,} paintings "
        f"({training.get('data', 'unknown')}). "
        f"{'Measured: ' + numbers + '.' if numbers else 'Not measured yet.'}"
    )


def tab(rooms: Studio) -> None:
    """Lay the tab out."""
    lines = [painter_card(painter) for painter in rooms.painters.values()]
    if rooms.classifier:
        lines.append(classifier_card(checkpoint.load_config(rooms.classifier)))
    gr.Markdown(WHAT, elem_classes="prose")
    gr.Markdown("## How good it is\n\n" + "\n".join(lines), elem_classes="prose")
    gr.Markdown(LIMITS, elem_classes="prose")
