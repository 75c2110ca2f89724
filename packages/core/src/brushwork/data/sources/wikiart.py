"""data.sources.wikiart."""

import re
from pathlib import Path

import pandas as pd

from brushwork.data.paintings import COLUMNS, Paintings, hold_out, split_names
from brushwork.data.readers import DatasetReader
from brushwork.errors import BrushworkError


def wikiart(name_or_path: str | Path) -> Paintings:
    """A dataset with a column of images and columns `artist`, `style`, `genre`, `title`, `date`.

    Columns that it lacks stay empty. A column of class labels, as in `huggan/wikiart`, becomes
    their names, and "Unknown Artist" and the like become "". Rows of a split other than `test` are
    training rows, except that a validation split is the test split where there is no other. Where
    neither exists, a fifth of each artist's rows becomes the test split (see `hold_out`).

    Args:
        name_or_path: on the Hub, or a folder made by `save_to_disk`, or Parquet files.
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
                f"{name_or_path} has no column of images; it has {', '.join(split.column_names)}"
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
    saved = ("dataset_dict.json", "state.json")
    return any((path / file).exists() for file in saved) or any(
        any((path / below).glob("*.parquet")) for below in ("", "data")
    )


def _load(name_or_path: str | Path) -> dict:
    """The splits of a dataset, by name."""
    import datasets

    path = Path(name_or_path)
    try:
        if path.suffix == ".parquet":
            loaded = datasets.load_dataset("parquet", data_files=str(path))
        elif (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            loaded = datasets.load_from_disk(str(path))
        else:
            loaded = datasets.load_dataset(str(name_or_path))
    except Exception as error:  # datasets raises its own, the Hub's and httpx's
        first_line = str(error).partition("\n")[0]
        cure = (
            "is it whole?"
            if path.exists()
            else "is the name right and the network there? A copy on disk works too: --data FOLDER"
        )
        raise BrushworkError(f"cannot load {name_or_path} ({first_line}); {cure}") from error
    return loaded if isinstance(loaded, dict) else {"train": loaded}


def _text(split, column: str) -> list[str]:
    """A column as strings: class labels by their names, "" where it is absent or unknown."""
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
