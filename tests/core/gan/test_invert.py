import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.errors import BrushworkError
from brushwork.gan import dcgan, styled
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.invert import invert, pixel_pyramid
from brushwork.training.ema import refresh_statistics


@pytest.fixture(scope="module", params=["dcgan", "modern"])
def painter(request):
    torch.manual_seed(0)
    if request.param == "dcgan":
        network = dcgan.Generator(dcgan.DCGANConfig(side=32, width=4, latent_dim=8))
        torch.nn.init.normal_(network.layers[-2].weight, std=0.1)
    else:
        network = styled.Generator(styled.StyledConfig(side=32, width=4, latent_dim=8))
        torch.nn.init.normal_(network.to_rgb[1].weight, std=0.1)
    refresh_statistics(network, [(torch.randn(64, 8),)])  # else all it paints is grey
    return PaintingGenerator(network, {})


def test_a_painting_of_its_own_is_found_again(painter):
    target = painter.sample(1, seed=123)[0]
    found = invert(painter, target, steps=60)
    others = painter.sample(64, seed=1, to="tensor")
    wanted = torch.from_numpy(np.array(target)).permute(2, 0, 1)[None] / 127.5 - 1
    distances = (pixel_pyramid(others) - pixel_pyramid(wanted)).square().sum(1)
    assert found.loss < 0.3 * distances.min()


def test_what_was_found_paints_the_picture_again(painter):
    found = invert(painter, painter.sample(1, seed=5)[0], steps=3)
    paint = painter.paint_styles if painter.num_levels else painter.paint
    again = ((paint(found.latent)[0] + 1) * 127.5).permute(1, 2, 0)
    difference = np.abs(again.numpy() - np.asarray(found.picture, np.float32))
    assert difference.max() <= 1


def test_the_callback_sees_a_loss_that_never_rises(painter):
    seen = []
    image = Image.new("RGB", (50, 40), "navy")
    found = invert(painter, image, 10, lambda *seen_now: seen.append(seen_now))
    assert [step for step, _, _ in seen] == list(range(1, 11))
    losses = [loss for _, loss, _ in seen]
    assert losses == sorted(losses, reverse=True) and losses[-1] == found.loss
    assert all(picture.size == (32, 32) for _, _, picture in seen)


def test_any_embedding_may_say_what_is_alike(painter):
    def colour(images):
        return images.mean((2, 3))

    target = painter.sample(1, seed=123)[0]
    found = invert(painter, target, 40, embed=colour)
    assert found.loss < 1e-5  # of the mean colour, which is easily met
    assert np.abs(np.asarray(found.picture, int) - np.asarray(target, int)).max() > 3


def test_no_steps_are_refused(painter):
    with pytest.raises(BrushworkError, match="at least 1"):
        invert(painter, Image.new("RGB", (8, 8)), steps=0)
