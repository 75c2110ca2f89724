"""What G and D play for: the two halves of a step, from networks, pictures and numbers alone.

It knows no optimiser, device, process or file. A batch may pass in parts, to save memory; the
gradients of the parts add up to those of the whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from brushwork.data.batches import to_unit_range
from brushwork.gan.augment import Augment
from brushwork.gan.losses import LOSSES, gradient_penalty
from brushwork.gan.matching import Matching

Backward = Callable[[Tensor], object]


# Gradients of gradients cost as much as the rest of D's half, so they are taken at every fourth
# step, four times as strong (Karras et al. 2020, "Analyzing and Improving", section 3.1).
PENALTY_EVERY = 4


# A backbone looks at fakes in the size that metrics take, which costs more than the rest of a step.
MATCH_EVERY = 2


class MicroBatch(NamedTuple):
    """Of a batch: paintings `real` (N, 3, S, S) in [-1, 1], latents `z` (N, Z), labels `y` (N,),
    and `u` (N, PASSES, DRAWS), which `brushwork.gan.augment.draws` drew to distort them; with paintings
    like `real`, but by `others`, if fakes shall not be like them.
    """

    real: Tensor
    z: Tensor
    y: Tensor
    u: Tensor
    others: Tensor | None = None


class Verdict(NamedTuple):
    """The loss of D, and its logits of reals and of fakes, (N,) or (N, M), without gradients."""

    loss: Tensor
    real_logits: Tensor
    fake_logits: Tensor

    def numbers(self) -> dict[str, Tensor]:
        """What a run logs of it: the loss, and how real D believes reals and fakes to be."""
        real, fake = (logits.sigmoid().mean() for logits in (self.real_logits, self.fake_logits))
        return {"loss_D": self.loss, "D(x)": real, "D(G(z))": fake}


def split_batch(batch: Sequence[Tensor], num_parts: int, device: torch.device) -> list[MicroBatch]:
    """Put a batch on a device, in parts: uint8 paintings, latents, labels, uint8 paintings by
    others, if there are any, and uniform numbers.
    """
    columns = (t.to(device, non_blocking=True).chunk(num_parts) for t in batch)
    return [
        MicroBatch(to_unit_range(real), z, y, u, *map(to_unit_range, others))
        for real, z, y, *others, u in zip(*columns, strict=True)
    ]


@dataclass(frozen=True)
class Objective:
    """A loss by name, what distorts the pictures that D sees, and what is added to the loss."""

    loss: Literal["logistic", "hinge", "relativistic"]
    augment: Augment
    gamma: float = 0.0
    """Half of it times R1 + R2 is added to D's loss (Huang et al. 2024, eq. 3 and 4)."""
    match: float = 0.0
    """Weight of the distance of fakes to all paintings in G's loss, at every second step."""
    matching: Matching | None = None
    """What measures it."""
    others: float = 0.0
    """Weight in D's loss of telling reals from paintings by others, as it tells them from fakes."""

    def discriminator(
        self,
        D: nn.Module,
        parts: Sequence[MicroBatch],
        fakes: Sequence[Tensor],
        step: int,
        backward: Backward,
    ) -> Verdict:
        """Tell reals from fakes: gradients of D's loss into the weights of D alone.

        Paintings by others are fakes that no G painted (Sinha et al. 2021, "Negative Data
        Augmentation").
        """
        penalised = self.gamma > 0 and step % PENALTY_EVERY == 0
        num, seen = sum(len(part.real) for part in parts), []
        for (real, _, y, u, others), fake in zip(parts, fakes, strict=True):
            x = self.augment(real, u[:, 0]).requires_grad_(penalised)
            x_fake = self.augment(fake.detach(), u[:, 1]).requires_grad_(penalised)
            logits = D(x, y), D(x_fake, y)
            loss = LOSSES[self.loss].discriminator(*logits)
            if others is not None:
                other_logits = D(self.augment(others, u[:, 3]), y)
                other_loss = LOSSES[self.loss].discriminator(logits[0], other_logits)
                loss = loss + self.others * other_loss
            if penalised:
                both = gradient_penalty(logits[0], x) + gradient_penalty(logits[1], x_fake)
                loss = loss + PENALTY_EVERY * self.gamma / 2 * both
            backward(loss * (len(real) / num))
            seen.append(Verdict(loss.detach()[None], *(part.detach() for part in logits)))
        losses, real_logits, fake_logits = (torch.cat(column) for column in zip(*seen, strict=True))
        return Verdict(losses.mean(), real_logits, fake_logits)

    def generator(
        self,
        D: nn.Module,
        parts: Sequence[MicroBatch],
        fakes: Sequence[Tensor],
        verdict: Verdict,
        step: int,
        backward: Backward,
    ) -> Tensor:
        """Fool D: gradients of G's loss into what painted the fakes; the loss, without `match`.

        A relativistic G competes with what D said of the reals in its half: its `verdict`. The
        parts of a batch are matched one after the other.
        """
        num, losses = len(verdict.real_logits), []
        matching = self.matching if step % MATCH_EVERY == 0 else None
        rivals = verdict.real_logits.split([len(fake) for fake in fakes])
        for (_, _, y, u, _), fake, rival in zip(parts, fakes, rivals, strict=True):
            fake_logits = D(self.augment(fake, u[:, 2]), y)
            loss = LOSSES[self.loss].generator(rival, fake_logits)
            losses.append(loss.detach())
            if matching is not None:
                loss = loss + self.match * matching(fake)
            backward(loss * (len(fake) / num))
        return torch.stack(losses).mean()
