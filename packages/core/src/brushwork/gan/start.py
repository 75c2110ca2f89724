"""gan.start."""

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
    """Give networks the weights of others, to go on learning from (Wang et al. 2018).

    What they learned from many paintings they need not learn again from an artist's few. Networks
    that are told classes can begin as ones that were not; what stands for the classes is new.

    Args:
        start: a run of `train_gan.py`, whose networks both are taken; or a painter alone, its
            folder or its name on the Hub, whose D has to be learned anew.
        G: of the painter's model, side, width and, if it has any, classes.
        D: of the run's backbone too.

    Raises:
        BrushworkError: there is no such run or painter, or it has another shape.
    """
    state, other = Path(start) / STATE, PaintingGenerator.from_pretrained(start).network
    theirs, ours = ({"model": architecture_of(g)} | asdict(g.config) for g in (other, G))
    unlike = [
        f"{k} {v!r}, not {ours.get(k)!r}"
        for k, v in theirs.items()
        if v != ours.get(k) and (k, v) != ("classes", ())
    ]
    if unlike:
        raise BrushworkError(f"{start} has {', '.join(unlike)}; only its like can begin as it is")
    networks = {"G": G, "D": D} if state.is_file() else {"G": G}
    of_classes = {k: v for k, v in pack(networks, {}).items() if k.endswith("label.weight")}
    try:
        weights = load_file(state) if state.is_file() else pack({"G": other}, {})
        unpack(of_classes | weights, networks, {})
    except (RuntimeError, SafetensorError) as error:
        raise BrushworkError(
            f"{state} is broken or has another discriminator; give its --backbone"
        ) from error
