from collections import Counter
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import DatasetCard
from tests.core.data.pictures import picture, write

from brushwork.data.card import dataset_card
from brushwork.data.open import open_source
from brushwork.data.paintings import Paintings
from brushwork.data.preparation import prepare, schema
from brushwork.data.prepared import open_prepared
from brushwork.data.readers import RECORD
from brushwork.files import read_json


def test_the_front_matter_describes_the_data(prepared_folder: Path):
    data = DatasetCard.load(prepared_folder / "README.md").data.to_dict()
    info = datasets.DatasetInfo._from_yaml_dict(data["dataset_info"])
    assert info.splits is not None
    assert info.features is not None
    for name, split in info.splits.items():
        files = sorted((prepared_folder / "data").glob(f"{name}-*.parquet"))
        assert split.num_examples == sum(pq.read_metadata(file).num_rows for file in files)
    assert info.features == datasets.Features.from_arrow_schema(schema())
    assert [c["split"] for c in data["configs"][0]["data_files"]] == ["train", "test"]


def test_the_card_counts_what_is_there(tmp_path: Path):
    for artist, count in {"A | B": 3, "C": 2}.items():
        (tmp_path / "in" / artist).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "in" / artist / f"{number}.jpg").write_bytes(picture())
    (tmp_path / "in" / "C" / "bad.jpg").write_bytes(b"bad")
    paintings: Paintings = open_source(str(tmp_path / "in"))
    prepare(paintings, tmp_path / "out", side=20, workers=1, selection="--genre x", progress=False)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "# in: 5 paintings" in card
    assert "selected by --genre x" in card
    assert "| A \\| B | 2 | 1 | 3 |" in card
    assert "| not a picture, or not in a supported format | 1 |" in card
    assert str(tmp_path) not in card + (tmp_path / "out" / "brushwork.json").read_text()


NAMES = ["Monet: late works", "2024", "no", "- [x]: {y} # z", "two\nlines", 'a "quoted" name']


@pytest.mark.parametrize("name", NAMES)
def test_any_name_survives_the_front_matter(prepared_folder: Path, name: str):
    record = read_json(prepared_folder / RECORD) | {"name": name}
    card = dataset_card(record, open_prepared(prepared_folder).table, Counter())
    _, front_matter, _ = card.split("---\n", 2)
    data = yaml.safe_load(front_matter)
    assert data["pretty_name"] == name
    assert data["dataset_info"]["splits"][0]["name"] == "train"
    assert "\n# " + " ".join(name.split()) + ": 80 paintings\n" in card


def test_datasets_loads_a_folder_whose_name_is_hard_to_quote(tmp_path: Path):
    folder = tmp_path / "Monet: late works"
    write(folder, *(f"2024/{number}.jpg" for number in range(5)))
    record = prepare(open_source(str(folder)), tmp_path / "out", workers=1, progress=False)
    assert record["name"] == "Monet: late works"
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: split.num_rows for name, split in loaded.items()} == {"train": 4, "test": 1}
    assert set(loaded["train"]["artist"]) == {"2024"}
    assert DatasetCard.load(tmp_path / "out" / "README.md").data.pretty_name == record["name"]
