from pathlib import Path

from brushwork.data.open import open_source
from brushwork.data.preparation import prepare
from brushwork.data.prepared import open_prepared
from brushwork.data.selection import select


def test_prepared_data_can_be_prepared_again_smaller(prepared_folder: Path, tmp_path: Path):
    paintings = open_source(str(prepared_folder))
    some = paintings.selected(select(paintings.table, genre=["landscape"]))
    record = prepare(some, tmp_path / "out", side=32, workers=1, progress=False)
    assert record["prepared"] + record["not_selected"] == 80
    again = open_prepared(tmp_path / "out")
    assert set(again.table["genre"]) == {"landscape"}
    assert again.image(0).size == (32, 32)
    assert [*again.table["source"]] == [*some.table["source"]]
