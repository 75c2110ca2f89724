import shutil

import pytest
import torch
from safetensors.torch import save_file

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.enlarger import Enlarger, PatchDiscriminator
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.networks import build_networks
from brushwork.gan.save import save_enlarged, save_generator
from brushwork.gan.start import initialise_from
from brushwork.training.run import STATE
from brushwork.training.state import pack

TRAINING = {
    "data": "synthetic", "num_paintings": 9, "fingerprint": "abc", "batch_size": 8, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run") / "generator"
    save_generator(Generator(DCGANConfig(side=32, width=4)), folder, TRAINING, 10, "averaged")
    return folder


def save_state(run, G, D):
    state = pack({"G": G, "D": D}, {})
    save_file({k: v.contiguous() for k, v in state.items()}, run / STATE)


def initialised(start, model="dcgan", side=32, width=4, backbone="", classes=()):
    torch.manual_seed(1)
    G, D = build_networks(model, side, width, classes, backbone)
    initialise_from(start, G, D)
    return G, D


def assert_same_weights(a, b):
    for name, value in a.state_dict().items():
        assert torch.equal(value, b.state_dict()[name]), name


def test_a_checkpoint_initialises_the_generator_alone(folder):
    G, D = initialised(folder)
    assert_same_weights(G, PaintingGenerator.from_pretrained(folder).network)
    torch.manual_seed(1)
    assert_same_weights(D, build_networks("dcgan", 32, 4)[1])


def test_a_run_initialises_both_networks(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "generator")
    trained = build_networks("dcgan", 32, 4)
    save_state(tmp_path, *trained)
    for ours, theirs in zip(initialised(tmp_path), trained, strict=True):
        assert_same_weights(ours, theirs)


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        ({"width": 8}, r"\(width 4, not 8\), and none of its tensors fit"),
        ({"model": "modern"}, r"\(model 'dcgan', not 'modern'\)"),
        (
            {"model": "modern", "side": 64},
            r"\(model 'dcgan', not 'modern'; side 32, not 64\); pass the same settings",
        ),
    ],
)
def test_a_checkpoint_of_another_model_is_an_error(folder, settings, difference):
    message = f"cannot start from {folder}: its model differs {difference}"
    with pytest.raises(BrushworkError, match=message):
        initialised(folder, **settings)


def test_a_bundled_generator_initialises_by_its_name():
    trained = PaintingGenerator.from_pretrained("in-the-manner-of").network
    classes = trained.config.classes
    G, _ = initialised("in-the-manner-of", "modern", side=64, width=32, classes=classes)
    assert_same_weights(trained, G)


def test_a_level_that_is_new_keeps_its_random_values(tmp_path):
    """Generators that were trained before there was a level of the full side lack it."""
    trained = styled.Generator(styled.StyledConfig(side=32, width=4, full_side=False))
    save_generator(trained, tmp_path / "generator", TRAINING, 10, "averaged")
    G, _ = initialised(tmp_path / "generator", "modern")
    torch.manual_seed(1)
    random = dict(build_networks("modern", 32, 4)[0].named_parameters())
    for name, weight in G.named_parameters():
        is_new = name.startswith(("levels.2.", "to_rgb"))
        assert torch.equal(weight, random[name] if is_new else trained.get_parameter(name)), name


def test_a_run_that_does_not_exist_is_an_error():
    with pytest.raises(BrushworkError, match="no-such-run"):
        initialised("no-such-run")


def test_a_run_with_another_discriminator_is_an_error(tmp_path, folder):
    shutil.copytree(folder, tmp_path / "generator")
    save_state(tmp_path, *build_networks("dcgan", 32, 4))
    with pytest.raises(BrushworkError, match="pass the `backbone` that the run was trained with"):
        initialised(tmp_path, backbone="resnet18:none")


def test_networks_with_classes_start_from_networks_without_classes(tmp_path):
    classes = ("sea", "sun")
    trained = build_networks("modern", 32, 4)
    save_generator(trained[0], tmp_path / "generator", TRAINING, 10, "averaged")
    save_state(tmp_path, *trained)
    torch.manual_seed(1)
    new = build_networks("modern", 32, 4, classes)
    from_run = initialised(tmp_path, "modern", classes=classes)
    from_checkpoint = initialised(tmp_path / "generator", "modern", classes=classes)
    networks = (*from_run, *from_checkpoint)
    for ours, expected in zip(networks, (*trained, trained[0], new[1]), strict=True):
        assert_same_weights(expected, ours)
    # The embeddings of the classes keep their random values.
    for ours, random in zip(networks, (*new, *new), strict=True):
        assert torch.equal(ours.label.weight, random.label.weight)


def test_networks_without_classes_cannot_start_from_networks_with_classes(tmp_path):
    G, _ = build_networks("modern", 32, 4, ("sea", "sun"))
    save_generator(G, tmp_path / "generator", TRAINING, 10, "averaged")
    with pytest.raises(BrushworkError, match=r"classes \('sea', 'sun'\), not \(\)"):
        initialised(tmp_path / "generator", "modern")


