"""The dataset card of prepared data: metadata for the Hub, counts for people."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from brushwork.data.selection import counts

BODY = """\
# {name}: {prepared:,} paintings

{num_train:,} training and {num_test:,} test paintings, prepared by brushwork{selection}.

Each painting is an upright RGB JPEG, on white where it was transparent. A short side longer than
{side} pixels was reduced to {side}. `rejected.csv` lists every file that was left out, with the
reason.

```python
from datasets import load_dataset

paintings = load_dataset("FOLDER")
```

|  | paintings |
|---|---:|
| in the source | {rows:,} |
| not selected | {not_selected:,} |
| missing | {missing:,} |
| rejected | {rejected:,} |
| prepared | {prepared:,} |
"""


def dataset_card(
    record: dict[str, Any], table: pd.DataFrame, reasons: Counter[str], top: int = 30
) -> str:
    """Write the card of prepared data: YAML metadata, then Markdown.

    Args:
        record: the content of `brushwork.json`.
        table: the prepared paintings.
        reasons: number of rejected files for each reason.
        top: number of artists, styles, genres and reasons to list. One more row counts the
            paintings of all other artists, styles or genres together.
    """
    from huggingface_hub import DatasetCardData

    sizes = Counter(table["split"])
    # `datasets` cannot load a split without rows.
    splits = [split for split in ("train", "test") if sizes[split]]
    data = DatasetCardData(
        pretty_name=record["name"],
        tags=["art", "paintings"],
        task_categories=["image-classification", "unconditional-image-generation"],
        dataset_info=_dataset_info(
            record, table.columns, {split: sizes[split] for split in splits}
        ),
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*"} for split in splits],
            }
        ],
    )
    body = BODY.format(
        **record
        | {
            "name": " ".join(record["name"].split()),
            "selection": f", selected by {record['selection']}" if record["selection"] else "",
        },
        num_train=sizes["train"],
        num_test=sizes["test"],
    )
    parts = [body, *(_count_table(table, column, top) for column in ("genre", "style", "artist"))]
    if reasons:
        rows = [f"| {_cell(reason)} | {num:,} |" for reason, num in reasons.most_common(top)]
        parts.append("\n".join(["| rejected because | files |", "|---|---:|", *rows]) + "\n")
    if notes := record.get("notes"):
        parts.append("\n".join(["Read differently from how the source is written:", ""]))
        parts.append("\n".join(f"- {_cell(note)}" for note in notes) + "\n")
    # As `brushwork.checkpoint.card` does, whose module imports torch: seconds that preparing saves.
    return f"---\n{data.to_yaml()}\n---\n" + "\n".join(parts)


def _dataset_info(
    record: dict[str, Any], columns: Iterable[str], num_examples: dict[str, int]
) -> dict[str, Any]:
    """Describe columns and splits in the form that `datasets.DatasetInfo` reads."""
    image_bytes = Counter()
    for name, shard in record["shards"].items():
        image_bytes[name.partition("-")[0]] += shard["image_bytes"]
    text = [{"name": column, "dtype": "string"} for column in columns if column != "split"]
    return {
        "features": [{"name": "image", "dtype": "image"}, *text],
        "splits": [
            {"name": split, "num_bytes": image_bytes[split], "num_examples": num}
            for split, num in num_examples.items()
        ],
        "download_size": sum(shard["bytes"] for shard in record["shards"].values()),
        "dataset_size": image_bytes.total(),
    }


def _count_table(table: pd.DataFrame, column: str, top: int) -> str:
    """Count the paintings of each artist, style or genre, by split, as a Markdown table."""
    by_split = Counter(zip(table[column], table["split"], strict=True))
    names = [str(name) for name in counts(table, column).index]
    groups = [(_cell(name), [name]) for name in names[:top]]
    groups += [(f"{len(names) - top:,} more", names[top:]), ("(unknown)", [""])]
    lines = [f"| {column} | train | test | all |", "|---|---:|---:|---:|"]
    for title, members in groups:
        train, test = (sum(by_split[name, s] for name in members) for s in ("train", "test"))
        if train + test:
            lines.append(f"| {title} | {train:,} | {test:,} | {train + test:,} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Write a text so that it stays in one cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())
