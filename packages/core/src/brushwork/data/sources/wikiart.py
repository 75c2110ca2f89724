"""Read datasets in the layout of `huggan/wikiart`: a column of images and columns of labels.

The dataset may be on the Hub, a folder made by `datasets.Dataset.save_to_disk`, or Parquet files.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from brushwork.data.decode import SUFFIXES
from brushwork.data.paintings import (
    COLUMNS,
    Paintings,
    hold_out,
    listed,
    split_names,
    split_of,
    tidy,
)
from brushwork.data.readers import RECORD, DatasetReader
from brushwork.errors import BrushworkError

SAVED = ("dataset_dict.json", "state.json")


IMAGE_COLUMNS = ("image", "img", "painting", "picture", "photo", "jpg", "jpeg", "png", "webp")
"""Names of the column of images, the most usual first."""


NO_PAINTING = ("mask", "thumb", "depth", "segment", "sketch", "edge", "condition", "preview")
"""Parts of names of columns whose images are not paintings."""


OUTSIDE = "the dataset contains the path of the picture, and not the picture"


Configurations = dict[str, dict[str, list[Path]]]
"""The Parquet files of each split of each configuration."""


def wikiart(name_or_path: str | Path, configuration: str = "") -> Paintings:
    """List the rows of a dataset with images and `artist`, `style`, `genre`, `title`, `date`.

    A column that is absent becomes "". Class labels, as in `huggan/wikiart`, become their names;
    the texts of a list are joined; "Unknown Artist" and similar names become "". The rows of a
    split `test` are the test split, or else those of a validation split; all other rows are
    training rows. If there is neither, a fifth of each artist's rows becomes the test split (see
    `hold_out`).

    Args:
        name_or_path: a dataset on the Hub, a folder made by `save_to_disk`, a Parquet file, or a
            folder of Parquet files.
        configuration: which one of several configurations; "" if there is one.

    Raises:
        BrushworkError: the dataset cannot be loaded, has several configurations or no column of
            images, or contains paths instead of pictures.
    """
    import datasets

    splits = _load(name_or_path, configuration)
    names = split_names(splits)
    first = next(iter(splits.values()))
    image, notes = _image_column(first.features, name_or_path)
    columns = {name.casefold(): name for name in reversed(first.column_names)}
    if "artist" not in columns:
        notes.append(f"there is no column `artist`, only {listed(first.column_names)}")
    tables, readers, fingerprints, paths = [], [], [], []
    for name, split in splits.items():
        if image not in split.column_names:
            raise BrushworkError(f"the split {name} of {name_or_path} has no column `{image}`")
        # The fingerprint of `datasets` is that of the calls that made a table. If they are made
        # again with other pictures of the same names, only its files change.
        files = [Path(file["filename"]).stat() for file in split.cache_files]
        states = [f":{status.st_size}:{status.st_mtime_ns}" for status in files]
        fingerprints.append(split._fingerprint + "".join(states))
        raw = split.select_columns(image).rename_columns({image: "image"})
        readers.append(raw.cast_column("image", datasets.Image(decode=False)))
        paths.append(_paths_without_bytes(readers[-1]))
        table = pd.DataFrame(
            {column: _text(split, columns.get(column, column)) for column in COLUMNS[:-1]}
        )
        table["split"] = names.get(name, "train")
        table["source"] = [f"{name}/{row}" for row in range(len(split))]
        tables.append(table)
        if name not in names and len(splits) > 1:
            notes.append(f"the split {name!r} is taken as training paintings")
    table = pd.concat(tables, ignore_index=True)
    absent = np.concatenate(paths)
    if len(table) == 0 or all(path is not None for path in absent):
        _refuse(name_or_path, image, [path for path in absent if path])
    rejected = tuple(
        (source, OUTSIDE if path else "no image in this row")
        for source, path in zip(table["source"], absent, strict=True)
        if path is not None
    )
    table, more_notes = tidy(table.loc[[path is None for path in absent]])
    path = Path(name_or_path)
    return Paintings(
        name=path.name if path.exists() else str(name_or_path),
        table=hold_out(table),
        read=DatasetReader(tuple(readers), tuple(fingerprints)),
        rejected=rejected,
        notes=(*notes, *more_notes),
        folder=path.resolve() if path.is_dir() else None,
    )


def is_dataset(path: Path) -> bool:
    """Return whether a folder is a saved dataset or contains Parquet files.

    Parquet files in folders below count only if no picture is found before them.
    """
    if any((path / file).exists() for file in SAVED):
        return True
    if any(any((path / below).glob("*.parquet")) for below in ("", "data")):
        return True
    found = False
    for file in _files_below(path):
        if file.suffix.lower() in SUFFIXES:
            return False
        found |= file.suffix == ".parquet"
    return found


def _files_below(folder: Path) -> Iterator[Path]:
    """List files, except those in hidden folders and in prepared data."""
    for here, folders, files in os.walk(folder):
        if RECORD in files:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        yield from (Path(here, name) for name in sorted(files) if not name.startswith("."))


def _load(name_or_path: str | Path, configuration: str) -> dict[str, Any]:
    """Load the splits of a dataset, by name.

    Raises:
        BrushworkError: it cannot be loaded, or has several configurations.
    """
    import datasets

    path = Path(name_or_path)
    try:
        if path.suffix == ".parquet" and path.is_file():
            loaded = _load_parquet({"train": [path]})
        elif any((path / file).exists() for file in SAVED):
            loaded = datasets.load_from_disk(str(path))
        elif path.is_dir():
            found = _configurations(path)
            loaded = _load_parquet(found[_choose(name_or_path, [*found], configuration)])
        else:
            loaded = datasets.load_dataset(str(name_or_path), configuration or None)
    except BrushworkError:
        raise
    except Exception as error:  # errors of datasets, of the Hub or of httpx
        if several := re.search(r"available configs: (\[[^\]]*\])", str(error)):
            _choose(name_or_path, re.findall(r"'([^']+)'", several.group(1)), configuration)
        reason = str(error.__cause__ or error) or type(error).__name__
        cure = (
            "check that the download is complete"
            if path.exists()
            else "check the name and the network, or download the dataset and pass its folder as "
            "`data`"
        )
        first_line = reason.partition("\n")[0]
        raise BrushworkError(f"cannot load {name_or_path} ({first_line}); {cure}") from error
    if isinstance(loaded, dict):
        return {str(name): split for name, split in loaded.items()}
    return {"train": loaded}


def _load_parquet(files: Mapping[str, list[Path]]) -> Any:
    """Load Parquet files of each split, whatever characters are in their paths.

    `datasets.load_dataset` would take brackets and stars in a path as a pattern.
    """
    from datasets import DownloadMode
    from datasets.data_files import DataFilesDict, DataFilesList
    from datasets.packaged_modules.parquet.parquet import Parquet

    lists = {}
    for split in sorted(files, key=lambda split: (split != "train", split == "test", split)):
        status = [file.stat() for file in files[split]]
        lists[split] = DataFilesList(
            [str(file.resolve()) for file in files[split]],
            [(str(each.st_mtime_ns), str(each.st_size)) for each in status],
        )
    builder = Parquet(data_files=DataFilesDict(lists))
    builder.download_and_prepare(download_mode=DownloadMode.REUSE_DATASET_IF_EXISTS)
    return builder.as_dataset()


def _configurations(folder: Path) -> Configurations:
    """Find the Parquet files of a folder, by configuration and split.

    The card `README.md` of a dataset may name them, as on the Hub. Otherwise the paths do, such as
    `CONFIGURATION/train/0000.parquet` or `CONFIGURATION/train-00000-of-00002.parquet`; a path
    without the name of a split belongs to the training split.
    """
    if found := _configurations_of_card(folder):
        return found
    plain: list[Path] = []
    for file in _files_below(folder):
        if file.suffix != ".parquet":
            continue
        *folders, name = file.relative_to(folder).parts
        splits = [split_of(part.removeprefix("partial-")) for part in folders]
        place = next((number for number, split in enumerate(splits) if split), len(folders))
        split = next(filter(None, splits), "") or split_of(re.split(r"[-._ ]", name)[0])
        if split:
            parts = [part for part in folders[:place] if part != "data"]
            found.setdefault("/".join(parts), {}).setdefault(split, []).append(file)
        else:
            plain.append(file)
    if plain:
        # Files outside the splits are training rows, as they are for `datasets`.
        found.setdefault(next(iter(found), ""), {}).setdefault("train", []).extend(plain)
    return found


def _configurations_of_card(folder: Path) -> Configurations:
    """Read which Parquet files the card of a dataset names; {} if it names none."""
    from huggingface_hub import metadata_load

    try:
        metadata = metadata_load(folder / "README.md") or {}
    except Exception:  # no card, or one that is not valid
        return {}
    found: Configurations = {}
    for config in metadata.get("configs") or ():
        files = config.get("data_files") or ()
        if isinstance(files, str) or (files and isinstance(files[0], str)):
            files = [{"split": "train", "path": files}]
        for entry in files:
            patterns = [entry["path"]] if isinstance(entry["path"], str) else entry["path"]
            matches = {file for pattern in patterns for file in folder.glob(pattern)}
            if paths := sorted(file for file in matches if file.suffix == ".parquet"):
                name = str(config.get("config_name", "default"))
                found.setdefault(name, {}).setdefault(str(entry["split"]), []).extend(paths)
    return found


def _choose(name_or_path: str | Path, names: list[str], chosen: str) -> str:
    """Choose a configuration.

    Raises:
        BrushworkError: there are several and none is chosen, or the chosen one does not exist.
    """
    if chosen in names:
        return chosen
    if len(names) == 1 and not chosen:
        return names[0]
    known = ", ".join(name or "(no name)" for name in sorted(names))
    if chosen:
        raise BrushworkError(f"{name_or_path} has no configuration {chosen}, only {known}")
    raise BrushworkError(
        f"{name_or_path} has several configurations: {known}; choose one with `data` "
        f"{name_or_path}:{min(filter(None, names), default='NAME')}"
    )


def _image_column(features: Mapping[str, Any], name: str | Path) -> tuple[str, list[str]]:
    """Find the column of images.

    Returns:
        Its name; and a note, if there are several.

    Raises:
        BrushworkError: there is none, there are several to choose from, or it contains lists.
    """
    images = [column for column, feature in features.items() if _is_image(feature)]
    if not images and "image" in features:
        if _is_image(_element(features["image"])):
            raise BrushworkError(
                f"the column `image` of {name} contains lists of images; save it with one image "
                "in each row"
            )
        if getattr(features["image"], "dtype", "") in ("string", "large_string"):
            return "image", []  # names of files, which `_refuse` reports
    if not images:
        lists = [column for column, feature in features.items() if _is_image(_element(feature))]
        if lists:
            raise BrushworkError(
                f"the column `{lists[0]}` of {name} contains lists of images; save it with one "
                "image in each row, in a column `image`"
            )
        raise BrushworkError(
            f"{name} has no column of images, only {', '.join(features)}; name the column `image`"
        )
    if len(images) == 1:
        return images[0], []
    usual = [known for known in IMAGE_COLUMNS for column in images if column.casefold() == known]
    likely = [c for c in images if not any(part in c.casefold() for part in NO_PAINTING)]
    if usual:
        best = next(column for column in images if column.casefold() == usual[0])
    elif len(likely) == 1:
        best = likely[0]
    else:
        raise BrushworkError(
            f"{name} has several columns of images ({', '.join(images)}); name the one with the "
            "paintings `image`"
        )
    others = [column for column in images if column != best]
    return best, [f"the paintings are read from the column {best!r}, not from {listed(others)}"]


def _is_image(feature: Any) -> bool:
    """Return whether a column contains images: bytes, or bytes with a path."""
    import datasets

    if isinstance(feature, dict):
        return {"bytes", "path"} == set(feature)
    binary = getattr(feature, "dtype", "") in ("binary", "large_binary")
    return isinstance(feature, datasets.Image) or binary


def _element(feature: Any) -> Any:
    """Return the feature of a list's elements; None if it is no list."""
    if isinstance(feature, list):
        return feature[0]
    return getattr(feature, "feature", None)


