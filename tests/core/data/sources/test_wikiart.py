import pickle
from pathlib import Path

import datasets
import pytest
from tests.core.data.pictures import picture

from brushwork.data.open import open_source
from brushwork.data.paintings import Paintings
from brushwork.data.sources.wikiart import wikiart
from brushwork.errors import BrushworkError


@pytest.fixture
def labelled() -> datasets.Dataset:
    features = datasets.Features(
        image=datasets.Image(),
        artist=datasets.ClassLabel(names=["Unknown Artist", "claude-monet", "edgar-degas"]),
        genre=datasets.ClassLabel(names=["landscape", "Unknown Genre"]),
        style=datasets.ClassLabel(names=["Impressionism"]),
    )
    image = {"bytes": picture(), "path": None}
    return datasets.Dataset.from_dict(
        {
            "image": [image] * 10,
            "artist": [1] * 5 + [2] * 4 + [0],
            "genre": [0] * 9 + [1],
            "style": [0] * 9 + [None],
        },
        features=features,
    )


def check(paintings: Paintings) -> None:
    assert [*paintings.table["artist"]] == ["claude-monet"] * 5 + ["edgar-degas"] * 4 + [""]
    assert [*paintings.table["genre"]] == ["landscape"] * 9 + [""]
    assert [*paintings.table["style"]] == ["Impressionism"] * 9 + [""]
    assert set(paintings.table["title"]) == {""}
    assert pickle.loads(pickle.dumps(paintings.read))(7) == picture()


def test_wikiart_from_a_saved_dataset(tmp_path: Path, labelled):
    labelled.save_to_disk(tmp_path / "saved")
    paintings = open_source(str(tmp_path / "saved"))
    check(paintings)
    assert (paintings.table["split"] == "test").sum() == 2
    assert paintings.fingerprint() == open_source(str(tmp_path / "saved")).fingerprint()


def test_wikiart_from_saved_splits(tmp_path: Path, labelled):
    splits = {"train": labelled.select(range(6)), "validation": labelled.select(range(6, 10))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    paintings = open_source(str(tmp_path / "saved"))
    check(paintings)
    assert [*paintings.table["split"]] == ["train"] * 6 + ["test"] * 4
    assert paintings.table["source"][6] == "validation/0"


def test_wikiart_from_parquet(tmp_path: Path, labelled, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    labelled.to_parquet(tmp_path / "paintings.parquet")
    check(open_source(str(tmp_path / "paintings.parquet")))
    (tmp_path / "folder" / "data").mkdir(parents=True)
    labelled.to_parquet(tmp_path / "folder" / "data" / "train-00000-of-00001.parquet")
    check(open_source(str(tmp_path / "folder")))


def test_a_dataset_without_images_says_what_it_has(tmp_path: Path):
    datasets.Dataset.from_dict({"text": ["a"], "label": [1]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(BrushworkError, match="no column of images, only text, label"):
        wikiart(tmp_path / "saved")


def test_a_name_on_the_hub_that_cannot_be_had_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True, raising=False)
    with pytest.raises(BrushworkError, match=r"cannot load nobody/nothing .*download the dataset"):
        open_source("nobody/nothing")
