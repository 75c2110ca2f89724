"""Sets of pictures: any rows, in order, the same in any number of processes; and their metrics."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.evaluate import (
    compare,
    evaluator,
    generated_pictures,
    kept_checkpoints,
    open_pictures,
)
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.save import save_generator
from brushwork.gan.styled import StyledConfig
from brushwork.metrics.distances import authenticity, cmmd, copying
from brushwork.metrics.features import Features, FeatureSpace, pixels
from brushwork.metrics.pictures import (
    PictureFeatures,
    Pictures,
    cached_picture_features,
    extract_shared,
    selected_pictures,
)
from brushwork.training.distributed import interleave

TRAINING = {"data": "synthetic", "num_paintings": 9, "fingerprint": "0", "batch_size": 8, "seed": 0}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    painter = Generator(DCGANConfig(side=32, width=2))
    for place in ("generator", "kept/step-000200", "kept/step-001000"):
        save_generator(painter, folder / place, TRAINING, 1, "averaged")
    return folder


def together(some, rows):
    return np.concatenate([np.atleast_1d(part) for part in some.images(rows)])


def test_a_checkpoint_paints_any_rows_as_in_one_go(run):
    some = open_pictures(run / "generator", num=70, seed=3)
    expected = PaintingGenerator.from_pretrained(run / "generator").sample(70, seed=3, to="array")
    assert (some.num, some.side, some.training["data"]) == (70, 32, "synthetic")
    assert np.array_equal(together(some, range(70)), expected)
    assert np.array_equal(some.thumbnails([5, 66], 32), expected[[5, 66]])
    assert np.array_equal(together(open_pictures(run, num=70, seed=3), [69]), expected[69:])


def test_pictures_of_a_painter_of_classes_say_what_each_was_to_be(tmp_path):
    torch.manual_seed(0)
    painter = styled.Generator(StyledConfig(side=32, width=2, classes=("marina", "portrait")))
    training = TRAINING | {"condition": "genre"}
    save_generator(painter, tmp_path / "generator", training, 1, "averaged")
    some = open_pictures(tmp_path, num=70, seed=3)
    labels = PaintingGenerator(painter, {}).labels(70, seed=3)
    assert some.columns["genre"] == [("marina", "portrait")[i] for i in labels]
    expected = PaintingGenerator(painter, {}).sample(70, seed=3, to="array")
    assert np.array_equal(together(some, range(70)), expected)


def test_kept_checkpoints_come_by_step(run, tmp_path):
    assert list(kept_checkpoints(run)) == [200, 1000]
    with pytest.raises(BrushworkError, match="`keep_every`"):
        kept_checkpoints(tmp_path)
    assert list(kept_checkpoints("in-the-manner-of")) == [5000], "a bundled generator has some, too"


def test_a_folder_is_taken_whole(tmp_path):
    for i in range(3):
        Image.new("RGB", (20, 10), (i, 0, 0)).save(tmp_path / f"{i}.png")
    some = open_pictures(tmp_path, num=2)
    assert (some.num, some.side) == (3, 10) and some.fingerprint
    assert some.thumbnails([2, 0], 4)[:, 0, 0, 0].tolist() == [2, 0]


def test_a_folder_has_the_proportions_that_all_its_pictures_have(tmp_path):
    for i, size in enumerate([(96, 64), (150, 100)]):
        Image.new("RGB", size, "red").save(tmp_path / f"{i}.png")
    assert (open_pictures(tmp_path).side, open_pictures(tmp_path).aspect) == (64, "3:2")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "2.png")
    assert open_pictures(tmp_path).aspect == "1:1"


def test_pictures_that_cannot_be_read_are_left_out_with_the_reason(tmp_path):
    for i in range(3):
        Image.new("RGB", (20, 10), (i, 0, 0)).save(tmp_path / f"{i}.png")
    whole = open_pictures(tmp_path)
    assert whole.left_out == {}
    first = tmp_path / "0.png"
    first.write_bytes(first.read_bytes()[:50])
    some = open_pictures(tmp_path)
    assert some.num == 2 and some.side == 10
    assert some.thumbnails([0, 1], 4)[:, 0, 0, 0].tolist() == [1, 2]
    assert some.fingerprint != whole.fingerprint
    assert some.left_out and list(some.left_out) == [first] and some.left_out[first]
    for i in (1, 2):
        (tmp_path / f"{i}.png").write_bytes(b"")
    with pytest.raises(BrushworkError, match=r"none of the 3 images .* can be read .*0\.png: "):
        open_pictures(tmp_path)


def test_an_evaluator_holds_the_real_features_ready(run, tmp_path, monkeypatch):
    monkeypatch.setenv("BRUSHWORK_CACHE", str(tmp_path))
    painter = PaintingGenerator.from_pretrained(run / "generator")
    array = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    measure = evaluator(selected_pictures(array, np.arange(30), "noise"), pixels(8), num=20)
    first, again = measure(painter), measure(painter)
    assert first == again and first["pixels"]["n_fake"] == 20
    assert first.keys() == {"pixels"}
    assert {"fid", "one_nn", "authenticity"} <= first["pixels"].keys()


def test_rows_of_prepared_pixels_are_remembered_by_content_rows_and_side(tmp_path, monkeypatch):
    monkeypatch.setenv("BRUSHWORK_CACHE", str(tmp_path))
    array = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    some = selected_pictures(array, np.array([7, 2]), "content")
    expected = torch.from_numpy(array[[7, 2]]).permute(0, 3, 1, 2).flatten(1) / 255
    for _ in range(2):
        assert torch.allclose(cached_picture_features(some, pixels(8)).features, expected)
    cached_picture_features(selected_pictures(array, np.array([2, 7]), "content"), pixels(8))
    cached_picture_features(selected_pictures(array, np.array([7, 2]), "other"), pixels(8))
    cached_picture_features(selected_pictures(array, np.array([7, 2]), "other"), pixels(8))
    assert len(list((tmp_path / "features").iterdir())) == 3
    wide = selected_pictures(array.reshape(6, 8, 12, 3), np.array([2, 1]), "content")
    tall = selected_pictures(array.reshape(6, 12, 8, 3), np.array([2, 1]), "content")
    assert (wide.side, wide.aspect, tall.side, tall.aspect) == (8, "3:2", 8, "2:3")
    assert len({wide.fingerprint, tall.fingerprint, some.fingerprint}) == 3
    assert wide.thumbnails([0], 4, "3:2").shape == (1, 4, 6, 3)


@pytest.mark.parametrize("room", [0, 3, 100])
def test_fakes_are_painted_once_as_far_as_the_memory_reaches(run, monkeypatch, room):
    painter = PaintingGenerator.from_pretrained(run / "generator")
    expected = np.stack([np.asarray(picture) for picture in painter.sample(7, seed=3)])
    painted, paint = [], painter.paint
    monkeypatch.setattr(painter, "paint", lambda z, y: painted.append(len(z)) or paint(z, y))
    fakes = generated_pictures(painter, 7, seed=3, max_kept=room * expected[0].nbytes)
    for rows in (range(7), [5, 1, 1, 6]):
        assert np.array_equal(np.concatenate([*fakes.images(rows)]), expected[[*rows]])
    assert painted == {0: [7, 3], 3: [7, 2], 100: [7]}[room]


def test_one_process_sees_all(run):
    some = open_pictures(run, num=5)
    assert len(extract_shared(some, pixels(8), batch_size=2).features) == 5


@pytest.mark.parametrize(("num", "world"), [(7, 3), (6, 3), (2, 3)])
def test_rows_dealt_to_processes_come_back_in_order(num, world):
    whole = torch.arange(2.0 * num).view(num, 2)
    dealt = [whole[rank::world] for rank in range(world) if rank < num]
    assert torch.equal(interleave(list(dealt)), whole)
    assert interleave([None, None]) is None


def test_a_spread_reaches_from_the_first_to_the_last():
    some = selected_pictures(np.zeros((50, 4, 4, 3), np.uint8), np.arange(50), "")
    assert some.spread(3) == [0, 24, 49] and some.spread(64) == list(range(50))


def nothing(_rows):
    return []


def seen(x, probabilities=None, training=(), **columns):
    pictures = Pictures(len(x), 8, nothing, training=dict(training), columns=columns)
    return PictureFeatures(pictures, Features(x, probabilities))


def points(num, seed, *shifts):
    """Features (N, 6) of which the first is shifted, by turns."""
    x = torch.randn(num, 6, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += torch.tensor(shifts or [0.0])[torch.arange(num) % max(1, len(shifts))]
    return x


SPACE = FeatureSpace("artist", 8, lambda x: x, labels=("Claude Monet", "Edgar Degas"))
PLAIN = FeatureSpace("plain", 8, lambda x: x)


def test_columns_of_a_table_go_along_with_its_rows():
    names = ["artist", "style", "genre", "split"]
    table = pd.DataFrame([[f"{n}{i}" for n in names] for i in range(9)], columns=names)
    some = selected_pictures(np.zeros((9, 4, 4, 3), np.uint8), np.array([7, 2]), "", table)
    assert some.columns["genre"] == ["genre7", "genre2"] and set(some.columns) == set(names)


def test_confidence_is_compared_with_that_on_test_paintings_wherever_they_are():
    sure, unsure = torch.eye(2).repeat(5, 1), torch.full((10, 2), 0.5)
    both = torch.cat([sure, unsure])
    split = ["train"] * 10 + ["test"] * 10
    unknown = {name: ["x"] * 20 for name in ("artist", "style", "genre")}
    half = {name: ["x"] * 10 for name in unknown}
    fakes = seen(points(20, 1), both)
    mixed = seen(points(20, 2), both, split=split, **unknown)
    train = seen(points(10, 3), sure, split=["train"] * 10, **half)
    test = seen(points(10, 4), unsure, split=["test"] * 10, **half)
    for real, held_out in ((mixed, None), (train, test), (test, train)):
        values, shares = compare(real, fakes, SPACE, held_out)
        assert values["confidence_real"] == 0.5 and values["confidence"] == 0.75
        assert shares == {"Claude Monet": 0.75, "Edgar Degas": 0.25}
    folder = seen(points(10, 3), sure)
    assert compare(folder, fakes, SPACE)[0]["confidence_real"] == 1


def test_a_painter_of_one_artist_is_held_to_that_artist_by_any_spelling():
    p = torch.eye(2)[[0, 0, 0, 1] * 5]
    fakes = seen(points(20, 1), p, {"artist": ["claude-monet"]})
    assert compare(seen(points(20, 2), p), fakes, SPACE)[0]["agreement"] == 0.75
    anybody = seen(points(20, 1), p, {"genre": ["landscape"]})
    assert "agreement" not in compare(seen(points(20, 2), p), anybody, SPACE)[0]


def test_a_painter_of_classes_is_asked_for_them_and_what_it_teaches():
    classes = ["landscape", "portrait"]
    right, wrong = points(400, 1, 4.0, -4.0), points(400, 2, -4.0, 4.0)
    columns = {"genre": classes * 200, "artist": ["x"] * 400, "style": ["x"] * 400}
    real = seen(
        points(400, 3, 4.0, -4.0), split=["train", "train", "test", "test"] * 100, **columns
    )
    values, _ = compare(real, seen(right, genre=classes * 200), PLAIN)
    assert values["cas"] > 0.99 and values["cas_of_real"] > 0.99
    assert values["cas_by_chance"] == 0.5
    values, _ = compare(real, seen(wrong, genre=classes * 200), PLAIN)
    assert values["cas"] < 0.01 and values["cas_of_real"] > 0.99
    # Classes that are called otherwise, or that no real painting has, can't be tested.
    assert "cas" not in compare(real, seen(right, style=classes * 200), PLAIN)[0]
    p = torch.eye(2).repeat(200, 1)
    names = ["Claude Monet", "Edgar Degas"] * 200
    fakes = seen(right, p, artist=names)
    assert compare(seen(right, p), fakes, SPACE)[0]["intended"] == 1


def test_embeddings_of_clip_are_compared_by_cmmd():
    real, fakes = seen(points(40, 1, 1.0)), seen(points(30, 2, 1.0, 2.0))
    clip = FeatureSpace("clip", 8, lambda x: x)
    assert compare(real, fakes, clip)[0]["cmmd"] == cmmd(*(x.features[0] for x in (real, fakes)))
    assert "cmmd" not in compare(real, fakes, PLAIN)[0]


def test_copies_are_sought_in_the_split_that_the_painter_was_trained_on():
    train, test = points(60, 1), points(60, 2)
    known = {name: ["x"] * 60 for name in ("artist", "style", "genre")}
    of_train = seen(train, split=["train"] * 60, **known)
    of_test = seen(test, split=["test"] * 60, **known)
    copies = seen(train + 1e-4, training={"split": "train"})
    for real, held_out in ((of_train, of_test), (of_test, of_train)):
        values, _ = compare(real, copies, PLAIN, held_out)
        assert values["authenticity"] == authenticity(train, train + 1e-4) == 0
        assert values["copying"] == copying(train, test, train + 1e-4) == 1
