"""data.sources.synthetic."""

import pandas as pd

from brushwork.data.paintings import COLUMNS, Paintings
from brushwork.data.readers import SyntheticReader
from brushwork.errors import BrushworkError

NUM_SYNTHETIC = 2000


def synthetic_paintings(count: int = NUM_SYNTHETIC, seed: int = 0) -> Paintings:
    """The first `count` paintings that `brushwork.data.synthetic` draws from a seed."""
    from brushwork.data.synthetic.artists import describe

    if count < 1:
        raise BrushworkError(f"{count} synthetic paintings are none; ask for one or more")
    table = pd.DataFrame([describe(index, seed) for index in range(count)], columns=[*COLUMNS])
    table["source"] = [f"synthetic-{seed}/{index}" for index in range(count)]
    return Paintings(name="synthetic", table=table, read=SyntheticReader(seed))
