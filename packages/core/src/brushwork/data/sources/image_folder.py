"""Read pictures in one folder per artist: `artist/painting.jpg`.

The artists' folders may be inside `train` and `test`, or any of `brushwork.data.paintings.SPLITS`,
and all of them may be inside one more folder, such as `images/train/artist/painting.jpg`.
"""

from pathlib import Path

from brushwork.data.decode import SUFFIXES
from brushwork.data.paintings import (
    Paintings,
    as_table,
    hold_out,
    listed,
    resembles_split,
    split_names,
    tidy,
    why_rejected,
)
from brushwork.data.readers import FileReader
from brushwork.data.sources.scan import existing_folder, is_text, scan
from brushwork.errors import BrushworkError


def image_folder(folder: str | Path) -> Paintings:
    """List the pictures `artist/painting.jpg`, or `train/artist/painting.jpg` and so on.

    Pictures outside the artists' folders have no artist. If no picture is in `test`, a fifth of
    each artist's paintings becomes the test split (see `hold_out`).

    Args:
        folder: contains the artists' folders.

    Raises:
        BrushworkError: there is no such folder, or no picture in it.
    """
    root = existing_folder(folder)
    pictures, rejected, hidden = [], [], []
    for path, inside in sorted(scan(root, hidden)):
        if not is_text(path):
            rejected.append((ascii(path), "the file name is not UTF-8"))
        elif not inside:
            rejected.append((path, "a link to a file outside the folder"))
        elif Path(path).suffix.lower() not in SUFFIXES:
            rejected.append((path, "its suffix is not that of a picture"))
        else:
            pictures.append(path)
    for path in sorted(hidden):
        rejected.append((path if is_text(path) else ascii(path), "a hidden file"))
    if not pictures:
        raise BrushworkError(
            f"no pictures in {root}{why_rejected(rejected)}; put them there as artist/painting.jpg"
        )

    folders = [path.split("/")[:-1] for path in pictures]
    folders, splits, notes = _take_splits(*_look_through(folders))
    rows = [
        (below[0] if below else "", "", "", Path(path).stem, "", split or "train", path)
        for path, below, split in zip(pictures, folders, splits, strict=True)
    ]
    table, more_notes = tidy(as_table(rows))
    return Paintings(
        name=root.name if is_text(root.name) else ascii(root.name),
        table=hold_out(table),
        read=FileReader(root, tuple(pictures)),
        rejected=tuple(rejected),
        notes=(*notes, *more_notes),
        folder=root,
    )


def _look_through(folders: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """Leave out a folder that contains all the artists' folders, or all the splits.

    A folder of pictures is an artist's, so each picture must be at least one folder deeper.

    Args:
        folders: the folders of each picture, outermost first.

    Returns:
        The folders below; and notes that say which folder was left out.
    """
    notes = []
    while True:
        tops = {below[0] if below else "" for below in folders}
        top = next(iter(tops))
        if len(tops) > 1 or not top or split_names([top]):
            break
        inner = {below[1] for below in folders if len(below) > 1}
        if min(map(len, folders)) < 2 and not split_names(inner):
            break
        notes.append(f"the folder {top!r} contains all others, so it is not taken as an artist")
        folders = [below[1:] for below in folders]
    return folders, notes


def _take_splits(
    folders: list[list[str]], notes: list[str]
) -> tuple[list[list[str]], list[str], list[str]]:
    """Take the outermost folders as splits, if they are named so.

    Args:
        folders: the folders of each picture, outermost first.
        notes: the notes so far.

    Returns:
        The folders inside the splits; the split of each picture, or ""; and all notes.
    """
    named = split_names({below[0]: None for below in folders if below})
    splits = [named.get(below[0], "") if below else "" for below in folders]
    inside = [below[1:] if split else below for below, split in zip(folders, splits, strict=True)]
    if named and all(splits):
        inside, more = _look_through(inside)
        notes = notes + more
    beside = {below[0] for below, split in zip(inside, splits, strict=True) if below and not split}
    if named and beside:
        notes = [
            *notes,
            f"folders beside {' and '.join(sorted(named))} are taken as artists, and their "
            f"pictures as training paintings: {listed(sorted(beside))}",
        ]
    artists = {below[0] for below in inside if below}
    if alike := sorted(filter(resembles_split, artists)):
        notes = [
            *notes,
            f"taken as artists: {listed([repr(name) for name in alike])}; if these folders are "
            "splits, name them train, validation or test",
        ]
    return inside, splits, notes
