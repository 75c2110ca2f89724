"""Export a trained generator or classifier to ONNX, to use it without torch or in a browser.

    uv run experiments/export.py landscapes --out exported/landscapes
    uv run experiments/export.py runs/classifier/classifier --out exported/artists --precision int8

Writes a checkpoint whose network is an ONNX graph. `brushwork.runtime`, sample.py and identify.py
open it without torch. The command also compares the graph with torch on 16 pictures and prints the
difference.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from brushwork.errors import report_errors
from brushwork.export import Precision, export
from settings import read_flags


@dataclass(frozen=True)
class Config:
    """Settings: the checkpoint, and how to store its weights."""

    checkpoint: Annotated[str, tyro.conf.Positional]
    """A checkpoint of a generator or a classifier: a folder, the name of a bundled one, or a name
    on the Hugging Face Hub."""
    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """The folder to write. An earlier export in it is replaced."""
    precision: Precision = "fp16"
    """How the weights are stored. The graph computes in single precision in any case."""


def main(cfg: Config) -> None:
    """Export the checkpoint, and print its size and the difference to torch."""
    graphs = export(cfg.checkpoint, cfg.out, cfg.precision)
    num_bytes = sum(file.stat().st_size for file in cfg.out.glob("*.onnx"))
    differences = graphs["differences"]
    if "answers" in differences:
        loss = (
            f"probabilities differ by at most {differences['largest']:.1e}, and "
            f"{differences['answers']} of {differences['pictures']} answers differ"
        )
    else:
        loss = (
            f"pixels in [-1, 1] differ by at most {differences['largest']:.1e}, and on average by "
            f"{differences['mean']:.1e}, on {differences['pictures']} pictures"
        )
    print(
        f"wrote {cfg.out}: {num_bytes / 1e6:.1f} MB in {graphs['precision']}; compared with torch, "
        f"{loss}"
    )


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
