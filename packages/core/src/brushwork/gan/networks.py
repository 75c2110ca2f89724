"""The generators and discriminators of each model, by name."""

from typing import TYPE_CHECKING, Union

from brushwork.errors import BrushworkError
from brushwork.gan import dcgan, styled

if TYPE_CHECKING:
    from brushwork.gan.backbone_discriminator import BackboneDiscriminator

# The shape, the generator and the discriminator of each model.
ARCHITECTURES = {
    "dcgan": (dcgan.DCGANConfig, dcgan.Generator, dcgan.Discriminator),
    "modern": (styled.StyledConfig, styled.Generator, styled.Discriminator),
}
Generator = dcgan.Generator | styled.Generator
Discriminator = Union[dcgan.Discriminator, styled.Discriminator, "BackboneDiscriminator"]


def build_networks(
    model: str, side: int, width: int, classes: tuple[str, ...] = (), backbone: str = ""
) -> tuple[Generator, Discriminator]:
    """An untrained generator and its discriminator.

    Args:
        model: one of `ARCHITECTURES`.
        side: of the images.
        width: channels of the generator's finest level, and of its own discriminator's.
        classes: what to tell apart.
        backbone: see with this pretrained network beside the model's own discriminator: see
            `brushwork.gan.backbone_discriminator.frozen_backbone`.

    Raises:
        BrushworkError: there is no such shape or backbone, or the model can't be told classes.
    """
    make_config, make_G, make_D = ARCHITECTURES[model]
    if classes and model == "dcgan":
        raise BrushworkError("a DC-GAN knows no classes; train --model modern with --condition")
    config = make_config(side=side, width=width, **({"classes": classes} if classes else {}))
    if not backbone:
        return make_G(config), make_D(config)
    # timm takes a second to import, and painting needs none of it.
    from brushwork.gan.backbone_discriminator import (
        BackboneDiscriminator,
        HeadsConfig,
        frozen_backbone,
    )

    heads = HeadsConfig(side=side, classes=classes)
    return make_G(config), BackboneDiscriminator(heads, frozen_backbone(backbone), make_D(config))


def architecture_of(network: Generator) -> str:
    """Name the model, a key of `ARCHITECTURES`, that a generator belongs to."""
    return next(name for name, (_, kind, _) in ARCHITECTURES.items() if isinstance(network, kind))
