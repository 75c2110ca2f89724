"""Initialise the networks of a GAN from a trained run or checkpoint."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.enlarger import Enlarger, PatchDiscriminator
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.networks import Discriminator, Generator, architecture_of
from brushwork.gan.upsampling import fold_upsampling
from brushwork.training.run import STATE
from brushwork.training.state import pack, unpack

# Networks that differ only in these settings take the tensors that fit.
SIZES = {"side", "width", "full_side", "aspect", "upsampling", "depth"}


class Copied(NamedTuple):
    """How many tensors of weights were copied, and how many both networks have."""

    num: int
    total: int


def initialise_from(start: str | Path, G: Generator, D: Discriminator) -> Copied:
    """Load the weights of a trained GAN into `G` and `D`, for transfer learning.

    A GAN that was trained on many paintings needs fewer paintings of one artist than a new one
    (Wang et al. 2018, "Transferring GANs"). Networks with classes can be initialised from networks
    without classes; their class embeddings then keep their random values.

    Networks of another side, width, aspect, upsampling or depth, or with a level of the full side
    that the trained ones lack, take the tensors that fit; the others keep their random values. See
    `fitting` for which levels these are. An enlarger is left out.

    Args:
        start: a run of `train_gan.py`, for both networks; or a generator's checkpoint, as
            `PaintingGenerator.from_pretrained` takes it, for `G` alone: `D` then keeps its random
            weights.
        G: a generator of the same model. If the trained generator has classes, `G` must have the
            same ones.
        D: a discriminator with the same backbone as the run's discriminator.

    Raises:
        BrushworkError: there is no such run or checkpoint, its networks differ in more than
            `SIZES`, or nothing fits.
    """
    trained = PaintingGenerator.from_pretrained(start).network
    if isinstance(trained, styled.Generator) and trained.enlarger is not None:
        trained.config, trained.enlarger = trained.config.without_enlarger(), None
    trained_shape, own_shape = (
        {"model": architecture_of(network)} | asdict(network.config) for network in (trained, G)
    )
    if not trained_shape.get("classes"):
        trained_shape.pop("classes", None)
    differences = {
        name: f"{name} {value!r}, not {own_shape.get(name)!r}"
        for name, value in trained_shape.items()
        if value != own_shape.get(name)
    }
    problem = f"cannot start from {start}: its model differs ({'; '.join(differences.values())})"
    if differences.keys() - SIZES:
        raise BrushworkError(f"{problem}; pass the same settings, or start from another run")

    state = Path(start) / STATE
    try:
        weights = load_file(state) if state.is_file() else {}
        if not any(name.startswith("G/") for name in weights):  # a checkpoint, or an enlarger's run
            weights = pack({"G": trained}, {})
        networks = {
            name: network
            for name, network in {"G": G, "D": D}.items()
            if any(key.startswith(f"{name}/") for key in weights)
        }
        own = pack(networks, {})
        if "aspect" in differences:
            # A layer that makes 4 x 6 places has as many numbers as one of 6 x 4, in other places.
            weights = {k: v for k, v in weights.items() if not k.startswith("G/start.")}
        if differences:
            copied = fitting(own, weights | transposed_kernels(weights))
            unpack(own | copied, networks, {})
        else:
            copied = {name: value for name, value in weights.items() if name in own}
            embeddings = {k: v for k, v in own.items() if k.endswith("label.weight")}
            unpack(embeddings | weights, networks, {})
    except (RuntimeError, SafetensorError) as error:
        raise BrushworkError(
            f"cannot start from {start}: {state} is broken, or its discriminator has another "
            "backbone; pass the `backbone` that the run was trained with"
        ) from error
    all_weights = {
        f"{name}/{key}"
        for name, network in {"G": G, "D": D}.items()
        for key, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    counted = Copied(num=len(all_weights & copied.keys()), total=len(all_weights))
    if not counted.num:
        raise BrushworkError(
            f"{problem}, and none of its tensors fit; pass the same `width`, or half of it with "
            "twice the `side`"
        )
    return counted


def initialise_enlarger(start: str | Path, E: Enlarger, D: PatchDiscriminator) -> None:
    """Load the weights of a trained enlarger into `E`, and of its discriminator into `D`.

    Args:
        start: a run of `train_enlarger.py`; or the checkpoint of an enlarged generator, as
            `PaintingGenerator.from_pretrained` takes it, for `E` alone.
        E: an enlarger of the same factor and width.
        D: a new discriminator.

    Raises:
        BrushworkError: there is no such run or checkpoint, it has no enlarger, or one of another
            factor or width; or its state is broken.
    """
    network = PaintingGenerator.from_pretrained(start).network
    trained = network.enlarger if isinstance(network, styled.Generator) else None
    if trained is None:
        raise BrushworkError(
            f"{start} has no enlarger to start from; give a run of train_enlarger.py"
        )
    for name in ("factor", "width"):
        if getattr(trained, name) != getattr(E, name):
            raise BrushworkError(
                f"the enlarger of {start} has `{name}` {getattr(trained, name)}, not "
                f"{getattr(E, name)}; pass the same"
            )
    # The noise has the size of the images, which may differ.
    E.load_state_dict(trained.state_dict() | {"noise": E.noise})
    state = Path(start) / STATE
    if state.is_file():
        try:
            unpack(load_file(state), {"D": D}, {})
        except (RuntimeError, LookupError, SafetensorError) as error:
            raise BrushworkError(f"cannot start from {start}: {state} is broken") from error


def fitting(own: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Choose the trained tensors that have the shape of tensors of larger or smaller networks.

    Levels are numbered in the names of tensors. They are aligned at the first level, or at the last
    one, whichever gives more tensors of equal shapes. For twice the side and the same width, the
    fine levels fit: the details of the new GAN then resemble the whole pictures of the trained one.
    For twice the side and half the width, the coarse levels fit and a finer one is added, as in
    progressive growing (Karras et al. 2018, section 2).

    Args:
        own: the tensors of the networks to initialise, with names such as "G/levels.0.up.1.weight".
        trained: those of the trained networks.

    Returns:
        Trained tensors by the names in `own`.
    """
    chosen: dict[str, Tensor] = {}
    for network in sorted({name.split("/")[0] for name in own}):
        names = [name for name in own if name.startswith(f"{network}/")]
        shifts = {
            prefix: last - _last_levels(trained).get(prefix, last)
            for prefix, last in _last_levels(own).items()
        }
        aligned = [
            {
                name: trained[other]
                for name in names
                if (other := _other_level(name, by)) in trained
                and trained[other].dim()  # not a counter of batches
                and trained[other].shape == own[name].shape
            }
            for by in ({}, shifts)
        ]
        chosen |= max(aligned, key=len)
    return chosen


