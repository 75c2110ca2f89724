"""Experiment trackers: their names, and a check that one is installed."""

from importlib.util import find_spec
from typing import Literal, get_args

from brushwork.errors import BrushworkError, install

Tracker = Literal["tensorboard", "trackio", "wandb", "mlflow"]


def check_tracker(tracker: Tracker | None) -> None:
    """Check before training that a tracker's package is installed.

    Accelerate would train without the tracker and log nothing.

    Raises:
        BrushworkError: the package is missing.
    """
    if tracker is not None and find_spec(tracker) is None:
        installed = [name for name in get_args(Tracker) if find_spec(name)]
        raise BrushworkError(
            f"`tracker` is {tracker}, which is not installed: {install(tracker)}, or choose "
            f"{' or '.join([*installed, 'None'])}"
        )
