"""The dataset card of prepared data: front matter that `datasets` reads, counts that people do."""

from collections import Counter

import pandas as pd

from brushwork.data.select import counts

HEAD = """\
---
pretty_name: {name}
tags:
- art
- paintings
task_categories:
- image-classification
- unconditional-image-generation
dataset_info:
  features:
  - name: image
    dtype: image
{columns}
  splits:
{splits}
  download_size: {num_bytes}
  dataset_size: {all_bytes}
configs:
- config_name: default
  data_files:
{files}
---
# {name}: {prepared:,} paintings

{train:,} to train on and {test:,} to test on, prepared by brushwork{selection}. Each painting is an
RGB JPEG, upright, on white where it was transparent, its short side reduced to {side} pixels where
it was longer; `rejected.csv` lists what is not here.

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


def dataset_card(record: dict, table: pd.DataFrame, reasons: Counter[str], top: int = 30) -> str:
    """The card of prepared data, Markdown under YAML.

    Args:
        record: the content of `brushwork.json`.
        table: the prepared paintings.
        reasons: how many were rejected for each reason.
        top: how many artists, styles and genres are listed; the rest are summed up.
    """
    sizes = Counter(table["split"])
    image_bytes = Counter()
    for name, shard in record["shards"].items():
        image_bytes[name.partition("-")[0]] += shard["image_bytes"]
    # A split without rows is one that `datasets` can't load.
    splits = [split for split in ("train", "test") if sizes[split]]
    text = [column for column in table.columns if column != "split"]
    head = HEAD.format(
        **record | {"selection": f" from {record['selection']}" if record["selection"] else ""},
        columns="\n".join(f"  - name: {column}\n    dtype: string" for column in text),
        splits="\n".join(
            f"  - name: {split}\n    num_bytes: {image_bytes[split]}\n"
            f"    num_examples: {sizes[split]}"
            for split in splits
        ),
        files="\n".join(f"  - split: {split}\n    path: data/{split}-*" for split in splits),
        train=sizes["train"],
        test=sizes["test"],
        all_bytes=image_bytes.total(),
        num_bytes=sum(shard["bytes"] for shard in record["shards"].values()),
    )
    parts = [head, *(_count_table(table, column, top) for column in ("genre", "style", "artist"))]
    if reasons:
        rows = [f"| {_cell(reason)} | {num:,} |" for reason, num in reasons.most_common(top)]
        parts.append("\n".join(["| rejected because | files |", "|---|---:|", *rows]) + "\n")
    return "\n".join(parts)


def _count_table(table: pd.DataFrame, column: str, top: int) -> str:
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
    return " ".join(text.replace("|", "\\|").split())
