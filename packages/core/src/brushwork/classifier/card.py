"""The model card of a classifier."""

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from brushwork import checkpoint
from brushwork.metrics.classification import accuracy_with_mix

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

METRICS = {
    "top1": ("accuracy", "top-1 accuracy"),
    "top3": ("accuracy", "top-3 accuracy"),
    "top5": ("accuracy", "top-5 accuracy"),
    "macro_f1": ("f1", "macro F1"),
    "calibration_error": ("ece", "expected calibration error"),
}
"""For each number of the card: its type on the Hub, and its name."""

SPLITS = {"second": "second collection"}
"""Splits that the card names differently."""


def model_card(config: Mapping[str, Any]) -> str:
    """Write the model card: the artists, the training data, the results and the limits.

    Args:
        config: the checkpoint's config, as `save_classifier` writes it.

    Returns:
        YAML front matter with the results of each split, then Markdown.
    """
    from huggingface_hub import ModelCardData  # costs a third of a second; only writers need it

    architecture, training = str(config["architecture"]), config["training"]
    data = ModelCardData(
        model_name=f"{architecture}, {len(config['artists'])} artists",
        **checkpoint.licence(training),
        library_name="brushwork",
        pipeline_tag="image-classification",
        tags=["painting", "art", architecture],
        eval_results=[
            result
            for split, report in config["results"].items()
            for result in _eval_results(str(training["data"]), split, report)
        ],
    )
    return checkpoint.card(data, _text(config))


def _eval_results(dataset: str, split: str, report: Mapping[str, float]) -> "list[EvalResult]":
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-") or "paintings",
            dataset_name=dataset,
            dataset_split=split,
            metric_type=kind,
            metric_name=name,
            metric_value=round(float(report[key]), 4),
        )
        for key, (kind, name) in METRICS.items()
        if math.isfinite(report.get(key, math.nan))
    ]


def _text(config: Mapping[str, Any]) -> str:
    training = config["training"]
    taught = ""
    if teachers := checkpoint.shorten_paths(training.get("teacher", "")):
        names = [teachers] if isinstance(teachers, str) else teachers
        taught = f", with {' and '.join(names)} as teacher{'s' if len(names) > 1 else ''}"
    trained = f"{training['epoch']} epochs"
    if training.get("freeze") == "all":
        trained = "only the last layer, on features of the frozen network"
    weight = config.get("lda_weight", 0.0)
    analysis = (
        "\n- **Discriminant analysis**: probabilities also use a linear discriminant analysis of "
        "the\n  means and standard deviations of the channels of all stages. Its log-likelihoods "
        f"have a\n  weight of {weight:.3f}."
        if weight
        else ""
    )
    filters = "; ".join(
        f"{column} {', '.join(training[column])}"
        for column in ("genre", "style", "artist")
        if training.get(column)
    )
    results = "\n".join(
        f"| {SPLITS.get(split, split)} | {r['num_paintings']:,.0f} | {r['top1']:.3f} | "
        f"{r['top3']:.3f} | {r['top5']:.3f} | {r['macro_f1']:.3f} | "
        f"{r.get('calibration_error', math.nan):.3f} |"
        for split, r in config["results"].items()
    )
    return f"""# Artist classifier: {config["architecture"]}, {len(config["artists"])} artists

This network estimates which of {len(config["artists"])} artists painted a painting.

```python
from brushwork.classifier import ArtistClassifier

ArtistClassifier.from_pretrained("this folder").identify("painting.jpg")
```

- **Data**: {training["data"]}{f" ({filters})" if filters else ""}. {training["num_paintings"]:,}
  training paintings of artists with at least {training["min_paintings"]} (fingerprint
  `{training["fingerprint"]}`), as squares of {config["side"]} pixels ({config["fit"]}).
- **Training**: {trained}, seed {training["seed"]}, initialised from
  {checkpoint.shorten_path(training["weights"])} weights{taught}.{analysis}
- **Artists**: {", ".join(config["artists"])}.

## Results

| paintings | number | top-1 | top-3 | top-5 | macro F1 | calibration error |
|---|---:|---:|---:|---:|---:|---:|
{results}

{_chosen(config)}
{_titles(config["results"])}{_recalls(config)}{_strangers(config)}{_traits(config)}
## Limits

The classifier distinguishes these artists in reproductions like those that it was trained on. It
may give a painting by a copyist, a pupil or an artist it was not trained on to one of these
artists. Its answer is not proof of authorship and must not be used to attribute value or to
authenticate.
"""


