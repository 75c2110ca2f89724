"""data.sources.image_folder."""

from pathlib import Path

from brushwork.data.decode import SUFFIXES
from brushwork.data.paintings import Paintings, as_table, hold_out, split_names
from brushwork.data.readers import FileReader
from brushwork.data.sources.scan import existing_folder, is_text, scan
from brushwork.errors import BrushworkError


def image_folder(folder: str | Path) -> Paintings:
    """Pictures as `artist/painting.jpg`, with or without `train` and `test` above.

    Pictures that lie above any artist's folder have no artist. Where nothing is under `test`,
    a fifth of each artist's paintings becomes the test split (see `hold_out`).
    """
    root = existing_folder(folder)
    splits = split_names(path.name for path in root.iterdir() if path.is_dir())
    rows, rejected = [], []
    for path, inside in sorted(scan(root)):
        *folders, file = path.split("/")
        if not inside:
            rejected.append((path, "a link out of the folder"))
        elif not is_text(path):
            rejected.append((ascii(path), "its name is not UTF-8"))
        elif Path(file).suffix.lower() not in SUFFIXES:
            rejected.append((path, "not named as a picture"))
        else:
            split = splits.get(folders[0], "") if folders else ""
            artist = "".join(folders[bool(split) :][:1])
            rows.append((artist, "", "", Path(file).stem, "", split or "train", path))
    if not rows:
        raise BrushworkError(f"no pictures in {root}; put them there as artist/painting.jpg")
    table = hold_out(as_table(rows))
    read = FileReader(root, tuple(table["source"]))
    return Paintings(name=root.name, table=table, read=read, rejected=tuple(rejected))
