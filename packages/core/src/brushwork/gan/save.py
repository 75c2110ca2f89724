"""Save a generator as a checkpoint, with its model card."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from brushwork import checkpoint
from brushwork.data.aspects import describe_size, height_and_width
from brushwork.gan import styled
from brushwork.gan.enlarger import Enlarger
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.networks import Generator, architecture_of

OF_ENLARGER = ("data", "num_paintings", "fingerprint", "batch_size", "seed")

TASK = "unconditional-image-generation"  # the Hugging Face Hub's name


def save_generator(
    network: Generator,
    folder: str | Path,
    training: Mapping[str, Any],
    step: int,
    weights: Literal["averaged", "raw"],
    images: int | None = None,
) -> None:
    """Write a generator's checkpoint, for `PaintingGenerator.from_pretrained` to open.

    Args:
        network: in training or evaluation mode.
        folder: created together with its parents; an existing folder is replaced.
        training: the settings of the run. `data`, `num_paintings`, `fingerprint`, `batch_size` and
            `seed` are required; the card also shows `genre`, `style`, `artist`, `split`, `start`
            and `license`.
        step: the number of training steps so far.
        weights: whether these are the moving average of the weights or the last ones.
        images: paintings seen in these steps; by default `batch_size` at each step.

    Raises:
        BrushworkError: the folder cannot be written.
    """
    images = step * training["batch_size"] if images is None else images
    epochs = images / training["num_paintings"]
    config = {
        "architecture": architecture_of(network),
        "model": asdict(network.config),
        "training": {**training, "step": step, "epochs": epochs, "weights": weights},
    }
    checkpoint.save(network, folder, config, model_card(config))


def save_enlarged(
    folder: str | Path,
    enlarger: Enlarger,
    out: str | Path,
    training: Mapping[str, Any],
    step: int,
) -> None:
    """Write the checkpoint of a generator with an enlarger behind it.

    Args:
        folder: the checkpoint of the generator, which has no enlarger; also a run, or a name on the
            Hugging Face Hub.
        enlarger: on the CPU.
        out: created together with its parents; an existing folder is replaced.
        training: the settings of the enlarger's run. `data`, `num_paintings`, `fingerprint`,
            `batch_size` and `seed` are required.
        step: the number of the enlarger's training steps.

    Raises:
        BrushworkError: `folder` is no generator with styles, or `out` cannot be written.
    """
    generator = PaintingGenerator.from_pretrained(folder)
    generator.styles(generator.latents(1))  # a DC-GAN has none: the error says so
    assert isinstance(generator.network, styled.Generator)
    network = styled.with_enlarger(generator.network, enlarger)
    of_enlarger = {"step": step} | {name: training[name] for name in OF_ENLARGER}
    config = {
        "architecture": architecture_of(network),
        "model": asdict(network.config),
        "training": {**generator.config["training"], "enlarger": of_enlarger},
    }
    checkpoint.save(network, out, config, model_card(config))


def model_card(config: Mapping[str, Any]) -> str:
    """Write the model card of a generator.

    Args:
        config: the checkpoint's config. Metrics under "results", a number for each key, are shown
            in a table and, as `huggingface_hub.EvalResult`, in the front matter. The text under
            "appearance" describes the pictures.
    """
    from huggingface_hub import EvalResult, ModelCardData

    training, results = config["training"], config.get("results", {})
    source = training["data"]
    on_hub = "/" in source  # other sources are called by a title or a folder's name
    size = describe_size(config["model"]["side"], config["model"].get("aspect", "1:1"))
    title = f"Painting generator: {config['architecture']}, {size}"
    evaluation = [
        EvalResult(
            task_type=TASK,
            dataset_type=source if on_hub else "image-folder",
            dataset_name=source,
            metric_type=metric,
            metric_value=value,
        )
        for metric, value in results.items()
    ]
    data = ModelCardData(
        library_name="brushwork",
        pipeline_tag=TASK,
        tags=["gan", "painting", config["architecture"]],
        datasets=[source] if on_hub else None,
        **checkpoint.licence(training),
        model_name=title if evaluation else None,
        eval_results=evaluation or None,
    )
    return checkpoint.card(data, f"# {title}\n\n{_body(config)}{_results_table(results)}")


def names_of(training: Mapping[str, Any], name: str) -> str:
    """Write a training setting that is one name, several names or none.

    >>> names_of({"genre": ["landscape", "marina"]}, "genre"), names_of({}, "genre")
    ('landscape, marina', '')
    """
    value = training.get(name) or ""
    return value if isinstance(value, str) else ", ".join(value)


def _body(config: Mapping[str, Any]) -> str:
    """Describe use, data, training and limits in Markdown."""
    model, training = config["model"], config["training"]
    height, width = height_and_width(model["side"], model.get("aspect", "1:1"))
    filters = {name: names_of(training, name) for name in ("genre", "style", "artist", "split")}
    selection = "; ".join(f"{name}: {value}" for name, value in filters.items() if value)
    weights = f"- Weights: {training['weights']}"
    if training.get("start"):
        start = checkpoint.shorten_path(training["start"])
        weights += (
            f"\n- Initialised from: {start}; its training paintings influence the weights too"
        )
    if enlarger := training.get("enlarger"):
        painted = describe_size(model["side"] // model["enlargement"], model.get("aspect", "1:1"))
        weights += (
            f"\n- Painted at {painted}, then enlarged {model['enlargement']} times by a second "
            f"network, which learned details from {enlarger['num_paintings']:,} paintings "
            f"({enlarger['data']}, fingerprint `{enlarger['fingerprint']}`) in "
            f"{enlarger['step']:,} steps, {enlarger['batch_size']} patches each (seed "
            f"{enlarger['seed']})"
        )
    appearance = config.get("appearance", "")
    seen = f"- What the pictures show: {appearance}\n" if appearance else ""
    licence = "Rights in the training paintings may restrict the use of the model and its pictures."
    if training.get("license"):
        licence = f"The licence of the model is {training['license']}."
    return f"""The generator of a GAN that was trained on paintings.

## Use

```python
from brushwork import PaintingGenerator

generator = PaintingGenerator.from_pretrained("path/to/this/folder")  # or its name on the Hub
for i, picture in enumerate(generator.sample(16, seed=0)):
    picture.save(f"{{i}}.png")
```

## Data

- Source: {training["data"]}
- Selection: {selection or "all paintings"}
- Classes: {", ".join(model.get("classes", ())) or "none"}
- Paintings: {training["num_paintings"]:,} (fingerprint `{training["fingerprint"]}`)

## Training

- Steps: {training["step"]:,}, {training["batch_size"]} paintings each
- Epochs: {training["epochs"]:.1f}
- Seed: {training["seed"]}
{weights}

## Limits

{seen}- The pictures resemble the training paintings in subject and style. The only size is
  {width} x {height} pixels.
- After training on few paintings, a picture may be a near copy of one. Compare the pictures with
  their nearest training paintings before you call them new.
- {licence}
"""


def _results_table(results: Mapping[str, float]) -> str:
    """List metrics in a Markdown section; "" if there are none."""
    if not results:
        return ""
    rows = "\n".join(f"| `{name}` | {value:,.4g} |" for name, value in results.items())
    return f"\n## Results\n\n| metric | value |\n|---|---:|\n{rows}\n"
