"""The generators and discriminators of each GAN model, by the model's name."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from brushwork.data.aspects import Aspect
from brushwork.errors import BrushworkError
from brushwork.gan import dcgan, styled

if TYPE_CHECKING:
    from brushwork.gan.backbone_discriminator import BackboneDiscriminator

Generator = dcgan.Generator | styled.Generator
Discriminator = Union[dcgan.Discriminator, styled.Discriminator, "BackboneDiscriminator"]


class Architecture(NamedTuple):
    """The classes of one model.

    Attributes:
        config: the shape of both networks; its fields are saved in a checkpoint.
        generator: takes a config.
        discriminator: takes a config.
    """

    config: Callable[..., dcgan.DCGANConfig | styled.StyledConfig]
    generator: Callable[..., Generator]
    discriminator: Callable[..., dcgan.Discriminator | styled.Discriminator]


ARCHITECTURES = {
    "dcgan": Architecture(dcgan.DCGANConfig, dcgan.Generator, dcgan.Discriminator),
    "modern": Architecture(styled.StyledConfig, styled.Generator, styled.Discriminator),
}
"""The models by the name that a checkpoint's `config.json` has."""


def build_networks(
    model: str,
    side: int,
    width: int,
    classes: tuple[str, ...] = (),
    backbone: str = "",
    aspect: Aspect = "1:1",
    upsampling: styled.Upsampling = "nearest",
    depth: int = 1,
) -> tuple[Generator, Discriminator]:
    """Build an untrained generator and its discriminator.

    Args:
        model: a key of `ARCHITECTURES`.
        side: shorter side of the images in pixels.
        width: channels at half of the side, in the generator and the model's own discriminator.
        classes: names of the classes; () for a GAN without classes.
        backbone: ARCHITECTURE:WEIGHTS of a pretrained network whose features the discriminator
            uses in addition to pixels (see `brushwork.gan.backbone_discriminator.frozen_backbone`);
            "" for no backbone.
        aspect: width to height of the images.
        upsampling: of the modern generator, see `brushwork.gan.styled.StyledConfig`.
        depth: of the modern networks, likewise.

    Raises:
        BrushworkError: a size is out of range, the backbone cannot be loaded, or a DC-GAN is to
            have classes, another upsampling or another depth.
    """
    config_class, generator_class, discriminator_class = ARCHITECTURES[model]
    shape: dict[str, Any] = {"side": side, "width": width, "aspect": aspect}
    if model == "modern":
        shape |= {"classes": classes, "upsampling": upsampling, "depth": depth}
    elif classes:
        raise BrushworkError("`condition` needs `model` modern; a DC-GAN has no class labels")
    elif upsampling not in ("nearest", "dcgan"):  # the default, and what it has
        raise BrushworkError(
            "`upsampling` needs `model` modern; the levels of a DC-GAN are transposed convolutions"
        )
    elif depth != 1:
        raise BrushworkError("`depth` needs `model` modern; a DC-GAN has one convolution a level")
    config = config_class(**shape)
    if not backbone:
        return generator_class(config), discriminator_class(config)
    # Importing timm takes a second, and a checkpoint of a generator needs none of it.
    from brushwork.gan.backbone_discriminator import (
        BackboneDiscriminator,
        HeadsConfig,
        frozen_backbone,
    )

    # Each network takes numbers from the seeded random state. This order must stay: a resumed run
    # builds a backbone with random weights again, which its state does not contain.
    network = frozen_backbone(backbone)
    G = generator_class(config)
    pixel_discriminator = discriminator_class(config)
    heads = HeadsConfig(side=side, classes=classes, aspect=aspect)
    return G, BackboneDiscriminator(heads, network, pixel_discriminator)


def architecture_of(network: Generator) -> str:
    """Find the name of a generator's model, a key of `ARCHITECTURES`."""
    return next(
        name
        for name, architecture in ARCHITECTURES.items()
        if architecture.generator is type(network)
    )
