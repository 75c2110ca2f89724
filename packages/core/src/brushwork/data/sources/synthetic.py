"""List paintings that `brushwork.data.synthetic` draws: the default data, which needs no files."""

import pandas as pd

from brushwork.data.paintings import COLUMNS, Paintings
from brushwork.data.readers import SyntheticReader
from brushwork.data.synthetic.artists import describe
from brushwork.errors import BrushworkError

NUM_SYNTHETIC = 2000


def synthetic_paintings(count: int = NUM_SYNTHETIC, seed: int = 0) -> Paintings:
    """List `count` synthetic paintings, which are drawn when they are read.

    Args:
        count: number of paintings, at least 1.
        seed: the same seed gives the same paintings; a higher `count` appends further ones.

    Raises:
        BrushworkError: `count` is below 1.
    """
    if count < 1:
        raise BrushworkError(f"`count` is {count}; it must be at least 1, as in `data` synthetic:1")
    table = pd.DataFrame([describe(index, seed) for index in range(count)], columns=[*COLUMNS])
    table["source"] = [f"synthetic-{seed}/{index}" for index in range(count)]
    return Paintings(name="synthetic", table=table, read=SyntheticReader(seed))
