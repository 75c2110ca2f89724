"""List paintings that `brushwork.data.synthetic` draws: the default data, which needs no files."""

import pandas as pd

from brushwork.data.paintings import COLUMNS, Paintings
from brushwork.data.readers import SyntheticReader
from brushwork.data.synthetic.artists import describe
from brushwork.errors import BrushworkError

NUM_SYNTHETIC = 2000


def synthetic_paintings(count: int = NUM_SYNTHETIC, seed: int = 0) -> Paintings:
    """List the first paintings that are drawn from a seed.

    Args:
        count: how many, at least 1.
        seed: the same seed gives the same paintings; the first ones do not depend on `count`.

    Raises:
        BrushworkError: `count` is below 1.
    """
    if count < 1:
        raise BrushworkError(
            f"`count` is {count}; ask for at least 1 synthetic painting: synthetic:1"
        )
    table = pd.DataFrame([describe(index, seed) for index in range(count)], columns=[*COLUMNS])
    table["source"] = [f"synthetic-{seed}/{index}" for index in range(count)]
    return Paintings(name="synthetic", table=table, read=SyntheticReader(seed))
