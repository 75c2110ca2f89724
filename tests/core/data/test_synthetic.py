import pickle
from itertools import product

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from brushwork.data.synthetic.artists import ARTISTS, describe, draw

GENRES = {"landscape", "portrait", "still life", "abstract"}


def test_a_painting_depends_on_its_index_and_seed_alone():
    first = [(describe(i, seed=3), draw(i, seed=3, side=64).tobytes()) for i in range(12)]
    again = [(describe(i, seed=3), draw(i, seed=3, side=64).tobytes()) for i in reversed(range(12))]
    assert first == again[::-1]


def test_other_seeds_and_indices_give_other_paintings():
    keys = product(range(12), (0, 1))
    assert len({draw(index, seed, side=32).tobytes() for index, seed in keys}) == 24


@pytest.mark.parametrize("side", [32, 50, 256])
def test_paintings_are_rgb_of_the_asked_side(side):
    for index in range(40):
        image = draw(index, side=side)
        assert (image.mode, image.size) == ("RGB", (side, side))


def test_a_painting_is_the_same_picture_at_every_side():
    for index in range(30):
        small = np.asarray(draw(index, side=64).resize((8, 8)), float)
        large = np.asarray(draw(index, side=256).resize((8, 8)), float)
        assert np.abs(small - large).mean() < 16


def test_every_artist_and_genre_is_in_both_splits():
    facts = [describe(index) for index in range(500)]
    for column, names in (("artist", {artist.name for artist in ARTISTS}), ("genre", GENRES)):
        for split in ("train", "test"):
            assert {fact[column] for fact in facts if fact["split"] == split} == names
    assert np.mean([fact["split"] == "test" for fact in facts]) == pytest.approx(0.2, abs=0.02)
    assert np.mean([fact["genre"] == "landscape" for fact in facts]) == pytest.approx(0.4, abs=0.06)


def test_facts_are_plausible_and_style_is_the_artists_own():
    known = {artist.name: artist for artist in ARTISTS}
    assert len(known) == len(ARTISTS) >= 8
    for index in range(300):
        fact = describe(index)
        artist = known[fact["artist"]]
        assert fact["style"] == artist.style
        assert artist.born < int(fact["date"].removeprefix("c. ")) <= artist.died
        assert fact["title"][0].isupper() or fact["title"][0].isdigit()
        assert all(type(value) is str for value in fact.values())


def test_drawing_travels_to_worker_processes():
    assert pickle.loads(pickle.dumps(draw)) is draw
    assert pickle.loads(pickle.dumps(describe)) is describe


def _look(index: int) -> np.ndarray:
    """Colour histogram and texture of a painting: nothing of what it shows, or where."""
    pixels = np.asarray(draw(index, side=64), float)
    colours, _ = np.histogramdd(pixels.reshape(-1, 3), bins=(4, 4, 4), range=[(0, 256)] * 3)
    gray = pixels.mean(axis=2)
    texture = [np.abs(np.diff(gray, n, axis)).mean() for n in (1, 2) for axis in (0, 1)]
    return np.concatenate([colours.ravel() / gray.size, texture])


def test_artists_are_recognised_by_their_colours_and_texture_in_every_genre():
    facts = [describe(index) for index in range(400)]
    artists = np.array([fact["artist"] for fact in facts])
    genres = np.array([fact["genre"] for fact in facts])
    held_out = np.array([fact["split"] == "test" for fact in facts])
    looks = np.stack([_look(index) for index in range(400)])
    forest = RandomForestClassifier(100, random_state=0).fit(looks[~held_out], artists[~held_out])
    right = forest.predict(looks) == artists
    for genre in GENRES:
        assert right[held_out & (genres == genre)].mean() > 0.6, genre
