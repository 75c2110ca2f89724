"""The About room: what the page is, how good its models are, and what they are not for."""

from collections.abc import Mapping
from typing import Any

import gradio as gr

from brushwork import checkpoint
from brushwork.data.aspects import describe_size
from brushwork_demo.models import Models
from brushwork_demo.rooms.compare import plain_measures

PURPOSE = """\
## Who painted this, and can you paint me another?

**Paint** makes pictures with small neural networks: generators of generative adversarial networks
(GANs), each trained on paintings of one kind. A *seed* is the number that a picture starts from.
**Identify** names the artist of a painting, if it is one of those that the classifier was trained
on. **Quiz** shows a generated picture beside a real one. **Compare** shows the generators side by
side.
"""
LIMITS = """\
## What it must not be used for

- **Not for attribution.** Only people who can examine a painting can say who painted it and what it
  is worth. The classifier knows a short list of artists, sees only a photograph, and is sometimes
  wrong with a high probability.
- **Not to deceive.** Do not present these pictures as the work of a person or an artist, or as old.
- A generator that was trained on few paintings may repeat parts of them. The licence of the
  training paintings may restrict the use of the pictures.

## What happens to your pictures

The server reduces the size of your pictures, processes them, and deletes them within 15 minutes. It
does not publish them or train on them. The pictures that you keep in Paint are stored as numbers in
this browser only.

## More

The page is part of *brushwork*, open-source software (MIT licence) that trains and evaluates such
networks. Its README and `docs/results.md` have all measurements and the commands behind them. The
card of each model, below, names its training set and its licence. Method: Goodfellow et al.,
[Generative Adversarial Networks](https://arxiv.org/abs/1406.2661); this program reproduces a report
of 2019 that used Painter by Numbers.
"""

WAITING = (
    '<p class="waiting">No cards have come from the server yet. Close this part and open it '
    "again.</p>"
)


def painter_card(models: Models, name: str) -> str:
    """Describe a painter's training set and how good it is, from its checkpoint; Markdown."""
    painter = models.painter(name)
    training = painter.config.get("training", {})
    measures = plain_measures(painter)[1]
    said = "No measures are recorded."
    if measures:
        said = (
            f"{measures['Closeness']:.0%} of its pictures lie among the paintings, but they come "
            f"near to only {measures['Variety']:.0%} of the paintings; {measures['Novelty']:.0%} "
            "are no near copy of a training painting."
        )
    return (
        f"- **{models.titles[name]}** makes pictures of "
        f"{describe_size(painter.side, painter.aspect)}. It was trained on "
        f"{training.get('num_paintings', 0):,} paintings ({training.get('data', 'unknown')}) for "
        f"{painter.epochs[-1]:,.0f} epochs. {said}"
    )


def classifier_card(config: Mapping[str, Any]) -> str:
    """Describe a classifier's training set and how good it is, from its `config.json`; Markdown."""
    training = config.get("training", {})
    measured = config.get("results", {})
    split = "test" if "test" in measured else "validation"
    numbers = measured.get(split, {})
    said = "No measures are recorded."
    if numbers.get("top1") is not None:
        said = (
            f"Of {numbers.get('num_paintings', 0):,} paintings that it had not seen, it names the "
            f"artist of {numbers['top1']:.0%} correctly"
        )
        if numbers.get("top3") is not None:
            said += f", and {numbers['top3']:.0%} are by one of its first three names"
        said += "."
    if numbers.get("taken_for_known") is not None:
        said += (
            f" It gives a known name to {numbers['taken_for_known']:.0%} of the paintings by "
            "artists that it does not know."
        )
    return (
        f"- **The classifier** knows {len(config.get('artists', []))} artists. It was trained on "
        f"{training.get('num_paintings', 0):,} paintings ({training.get('data', 'unknown')}). "
        f"{said}"
    )


def all_cards(models: Models) -> str:
    """Read the model cards of the page's checkpoints, each below its licence; Markdown."""
    from huggingface_hub import ModelCard

    folders = {models.titles[name]: one.stages[-1] for name, one in models.painters.items()}
    if models.classifier:
        folders["The classifier"] = models.classifier
    texts = []
    for title, folder in folders.items():
        file = folder / checkpoint.CARD
        if not file.is_file():
            texts.append(f"# {title}\n\nThis checkpoint has no model card.")
            continue
        card = ModelCard(file.read_text(encoding="utf-8"), ignore_metadata_errors=True)
        licence = card.data.get("license_name") or card.data.get("license") or "not stated"
        texts.append(f"# {title}\n\nLicence: {licence}.\n\n{card.text}")
    return "\n\n".join(texts)


def room(models: Models) -> None:
    """Place the texts of the room."""
    lines = [painter_card(models, name) for name in models.painters]
    if models.classifier:
        lines.append(classifier_card(checkpoint.load_config(models.classifier)))
    gr.Markdown(PURPOSE, elem_classes="prose")
    gr.Markdown("## How good it is\n\n" + "\n".join(lines), elem_classes="prose")
    gr.Markdown(LIMITS, elem_classes="prose")
    with gr.Accordion("Model cards, with their licences", open=False) as cards:
        texts = gr.Markdown(WAITING, elem_classes="prose", elem_id="cards")
    cards.expand(lambda: all_cards(models), None, texts, api_visibility="private")
