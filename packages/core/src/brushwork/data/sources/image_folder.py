"""Read pictures in one folder per artist: `artist/painting.jpg`.

The artists' folders may be inside `train` and `test`, or any of `SPLIT_NAMES`.
"""

from pathlib import Path

from brushwork.data.decode import SUFFIXES
from brushwork.data.paintings import Paintings, as_table, hold_out, split_names
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
    splits = split_names(path.name for path in root.iterdir() if path.is_dir())
    rows, rejected = [], []
    for path, inside in sorted(scan(root)):
        *folders, file = path.split("/")
        if not inside:
            rejected.append((path, "a link to a file outside the folder"))
        elif not is_text(path):
            rejected.append((ascii(path), "the file name is not UTF-8"))
        elif Path(file).suffix.lower() not in SUFFIXES:
            rejected.append((path, "its suffix is not that of a picture"))
        else:
            split = splits.get(folders[0], "") if folders else ""
            artists = folders[1:] if split else folders
            artist = artists[0] if artists else ""
            rows.append((artist, "", "", Path(file).stem, "", split or "train", path))
    if not rows:
        raise BrushworkError(f"no pictures in {root}; put them there as artist/painting.jpg")
    table = hold_out(as_table(rows))
    read = FileReader(root, tuple(table["source"]))
    return Paintings(name=root.name, table=table, read=read, rejected=tuple(rejected))
