"""The checks of Xu et al. 2018: fakes that are worse, step by step, must score worse.

The fakes are paintings that no metric has seen, degraded; the features come from a small random
network and the probabilities from a linear probe on the real paintings' artists. A metric is asked
for a strict order at every step, or listed as one that does not see this kind of degradation.
"""

from collections.abc import Collection
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas
import pytest
import torch
from PIL import Image, ImageFilter
from torch import nn
from torch.nn import functional

from brushwork.data.synthetic.artists import describe, draw
from brushwork.metrics.distances import authenticity, cmmd, copying, frechet_at_infinity
from brushwork.metrics.evaluate import HIGHER_IS_BETTER, LOWER_IS_BETTER, evaluate
from brushwork.metrics.features import Features, FeatureSpace, extract

SIDE, COUNT, ARTISTS = 32, 200, 10


class Studio(NamedTuple):
    """Real paintings, others by the same artists, and others by fewer artists; uint8 arrays."""

    real: np.ndarray
    labels: np.ndarray
    fakes: np.ndarray
    by_few: dict[int, np.ndarray]


def studio(artists: dict[str, list], paint) -> Studio:
    """`artists` holds what `paint` turns into a picture, by artist; none is painted twice."""
    works = [iter(some) for some in artists.values()]

    def take(num_artists: int) -> np.ndarray:
        return np.stack([paint(next(works[i % num_artists])) for i in range(COUNT)])

    return Studio(
        take(ARTISTS), np.arange(COUNT) % ARTISTS, take(ARTISTS), {k: take(k) for k in (3, 1)}
    )


@pytest.fixture(scope="module", params=["synthetic", "real"])
def paintings(request) -> Studio:
    by_artist: dict[str, list] = {}
    if request.param == "synthetic":
        for index in range(4000):
            by_artist.setdefault(describe(index)["artist"], []).append(index)
        return studio(by_artist, lambda index: np.asarray(draw(index, side=SIDE)))
    folder = request.getfixturevalue("real_paintings")
    table = pandas.read_csv(folder / "all_data_info.csv").sample(frac=1, random_state=0)
    for artist in table["artist"].value_counts().index[:ARTISTS]:
        rows = table[table["artist"] == artist]
        folders = np.where(rows["in_train"], "train", "test")
        by_artist[artist] = list(zip(folders, rows["new_filename"], strict=True))

    def read(row) -> np.ndarray:
        with Image.open(folder / row[0] / row[1]) as file:
            return np.asarray(file.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    return studio(by_artist, read)


class Judge:
    """Metrics of fakes against the real paintings of a studio."""

    def __init__(self, paintings: Studio):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(3, 32, 5, 2, 2), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten()),
        ).eval()
        for layer in (net[0], net[2]):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.space = FeatureSpace("random", SIDE, lambda x: net((x - 128) / 64))
        x = extract(paintings.real, self.space).features.double()
        self.mean, self.std = x.mean(0), x.std(0) + 1e-6
        z, target = self._design(x), torch.eye(ARTISTS, dtype=torch.float64)[paintings.labels]
        ridge = 100 * torch.eye(z.shape[1], dtype=torch.float64)
        self.probe = torch.linalg.solve(z.T @ z + ridge, z.T @ target)
        self.real, self.fresh = self.see(paintings.real), self.see(paintings.fakes)

    def _design(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([(x - self.mean) / self.std, torch.ones(len(x), 1)], 1)

    def see(self, images: np.ndarray) -> Features:
        features = extract(images, self.space).features
        return Features(features, (10 * self._design(features.double()) @ self.probe).softmax(1))

    def __call__(self, images: np.ndarray) -> dict[str, float]:
        fake = self.see(images)
        scores = evaluate(self.real, fake)
        scores["fid_infinity"] = frechet_at_infinity(self.real.features, fake.features)
        scores["cmmd"] = cmmd(*(functional.normalize(x.features) for x in (self.real, fake)))
        scores["authenticity"] = authenticity(self.real.features, fake.features)
        scores["copying"] = copying(self.real.features, self.fresh.features, fake.features)
        return scores


@pytest.fixture(scope="module")
def judge(paintings) -> Judge:
    return Judge(paintings)


def assert_worse_step_by_step(
    scores: list[dict[str, float]], *, blind: Collection[str] = (), coarse: Collection[str] = ()
):
    """Every metric worsens at each step, but the blind; the coarse do so from first to last."""
    for name in (LOWER_IS_BETTER | HIGHER_IS_BETTER).difference(blind):
        values = [score[name] for score in scores]
        worse = values if name in LOWER_IS_BETTER else [-value for value in values]
        steps = pairwise(worse) if name not in coarse else [(worse[0], worse[-1])]
        assert all(a < b for a, b in steps), (name, values)


def test_noise(paintings, judge):
    random = np.random.default_rng(0).standard_normal(paintings.fakes.shape)
    steps = [
        judge((paintings.fakes + level * random).clip(0, 255).astype(np.uint8))
        for level in (0, 40, 90)
    ]
    # A classifier may be as sure of noise as of paintings.
    assert_worse_step_by_step(steps, blind={"is"})
    assert steps[0]["one_nn"] < steps[1]["one_nn"] < steps[2]["one_nn"]


def test_blur(paintings, judge):
    steps = [
        judge(
            np.stack(
                [
                    np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
                    for image in paintings.fakes
                ]
            )
        )
        for radius in (0, 1.5, 4)
    ]
    # Blurred paintings still lie among paintings, and nearer to the middle of them: a little
    # blur even shortens the way to them.
    coarse = {"emd", "recall", "coverage"}
    assert_worse_step_by_step(steps, blind={"precision", "density"}, coarse=coarse)
    assert steps[0]["one_nn"] < steps[1]["one_nn"] < steps[2]["one_nn"]


def test_mode_dropping(paintings, judge):
    steps = [judge(paintings.fakes), judge(paintings.by_few[3]), judge(paintings.by_few[1])]
    # Each fake is as good as before: what they lack is not their precision. One varied artist may
    # span as much, and look like as many artists to a weak classifier, as three.
    assert_worse_step_by_step(
        steps, blind={"precision", "density"}, coarse={"recall", "is", "mode_score"}
    )
    assert steps[0]["one_nn"] < steps[2]["one_nn"]


def test_memorising(paintings, judge):
    steps = []
    for share in (0, 0.3, 0.7, 1):
        fakes = paintings.fakes.copy()
        fakes[: int(share * COUNT)] = paintings.real[: int(share * COUNT)]
        steps.append(judge(fakes))
    for name, better in (("one_nn", 0.5), ("authenticity", 0.5)):
        values = [step[name] for step in steps]
        assert values == sorted(values, reverse=True) and values[-1] == 0
        assert values[0] == pytest.approx(better, abs=0.15)
    values = [step["copying"] for step in steps]
    assert values == sorted(values) and values[0] == 0.5 and values[-1] == 1
    # All the others take copies for perfect fakes: they must never be read alone.
    for name in (LOWER_IS_BETTER | HIGHER_IS_BETTER) - {"density"}:
        gain = steps[-1][name] - steps[0][name]
        assert gain < 0 if name in LOWER_IS_BETTER else gain >= 0, name
