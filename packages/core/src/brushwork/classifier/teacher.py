"""Learn from one or several trained classifiers: knowledge distillation."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from brushwork.classifier.identify import ArtistClassifier
from brushwork.errors import BrushworkError


def open_teacher(
    folder_or_hub_id: str,
    artists: Sequence[str],
    device: str | torch.device,
    sides: Sequence[int] = (),
) -> ArtistClassifier:
    """Open a classifier to learn from.

    Args:
        folder_or_hub_id: the classifier's checkpoint folder, or its name on the Hugging Face Hub.
        artists: the artists that the student learns, in the order of its outputs.
        device: where to run the teacher.
        sides: sides of the images that it will be given, in pixels.

    Raises:
        BrushworkError: the teacher has other artists, or does not take images of one of the sides.
    """
    teacher = ArtistClassifier.from_pretrained(folder_or_hub_id, device)
    if teacher.artists != tuple(artists):
        raise BrushworkError(
            f"the {len(teacher.artists)} artists of `teacher` {folder_or_hub_id} are not the "
            f"{len(artists)} artists of this selection; train it on the same `data` with the same "
            "`min_paintings`"
        )
    for side in sides:
        try:
            teacher.logits(torch.zeros(1, 3, side, side, dtype=torch.uint8, device=device))
        except Exception as error:  # each network fails in its own way
            raise BrushworkError(
                f"`teacher` {folder_or_hub_id} does not take images of {side} pixels; set "
                f"`first_side` and `last_side` to {teacher.side}, or use another teacher"
            ) from error
    return teacher


def distillation_loss(
    logits: Tensor, teacher_logits: Sequence[Tensor], temperature: float = 2.0
) -> Tensor:
    """Compare softened probabilities with the teachers' mean (Hinton et al. 2015, section 2).

    The loss is T² KL(mean of softmax(teacher / T) ‖ softmax(logits / T)). The factor T² makes the
    size of the gradients independent of the temperature.

    Args:
        logits: (N, K).
        teacher_logits: (N, K) of each teacher, at least one.
        temperature: T, above 0.

    Returns:
        The mean over images, a scalar.

    >>> import torch
    >>> sure, unsure = torch.tensor([[8.0, -8.0]]), torch.zeros(1, 2)
    >>> loss = distillation_loss(unsure, [sure, sure.flip(1)])  # the mean is unsure, too
    >>> round(loss.item(), 4)
    0.0
    """
    student, *teachers = (
        x.float().div(temperature).log_softmax(1) for x in (logits, *teacher_logits)
    )
    teacher = torch.stack(teachers).logsumexp(0) - math.log(len(teachers))
    kl = F.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return kl * temperature**2
