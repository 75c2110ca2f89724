import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.generator import PaintingGenerator, slerp
from brushwork.gan.networks import build_networks
from brushwork.gan.save import save_generator
from brushwork.gan.start import initialise_from
from brushwork.training.run import STATE
from brushwork.training.state import pack

TRAINING = {
    "data": "synthetic", "genre": ("landscape",), "num_paintings": 1234, "fingerprint": "abc",
    "batch_size": 64, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("painter") / "generator"
    save_generator(Generator(DCGANConfig(side=32, width=4)), folder, TRAINING, 10, "averaged")
    return folder


def test_the_same_seed_paints_the_same_pictures(folder):
    painter = PaintingGenerator.from_pretrained(folder)
    first, again = (painter.sample(5, seed=7, to="array") for _ in range(2))
    assert first.shape == (5, 32, 32, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, painter.sample(5, seed=8, to="array"))


def test_the_first_pictures_are_the_same_whatever_the_number(folder):
    painter = PaintingGenerator.from_pretrained(folder)
    assert torch.equal(painter.latents(3, seed=1), painter.latents(9, seed=1)[:3])


def test_pictures_arrays_and_tensors_agree(folder):
    painter = PaintingGenerator.from_pretrained(folder)
    arrays = painter.sample(3, to="array")
    assert np.array_equal(np.stack(painter.sample(3)), arrays)
    tensors = painter.sample(3, to="tensor")
    assert tensors.shape == (3, 3, 32, 32) and tensors.abs().max() <= 1
    restored = ((tensors + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(restored, arrays)


def test_truncation_draws_pictures_together(folder):
    painter = PaintingGenerator.from_pretrained(folder)
    wide, narrow = (painter.sample(16, truncation=t, to="tensor").std(0).mean() for t in (1, 0.3))
    assert narrow < wide


@pytest.mark.parametrize("wrong", [{"num": 0}, {"seed": -1}, {"seed": 2**32}, {"truncation": 0}])
def test_numbers_out_of_range_are_refused_in_words(folder, wrong):
    painter = PaintingGenerator.from_pretrained(folder)
    with pytest.raises(BrushworkError):
        painter.sample(**{"num": 1} | wrong)


@pytest.fixture(scope="module")
def modern(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("painter") / "generator"
    config = styled.StyledConfig(side=32, width=4, classes=("landscape", "portrait", "marina"))
    network = styled.Generator(config)
    torch.nn.init.normal_(network.to_rgb[1].weight, std=0.3)
    save_generator(network, folder, TRAINING, 10, "averaged")
    return PaintingGenerator.from_pretrained(folder)


def test_a_checkpoint_knows_its_model_and_its_classes(modern):
    assert modern.classes == ("landscape", "portrait", "marina")
    assert modern.config["architecture"] == "modern"
    assert modern.num_levels == 3


def test_a_label_paints_its_class(modern):
    z = modern.latents(4, seed=3)
    portraits = modern.sample(4, label="portrait", seed=3, to="tensor")
    assert torch.equal(portraits, modern.paint(z, torch.full((4,), 1)))
    assert not torch.equal(portraits, modern.sample(4, label="marina", seed=3, to="tensor"))
    assert len(set(modern.labels(50).tolist())) == 3
    assert torch.equal(modern.labels(9, seed=1)[:5], modern.labels(5, seed=1))


def test_an_unknown_label_is_answered_with_a_near_one(modern, folder):
    with pytest.raises(BrushworkError, match="did you mean 'portrait'"):
        modern.sample(1, label="portraits")
    with pytest.raises(BrushworkError, match="has no class"):
        PaintingGenerator.from_pretrained(folder).sample(1, label="portrait")


def test_truncation_draws_styles_towards_the_mean_of_their_class(modern):
    z, y = modern.latents(8), modern.labels(8)
    whole, mean = modern.styles(z, y), modern.mean_styles()[y]
    torch.testing.assert_close(modern.styles(z, y, 0.5), (whole + mean) / 2)
    expected = modern.styles(modern.latents(4096), torch.full((4096,), 2)).mean(0)
    torch.testing.assert_close(modern.mean_styles()[2], expected)
    wide, narrow = (
        modern.sample(16, label="marina", truncation=t, to="tensor").std(0).mean() for t in (1, 0.2)
    )
    assert narrow < wide


def test_mixing_goes_from_one_picture_to_the_other(modern, folder):
    (a, b), y = modern.latents(2).split(1), torch.tensor([0])
    mixed = [modern.paint_styles(modern.mix(a, b, level, y, y)) for level in range(4)]
    torch.testing.assert_close(mixed[0], modern.paint(b, y))
    torch.testing.assert_close(mixed[3], modern.paint(a, y))
    assert all(not torch.equal(mixed[i], mixed[i + 1]) for i in range(3))
    with pytest.raises(BrushworkError, match="between 0 and 3"):
        modern.mix(a, b, 4)
    dcgan = PaintingGenerator.from_pretrained(folder)
    with pytest.raises(BrushworkError, match="no styles"):
        dcgan.mix(a, b, 0)


def test_a_walk_stays_in_its_class(modern):
    frames = list(modern.walk(2, 3, label="portrait", seed=5))
    stops = modern.sample(2, label="portrait", seed=5)
    for stop, picture in zip(frames[::3], stops, strict=True):
        assert np.abs(np.asarray(stop, int) - np.asarray(picture, int)).max() <= 1


def test_a_walk_passes_the_pictures_and_closes(folder):
    painter = PaintingGenerator.from_pretrained(folder)
    frames = list(painter.walk(3, 4, seed=5))
    assert len(frames) == 12
    for stop, picture in zip(frames[::4], painter.sample(3, seed=5), strict=True):
        assert np.abs(np.asarray(stop, int) - np.asarray(picture, int)).max() <= 1


def test_slerp_keeps_the_length_where_a_line_would_not():
    a, b = torch.randn(2, 100, generator=torch.Generator().manual_seed(0))
    middle = slerp(a, b, torch.tensor([[0.5]]))[0]
    assert middle.norm() > 0.95 * min(a.norm(), b.norm())
    for fraction, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(slerp(a, b, torch.tensor([[fraction]]))[0], end)
    torch.testing.assert_close(slerp(a, a, torch.tensor([[0.3]]))[0], a)


def test_a_checkpoint_opens_in_a_process_without_the_training_packages(folder):
    code = f"""
import sys
for name in ("accelerate", "tyro", "datasets", "pandas", "matplotlib", "cleanfid", "ot", "gradio"):
    sys.modules[name] = None
from brushwork import PaintingGenerator
print(PaintingGenerator.from_pretrained({str(folder)!r}).sample(1)[0].size)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "(32, 32)", done.stderr


def test_the_model_card_says_what_it_was_trained_on(folder):
    card = (folder / "README.md").read_text()
    assert "1,234 paintings" in card and "landscape" in card and "dcgan" in card


def begin(start, model="dcgan", side=32, backbone="", classes=()):
    torch.manual_seed(1)
    G, D = build_networks(model, side, 4, classes, backbone)
    initialise_from(start, G, D)
    return G, D


def test_a_generator_begins_as_a_painter_and_its_discriminator_anew(folder):
    G, D = begin(folder)
    assert_same_weights(G, PaintingGenerator.from_pretrained(folder).network)
    torch.manual_seed(1)
    assert_same_weights(D, build_networks("dcgan", 32, 4)[1])


def test_both_networks_begin_as_those_of_a_run(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "generator")
    trained = build_networks("dcgan", 32, 4)
    state = pack({"G": trained[0], "D": trained[1]}, {})
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / STATE)
    for ours, theirs in zip(begin(tmp_path), trained, strict=True):
        assert_same_weights(ours, theirs)


def test_only_its_like_can_begin_as_a_painter(folder):
    with pytest.raises(BrushworkError, match="side 32, not 64"):
        begin(folder, side=64)
    with pytest.raises(BrushworkError, match="model 'dcgan', not 'modern'"):
        begin(folder, model="modern")
    with pytest.raises(BrushworkError, match="no-such-run"):
        begin("no-such-run")


def test_a_run_with_another_discriminator_is_refused(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "generator")
    G, D = build_networks("dcgan", 32, 4)
    state = pack({"G": G, "D": D}, {})
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / STATE)
    with pytest.raises(BrushworkError, match="give its --backbone"):
        begin(tmp_path, backbone="resnet18:none")


def test_networks_told_classes_begin_as_ones_that_were_not_but_for_the_classes(tmp_path):
    classes = ("sea", "sun")
    trained = build_networks("modern", 32, 4)
    save_generator(trained[0], tmp_path / "generator", TRAINING, 10, "averaged")
    state = pack({"G": trained[0], "D": trained[1]}, {})
    save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / STATE)
    torch.manual_seed(1)
    anew = build_networks("modern", 32, 4, classes)
    of_run = begin(tmp_path, "modern", classes=classes)
    of_painter = begin(tmp_path / "generator", "modern", classes=classes)
    for ours, expected in zip((*of_run, *of_painter), (*trained, trained[0], anew[1]), strict=True):
        assert_same_weights(expected, ours)
    for ours, new in zip((*of_run, *of_painter), (*anew, *anew), strict=True):
        assert torch.equal(ours.label.weight, new.label.weight)
    save_generator(of_run[0], tmp_path / "told", TRAINING, 10, "averaged")
    with pytest.raises(BrushworkError, match=r"classes \('sea', 'sun'\), not \(\)"):
        begin(tmp_path / "told", "modern")


def assert_same_weights(a, b):
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name
