"""Read datasets in the layout of `huggan/wikiart`: a column of images and columns of labels.

The dataset may be on the Hub, a folder made by `datasets.Dataset.save_to_disk`, or Parquet files.
"""

import re
from pathlib import Path
from typing import Any

import pandas as pd

from brushwork.data.paintings import COLUMNS, Paintings, hold_out, split_names
from brushwork.data.readers import DatasetReader
from brushwork.errors import BrushworkError


def wikiart(name_or_path: str | Path) -> Paintings:
    """List the rows of a dataset with images and `artist`, `style`, `genre`, `title`, `date`.

    A column that is absent becomes "". Class labels, as in `huggan/wikiart`, become their names;
    "Unknown Artist" and similar names become "". The rows of a split `test` are the test split, or
    else those of a validation split; all other rows are training rows. If there is neither, a fifth
    of each artist's rows becomes the test split (see `hold_out`).

    Args:
        name_or_path: a dataset on the Hub, a folder made by `save_to_disk`, a Parquet file, or a
            folder of Parquet files.

    Raises:
        BrushworkError: the dataset cannot be loaded, or has no column of images.
    """
    import datasets

    splits = _load(name_or_path)
    names = split_names(splits)
    tables, readers, fingerprints = [], [], []
    for name, split in splits.items():
        images = [
            column
            for column, feature in split.features.items()
            if isinstance(feature, datasets.Image) or column == "image"
        ]
        if not images:
            raise BrushworkError(
                f"{name_or_path} has no column of images, only {', '.join(split.column_names)}; "
                "name the column `image`"
            )
        fingerprints.append(split._fingerprint)
        raw = split.select_columns(images[0]).rename_columns({images[0]: "image"})
        readers.append(raw.cast_column("image", datasets.Image(decode=False)))
        table = pd.DataFrame({column: _text(split, column) for column in COLUMNS[:-1]})
        table["split"] = names.get(name, "train")
        table["source"] = [f"{name}/{row}" for row in range(len(split))]
        tables.append(table)
    return Paintings(
        name=Path(name_or_path).name if Path(name_or_path).exists() else str(name_or_path),
        table=hold_out(pd.concat(tables, ignore_index=True)),
        read=DatasetReader(tuple(readers), tuple(fingerprints)),
    )


def is_dataset(path: Path) -> bool:
    """Return whether a folder is a saved dataset or contains Parquet files."""
    saved = ("dataset_dict.json", "state.json")
    return any((path / file).exists() for file in saved) or any(
        any((path / below).glob("*.parquet")) for below in ("", "data")
    )


def _load(name_or_path: str | Path) -> dict[str, Any]:
    """Load the splits of a dataset, by name.

    Raises:
        BrushworkError: it cannot be loaded.
    """
    import datasets

    path = Path(name_or_path)
    try:
        if path.suffix == ".parquet":
            loaded = datasets.load_dataset("parquet", data_files=str(path))
        elif (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            loaded = datasets.load_from_disk(str(path))
        else:
            loaded = datasets.load_dataset(str(name_or_path))
    except Exception as error:  # errors of datasets, of the Hub or of httpx
        first_line = str(error).partition("\n")[0]
        cure = (
            "check that the download is complete"
            if path.exists()
            else "check the name and the network, or download the dataset and pass its folder as "
            "`data`"
        )
        raise BrushworkError(f"cannot load {name_or_path} ({first_line}); {cure}") from error
    if isinstance(loaded, dict):
        return {str(name): split for name, split in loaded.items()}
    return {"train": loaded}


def _text(split: Any, column: str) -> list[str]:
    """Read a column as strings: class labels by their names, "" if absent or unknown."""
    if column not in split.column_names:
        return [""] * len(split)
    names = getattr(split.features[column], "names", None)
    texts = {}
    for value in set(values := split.select_columns([column]).to_dict()[column]):
        if value is None or (names and value < 0):
            texts[value] = ""
        else:
            texts[value] = names[value] if names else str(value)
        if re.fullmatch(rf"unknown([ _-]{column})?", texts[value], re.IGNORECASE):
            texts[value] = ""
    return [texts[value] for value in values]
