"""gan.save."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from brushwork import checkpoint
from brushwork.gan.networks import Generator, architecture_of


def save_generator(
    network: Generator,
    folder: str | Path,
    training: dict[str, Any],
    step: int,
    weights: Literal["averaged", "raw"],
) -> None:
    """Write a generator's checkpoint, with its model card, for `PaintingGenerator` to open.

    Args:
        network: in training or evaluation mode.
        folder: replaced if it exists.
        training: what it was trained on: `data`, `num_paintings`, `fingerprint`, `genre`, `style`,
            `artist`, `split` (the selection), `batch_size`, `seed`.
        step: steps taken.
        weights: which weights these are.
    """
    epochs = step * training["batch_size"] / training["num_paintings"]
    config = {
        "architecture": architecture_of(network),
        "model": asdict(network.config),
        "training": training | {"step": step, "epochs": epochs, "weights": weights},
    }
    checkpoint.save(network, folder, config, _model_card(config))


def _model_card(config: dict[str, Any]) -> str:
    training = config["training"]
    filters = {kind: training.get(kind) for kind in ("genre", "style", "artist", "split")}
    chosen = ", ".join(
        f"{kind} {', '.join(names)}" if isinstance(names, list | tuple) else f"{kind} {names}"
        for kind, names in filters.items()
        if names
    )
    start = checkpoint.without_place(training.get("start") or "")
    begun = f",\n  begun as {start}, from whose paintings it learned too" if start else ""
    return f"""---
library_name: brushwork
tags: [gan, painting, {config["architecture"]}]
---
# A painting generator: {config["architecture"]}, {config["model"]["side"]} pixels

```python
from brushwork.generator import PaintingGenerator

PaintingGenerator.from_pretrained("this folder").sample(16, seed=0)
```

- **Data**: {training["data"]}, {chosen or "everything"} ({training["num_paintings"]:,} paintings,
  fingerprint `{training["fingerprint"]}`).
- **Training**: {training["step"]:,} steps of {training["batch_size"]} paintings
  ({training["epochs"]:.1f} epochs), seed {training["seed"]}, {training["weights"]} weights{begun}.
- **Limits**: it knows only the paintings it was trained on, at this size. With few of them it may
  repeat what it saw: compare its pictures with the nearest training paintings before you call them
  new. The licence of the training pictures may restrict what the pictures may be used for.
"""