def test_networks_with_the_same_classes_start_with_their_embeddings(tmp_path):
    G, D = build_networks("modern", 32, 4, ("sea", "sun"))
    save_generator(G, tmp_path / "generator", TRAINING, 10, "averaged")
    save_state(tmp_path, G, D)
    for ours, theirs in zip(
        initialised(tmp_path, "modern", classes=("sea", "sun")), (G, D), strict=True
    ):
        assert_same_weights(ours, theirs)


def grown(tmp_path, model, trained, new):
    """Start networks of another side and width from a run: the run's networks, ours, the count."""
    torch.manual_seed(0)
    old = build_networks(model, *trained)
    save_generator(old[0], tmp_path / "generator", TRAINING, 10, "averaged")
    save_state(tmp_path, *old)
    G, D = build_networks(model, *new)
    before = {name: value.clone() for name, value in pack({"G": G, "D": D}, {}).items()}
    copied = initialise_from(tmp_path, G, D)
    after = pack({"G": G, "D": D}, {})
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    return pack({"G": old[0], "D": old[1]}, {}), after, changed, copied


def test_twice_the_side_and_half_the_width_keeps_the_coarse_levels(tmp_path):
    old, new, changed, copied = grown(tmp_path, "modern", (32, 8), (64, 4))
    for name in ("G/start.weight", "G/levels.0.up.1.weight", "G/levels.1.norm.style.weight"):
        assert torch.equal(new[name], old[name]) and name in changed
    assert not any(name.startswith(("G/levels.3", "G/to_rgb", "D/layers.0")) for name in changed)
    # The discriminator's first layer is at the finest level: it is new, and the others move up.
    assert torch.equal(new["D/layers.5.weight"], old["D/layers.2.weight"])
    assert torch.equal(new["D/logit.weight"], old["D/logit.weight"])
    assert 0 < copied.num < copied.total


def test_twice_the_side_and_the_same_width_keeps_the_fine_levels(tmp_path):
    old, new, changed, copied = grown(tmp_path, "dcgan", (32, 4), (64, 4))
    assert torch.equal(new["G/layers.12.weight"], old["G/layers.9.weight"])  # to the picture
    assert torch.equal(new["D/layers.0.weight"], old["D/layers.0.weight"])
    assert not any(name.startswith(("G/layers.0.", "G/layers.1.")) for name in changed)
    assert (copied.num, copied.total) == (16, 24)


def test_transposed_levels_paint_what_the_trained_ones_painted_that_repeated_pixels(tmp_path):
    trained, D = build_networks("modern", 64, 4)
    save_generator(trained, tmp_path / "generator", TRAINING, 10, "averaged")
    save_state(tmp_path, trained, D)
    G, own_D = build_networks("modern", 64, 4, upsampling="mixed")
    copied = initialise_from(tmp_path, G, own_D)
    assert copied.num == copied.total
    z = torch.randn(2, 100)
    torch.testing.assert_close(G.eval()(z), trained.eval()(z), rtol=1e-4, atol=1e-5)


def test_networks_of_another_depth_take_the_tensors_that_fit(tmp_path):
    trained, D = build_networks("modern", 64, 4)
    save_generator(trained, tmp_path / "generator", TRAINING, 10, "averaged")
    save_state(tmp_path, trained, D)
    G, own_D = build_networks("modern", 64, 4, depth=2)
    copied = initialise_from(tmp_path, G, own_D)
    new = {name for name, _ in G.named_parameters()} - {n for n, _ in trained.named_parameters()}
    assert new and all(".refine" in name for name in new)
    for name, weight in trained.named_parameters():
        assert torch.equal(weight, G.get_parameter(name)), name
    assert copied.num < copied.total


def test_networks_of_the_same_shape_are_copied_whole(tmp_path):
    old, new, _, copied = grown(tmp_path, "modern", (32, 4), (32, 4))
    assert all(torch.equal(new[name], old[name]) for name in new)
    assert (
        copied.num
        == copied.total
        == sum(
            p.requires_grad
            for network in build_networks("modern", 32, 4)
            for p in network.parameters()
        )
    )


def test_an_enlarged_generator_initialises_without_its_enlarger(tmp_path):
    torch.manual_seed(0)
    trained, _ = build_networks("modern", 32, 4)
    save_generator(trained, tmp_path / "small", TRAINING, 10, "averaged")
    enlarger = Enlarger(4, width=6, size=(32, 32))
    run = tmp_path / "run"
    save_enlarged(tmp_path / "small", enlarger, run / "generator", TRAINING, step=1)
    G, D = initialised(run, "modern")
    assert_same_weights(G, trained)
    # The state of a run of train_enlarger.py holds other networks.
    state = pack({"E": enlarger, "D": PatchDiscriminator()}, {})
    save_file({k: v.contiguous() for k, v in state.items()}, run / STATE)
    for ours, same in zip(initialised(run, "modern"), (G, D), strict=True):
        assert_same_weights(ours, same)
    larger, _ = initialised(run, "modern", side=64)
    assert torch.equal(larger.to_rgb.weight, trained.to_rgb.weight)
