"""Small pictures and folders of them, for the tests of this room."""

import io
from pathlib import Path

from PIL import Image

from brushwork.data.paintings import Paintings
from brushwork.data.sources.image_folder import image_folder


def picture(
    colour: str | tuple[int, ...] = "red", size: tuple[int, int] = (40, 30), format: str = "JPEG"
) -> bytes:
    """Encode a picture of one colour."""
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, format)
    return file.getvalue()


def write(folder: Path, *names: str, size: tuple[int, int] = (40, 30), colour: str = "red") -> None:
    """Write the same JPEG under several names, whatever their suffix."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(colour, size))


def plain_paintings(folder: Path, num: int) -> Paintings:
    """Write pictures of one colour each, and open them as a source; they decode fast."""
    for number in range(num):
        colour = f"#{number % 256:02x}0963"
        write(
            folder, f"artist {number % 7}/{number:03}.jpg", size=(100 + number, 90), colour=colour
        )
    return image_folder(folder)
