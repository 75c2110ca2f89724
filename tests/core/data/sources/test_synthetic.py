import pytest

from brushwork.data.open import open_source
from brushwork.data.sources.synthetic import synthetic_paintings
from brushwork.errors import BrushworkError


def test_synthetic_paintings_are_counted():
    paintings = open_source("synthetic:30")
    assert len(paintings.table) == 30
    assert paintings.read(3).size == (256, 256)
    assert paintings.table.equals(synthetic_paintings(40).table.head(30))


def test_fewer_artists_give_the_same_paintings_without_the_others():
    all_of_them, four = open_source("synthetic:60"), open_source("synthetic:20:4")
    names = set(four.table["artist"])
    assert len(names) == 4 and len(four.table) == 20
    rows = [row for row, name in enumerate(all_of_them.table["artist"]) if name in names][:20]
    assert four.table.equals(all_of_them.table.iloc[rows].reset_index(drop=True))
    assert four.read(7).tobytes() == all_of_them.read(rows[7]).tobytes()
    assert four.read.identity(7) == all_of_them.read.identity(rows[7])


@pytest.mark.parametrize(
    "spec",
    [
        "synthetic:none",
        "synthetic:-3",
        "synthetic:0",
        "synthetic:9:0",
        "synthetic:9:11",
        "synthetic:9:4:1",
        "synthetic:",
    ],
)
def test_a_wrong_number_of_paintings_or_artists_is_an_error(spec):
    with pytest.raises(BrushworkError, match="synthetic:"):
        open_source(spec)
