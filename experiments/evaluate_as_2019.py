"""Evaluate a classifier the way that the code of 2019 did, beside the honest way.

    uv run experiments/evaluate_as_2019.py runs/classifier/classifier --data paintings/

That code read its training loader when it tested: paintings that it had learned from, in random
crops. And its test set took the artists from the training rows, so that its loader, had it been
read, would have given most test paintings a wrong artist. Writes `report.json` to --out:
    honest           test paintings, whole
    test in crops    test paintings, in random crops: what the crops alone change
    trained on       training paintings, whole: what knowing them alone changes
    as in 2019       training paintings, in random crops
    labels of 2019   test paintings, whole, with the artists of the first training rows
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from accelerate import Accelerator
from tqdm import trange

from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.network import Predictions, look
from brushwork.classifier.views import TrainingViews, Views
from brushwork.data.open import open_data
from brushwork.errors import BrushworkError, report_errors
from brushwork.files import write_json
from brushwork.metrics.classification import classification_report
from brushwork.report.pages import text_table
from brushwork.training.distributed import check_launch
from brushwork.training.threads import use_all_cores
from settings import read_flags

CROPS = Views(min_area=0.08)  # torchvision's RandomResizedCrop, and flips


@dataclass(frozen=True)
class Config:
    """Which classifier, on which paintings."""

    classifier: tyro.conf.Positional[str]
    """Its folder, or a name on the Hub."""
    data: str = "synthetic"
    """What it was trained on, as train_classifier takes it."""
    batch_size: int = 32
    seed: int = 0
    """Of the crops."""
    out: Path = Path("runs/evaluation-2019")


def main(cfg: Config) -> None:
    """Look at training and test paintings, whole and in crops; then give each its artist."""
    check_launch()
    accelerator = Accelerator()
    use_all_cores()
    known = ArtistClassifier.from_pretrained(cfg.classifier, accelerator.device)
    paintings = open_data(cfg.data)
    if paintings.fingerprint != known.config["training"]["fingerprint"]:
        raise BrushworkError(
            f"{cfg.classifier} was trained on other paintings than {cfg.data}; which of them it "
            "learned from is not known, so give those that it was trained on"
        )
    table = paintings.table.loc[paintings.table["artist"].isin(known.artists)]
    pixels = paintings.pixels(known.side, known.fit)
    rows = {split: table.index[table["split"] == split].to_numpy() for split in ("train", "test")}
    label = {artist: number for number, artist in enumerate(known.artists)}
    y = {split: table["artist"].loc[rows[split]].map(label).to_numpy() for split in rows}

    whole = {split: known.predict_rows(pixels, rows[split], progress=split) for split in rows}
    crops = {split: in_crops(cfg, known, pixels, rows[split], y[split]) for split in rows}
    accelerator.end_training()
    if not accelerator.is_main_process:
        return
    num = min(len(y["train"]), len(y["test"]))
    seen = {
        "honest": (whole["test"], y["test"]),
        "test in crops": crops["test"],
        "trained on": (whole["train"], y["train"]),
        "as in 2019": crops["train"],
        "labels of 2019": (Predictions(*(part[:num] for part in whole["test"])), y["train"][:num]),
    }
    reports = {
        name: classification_report(known.calibrated(looked_at), labels)
        for name, (looked_at, labels) in seen.items()
    }
    cfg.out.mkdir(parents=True, exist_ok=True)
    record = {"settings": asdict(cfg), "reports": reports}
    write_json(cfg.out / "report.json", record)
    print(text_table(reports, []), f"all in {cfg.out / 'report.json'}", sep="\n")


def in_crops(
    cfg: Config, known: ArtistClassifier, pixels: np.ndarray, rows: np.ndarray, y: np.ndarray
) -> tuple[Predictions, np.ndarray]:
    """What is seen of each of the rows once, in a random crop, and labels (N,)."""
    of_what = pixels, rows, y, len(known.artists), cfg.batch_size
    views = TrainingViews(*of_what, lambda _: known.side, CROPS, cfg.seed)
    device = next(known.network.parameters()).device
    statistics = known.config["mean"], known.config["std"]
    batches = map(views.__getitem__, trange(math.ceil(len(rows) / cfg.batch_size), desc="crops"))
    parts, labels = zip(
        *(
            (look(known.network, images.to(device), *statistics), targets.argmax(1))
            for images, targets in batches
        ),
        strict=True,
    )
    looked_at = Predictions(*(torch.cat(part)[: len(rows)] for part in zip(*parts, strict=True)))
    return looked_at, torch.cat(labels)[: len(rows)].numpy()


if __name__ == "__main__":
    with report_errors(Config):
        main(read_flags(Config, __doc__))
