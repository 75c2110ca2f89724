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
def generator(request):
    torch.manual_seed(0)
    if request.param == "dcgan":
        network = dcgan.Generator(dcgan.DCGANConfig(side=32, width=4, latent_dim=8))
        torch.nn.init.normal_(network.layers[-2].weight, std=0.1)
    else:
        network = styled.Generator(styled.StyledConfig(side=32, width=4, latent_dim=8))
        torch.nn.init.normal_(network.to_rgb.weight, std=0.1)
    refresh_statistics(network, [(torch.randn(64, 8),)])  # without it all pictures are grey
    return PaintingGenerator(network, {})


def test_a_generated_picture_is_found_again(generator):
    target = generator.sample(1, seed=123)[0]
    found = invert(generator, target, steps=60)
    others = generator.sample(64, seed=1, to="tensor")
    wanted = torch.from_numpy(np.array(target)).permute(2, 0, 1)[None] / 127.5 - 1
    distances = (pixel_pyramid(others) - pixel_pyramid(wanted)).square().sum(1)
    assert found.loss < 0.3 * distances.min()


def test_the_found_latent_gives_the_found_picture(generator):
    found = invert(generator, generator.sample(1, seed=5)[0], steps=3)
    paint = generator.paint_styles if generator.num_levels else generator.paint
    again = ((paint(found.latent)[0] + 1) * 127.5).permute(1, 2, 0)
    difference = np.abs(again.numpy() - np.asarray(found.picture, np.float32))
    assert difference.max() <= 1


def test_the_loss_of_the_callback_never_rises(generator):
    calls = []
    image = Image.new("RGB", (50, 40), "navy")
    found = invert(generator, image, 10, lambda *arguments: calls.append(arguments))
    assert [step for step, _, _ in calls] == list(range(1, 11))
    losses = [loss for _, loss, _ in calls]
    assert losses == sorted(losses, reverse=True) and losses[-1] == found.loss
    assert all(picture.size == (32, 32) for _, _, picture in calls)


def test_the_embedding_decides_what_is_similar(generator):
    def colour(images):
        return images.mean((2, 3))

    target = generator.sample(1, seed=123)[0]
    found = invert(generator, target, 40, embed=colour)
    assert found.loss < 1e-5  # many pictures have this mean colour
    assert np.abs(np.asarray(found.picture, int) - np.asarray(target, int)).max() > 3


def test_zero_steps_are_an_error(generator):
    with pytest.raises(BrushworkError, match="`steps` is 0; it must be above 0"):
        invert(generator, Image.new("RGB", (8, 8)), steps=0)
