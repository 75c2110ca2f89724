"""List paintings that `brushwork.data.synthetic` draws: the default data, which needs no files."""

from itertools import count as numbers_from
from itertools import islice

import pandas as pd

from brushwork.data.paintings import COLUMNS, Paintings
from brushwork.data.readers import SyntheticReader
from brushwork.data.synthetic.artists import ARTISTS, describe
from brushwork.errors import BrushworkError

NUM_SYNTHETIC = 2000


def synthetic_paintings(
    count: int = NUM_SYNTHETIC, num_artists: int = len(ARTISTS), seed: int = 0
) -> Paintings:
    """List `count` synthetic paintings, which are drawn when they are read.

    Args:
        count: number of paintings, at least 1.
        num_artists: list only paintings by this many artists, those with the most paintings.
        seed: the same seed gives the same paintings; a higher `count` appends further ones.

    Raises:
        BrushworkError: `count` is below 1, or there are not as many artists.
    """
    if count < 1:
        raise BrushworkError(f"`count` is {count}; it must be at least 1, as in `data` synthetic:1")
    if not 1 <= num_artists <= len(ARTISTS):
        raise BrushworkError(
            f"`num_artists` is {num_artists}; it must be between 1 and {len(ARTISTS)}, as in "
            "`data` synthetic:2000:4"
        )
    by_share = sorted(ARTISTS, key=lambda artist: -artist.share)
    chosen = {artist.name for artist in by_share[:num_artists]}
    described = ((number, describe(number, seed)) for number in numbers_from())
    listed = list(islice((pair for pair in described if pair[1]["artist"] in chosen), count))
    table = pd.DataFrame([facts for _, facts in listed], columns=[*COLUMNS])
    table["source"] = [f"synthetic-{seed}/{number}" for number, _ in listed]
    numbers = tuple(number for number, _ in listed)
    return Paintings(name="synthetic", table=table, read=SyntheticReader(seed, numbers))
