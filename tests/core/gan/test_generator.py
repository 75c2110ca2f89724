import copy
import shutil

import numpy as np
import pytest
import torch

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.generator import PaintingGenerator, slerp
from brushwork.gan.sampling import to_arrays, to_pictures
from brushwork.gan.save import save_generator
from brushwork.training.ema import refresh_statistics

TRAINING = {
    "data": "synthetic", "genre": ("landscape",), "num_paintings": 1234, "fingerprint": "abc",
    "batch_size": 64, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run") / "generator"
    network = Generator(DCGANConfig(side=32, width=4))
    refresh_statistics(network, [(torch.randn(64, 100),)])  # without it all pictures are grey
    save_generator(network, folder, TRAINING, 10, "averaged")
    return folder


def test_the_same_seed_gives_the_same_pictures(folder):
    generator = PaintingGenerator.from_pretrained(folder)
    first, again = (generator.sample(5, seed=7, to="array") for _ in range(2))
    assert first.shape == (5, 32, 32, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, generator.sample(5, seed=8, to="array"))


def test_the_first_pictures_are_the_same_whatever_the_number(folder):
    generator = PaintingGenerator.from_pretrained(folder)
    assert torch.equal(generator.latents(3, seed=1), generator.latents(9, seed=1)[:3])


def test_pictures_arrays_and_tensors_agree(folder):
    generator = PaintingGenerator.from_pretrained(folder)
    arrays = generator.sample(3, to="array")
    assert np.array_equal(np.stack(generator.sample(3)), arrays)
    tensors = generator.sample(3, to="tensor")
    assert tensors.shape == (3, 3, 32, 32) and tensors.abs().max() <= 1
    restored = ((tensors + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(restored, arrays)


def test_truncation_makes_pictures_more_similar(folder):
    generator = PaintingGenerator.from_pretrained(folder)
    wide, narrow = (generator.sample(16, truncation=t, to="tensor").std(0).mean() for t in (1, 0.3))
    assert narrow < wide


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num": 0}, "`num` is 0; it must be a whole number of at least 1"),
        ({"seed": -1}, "`seed` is -1; it must be a whole number between 0 and 4294967295"),
        ({"seed": 2**32}, "`seed` is 4294967296; it must be a whole number"),
        ({"truncation": 0}, "`truncation` is 0; it must be above 0 and at most 1"),
        ({"truncation": 1.5}, "`truncation` is 1.5; it must be above 0 and at most 1"),
    ],
)
def test_a_number_out_of_range_is_an_error(folder, settings, message):
    generator = PaintingGenerator.from_pretrained(folder)
    with pytest.raises(BrushworkError, match=message):
        generator.sample(**{"num": 1} | settings)


def test_a_walk_needs_frames(folder):
    generator = PaintingGenerator.from_pretrained(folder)
    with pytest.raises(
        BrushworkError, match="`frames_between` is 0; it must be a whole number of at least 1"
    ):
        next(generator.walk(2, 0))


@pytest.mark.parametrize(
    "config", ['{"architecture": "resnet18"}', "{}", '{"architecture": "dcgan"}']
)
def test_another_checkpoint_is_not_a_generator(folder, tmp_path, config):
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text(config)
    with pytest.raises(BrushworkError, match="is not the checkpoint of a generator"):
        PaintingGenerator.from_pretrained(tmp_path / "other")


@pytest.fixture(scope="module")
def styled_generator(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run") / "generator"
    config = styled.StyledConfig(side=32, width=4, classes=("landscape", "portrait", "marina"))
    network = styled.Generator(config)
    torch.nn.init.normal_(network.to_rgb.weight, std=0.3)
    save_generator(network, folder, TRAINING, 10, "averaged")
    return PaintingGenerator.from_pretrained(folder)


def test_a_checkpoint_knows_its_model_and_its_classes(styled_generator):
    assert styled_generator.classes == ("landscape", "portrait", "marina")
    assert styled_generator.config["architecture"] == "modern"
    assert styled_generator.num_levels == 4


def test_a_label_gives_pictures_of_its_class(styled_generator):
    z = styled_generator.latents(4, seed=3)
    portraits = styled_generator.sample(4, label="portrait", seed=3, to="tensor")
    assert torch.equal(portraits, styled_generator.paint(z, torch.full((4,), 1)))
    assert not torch.equal(
        portraits, styled_generator.sample(4, label="marina", seed=3, to="tensor")
    )
    assert len(set(styled_generator.labels(50).tolist())) == 3
    assert torch.equal(styled_generator.labels(9, seed=1)[:5], styled_generator.labels(5, seed=1))


def test_an_unknown_label_suggests_a_similar_one(styled_generator, folder):
    with pytest.raises(BrushworkError, match="did you mean 'portrait'"):
        styled_generator.sample(1, label="portraits")
    with pytest.raises(BrushworkError, match="has no class 3; choose one of"):
        styled_generator.sample(1, label=3)
    with pytest.raises(BrushworkError, match="has no class"):
        PaintingGenerator.from_pretrained(folder).sample(1, label="portrait")


def test_mean_styles_follow_a_network_in_training_and_are_kept_for_a_checkpoint(styled_generator):
    assert styled_generator.mean_styles() is styled_generator.mean_styles()
    live = PaintingGenerator(copy.deepcopy(styled_generator.network), {})
    torch.testing.assert_close(live.mean_styles(), styled_generator.mean_styles())
    before = live.mean_styles()
    for weight in live.network.parameters():
        weight.mul_(1.1)
    assert not torch.allclose(live.mean_styles(), before)


def test_truncation_moves_styles_towards_the_mean_of_their_class(styled_generator):
    z, y = styled_generator.latents(8), styled_generator.labels(8)
    whole, mean = styled_generator.styles(z, y), styled_generator.mean_styles()[y]
    torch.testing.assert_close(styled_generator.styles(z, y, 0.5), (whole + mean) / 2)
    expected = styled_generator.styles(styled_generator.latents(4096), torch.full((4096,), 2)).mean(
        0
    )
    torch.testing.assert_close(styled_generator.mean_styles()[2], expected)
    wide, narrow = (
        styled_generator.sample(16, label="marina", truncation=t, to="tensor").std(0).mean()
        for t in (1, 0.2)
    )
    assert narrow < wide


def test_mixing_goes_from_one_picture_to_the_other(styled_generator, folder):
    (a, b), y = styled_generator.latents(2).split(1), torch.tensor([0])
    mixed = [
        styled_generator.paint_styles(styled_generator.mix(a, b, level, y, y)) for level in range(5)
    ]
    torch.testing.assert_close(mixed[0], styled_generator.paint(b, y))
    torch.testing.assert_close(mixed[4], styled_generator.paint(a, y))
    assert all(not torch.equal(mixed[i], mixed[i + 1]) for i in range(4))
    with pytest.raises(BrushworkError, match="between 0 and 4"):
        styled_generator.mix(a, b, 5)
    dcgan = PaintingGenerator.from_pretrained(folder)
    for level in (0, 2):
        with pytest.raises(BrushworkError, match="no styles"):
            dcgan.mix(a, b, level)


def test_a_walk_stays_in_its_class(styled_generator):
    frames = list(styled_generator.walk(2, 3, label="portrait", seed=5))
    stops = styled_generator.sample(2, label="portrait", seed=5)
    for stop, picture in zip(frames[::3], stops, strict=True):
        assert np.abs(np.asarray(stop, int) - np.asarray(picture, int)).max() <= 1


def test_a_walk_passes_the_pictures_and_closes(folder):
    generator = PaintingGenerator.from_pretrained(folder)
    frames = list(generator.walk(3, 4, seed=5))
    assert len(frames) == 12
    for stop, picture in zip(frames[::4], generator.sample(3, seed=5), strict=True):
        assert np.abs(np.asarray(stop, int) - np.asarray(picture, int)).max() <= 1
    # The last frames lead from the last picture back to the first one.
    z = generator.latents(3, seed=5)
    way_back = slerp(z[2], z[0], torch.tensor([[0.0], [0.25], [0.5], [0.75]]))
    expected = to_pictures(generator.paint(way_back))
    for frame, picture in zip(frames[8:], expected, strict=True):
        assert np.abs(np.asarray(frame, int) - np.asarray(picture, int)).max() <= 1
    # No step is a jump, the one from the last frame to the first included.
    pixels = np.stack(frames).astype(float)
    steps = np.abs(pixels - np.roll(pixels, -1, axis=0)).mean((1, 2, 3))
    assert steps.min() > 0 and steps.max() < 3 * steps.min()


def test_slerp_keeps_the_length_where_a_line_would_not():
    a, b = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    middle = slerp(a, b, torch.tensor([[0.5]]))[0]
    assert middle.norm() > 0.95 * min(a.norm(), b.norm())
    for fraction, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(slerp(a, b, torch.tensor([[fraction]]))[0], end)
    torch.testing.assert_close(slerp(a, a, torch.tensor([[0.3]]))[0], a)


def test_slerp_interpolates_each_row_for_itself():
    a, b = torch.randn(2, 3, 10, generator=torch.Generator().manual_seed(0))
    b[1] = 2 * a[1]  # parallel: no arc
    middle = slerp(a, b, torch.full((3, 1), 0.5))
    torch.testing.assert_close(middle[1], 1.5 * a[1])
    for i in (0, 2):
        torch.testing.assert_close(middle[i], slerp(a[i], b[i], torch.tensor([[0.5]]))[0])


def test_images_are_rounded_and_clipped_to_pixels():
    images = torch.tensor([-2.0, -1.0, 0.0, 0.999, 1.0, 3.0]).expand(1, 3, 2, 6)
    arrays = to_arrays(images)
    assert arrays.shape == (1, 2, 6, 3) and arrays.dtype == np.uint8
    assert arrays[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255, 255]
    (picture,) = to_pictures(images)
    assert picture.mode == "RGB" and np.array_equal(picture, arrays[0])


def test_a_generator_works_without_the_packages_for_training(folder, forked):
    blocked = "accelerate cleanfid datasets gradio matplotlib ot pandas timm torchvision tyro"
    code = f"""
from brushwork import PaintingGenerator
print(PaintingGenerator.from_pretrained({str(folder)!r}).sample(1)[0].size)
"""
    done = forked.run("-c", code, without=blocked.split())
    assert done.stdout.strip() == "(32, 32)", done.stderr
