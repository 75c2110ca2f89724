"""The losses and gradients of one training step of a GAN: the discriminator's and the generator's.

The objective uses networks and tensors only, and no optimiser, device, process or file. To save
memory, a batch may be split into micro-batches; their gradients add up to those of the batch.

N images of a micro-batch, B images of a batch, Z latent dimensions, S side of an image.
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
"""Adds the gradients of a loss to those of the weights, such as `Tensor.backward`."""


# Second derivatives cost as much as the rest of the discriminator's half, so the penalties are
# added at every fourth step, four times as strong (Karras et al. 2020, "Analyzing and Improving",
# section 3.1).
PENALTY_EVERY = 4


# The backbone extracts features of fakes at the larger size that metrics use, which costs more than
# the rest of a step.
MATCH_EVERY = 2


class MicroBatch(NamedTuple):
    """A part of a batch on the device.

    Attributes:
        real: selected paintings (N, 3, S, S) in [-1, 1].
        z: latents (N, Z).
        y: class labels (N,); painting i and fake i have the same label.
        u: uniform numbers for the augmentation, (N, passes, numbers per image); see
            `brushwork.gan.augment.augmentation_numbers`.
        others: unselected paintings (N, 3, S, S) in [-1, 1] as extra negatives, or None.
    """

    real: Tensor
    z: Tensor
    y: Tensor
    u: Tensor
    others: Tensor | None = None


class DiscriminatorOutput(NamedTuple):
    """Results of the discriminator's half of a step, without gradients.

    Attributes:
        loss: a scalar.
        real_logits: logits of the real images, (B,) or (B, heads).
        fake_logits: logits of the fakes, (B,) or (B, heads).
    """

    loss: Tensor
    real_logits: Tensor
    fake_logits: Tensor

    def metrics(self) -> dict[str, Tensor]:
        """Compute the values that a run logs: the loss, and the mean D(x) and D(G(z)) in [0, 1]."""
        return {
            "loss_D": self.loss,
            "D(x)": self.real_logits.sigmoid().mean(),
            "D(G(z))": self.fake_logits.sigmoid().mean(),
        }


def split_batch(
    batch: Sequence[Tensor], u: Tensor, num_micro_batches: int, device: torch.device
) -> list[MicroBatch]:
    """Move a batch to a device and split it into micro-batches.

    Args:
        batch: from `brushwork.data.batches.gan_batches`: paintings (B, 3, S, S) uint8, latents
            (B, Z), class labels (B,) and, optionally, unselected paintings (B, 3, S, S) uint8.
        u: random numbers for the augmentation (B, passes, numbers per image); see
            `brushwork.gan.augment.augmentation_numbers`.
        num_micro_batches: at least 1.
        device: the device of the networks.
    """
    columns = [
        tensor.to(device, non_blocking=True).chunk(num_micro_batches) for tensor in (*batch, u)
    ]
    micro_batches = []
    for real, z, y, *others, numbers in zip(*columns, strict=True):
        micro_batches.append(
            MicroBatch(
                real=to_unit_range(real),
                z=z,
                y=y,
                u=numbers,
                others=to_unit_range(others[0]) if others else None,
            )
        )
    return micro_batches


@dataclass(frozen=True)
class Objective:
    """The loss functions of both networks, the augmentation, and the terms added to the losses.

    Attributes:
        loss: a key of `brushwork.gan.losses.LOSSES`.
        augment: distorts every image before the discriminator.
        gamma: weight of the gradient penalties in the discriminator's loss, which are R1 + R2 times
            gamma / 2 (Huang et al. 2024, eq. 3 and 4); 0 for no penalty.
        match: weight of `matching` in the generator's loss, at every `MATCH_EVERY`-th step.
        matching: computes the distance of the fakes to the paintings; None without `match`.
        others: weight in the discriminator's loss of the term that separates real images from
            unselected paintings; used where a batch has these.
    """

    loss: Literal["logistic", "hinge", "relativistic"]
    augment: Augment
    gamma: float = 0.0
    match: float = 0.0
    matching: Matching | None = None
    others: float = 0.0

    def discriminator(
        self,
        D: nn.Module,
        micro_batches: Sequence[MicroBatch],
        fakes: Sequence[Tensor],
        step: int,
        backward: Backward,
    ) -> DiscriminatorOutput:
        """Compute the discriminator's loss and the gradients of its weights.

        Unselected paintings, if there are any, are further negatives beside the fakes (Sinha et al.
        2021, "Negative Data Augmentation").

        Args:
            D: maps images (N, 3, S, S) and class labels (N,) to logits.
            micro_batches: the parts of one batch.
            fakes: the fakes of each micro-batch, (N, 3, S, S) in [-1, 1]; they get no gradients.
            step: steps done before this one.
            backward: called once for each micro-batch.
        """
        loss_function = LOSSES[self.loss].discriminator
        penalised = self.gamma > 0 and step % PENALTY_EVERY == 0
        batch_size = sum(len(micro_batch.real) for micro_batch in micro_batches)
        losses, all_real_logits, all_fake_logits = [], [], []
        for (real, _, y, u, others), fake in zip(micro_batches, fakes, strict=True):
            x_real = self.augment(real, u[:, 0]).requires_grad_(penalised)
            x_fake = self.augment(fake.detach(), u[:, 1]).requires_grad_(penalised)
            real_logits, fake_logits = D(x_real, y), D(x_fake, y)
            loss = loss_function(real_logits, fake_logits)
            if others is not None:
                other_logits = D(self.augment(others, u[:, 3]), y)
                loss = loss + self.others * loss_function(real_logits, other_logits)
            if penalised:
                r1 = gradient_penalty(real_logits, x_real)
                r2 = gradient_penalty(fake_logits, x_fake)
                loss = loss + PENALTY_EVERY * self.gamma / 2 * (r1 + r2)
            backward(loss * (len(real) / batch_size))
            losses.append(loss.detach())
            all_real_logits.append(real_logits.detach())
            all_fake_logits.append(fake_logits.detach())
        return DiscriminatorOutput(
            loss=torch.stack(losses).mean(),
            real_logits=torch.cat(all_real_logits),
            fake_logits=torch.cat(all_fake_logits),
        )

    def generator(
        self,
        D: nn.Module,
        micro_batches: Sequence[MicroBatch],
        fakes: Sequence[Tensor],
        output_D: DiscriminatorOutput,
        step: int,
        backward: Backward,
    ) -> Tensor:
        """Compute the generator's loss and the gradients of the weights that made the fakes.

        With `matching`, the distance is computed for one micro-batch after the other.

        Args:
            D: maps images (N, 3, S, S) and class labels (N,) to logits, with frozen weights.
            micro_batches: the parts of one batch.
            fakes: the fakes of each micro-batch, (N, 3, S, S) in [-1, 1], with gradients.
            output_D: the result of `discriminator` in this step. The relativistic loss compares the
                fakes with its logits of the real images.
            step: steps done before this one.
            backward: called once for each micro-batch.

        Returns:
            The loss, a scalar without gradients and without the term of `matching`.
        """
        loss_function = LOSSES[self.loss].generator
        matching = self.matching if step % MATCH_EVERY == 0 else None
        batch_size = len(output_D.real_logits)
        all_real_logits = output_D.real_logits.split([len(fake) for fake in fakes])
        losses = []
        for micro_batch, fake, real_logits in zip(
            micro_batches, fakes, all_real_logits, strict=True
        ):
            x_fake = self.augment(fake, micro_batch.u[:, 2])
            loss = loss_function(real_logits, D(x_fake, micro_batch.y))
            losses.append(loss.detach())
            if matching is not None:
                loss = loss + self.match * matching(fake)
            backward(loss * (len(fake) / batch_size))
        return torch.stack(losses).mean()
