"""The classifier without torch gives what the classifier with torch gives."""

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork import ArtistClassifier, runtime
from brushwork.checkpoint import load_config
from brushwork.data.synthetic import draw
from brushwork.errors import BrushworkError


@pytest.fixture(scope="module")
def pair(checkpoints, exports):
    """The same classifier with torch and without it."""
    return (
        ArtistClassifier.from_pretrained(checkpoints["classifier"]),
        runtime.ArtistClassifier.from_pretrained(exports["classifier"]),
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Pictures of every kind that `identify` takes: drawn, turned, grey, transparent, as a file."""
    turned = Image.fromarray(np.asarray(draw(1))).resize((90, 200))
    turned.getexif()[0x0112] = 6
    clear = draw(2).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    file = tmp_path_factory.mktemp("corpus") / "picture.jpg"
    draw(3).save(file, quality=60)
    pictures = [turned, clear, draw(4).convert("L"), file, str(file), file.read_bytes()]
    return [*pictures, *(np.asarray(draw(number)) for number in range(5, 12))]


def test_a_corpus_has_the_same_probabilities_features_and_answers(pair, corpus):
    expected, found = (c.probabilities(corpus) for c in pair)
    assert expected.std(0).max() > 0.05, "pictures that are all alike compare nothing"
    assert found.dtype == np.float64 and np.abs(found - expected).max() <= 1e-4
    assert np.abs(pair[1].embed(corpus) - pair[0].embed(corpus).numpy()).max() <= 1e-4
    for answer, other in zip(*(c.identify(corpus, top=2) for c in pair), strict=True):
        assert answer.known == other.known
        assert [c.artist for c in answer.candidates] == [c.artist for c in other.candidates]
    assert pair[1].identify(corpus[0]) == pair[1].identify(corpus[:1])[0]


def everything(answer):
    """All names and probabilities of an answer."""
    return {("none", ""): answer.none} | {
        (kind, guess.value if kind != "artist" else guess.artist): guess.probability
        for kind, guesses in (
            ("artist", answer.candidates),
            ("style", answer.style),
            ("genre", answer.genre),
            ("decade", answer.decade),
        )
        for guess in guesses
    }


@pytest.mark.parametrize("precision", [None, 0.5, 0.9])
def test_a_corpus_has_the_same_none_style_genre_and_decade(pair, corpus, precision):
    kinds, named, unsure = {"none", "artist", "style", "genre", "decade"}, set(), set()
    for answer, other in zip(*(c.identify(corpus, 9, precision) for c in pair), strict=True):
        expected, found = everything(answer), everything(other)
        assert {kind for kind, _ in found} == kinds and len(found) == 1 + 3 + 2 + 4 + 2
        assert found.keys() == expected.keys()
        assert max(abs(found[key] - expected[key]) for key in found) <= 1e-4
        assert other.artist == answer.artist
        named.add(other.known)
        unsure |= {kind for (kind, _), share in found.items() if 0.01 < share < 0.99}
    assert named == {True, False} and unsure == kinds, "answers that are all alike compare nothing"


def test_an_unreachable_precision_has_the_same_message(pair, corpus):
    for classifier in pair:
        with pytest.raises(BrushworkError, match=r"this classifier reaches at most 0\.9"):
            classifier.identify(corpus[0], precision=0.95)


class OlderGraph:
    """Gives what the graphs of earlier versions gave: no traits, and a score for the threshold."""

    outputs = ("probabilities", "known_score", "features")

    def run(self, outputs, squares):
        assert set(outputs) == {"probabilities", "known_score"}
        found = {"probabilities": [[0.2, 0.7, 0.1]], "known_score": [squares.mean() / 255]}
        return [np.float32(found[name]) for name in outputs]


def test_an_older_export_answers_by_its_threshold(exports):
    config = load_config(exports["classifier"]) | {"strangers": None, "threshold": 0.5}
    classifier = runtime.ArtistClassifier(OlderGraph(), config)
    bright, dark = (Image.new("RGB", (64, 64), colour) for colour in ("white", "black"))
    for answer, known in zip(classifier.identify([bright, dark]), (True, False), strict=True):
        assert answer.known == known and answer.none == 0 and answer.style == ()
        assert [c.probability for c in answer.candidates] == pytest.approx([0.7, 0.2, 0.1])


def test_heat_maps_are_the_same(pair):
    picture, largest = draw(6).resize((300, 200)), []
    for artist in (None, *pair[0].artists):
        expected, found = (c.explain(picture, artist) for c in pair)
        assert found.shape == (200, 300)
        assert np.abs(found - expected).max() <= 1e-4
        largest.append(found.max())
    assert 1 in largest, "maps without evidence compare nothing"


def test_the_same_training_paintings_are_the_nearest(pair):
    picture = Image.new("RGB", (64, 64), "red")
    for near, other in zip(*(c.nearest(picture, 2) for c in pair), strict=True):
        assert (near.artist, near.title) == (other.artist, other.title)
        assert other.similarity == pytest.approx(near.similarity, abs=1e-5)
        assert near.thumbnail.tobytes() == other.thumbnail.tobytes()


def test_two_artists_have_the_same_odds(pair, corpus):
    compared = [c.compare(corpus[:4], *c.artists[:2], k=1) for c in pair]
    for expected, found in zip(*compared, strict=True):
        assert found.log_odds == pytest.approx(expected.log_odds, abs=1e-3)
        assert found.neither == pytest.approx(expected.neither, abs=1e-4)
        titles = [[near.title for [near] in answer.nearest] for answer in (expected, found)]
        assert titles[0] == titles[1] and all(titles)


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.identify([]),
        lambda c: c.identify(b"not a picture"),
        lambda c: c.identify("/nothing/here.jpg"),
        lambda c: c.identify(np.zeros((3, 3))),
        lambda c: c.identify(b"", top=0),
        lambda c: c.explain(Image.new("RGB", (64, 64)), "Monet"),
    ],
)
def test_bad_arguments_have_the_same_messages(pair, call):
    messages = []
    for classifier in pair:
        with pytest.raises(BrushworkError) as error:
            call(classifier)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_a_changed_graph_is_refused(exports, tmp_path):
    for file in exports["classifier"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    graph = tmp_path / "classifier.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(BrushworkError, match=r"classifier\.onnx has changed since it was exported"):
        runtime.ArtistClassifier.from_pretrained(tmp_path)


def test_a_checkpoint_without_graphs_is_refused(checkpoints, exports):
    with pytest.raises(BrushworkError, match=r"holds no classifier\.onnx.*experiments/export\.py"):
        runtime.ArtistClassifier.from_pretrained(checkpoints["classifier"])
    with pytest.raises(BrushworkError, match=r"holds no generator\.onnx"):
        runtime.PaintingGenerator.from_pretrained(exports["classifier"])


def test_torch_refuses_a_checkpoint_with_graphs_only(exports):
    with pytest.raises(BrushworkError, match=r"holds exported graphs and no model\.safetensors"):
        ArtistClassifier.from_pretrained(exports["classifier"])
    assert torch.is_inference_mode_enabled() is False
