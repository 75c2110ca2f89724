"""The generator without torch gives what the generator with torch gives."""

import numpy as np
import pytest
import torch

from brushwork import runtime
from brushwork.errors import BrushworkError
from brushwork.gan.generator import PaintingGenerator, slerp


@pytest.fixture(scope="module", params=["dcgan", "modern"])
def pair(request, checkpoints, exports):
    """The same generator with torch and without it."""
    return (
        PaintingGenerator.from_pretrained(checkpoints[request.param]),
        runtime.PaintingGenerator.from_pretrained(exports[request.param]),
    )


@pytest.fixture(scope="module")
def modern(checkpoints, exports):
    return (
        PaintingGenerator.from_pretrained(checkpoints["modern"]),
        runtime.PaintingGenerator.from_pretrained(exports["modern"]),
    )


def test_attributes_are_the_same(pair):
    for name in ("side", "aspect", "height", "width", "latent_dim", "classes", "num_levels"):
        assert getattr(pair[0], name) == getattr(pair[1], name)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
def test_a_seed_gives_the_same_latents_labels_and_images(pair, seed):
    with_torch, without = pair
    z, y = with_torch.latents(70, seed), with_torch.labels(70, None, seed)
    assert np.array_equal(without.latents(70, seed), z)
    assert np.array_equal(without.labels(70, None, seed), y)
    images = with_torch.paint(z, y).numpy()
    assert images.std() > 0.02, "pictures that are all grey compare nothing"
    assert np.abs(without.paint(z.numpy(), y.numpy()) - images).max() <= 1e-4
    assert np.abs(without.paint(z.numpy()[:5]) - with_torch.paint(z[:5]).numpy()).max() <= 1e-4


@pytest.mark.parametrize("truncation", [0.3, 1.0])
def test_samples_are_the_same_pictures(pair, truncation):
    arrays, others = (g.sample(9, seed=3, truncation=truncation, to="array") for g in pair)
    assert others.dtype == np.uint8
    # A value halfway between two integers may be rounded either way.
    assert np.abs(arrays.astype(int) - others).max() <= 1
    assert (arrays != others).mean() < 1e-3
    assert [p.tobytes() for p in pair[1].sample(9, seed=3, truncation=truncation)] == [
        array.tobytes() for array in others
    ]


def test_a_walk_has_the_same_frames(pair):
    frames, others = (np.stack([*g.walk(2, 3, seed=1)]).astype(int) for g in pair)
    assert frames.shape == (6, pair[0].height, pair[0].width, 3)
    assert np.abs(frames - others).max() <= 1


def test_a_label_and_mixed_styles_give_the_same_images(modern):
    with_torch, without = modern
    z, y = with_torch.latents(4, 5), with_torch.labels(4, "portrait")
    assert np.array_equal(without.labels(4, "portrait"), y)
    a, b = z[:2], z[2:]
    mixed = with_torch.mix(a, b, 1, y[:2], y[2:], truncation=0.5)
    other = without.mix(a.numpy(), b.numpy(), 1, y[:2].numpy(), y[2:].numpy(), truncation=0.5)
    assert np.abs(mixed.numpy() - other).max() <= 1e-5
    painted = with_torch.paint_styles(mixed).numpy()
    assert np.abs(painted - without.paint_styles(other)).max() <= 1e-4
    assert np.abs(with_torch.mean_styles().numpy() - without.mean_styles()).max() <= 1e-6


def test_the_grid_is_the_same(modern):
    z = modern[0].latents(3)
    grids = [np.asarray(g, int) for g in (modern[0].grid(z), modern[1].grid(z.numpy()))]
    assert np.abs(grids[0] - grids[1]).max() <= 1


@pytest.mark.parametrize(
    "call",
    [
        lambda g: g.sample(1, label="mountain"),
        lambda g: g.sample(0),
        lambda g: g.sample(1, seed=-1),
        lambda g: g.sample(1, truncation=1.5),
        lambda g: [*g.walk(2, 0)],
        lambda g: g.mix(g.latents(1), g.latents(1), 9),
        lambda g: g.sample(2.5),
        lambda g: g.sample(1, seed=1.5),
        lambda g: g.paint(np.zeros((1, 7))),
        lambda g: g.paint(np.zeros((0, g.latent_dim))),
        lambda g: g.paint(g.latents(1), np.array([-1])),
        lambda g: g.paint(g.latents(1), np.array([9])),
        lambda g: g.paint(g.latents(1), np.array([0.0])),
        lambda g: g.paint(g.latents(2), np.array([0])),
        lambda g: g.paint(g.latents(1), batch_size=0),
        lambda g: g.paint(g.latents(1), batch_size=-1),
    ],
)
def test_bad_arguments_have_the_same_messages(pair, call):
    messages = []
    for generator in pair:
        with pytest.raises(BrushworkError) as error:
            call(generator)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_arrays_of_any_type_of_numbers_are_taken(pair):
    for generator in pair:
        z, y = generator.latents(2), generator.labels(2)
        expected = np.asarray(generator.paint(z, y))
        doubles = np.asarray(z, np.float64)
        for labels in (np.asarray(y, np.int32), np.asarray(y, np.uint8), np.asarray(y).tolist()):
            assert np.array_equal(generator.paint(doubles, labels), expected)


def test_slerp_is_that_of_torch():
    z = torch.randn(3, 100, generator=torch.Generator().manual_seed(0))
    z[2] = z[0] * (1 + 1e-7)
    fractions = torch.linspace(0, 1, 5)[:, None]
    for end in (z[1], z[2]):
        ours = runtime.slerp(z[0].numpy(), end.numpy(), fractions.numpy())
        assert np.abs(ours - slerp(z[0], end, fractions).numpy()).max() <= 1e-6


def test_another_device_or_a_tensor_is_refused(exports):
    with pytest.raises(BrushworkError, match="`device` is cuda; without torch there is only cpu"):
        runtime.PaintingGenerator.from_pretrained(exports["dcgan"], "cuda")
    generator = runtime.PaintingGenerator.from_pretrained(exports["dcgan"])
    with pytest.raises(BrushworkError, match="`to` is 'tensor'; this generator makes 'pil' or"):
        generator.sample(1, to="tensor")
