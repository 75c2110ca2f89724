"""GANs: generators and discriminators, training objectives, and evaluation of generators.

The public names load on first use, so that importing the package is fast.
`brushwork.gan.invert.invert` is not among them, because its module has the same name.
"""

from typing import TYPE_CHECKING

from brushwork.exports import lazy_exports

if TYPE_CHECKING:
    from brushwork.gan.dcgan import DCGANConfig as DCGANConfig
    from brushwork.gan.generator import PaintingGenerator as PaintingGenerator
    from brushwork.gan.generator import slerp as slerp
    from brushwork.gan.invert import Inversion as Inversion
    from brushwork.gan.networks import build_networks as build_networks
    from brushwork.gan.objective import Objective as Objective
    from brushwork.gan.save import save_generator as save_generator
    from brushwork.gan.start import initialise_from as initialise_from
    from brushwork.gan.styled import StyledConfig as StyledConfig

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "DCGANConfig": "brushwork.gan.dcgan",
        "Inversion": "brushwork.gan.invert",
        "Objective": "brushwork.gan.objective",
        "PaintingGenerator": "brushwork.gan.generator",
        "StyledConfig": "brushwork.gan.styled",
        "build_networks": "brushwork.gan.networks",
        "initialise_from": "brushwork.gan.start",
        "save_generator": "brushwork.gan.save",
        "slerp": "brushwork.gan.generator",
    },
)
