import pytest

from brushwork.data.open import open_source
from brushwork.data.sources.synthetic import synthetic_paintings
from brushwork.errors import BrushworkError


def test_synthetic_paintings_are_counted():
    paintings = open_source("synthetic:30")
    assert len(paintings.table) == 30
    assert paintings.read(3).size == (256, 256)
    assert paintings.table.equals(synthetic_paintings(40).table.head(30))
    for spec in ("synthetic:none", "synthetic:-3", "synthetic:0"):
        with pytest.raises(BrushworkError, match="synthetic:"):
            open_source(spec)
