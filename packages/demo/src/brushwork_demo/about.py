"""The About tab: purpose of the page, results of the models, and uses that are not allowed."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from brushwork import checkpoint
from brushwork_demo.compare import results
from brushwork_demo.models import Models, Painter

PURPOSE = """\
## Who painted this, and can you paint me another?

**Paint** generates pictures with small neural networks. Each *painter* is the generator of a
generative adversarial network (GAN), trained on paintings of one kind. A *seed* determines the
random numbers that a picture starts from: the same seed gives the same picture. **Identify** names
the artist of a painting, if the artist is one of those that the classifier was trained on.
**Real or fake?** is a quiz, and **Compare** shows the painters side by side.

The page is part of *brushwork*, open-source software that trains and evaluates such networks.
"""
LIMITS = """\
## What it must not be used for

- **Not for attribution.** Only people who can examine a painting can say who painted it and what it
  is worth. The classifier knows a short list of artists, sees only a photograph, and is sometimes
  wrong with a high probability.
- **Not to deceive.** Do not present these pictures as the work of a person or an artist, or as old.
- A painter that was trained on few paintings may repeat parts of them. Look at the most similar
  training paintings before you call a picture new. The licence of the training paintings may
  restrict the use of the pictures.

## What happens to your pictures

The server reduces the size of your pictures, processes them, and deletes them within 15 minutes. It
does not publish them or train on them.
"""

CLASSIFIER_METRICS = {
    "top1": "top-1 accuracy {:.0%}",
    "top3": "top-3 accuracy {:.0%}",
    "top5": "top-5 accuracy {:.0%}",
    "macro_f1": "macro F1 {:.3f}",
    "calibration_error": "calibration error {:.3f}",
    "taken_for_known": "{:.0%} of paintings by artists that it does not know get a known name",
}
"""Metrics of `evaluate_classifier.py` and their texts on the page."""


def painter_card(painter: Painter) -> str:
    """Describe a painter's training set and metrics, from its checkpoint; Markdown."""
    training = painter.config.get("training", {})
    numbers = "; ".join(f"{metric} {value:,.4g}" for metric, value in results(painter).items())
    selection = "".join(
        f", {kind} {names if isinstance(names, str) else ', '.join(names)}"
        for kind in ("genre", "style", "artist")
        if (names := training.get(kind))
    )
    return (
        f"- **{painter.name}**: {painter.side} pixels, trained on "
        f"{training.get('num_paintings', 0):,} paintings ({training.get('data', 'unknown')}"
        f"{selection}) for {painter.epochs[-1]:,.0f} epochs. "
        f"{'Metrics: ' + numbers if numbers else 'No metrics are recorded'}."
    )


def classifier_card(config: Mapping[str, Any]) -> str:
    """Describe a classifier's training set and metrics, from its `config.json`; Markdown."""
    training = config.get("training", {})
    results = config.get("results", {})
    split = "test" if "test" in results else "validation"
    measured = results.get(split, {})
    numbers = "; ".join(
        text.format(measured[name])
        for name, text in CLASSIFIER_METRICS.items()
        if measured.get(name) is not None
    )
    if numbers:
        numbers = f"Metrics on {measured.get('num_paintings', 0):,} {split} paintings: {numbers}"
    return (
        f"- **Classifier**: trained on {training.get('num_paintings', 0):,} paintings "
        f"({training.get('data', 'unknown')}). {numbers or 'No metrics are recorded'}."
    )


def tab(models: Models) -> None:
    """Add the texts of the tab to the page."""
    lines = [painter_card(painter) for painter in models.painters.values()]
    if models.classifier:
        lines.append(classifier_card(checkpoint.load_config(models.classifier)))
    gr.Markdown(PURPOSE, elem_classes="prose")
    gr.Markdown("## How well the models do\n\n" + "\n".join(lines), elem_classes="prose")
    gr.Markdown(LIMITS, elem_classes="prose")