def _paths_without_bytes(split: Any) -> NDArray[np.object_]:
    """Find the rows whose picture is not in the dataset.

    Args:
        split: a dataset with the column `image`, as structs of bytes and path.

    Returns:
        (N,) None where there are bytes; else the path or address that is there instead, or "".
    """
    absent = np.full(split.data.num_rows, None, dtype=object)
    first = 0
    for chunk in split.data.column("image").chunks:
        # Reads which bytes are absent, and not the bytes.
        parts = dict(zip([part.name for part in chunk.type], chunk.flatten(), strict=True))
        rows = np.flatnonzero(parts["bytes"].is_null().to_numpy(zero_copy_only=False))
        absent[first + rows] = [path or "" for path in parts["path"].take(rows).to_pylist()]
        first += len(chunk)
    return absent if split._indices is None else absent[split._indices.column(0).to_numpy()]


def _refuse(name: str | Path, column: str, paths: list[str]) -> NoReturn:
    """Report that a dataset contains no picture.

    Raises:
        BrushworkError: always.
    """
    if not paths:
        raise BrushworkError(f"{name} contains no image; check that the download is complete")
    raise BrushworkError(
        f"the column `{column}` of {name} contains paths of pictures, such as {paths[0]!r}, and "
        "not the pictures; load the dataset where the files are, cast the column to "
        "`datasets.Image`, and save the dataset with `save_to_disk`"
    )


def _text(split: Any, column: str) -> list[str]:
    """Read a column as strings: class labels by their names, "" if absent or unknown."""
    if column not in split.column_names:
        return [""] * len(split)
    feature = split.features[column]
    return [_as_text(value, feature) for value in split.select_columns([column]).to_dict()[column]]


def _as_text(value: Any, feature: Any) -> str:
    """Write a value of any type as text; of a struct, its name or its first text."""
    if value is None or value != value:  # NaN
        return ""
    if names := getattr(feature, "names", None):
        return names[value] if 0 <= value < len(names) else ""
    if isinstance(value, list | tuple):
        texts = [_as_text(each, _element(feature)) for each in value]
        return ", ".join(dict.fromkeys(filter(None, texts)))
    if isinstance(value, dict):
        kinds = feature if isinstance(feature, dict) else {}
        texts = {key: _as_text(each, kinds.get(key)) for key, each in value.items()}
        usual = [texts[key] for key in ("name", "label", "title", "text", "value") if key in texts]
        return next(filter(None, [*usual, *texts.values()]), "")
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