def _chosen(config: Mapping[str, Any]) -> str:
    what = (
        'the probability of "none"'
        if config.get("strangers")
        else f'the threshold of "unknown" ({config["threshold"]:.3f})'
    )
    return (
        f"The epoch, the calibration and {what} were chosen on\n"
        "the validation paintings, so their calibration error is too low. Nothing was chosen on "
        "the test\npaintings. The calibration error is that of the artists' probabilities, "
        "assuming that one of them\npainted the painting."
    )


def _titles(results: Mapping[str, Mapping[str, float]]) -> str:
    """Report apart the test paintings that are not almost training paintings."""
    report = results.get("test", {})
    if "top1_new_titles" not in report:
        return ""
    return (
        f"\nA training painting by the same artist has the same title as some test paintings; "
        f"without these,\ntop-1 is {report['top1_new_titles']:.3f} "
        f"({report['num_new_titles']:,.0f} paintings).\n"
    )


def _recalls(config: Mapping[str, Any]) -> str:
    """Report which share of each artist's paintings is found, for each measured split."""
    recalls = config.get("recall_by_artist") or {}
    if not recalls:
        return ""
    names = "".join(f" {SPLITS.get(split, split)} | recall |" for split in recalls)
    rows = [f"| artist |{names}", "|---|" + "---:|---:|" * len(recalls)]
    for artist in config["artists"]:
        found = [recalls[split].get(artist) for split in recalls]
        cells = "".join(f" {pair[0]} | {pair[1]:.2f} |" if pair else " 0 | - |" for pair in found)
        name = artist.replace("|", r"\|")
        rows.append(f"| {name} |{cells}")
    mixed = ""
    test, second = recalls.get("test", {}), recalls.get("second", {})
    if second and second.keys() <= test.keys():
        accuracy = accuracy_with_mix(test, second)
        mixed = (
            "\nIf the test paintings had the second collection's mix of artists, their top-1 would "
            f"be {accuracy:.3f}.\n"
        )
    return (
        "\n## Recall by artist\n\nThe number of paintings by each artist, and the share of them "
        "whose likeliest artist is the right one.\n\n" + "\n".join(rows) + "\n" + mixed
    )


def _strangers(config: Mapping[str, Any]) -> str:
    """Describe what the classifier says of paintings by other artists."""
    rows = [
        f"| {SPLITS.get(split, split)} | {r['num_unknown']:,.0f} | {r['auroc_unknown']:.3f} | "
        f"{r['known_recall']:.2f} | {r['taken_for_known']:.2f} | {r['right_names']:.2f} | "
        f"{_at(r, 'named')} | {_at(r, 'right_names')} |"
        for split, r in config["results"].items()
        if "right_names" in r
    ]
    if not rows:
        return ""
    head = (
        "| paintings | strangers | AUROC | named | strangers named | right names | named at 0.9 | "
        "right names at 0.9 |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    return (
        "\n## Strangers\n\n" + "\n".join([head, *rows]) + "\n\n"
        'The probability of "none" is for a picture that is as likely by a stranger as by one of '
        'the\nartists; "right names" are shares of the names given to as many strangers as '
        'known paintings.\n"At 0.9" is `identify(..., precision=0.9)`. The strangers of the test '
        "paintings are artists of the\nsame data, whose training paintings were examples of "
        "strangers.\n"
    )


def _at(report: Mapping[str, float], name: str) -> str:
    value = report.get(f"{name}_at_0.9")
    return "-" if value is None else f"{value:.2f}"


def _traits(config: Mapping[str, Any]) -> str:
    """Report the accuracy and the calibration of style, genre and decade."""
    rows = [
        f"| {SPLITS.get(split, split)} | {trait} | {r[f'{trait}_num_paintings']:,.0f} | "
        f"{r[f'{trait}_top1']:.3f} | {r[f'{trait}_calibration_error']:.3f} |"
        for split, r in config["results"].items()
        for trait in config.get("traits") or {}
        if f"{trait}_top1" in r
    ]
    if not rows:
        return ""
    head = "| paintings | | number | top-1 | calibration error |\n|---|---|---:|---:|---:|"
    return "\n## Style, genre, decade\n\n" + "\n".join([head, *rows]) + "\n"
