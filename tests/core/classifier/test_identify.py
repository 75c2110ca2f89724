import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file, save_file

from brushwork import ArtistClassifier, BrushworkError
from brushwork.backbones.create import create_backbone, input_statistics
from brushwork.classifier.answer import joint_log_odds
from brushwork.classifier.card import model_card
from brushwork.classifier.discriminants import familiarity
from brushwork.classifier.finish import finish_classifier
from brushwork.classifier.identify import Identification
from brushwork.classifier.save import CONFIG_KEYS, save_classifier
from brushwork.classifier.teacher import open_teacher
from brushwork.report import figures

ARTISTS = ["Claude Monet", "Edgar Degas", "Katsushika Hokusai"]
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The checkpoint of an untrained classifier, with an index."""
    torch.manual_seed(0)
    out = tmp_path_factory.mktemp("classifier") / "classifier"
    network = create_backbone("test_resnet", len(ARTISTS)).eval()
    mean, std = input_statistics(network)
    preprocessing = {"mean": mean, "std": std, "num_views": 1}
    training = {"model": "test_resnet", "artists": ARTISTS, "side": 64, "fit": "squash",
                "data": "drawn", "num_paintings": 6, "min_paintings": 2, "fingerprint": "0",
                "weights": "none", "epoch": 1, "seed": 0}  # fmt: skip
    logits = torch.tensor([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0], [3.0, 0.0, 0.0]])
    save_classifier(network, out, training, preprocessing, logits, np.array([0, 1, 2, 1]))
    table = pd.DataFrame({"artist": ARTISTS * 2, "title": [f"No. {i}" for i in range(6)]})
    finish_classifier(out, PIXELS, table)
    return out


@pytest.fixture(scope="module")
def known(folder):
    return ArtistClassifier.from_pretrained(folder)


def test_a_picture_is_the_same_as_path_bytes_image_and_array(known, tmp_path):
    image = Image.fromarray(PIXELS[0])
    image.save(tmp_path / "picture.png")
    file = io.BytesIO()
    image.save(file, "PNG")
    answers = known.identify([tmp_path / "picture.png", file.getvalue(), image, PIXELS[0]])
    assert len({answer.candidates for answer in answers}) == 1
    alone = known.identify(image)
    assert isinstance(alone, Identification) and alone.artist in [*ARTISTS, "unknown"]
    np.testing.assert_allclose(
        [c.probability for c in alone.candidates],
        [c.probability for c in answers[0].candidates],
        rtol=1e-4,
    )


def test_probabilities_are_sorted_sum_to_one_and_are_calibrated(known):
    answer = known.identify(PIXELS[1], top=99)
    probabilities = [c.probability for c in answer.candidates]
    assert len(probabilities) == 3 and sum(probabilities) == pytest.approx(1)
    assert probabilities == sorted(probabilities, reverse=True)
    logits = known.predict_rows(PIXELS, np.array([1])).logits
    temperature, biases, _ = known.calibration
    expected = (logits / temperature + torch.tensor(biases)).softmax(1)[0].max().item()
    assert probabilities[0] == pytest.approx(expected, rel=0.05)  # JPEG lies between
    assert temperature > 1, "one of the four sure answers was wrong"
    assert len(biases) == 3 and np.abs(biases).max() > 0.01


def test_a_checkpoint_from_before_biases_has_none(known):
    config = {name: value for name, value in known.config.items() if name != "biases"}
    old = ArtistClassifier(known.network, config)
    predictions = known.predict_rows(PIXELS, np.array([1, 2]))
    expected = (predictions.logits / known.calibration.temperature).softmax(1)
    np.testing.assert_allclose(old.calibrated(predictions), expected, rtol=1e-6)


@pytest.fixture(scope="module")
def with_discriminants(folder, tmp_path_factory):
    """The same network, finished on dark, grey and bright pictures with some for validation."""
    out = tmp_path_factory.mktemp("lda") / "classifier"
    shutil.copytree(folder, out)
    levels = np.array([20, 120, 220])
    noise = np.random.default_rng(1).integers(-20, 20, (24, 64, 64, 3))
    pixels = (levels[np.arange(24) % 3][:, None, None, None] + noise).astype(np.uint8)
    table = pd.DataFrame({"artist": ARTISTS * 8, "title": ["Light"] * 24})
    finish_classifier(out, pixels, table, validation_rows=np.arange(15, 24))
    return out, pixels


def test_the_discriminant_analysis_has_the_weight_that_validation_gives_it(with_discriminants):
    folder, pixels = with_discriminants
    known = ArtistClassifier.from_pretrained(folder)
    temperature, biases, weight = known.calibration
    assert weight > 0, "the network alone knows nothing"
    answers = known.identify(list(pixels))
    assert [answer.candidates[0].artist for answer in answers] == ARTISTS * 8
    assert known.config["results"]["validation"]["top1"] == 1
    assert known.config["results"]["validation"]["num_paintings"] == 9
    tensors = load_file(folder / "discriminants.safetensors")
    predictions = known.predict_rows(pixels, np.arange(24))
    along = (predictions.channel_statistics - tensors["center"]) @ tensors["directions"]
    # The classes behind the artists are the kinds of pictures that are no paintings.
    distance = torch.cdist(along, tensors["means"][: len(ARTISTS)]).square()
    logits = predictions.logits / temperature - weight * distance / 2 + torch.tensor(biases)
    calibrated = known.calibrated(predictions)
    np.testing.assert_allclose(calibrated, logits.softmax(1), rtol=1e-3, atol=1e-6)


def test_none_and_all_artists_sum_to_one_and_nothing_is_sure_and_unknown(with_discriminants):
    folder, pixels = with_discriminants
    known = ArtistClassifier.from_pretrained(folder)
    sheets = [np.full((64, 64, 3), level, np.uint8) for level in (0, 128, 255)]
    for answer in known.identify([*pixels[:6], *PIXELS, *sheets], top=99):
        best = answer.candidates[0].probability
        assert sum(c.probability for c in answer.candidates) + answer.none == pytest.approx(1)
        assert answer.known == (best >= answer.none) and 0 < answer.none < 1
    near, far = (
        np.mean([answer.none for answer in known.identify(list(pictures))])
        for pictures in (pixels, PIXELS)
    )
    assert near < far, "pictures of noise are stranger than those it was fitted on"


def test_a_precision_names_only_the_surest(with_discriminants):
    folder, pixels = with_discriminants
    known = ArtistClassifier.from_pretrained(folder)
    known.operating_points = [(0.8, 0.3), (0.9, 0.6)]
    for precision, least in ((0.5, 0.3), (0.8, 0.3), (0.85, 0.6), (0.9, 0.6)):
        for answer in known.identify([*pixels, *PIXELS], precision=precision):
            assert answer.known == (answer.candidates[0].probability >= least)
    with pytest.raises(BrushworkError, match=r"reaches at most 0\.9"):
        known.identify(pixels[0], precision=0.95)
    with pytest.raises(BrushworkError, match="above 0 and below 1"):
        known.identify(pixels[0], precision=1.0)


def test_a_checkpoint_with_a_limit_of_far_pictures_opens_without_it(with_discriminants, tmp_path):
    folder, pixels = with_discriminants
    shutil.copytree(folder, tmp_path / "older")
    config = json.loads((folder / "config.json").read_text())
    config["strangers"]["farthest"] = 2.5
    (tmp_path / "older" / "config.json").write_text(json.dumps(config))
    older = ArtistClassifier.from_pretrained(tmp_path / "older")
    assert older.identify(pixels[0]) == ArtistClassifier.from_pretrained(folder).identify(pixels[0])


def test_an_older_checkpoint_answers_as_before(with_discriminants, known):
    """It has no strangers, no operating points and no traits."""
    folder, pixels = with_discriminants
    new = ArtistClassifier.from_pretrained(folder)
    late = ("strangers", "operating_points", "traits")
    config = {name: value for name, value in new.config.items() if name not in late}
    old = ArtistClassifier(new.network, config, None, new.discriminants)
    predictions = new.predict_rows(pixels, np.arange(24))
    scores = familiarity(predictions.channel_statistics, new.discriminants).numpy()
    assert np.array_equal(old.judge(predictions).known, scores >= old.threshold)
    answer = old.identify(pixels[0], top=99)
    assert answer.none == 0 and answer.style == answer.genre == answer.decade == ()
    assert sum(c.probability for c in answer.candidates) == pytest.approx(1)
    with pytest.raises(BrushworkError, match="no operating points"):
        known.identify(PIXELS[0], precision=0.9)


def test_style_genre_and_decade_are_learned_and_answered(folder, with_discriminants, tmp_path):
    """The style goes with the brightness, which the features show."""
    shutil.copytree(folder, tmp_path / "classifier")
    pixels = np.repeat(with_discriminants[1], 3, axis=0)
    labels = np.arange(24).repeat(3) % 3
    table = pd.DataFrame({"artist": np.array(ARTISTS)[labels], "title": ["Light"] * 72,
                          "style": np.array(["Dark", "Grey", "Bright"])[labels],
                          "genre": ["portrait"] * 72, "date": ["1880"] * 72})  # fmt: skip
    finish_classifier(tmp_path / "classifier", pixels, table, validation_rows=np.arange(6))
    known = ArtistClassifier.from_pretrained(tmp_path / "classifier")
    answers = known.identify(list(pixels[::3]), top=2)
    assert [answer.style[0].value for answer in answers] == ["Dark", "Grey", "Bright"] * 8
    assert all(len(answer.style) == 2 for answer in answers)
    assert answers[0].genre == answers[0].decade == (), "one value is nothing to tell apart"
    whole = known.identify(pixels[0], top=3).style
    assert sum(guess.probability for guess in whole) == pytest.approx(1)
    (tmp_path / "classifier/traits.safetensors").unlink()
    with pytest.raises(BrushworkError, match=r"traits\.safetensors is missing"):
        ArtistClassifier.from_pretrained(tmp_path / "classifier")


def test_a_checkpoint_without_its_discriminants_is_an_error(with_discriminants, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((with_discriminants[0] / name).read_bytes())
    with pytest.raises(BrushworkError, match=r"discriminants\.safetensors is missing"):
        ArtistClassifier.from_pretrained(tmp_path)


@pytest.mark.parametrize("key", CONFIG_KEYS)
def test_a_config_that_lacks_a_key_names_it(folder, tmp_path, key):
    shutil.copytree(folder, tmp_path / "classifier")
    config = json.loads((folder / "config.json").read_text())
    del config[key]
    (tmp_path / "classifier/config.json").write_text(json.dumps(config))
    with pytest.raises(BrushworkError, match=f"lacks the key '{key}'"):
        ArtistClassifier.from_pretrained(tmp_path / "classifier")


def test_other_weights_in_the_folder_are_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "classifier")
    file = tmp_path / "classifier/model.safetensors"
    save_file({name: t + 1 for name, t in load_file(file).items()}, file)
    with pytest.raises(BrushworkError, match="has changed since it was saved"):
        ArtistClassifier.from_pretrained(tmp_path / "classifier")


def test_less_than_the_threshold_is_unknown(known):
    best = known.identify(PIXELS[2]).candidates[0]
    known.threshold, before = best.probability + 1e-6, known.threshold
    try:
        assert known.identify(PIXELS[2]).artist == "unknown"
        known.threshold = best.probability - 1e-6
        assert known.identify(PIXELS[2]).artist == best.artist
    finally:
        known.threshold = before


def test_the_nearest_painting_to_a_training_painting_is_itself(known):
    neighbours = known.nearest(PIXELS[4], k=3)
    assert neighbours[0].title == "No. 4" and neighbours[0].artist == ARTISTS[1]
    assert neighbours[0].similarity > 0.99
    assert [n.similarity for n in neighbours] == sorted(n.similarity for n in neighbours)[::-1]
    thumbnail = np.asarray(neighbours[0].thumbnail, np.int16)
    assert np.abs(thumbnail - PIXELS[4]).mean() < np.abs(thumbnail - PIXELS[3]).mean()


def test_a_single_picture_is_compared_as_in_a_list(known):
    pair = ARTISTS[2], ARTISTS[0]
    (alone,) = known.compare(PIXELS[0], *pair)
    (listed,) = known.compare([PIXELS[0]], *pair)
    assert alone.log_odds == listed.log_odds


def test_two_artists_are_compared_by_their_probabilities_alone(known, with_discriminants):
    """Also where the classifier knows "none", which "neither" contains."""
    first, second = ARTISTS[2], ARTISTS[0]
    pictures = list(PIXELS[:3])
    for picture, p, compared in zip(
        pictures,
        known.probabilities(pictures),
        known.compare(pictures, first, second, k=1),
        strict=True,
    ):
        assert compared.log_odds == pytest.approx(np.log(p[2] / p[0]))
        assert compared.likelier == (first if p[2] >= p[0] else second)
        assert compared.probability == pytest.approx(max(p[2], p[0]) / (p[2] + p[0]))
        assert compared.neither == pytest.approx(p[1])
        for artist, nearest in zip((first, second), compared.nearest, strict=True):
            assert nearest == tuple(known.nearest(picture, 1, artist))
            own = [n for n in known.nearest(picture, k=99) if n.artist == artist]
            assert nearest[0].title == own[0].title
    knows_none = ArtistClassifier.from_pretrained(with_discriminants[0])
    answers = knows_none.identify(pictures, top=99)
    for answer, compared in zip(answers, knows_none.compare(pictures, first, second), strict=True):
        joint = {c.artist: c.probability for c in answer.candidates}
        assert compared.neither == pytest.approx(answer.none + joint[ARTISTS[1]])
    assert known.prior_log_odds(first, second) == 0, "each artist has as many paintings"
    with pytest.raises(BrushworkError, match="did you mean 'Edgar Degas'"):
        known.compare(pictures, first, "Edgar Dega")
    with pytest.raises(BrushworkError, match=f"are both '{first}'; pass two artists"):
        known.compare(pictures, first, first)


def test_a_single_picture_has_the_probabilities_that_it_has_in_a_list(known, tmp_path):
    Image.fromarray(PIXELS[0]).save(file := tmp_path / "painting.png")
    expected = known.probabilities([file])
    for single in (file, str(file), PIXELS[0]):
        assert np.array_equal(known.probabilities(single), expected)


def test_the_prior_counts_once_for_all_pictures(folder):
    """Pictures that are no evidence leave the prior odds, however many there are."""
    index = {"paintings": [(ARTISTS[0], "")] * 6 + [(ARTISTS[1], "")] * 2}
    known = ArtistClassifier.from_pretrained(folder)
    known._index = index
    prior = known.prior_log_odds(*ARTISTS[:2])
    assert prior == pytest.approx(np.log(3)) == -known.prior_log_odds(ARTISTS[1], ARTISTS[0])
    assert known.prior_log_odds(ARTISTS[0], ARTISTS[2]) == 0, "the index has none of the third"
    assert joint_log_odds([prior] * 20, prior) == pytest.approx(prior)
    assert joint_log_odds([prior + 1] * 3, prior) == pytest.approx(prior + 3)


def test_the_heat_map_covers_the_picture_and_lies_over_it(known):
    picture = Image.fromarray(RNG.integers(0, 256, (90, 160, 3), dtype=np.uint8))
    heat = known.explain(picture, "Edgar Degas")
    assert heat.shape == (90, 160) and heat.min() >= 0 and heat.max() in (0, 1)
    assert figures.overlay(picture.resize((320, 180)), heat).size == (320, 180)
    with pytest.raises(BrushworkError, match="no artist 'Banksy'"):
        known.explain(picture, "Banksy")


@pytest.mark.parametrize(
    "picture",
    ["nowhere.jpg", b"not a picture", b"", np.zeros((4, 4)), np.zeros((0, 4, 3), np.uint8), 7],
)
def test_a_picture_that_cannot_be_read_is_an_error(known, picture):
    with pytest.raises(BrushworkError):
        known.identify(picture)
    with pytest.raises(BrushworkError):
        known.identify([PIXELS[0], picture])


def test_no_pictures_and_no_artists_are_errors(known):
    with pytest.raises(BrushworkError, match="at least one"):
        known.identify([])
    with pytest.raises(BrushworkError, match="`top` is 0; it must be a whole number of at least 1"):
        known.identify(PIXELS[0], top=0)


@pytest.mark.parametrize("k", [-1, 0, 2.5])
def test_a_number_of_neighbours_that_is_no_count_is_an_error(known, k):
    message = f"`k` is {k}; it must be a whole number of at least 1"
    with pytest.raises(BrushworkError, match=message):
        known.nearest(PIXELS[0], k)
    with pytest.raises(BrushworkError, match=message):
        known.compare(PIXELS[0], *ARTISTS[:2], k=k)


def test_without_an_index_there_are_no_neighbours(folder, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert ArtistClassifier.from_pretrained(tmp_path).nearest(PIXELS[0]) == []
    (tmp_path / "index.safetensors").write_bytes(b"broken")
    with pytest.raises(BrushworkError, match="is broken"):
        ArtistClassifier.from_pretrained(tmp_path)


def test_a_teacher_must_know_the_same_artists(folder):
    assert open_teacher(str(folder), ARTISTS, "cpu").artists == tuple(ARTISTS)
    with pytest.raises(BrushworkError, match="train it on the same"):
        open_teacher(str(folder), ARTISTS[:2], "cpu")


def test_a_teacher_must_take_the_sides_to_train_on(folder):
    open_teacher(str(folder), ARTISTS, "cpu", sides=[32, 64])
    with pytest.raises(BrushworkError, match=r"0 pixels; set `first_side` and `last_side` to 64"):
        open_teacher(str(folder), ARTISTS, "cpu", sides=[32, 0])


def test_the_card_describes_data_results_and_limits(folder):
    card = (folder / "README.md").read_text()
    assert "Katsushika Hokusai" in card and "| validation | 4 | 0.750 |" in card
    assert "must not be used to attribute value or to\nauthenticate" in card


@pytest.mark.parametrize("name", ["Monet: late works", "2024", "yes", "- #[a]: 'b' \"c\"", "Ä"])
def test_the_card_is_valid_yaml_with_the_results_whatever_the_names(with_discriminants, name):
    config = json.loads((with_discriminants[0] / "config.json").read_text())
    config["training"]["data"] = name
    config["architecture"] = name
    data = ModelCard(model_card(config)).data
    assert data.license == "other" and data.pipeline_tag == "image-classification"
    assert name in data.tags and name in data.model_name
    results = {result.metric_name: result for result in data.eval_results}
    assert results["top-1 accuracy"].metric_value == 1
    assert {result.dataset_name for result in data.eval_results} == {name}
    assert {result.dataset_split for result in data.eval_results} == {"validation"}


def test_it_identifies_in_a_process_without_the_training_packages(folder, forked, tmp_path):
    picture = str(tmp_path / "picture.png")
    Image.fromarray(PIXELS[0]).save(picture)
    blocked = "pandas datasets accelerate pyarrow cleanfid ot matplotlib tyro"
    code = f"""
import brushwork
known = brushwork.ArtistClassifier.from_pretrained({str(folder)!r})
print(known.identify({picture!r}).artist, len(known.nearest({picture!r})))
"""
    done = forked.run("-c", code, without=blocked.split())
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("5")