def transposed_kernels(trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the kernels of levels that repeat pixels to transposed convolutions.

    With these kernels, transposed levels compute the same as the trained ones.

    Args:
        trained: the tensors of a trained generator, by name.

    Returns:
        Only the converted kernels, by the names that transposed levels give them.
    """
    return {
        name.removesuffix("1.weight") + "weight": fold_upsampling(kernel)
        for name, kernel in trained.items()
        if name.endswith(".up.1.weight")
    }


LEVEL = re.compile(r"^(\D*)(\d+)(.*)$")


def _last_levels(names: Iterable[str]) -> dict[str, int]:
    """Find the highest first number in the names of tensors, by what is before this number."""
    last: dict[str, int] = {}
    for prefix, level, _ in filter(None, map(_parts, names)):
        last[prefix] = max(last.get(prefix, 0), level)
    return last


def _other_level(name: str, shifts: Mapping[str, int]) -> str:
    """Rename a tensor to that of the level that is `shifts[prefix]` lower."""
    if (parts := _parts(name)) is None:
        return name
    prefix, level, rest = parts
    return f"{prefix}{level - shifts.get(prefix, 0)}{rest}"


def _parts(name: str) -> tuple[str, int, str] | None:
    """Split a name at its first number, which is that of a level."""
    found = LEVEL.match(name)
    return found and (found[1], int(found[2]), found[3])
