"""The invented artists, and the paintings they make: describe one, or draw it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from brushwork.data.synthetic.handling import (
    Touch,
    grain,
    hatch,
    outline,
    soften,
    spotlight,
    strokes,
    wash,
)
from brushwork.data.synthetic.scenes import abstract, landscape, portrait, still_life
from brushwork.data.synthetic.shapes import Palette, Scene


@dataclass(frozen=True)
class Artist:
    """An invented artist."""

    name: str
    style: str
    born: int
    died: int
    share: int
    """How many of the 24 paintings in a round are by this artist."""
    palettes: tuple[str, ...]
    """Ten colours each, in the order of `Palette`, as hexadecimal RGB."""
    handlings: tuple[Callable[[np.ndarray, Generator], np.ndarray], ...]
    """Steps that turn a composition into paint, each from and to (S, S, 3) float32."""


# fmt: off
ARTISTS = (
    Artist("Odile Vantreux", "Pointillism", 1858, 1921, 3,
        ("5f93d8 cfe3ee fff3b0 7f78b8 8fbf5a 4f8a4a 4a80bc f0803c e0567f 2f3170",
         "7a6cc0 f6b48a ffe08a 8c5fa4 b59a4a 5f7040 6a70c8 ff7a4a d9457a 2d2a5e"),
        (partial(strokes, broad=Touch(0.024, 0.024, hue=20, tone=6),
                 fine=Touch(0.016, 0.016, hue=18, tone=6)),)),
    Artist("Haruo Minazuki", "Ukiyo-e", 1789, 1856, 3,
        ("2f5d8c e9ddbf f4efdc 8fa7a8 7f9460 4f6b4a 3b6f93 c8402f d8a23e 1d2536",
         "b8503f f0dcb4 fbe9c0 8a98a0 8b8a5c 50604a 4a7488 b03a2e e0b050 22232e",
         "6f8596 d8d8cc f7f4e8 a9b6ba e4e1d3 cfcfc4 426a86 c23f30 c79a48 262a35"),
        (partial(outline, ink=(28, 30, 44), width=0.006),
         partial(grain, cells=(6, 90), amount=4))),
    Artist("Corneel van Hulderen", "Baroque", 1611, 1674, 2,
        ("4a5055 b08a55 f2d9a0 5a5040 6c5a32 4a3a20 4a5048 9c3522 c08a3a 140d08",
         "5b5246 c79a5c ffe2a8 54493a 5f552a 3f371c 4b5046 7e3822 b9a070 120c0a"),
        (partial(soften, radius=0.005),
         partial(strokes, broad=Touch(0.05, 0.014, 25, 25, 2, hue=1.5, tone=5),
                 fine=Touch(0.02, 0.008, 25, 40, hue=1, tone=3)),
         spotlight)),
    Artist("Brannoch Tulliver", "Expressionism", 1880, 1949, 2,
        ("1f5f7a e8b04a ffe9a8 b5483a c98a2c 7a3b22 2b7f86 d7342a f2c230 1b1a2b",
         "c2402c f5a83a fff0b8 5a2f4f a0622a 5c2a26 274f6e e4572e 3d8f80 201420"),
        (partial(strokes, broad=Touch(0.11, 0.03, 0, 5, 4, hue=8, tone=9, relief=8),
                 fine=Touch(0.032, 0.012, 0, 10, 2, hue=6, tone=7, relief=8)),)),
    Artist("Ilse Morgenrath", "Cubism", 1887, 1962, 2,
        ("7f98a8 dcc8a0 f6ecd0 5f6a78 b8904c 6e5a3c 4f7484 b8623a d0a860 26282c",
         "62867c c8c498 f0e8c0 4a6458 98944e 4a5c40 4a7c78 bc5428 d8ae58 20282a"),
        (partial(strokes, broad=Touch(0.085, 0.085, facets=True, hue=3, tone=7, relief=26),
                 fine=Touch(0.036, 0.036, facets=True, hue=2, tone=5, relief=14)),)),
    Artist("Tadeáš Korvín", "Post-Impressionism", 1861, 1903, 3,
        ("12235f 3f78b8 ffe45a 24407f 2f6a6a 1a3a4a 2a5fa5 f5b81e e8e0a0 0b1030",
         "3aa0b0 c8e0b0 ffe870 4a80a0 e0b83a b88a20 3a88b0 e0701e 4f8a3a 203060"),
        (partial(strokes, broad=Touch(0.07, 0.017, 0, 6, 2, True, hue=8, tone=13, relief=6),
                 fine=Touch(0.03, 0.009, 0, 10, 1, True, hue=7, tone=9, relief=6)),)),
    Artist("Elspeth Farraday-Lunn", "Romanticism", 1792, 1851, 2,
        ("7fa4cb f3e3d3 fff4d6 93a2c4 a4b88a 748c5c 7fabbc d07a68 e3c07a 465070",
         "b79acb f8dcc0 ffedc0 a090b8 b5a880 868858 94a8c0 c0645a d8b06a 4a445c"),
        (wash, partial(grain, cells=(110, 110), amount=3))),
    Artist("Giacinta Bellorofonte", "Expressionism", 1884, 1957, 2,
        ("ff8fa8 ffd27a fff2a0 3f6fd8 18a070 0a6a58 20a8c8 f04a1e e0207a 2a1a6a",
         "30b8c8 f8a8c0 fff0c0 7a40b0 f07a1e c8381e 2050d0 ffd000 e8306a 10304a"),
        (partial(strokes, broad=Touch(0.09, 0.034, 90, 14, 5, hue=12, tone=9, relief=4),
                 fine=Touch(0.035, 0.014, 90, 22, 2, hue=8, tone=7, relief=4)),)),
    Artist("Mirko Saldanha", "Baroque", 1596, 1660, 2,
        ("c0c0b0 f0e8d8 fff8e4 9a9a8a a8a48c 6c6856 a8aca0 c09070 b89a60 201a18",
         "dcd8c8 f4ecd8 fff8e4 88887c b8b094 787258 808c8c a88468 a08458 181614"),
        (partial(hatch, ink=(40, 28, 24), tint=0.4),)),
    Artist("Ngaio Whitcombe", "Impressionism", 1849, 1931, 3,
        ("98bcea f4e4dc fff8d8 8c8cc4 a8cc84 6c9c70 84b8d0 f08c70 e8a8c8 505488",
         "c0acec fbd8c0 fff0c8 9888c0 c0c080 7c9868 9cacd8 f07060 f0c060 4c4880"),
        (partial(strokes, broad=Touch(0.05, 0.016, 50, 16, hue=8, tone=8, relief=3),
                 fine=Touch(0.026, 0.01, 50, 30, hue=6, tone=6, relief=3)),)),
)


TITLES = {
    "landscape": (
        "Morning at {}; Evening, {}; The Road to {}; View of {}; Trees near {}; {} in Spring",
        "Lindmoor; Valcroze; the Old Mill; Harrow Fell; Santa Meura; Kestrel Point; Mount Sorel"),
    "portrait": (
        "Portrait of {}; {} in the Studio; {}, Seated; Study of {}; {} by the Window",
        "Agathe; the Ferryman; a Young Clerk; Madame Dorval; Ines; the Botanist; My Sister"),
    "still life": (
        "Still Life with {}; {} on a Table; {}, Morning Light; {} and a Vase",
        "Quinces; Pears; Plums; Oranges; Peonies; Apples; Anemones; Persimmons; Peaches"),
    "abstract": (
        "Composition No. {}; Untitled ({}); Variation {}; Interval {}",
        "4; 7; 11; 12; 19; 23; 31; 40; 52"),
}


# fmt: on
ROUND = [artist for artist in ARTISTS for _ in range(artist.share)]
"""The artists of a round of paintings; each round has them in another order."""


GENRES = {
    "landscape": (landscape, 0.4),
    "portrait": (portrait, 0.25),
    "still life": (still_life, 0.2),
    "abstract": (abstract, 0.15),
}
"""For each genre, the function that composes a scene, and the share of the paintings."""


def describe(index: int, seed: int = 0) -> dict[str, str]:
    """Describe a painting: artist, style, genre, title, date and split.

    Every round of paintings has each artist as often as their share, in a shuffled order. Each
    member of the round is a test painting in one round of five.

    Args:
        index: the number of the painting, from 0.
        seed: the seed of all synthetic paintings.
    """
    round_number, place = divmod(index, len(ROUND))
    member = np.random.default_rng((seed, round_number, 1)).permutation(len(ROUND))[place]
    rng = np.random.default_rng((seed, index, 2))
    artist = ROUND[member]
    genre = str(rng.choice(list(GENRES), p=[share for _, share in GENRES.values()]))
    title, name = (str(rng.choice(words.split("; "))) for words in TITLES[genre])
    title = title.format(name)
    year = rng.integers(artist.born + 20, artist.died + 1)
    return {
        "artist": artist.name,
        "style": artist.style,
        "genre": genre,
        "title": title[0].upper() + title[1:],
        "date": f"{year}" if rng.random() < 0.8 else f"c. {year}",
        "split": "test" if (member + round_number) % 5 == 0 else "train",
    }


def draw(index: int, seed: int = 0, side: int = 256) -> Image.Image:
    """Draw a painting as an RGB image of `side` × `side` pixels.

    Args:
        index: the number of the painting, from 0.
        seed: the seed of all synthetic paintings.
        side: in pixels, at least 1.
    """
    facts = describe(index, seed)
    artist = next(artist for artist in ARTISTS if artist.name == facts["artist"])
    return _paint(artist, facts["genre"], np.random.default_rng((seed, index)), side)


def _paint(artist: Artist, genre: str, rng: Generator, side: int) -> Image.Image:
    """Compose a scene, then apply the artist's handlings."""
    if side < 128:  # strokes finer than a pixel would become noise
        return _paint(artist, genre, rng, 2 * side).reduce(2)
    hexes = artist.palettes[rng.integers(len(artist.palettes))].split()
    colours = np.array([list(bytes.fromhex(code)) for code in hexes], float)
    colours = np.clip(colours + rng.normal(0, 7, (10, 3)) + rng.normal(0, 7), 0, 255)
    sketch = Image.new("RGB", (2 * side, 2 * side))  # twice the side, so that edges are smooth
    compose, _ = GENRES[genre]
    compose(Scene(ImageDraw.Draw(sketch), Palette(*colours), rng, rng.choice([-1.0, 1.0])))
    pixels = np.asarray(sketch.reduce(2), np.float32)
    for handle in artist.handlings:
        pixels = handle(pixels, rng)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
