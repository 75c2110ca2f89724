"""Initialise the networks of a GAN from a trained run or checkpoint."""

from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from brushwork.errors import BrushworkError
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.networks import Discriminator, Generator, architecture_of
from brushwork.training.run import STATE
from brushwork.training.state import pack, unpack


def initialise_from(start: str | Path, G: Generator, D: Discriminator) -> None:
    """Load the weights of a trained GAN into `G` and `D`, for transfer learning.

    A GAN that was trained on many paintings needs fewer paintings of one artist than a new one
    (Wang et al. 2018, "Transferring GANs"). Networks with classes can be initialised from networks
    without classes; their class embeddings then keep their random values.

    Args:
        start: a run of `train_gan.py`, for both networks; or a generator's checkpoint, as
            `PaintingGenerator.from_pretrained` takes it, for `G` alone: `D` then keeps its random
            weights.
        G: a generator of the same model, side and width. If the trained generator has classes, `G`
            must have the same ones.
        D: a discriminator with the same backbone as the run's discriminator.

    Raises:
        BrushworkError: there is no such run or checkpoint, or its networks differ in shape.
    """
    trained = PaintingGenerator.from_pretrained(start).network
    trained_shape, own_shape = (
        {"model": architecture_of(network)} | asdict(network.config) for network in (trained, G)
    )
    if not trained_shape.get("classes"):
        trained_shape.pop("classes", None)
    differences = [
        f"{name} {value!r}, not {own_shape.get(name)!r}"
        for name, value in trained_shape.items()
        if value != own_shape.get(name)
    ]
    if differences:
        raise BrushworkError(
            f"cannot start from {start}: its model differs ({'; '.join(differences)}); pass the "
            "same settings, or start from another run"
        )

    state = Path(start) / STATE
    networks = {"G": G, "D": D} if state.is_file() else {"G": G}
    embeddings = {k: v for k, v in pack(networks, {}).items() if k.endswith("label.weight")}
    try:
        weights = load_file(state) if state.is_file() else pack({"G": trained}, {})
        unpack(embeddings | weights, networks, {})
    except (RuntimeError, SafetensorError) as error:
        raise BrushworkError(
            f"cannot start from {start}: {state} is broken, or its discriminator has another "
            "backbone; pass the `backbone` that the run was trained with"
        ) from error
