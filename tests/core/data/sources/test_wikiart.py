import itertools
import pickle
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.core.data.pictures import picture, write

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


def test_a_dataset_that_is_saved_again_with_other_pictures_is_another_one(tmp_path: Path):
    def save():
        table = datasets.Dataset.from_dict({"image": [str(tmp_path / "1.png")], "artist": ["a"]})
        table.cast_column("image", datasets.Image()).save_to_disk(tmp_path / "saved")
        return open_source(str(tmp_path / "saved")).fingerprint()

    write(tmp_path, "1.png")
    before = save()
    (tmp_path / "1.png").write_bytes(picture(size=(50, 40)))
    assert save() != before


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


@pytest.fixture
def write_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write a Parquet file of four rows, from columns that replace the usual ones."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def write(name: str, **columns: object) -> Path:
        columns = {"image": images(), "artist": ["Monet", "Degas"] * 2} | columns
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({k: v for k, v in columns.items() if v is not None}), path)
        return path

    return write


def images(**values: object) -> pa.Array:
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": picture(), "path": None} | values] * 4, struct)


LABELS = {
    "lists": ([["Impressionism"], ["Realism", "Impressionism"], [], None],
              ["Impressionism", "Realism, Impressionism", "", ""]),
    "structs": ([{"id": 3, "name": "Realism"}] * 4, ["Realism"] * 4),
    "lists of structs": ([[{"name": "Realism"}, {"name": "Rococo"}]] * 4, ["Realism, Rococo"] * 4),
    "floats with NaN": ([1.5, float("nan"), None, 2.0], ["1.5", "", "", "2"]),
    "words for none": (["nan", "None", "unknown", "Na"], ["", "", "", "Na"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_type_become_text(tmp_path: Path, write_parquet, kind: str):
    values, expected = LABELS[kind]
    write_parquet("in/a.parquet", style=pa.array(values, from_pandas=False))
    assert [*open_source(str(tmp_path / "in")).table["style"]] == expected


def test_a_float_that_is_nan_is_no_artist(tmp_path: Path, write_parquet):
    write_parquet("in/a.parquet", artist=pa.array([float("nan")] * 4, from_pandas=False))
    assert [*open_source(str(tmp_path / "in")).table["artist"]] == [""] * 4


@pytest.mark.parametrize("with_metadata", [True, False])
def test_a_column_of_lists_of_images_is_one_sentence(tmp_path, write_parquet, with_metadata):
    if with_metadata:
        features = datasets.Features(image=datasets.List(datasets.Image()))
        data = datasets.Dataset.from_dict(
            {"image": [[{"bytes": picture(), "path": None}]]}, features
        )
        (tmp_path / "in").mkdir()
        data.to_parquet(tmp_path / "in" / "a.parquet")
    else:
        write_parquet("in/a.parquet", image=pa.array([[each] for each in images().to_pylist()]))
    with pytest.raises(BrushworkError, match=r"the column `image` of .* contains lists of images"):
        open_source(str(tmp_path / "in"))


NAMED = {
    "paths in structs": images(bytes=None, path="somewhere/a.jpg"),
    "paths": pa.array(["somewhere/a.jpg"] * 4),
    "addresses": pa.array(["https://example.org/a.jpg"] * 4),
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_dataset_that_names_its_pictures_says_so(tmp_path: Path, write_parquet, kind: str):
    write_parquet("in/a.parquet", image=NAMED[kind])
    reason = r"contains paths of pictures, such as .*a\.jpg.*with `save_to_disk`"
    with pytest.raises(BrushworkError, match=reason):
        open_source(str(tmp_path / "in"))


def test_a_row_that_only_names_its_picture_is_rejected(tmp_path: Path, write_parquet):
    rows = [*images().to_pylist()[:2], {"bytes": None, "path": "a.jpg"}, None]
    write_parquet("in/a.parquet", image=pa.array(rows, images().type))
    paintings = open_source(str(tmp_path / "in"))
    assert [*paintings.table["source"]] == ["train/0", "train/1"]
    assert dict(paintings.rejected) == {
        "train/2": "the dataset contains the path of the picture, and not the picture",
        "train/3": "no image in this row",
    }


def test_the_column_of_paintings_is_found_among_several(tmp_path: Path, write_parquet):
    write_parquet("in/a.parquet", image=None, mask=images(bytes=b"mask"), painting=images())
    paintings = open_source(str(tmp_path / "in"))
    assert paintings.read(0) == picture()
    assert "the paintings are read from the column 'painting', not from mask" in paintings.notes
    write_parquet("two/a.parquet", image=None, front=images(), back=images())
    with pytest.raises(BrushworkError, match=r"several columns of images \(front, back\)"):
        open_source(str(tmp_path / "two"))


def test_a_column_image_of_names_does_not_hide_the_pictures(tmp_path: Path, write_parquet):
    write_parquet("in/a.parquet", image=["a.jpg"] * 4, img=images())
    assert open_source(str(tmp_path / "in")).read(3) == picture()


LAYOUTS = [
    ("default/train/0000.parquet", "default/test/0000.parquet"),
    ("default/partial-train/0000.parquet", "default/partial-test/0000.parquet"),
    ("train/0000.parquet", "test/0000.parquet"),
    ("a/train-00000-of-00001.parquet", "a/test-00000-of-00001.parquet"),
    ("data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
    ("Training.parquet", "eval.parquet"),
]


@pytest.mark.parametrize("files", LAYOUTS)
def test_parquet_is_found_in_folders_as_the_hub_writes_them(tmp_path, write_parquet, files):
    folder = "in [2024] *?{a}"  # not a pattern
    for file in files:
        write_parquet(f"{folder}/{file}")
    paintings = open_source(str(tmp_path / folder))
    assert [*paintings.table["split"]] == ["train"] * 4 + ["test"] * 4
    assert paintings.name == folder


def test_of_several_configurations_one_must_be_chosen(tmp_path: Path, write_parquet):
    for name, split in itertools.product(("default", "b"), ("train", "test")):
        write_parquet(f"in/{name}/{split}/0000.parquet", artist=[name] * 4)
    folder = str(tmp_path / "in")
    with pytest.raises(BrushworkError, match=r"several configurations: b, default; .*in:b"):
        open_source(folder)
    with pytest.raises(BrushworkError, match="no configuration c, only b, default"):
        open_source(f"{folder}:c")
    for name in ("default", "b"):
        for data in (f"{folder}:{name}", f"{folder}/{name}"):
            table = open_source(data).table
            assert {*table["artist"]} == {name}
            assert [*table["split"]] == ["train"] * 4 + ["test"] * 4


def test_the_card_of_a_dataset_names_its_configurations(tmp_path: Path, write_parquet):
    for name in ("large", "small"):
        write_parquet(f"in/files/{name}-a.parquet", artist=[name] * 4)
        write_parquet(f"in/files/{name}-b.parquet", artist=[name] * 4)
    card = "---\nconfigs:\n"
    for name in ("large", "small"):
        card += f"- config_name: {name}\n  data_files:\n"
        for split, letter in (("train", "a"), ("test", "b")):
            card += f"  - split: {split}\n    path: files/{name}-{letter}*\n"
    (tmp_path / "in" / "README.md").write_text(card + "---\n")
    with pytest.raises(BrushworkError, match="several configurations: large, small"):
        open_source(str(tmp_path / "in"))
    table = open_source(f"{tmp_path / 'in'}:small").table
    assert {*table["artist"]} == {"small"}
    assert [*table["split"]] == ["train"] * 4 + ["test"] * 4


def test_pictures_without_configurations_refuse_one(tmp_path: Path):
    write(tmp_path, "Monet/a.jpg")
    with pytest.raises(BrushworkError, match="has no configurations; leave :small out of `data`"):
        open_source(f"{tmp_path}:small")


def test_a_folder_of_pictures_may_contain_a_stray_parquet_file(tmp_path: Path, write_parquet):
    write(tmp_path / "in", "Monet/a.jpg")
    write_parquet("in/notes/a.parquet")
    paintings = open_source(str(tmp_path / "in"))
    assert len(paintings.table) == 1
    assert paintings.rejected == (("notes/a.parquet", "its suffix is not that of a picture"),)


def test_a_dataset_without_images_says_what_it_has(tmp_path: Path):
    datasets.Dataset.from_dict({"text": ["a"], "label": [1]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(BrushworkError, match="no column of images, only text, label"):
        wikiart(tmp_path / "saved")


def test_a_name_on_the_hub_that_cannot_be_had_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True, raising=False)
    with pytest.raises(BrushworkError, match=r"cannot load nobody/nothing .*download the dataset"):
        open_source("nobody/nothing")
