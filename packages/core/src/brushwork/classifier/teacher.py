"""classifier.teacher."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from brushwork.errors import BrushworkError

if TYPE_CHECKING:
    pass
from torch.nn import functional as F

from brushwork.classifier.identify import ArtistClassifier


def open_teacher(
    folder_or_hub_id: str, artists: Sequence[str], device: str | torch.device
) -> ArtistClassifier:
    """A classifier to learn from.

    Raises:
        BrushworkError: it knows other artists.
    """
    teacher = ArtistClassifier.from_pretrained(folder_or_hub_id, device)
    if teacher.artists != tuple(artists):
        raise BrushworkError(
            f"the teacher {folder_or_hub_id} knows {len(teacher.artists)} artists and not just the "
            f"{len(artists)} of this selection; train it on the same --data and --min-paintings"
        )
    return teacher


def distillation_loss(logits: Tensor, teacher_logits: Tensor, temperature: float = 2.0) -> Tensor:
    """How far a network's softened answers are from its teacher's (Hinton et al. 2015, section 2).

    T² KL(softmax(teacher / T) ‖ softmax(logits / T)), the mean over images; T² keeps the gradients'
    size whatever the temperature.

    Args:
        logits: (N, K).
        teacher_logits: (N, K).
        temperature: T.
    """
    ours, theirs = (x.float().div(temperature).log_softmax(1) for x in (logits, teacher_logits))
    kl = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return kl * temperature**2
