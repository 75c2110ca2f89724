"""The losses and gradients of one training step of a GAN: the discriminator's and the generator's.

The objective uses networks and tensors only, and no optimiser, device, process or file. To save
memory, a batch may be split into micro-batches; their gradients add up to those of the batch.

No function here reads a value of a tensor, so a GPU never waits for the host within a step. What a
step computes depends on its number only through `PENALTY_EVERY` and `MATCH_EVERY`.

N images of a micro-batch, B images of a batch.
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from brushwork.gan.augment import Augment
from brushwork.gan.backbone_discriminator import BackboneDiscriminator
from brushwork.gan.batches import MicroBatch
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


class FakeInput(NamedTuple):
    """What the discriminator receives of the fakes of a micro-batch, in both halves of a step.

    Attributes:
        images: distorted fakes (N, 3, H, W), with gradients.
        maps: their feature maps in the frozen backbone; None without a backbone. They take most of
            the discriminator's time and are the same in both halves.
    """

    images: Tensor
    maps: list[Tensor] | None


class DiscriminatorOutput(NamedTuple):
    """Results of the discriminator's half of a step.

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


def fake_input(objective: "Objective", D: nn.Module, part: MicroBatch, fake: Tensor) -> FakeInput:
    """Distort fakes (N, 3, H, W), and compute their feature maps in the frozen backbone."""
    images = objective.augment(fake, part.u[:, 1])
    maps = D.mixed_maps(images) if isinstance(D, BackboneDiscriminator) else None
    return FakeInput(images, maps)


def discriminator_terms(
    objective: "Objective", D: nn.Module, part: MicroBatch, fake: FakeInput, penalised: bool
) -> DiscriminatorOutput:
    """Compute the discriminator's loss for one micro-batch.

    Args:
        objective: the losses and the augmentation.
        D: maps images (N, 3, H, W) and class labels (N,) to logits.
        part: the micro-batch.
        fake: its fakes, detached from the generator.
        penalised: whether to add the gradient penalties. If so, the real images and the fakes need
            gradients.
    """
    loss_function = LOSSES[objective.loss].discriminator
    x_real, x_fake = objective.augment(part.real, part.u[:, 0]), fake.images
    real_logits = D(x_real, part.y)
    # The penalty of the fakes needs the gradient through the backbone.
    fake_logits = _logits(D, x_fake, part.y, None if penalised else fake.maps)
    loss = loss_function(real_logits, fake_logits)
    if part.others is not None:
        other_logits = D(objective.augment(part.others, part.u[:, 2]), part.y)
        loss = loss + objective.others * loss_function(real_logits, other_logits)
    if penalised:
        r1 = gradient_penalty(real_logits, x_real)
        r2 = gradient_penalty(fake_logits, x_fake)
        loss = loss + PENALTY_EVERY * objective.gamma / 2 * (r1 + r2)
    return DiscriminatorOutput(loss, real_logits.detach(), fake_logits.detach())


def generator_terms(
    objective: "Objective",
    D: nn.Module,
    part: MicroBatch,
    fake: FakeInput,
    real_logits: Tensor,
    matched: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Compute the generator's loss for one micro-batch.

    Args:
        objective: the losses.
        D: maps images (N, 3, H, W) and class labels (N,) to logits.
        part: the micro-batch.
        fake: its fakes, with gradients.
        real_logits: logits of the real images, (N,) or (N, heads), for the relativistic loss.
        matched: the fakes without distortion, (N, 3, H, W), if the distance to the paintings is
            added in this step.

    Returns:
        The loss with and without the term of `matching`, scalars.
    """
    fake_logits = _logits(D, fake.images, part.y, fake.maps)
    loss = LOSSES[objective.loss].generator(real_logits, fake_logits)
    if matched is None or objective.matching is None:
        return loss, loss.detach()
    return loss + objective.match * objective.matching(matched), loss.detach()


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
        autocast: makes the context that sets the precision of the networks. It spans all forward
            passes of a half, so that the weights are converted once for them.
        fake_input: `fake_input`, or a compiled form of it; see `captured`.
        discriminator_terms: likewise.
        generator_terms: likewise.
    """

    loss: Literal["logistic", "hinge", "relativistic"]
    augment: Augment
    gamma: float = 0.0
    match: float = 0.0
    matching: Matching | None = None
    others: float = 0.0
    autocast: Callable[..., AbstractContextManager[object]] = nullcontext
    fake_input: Callable[..., FakeInput] = fake_input
    discriminator_terms: Callable[..., DiscriminatorOutput] = discriminator_terms
    generator_terms: Callable[..., tuple[Tensor, Tensor]] = generator_terms

    def fake_inputs(
        self, D: nn.Module, micro_batches: Sequence[MicroBatch], fakes: Sequence[Tensor]
    ) -> list[FakeInput]:
        """Compute what the discriminator receives of the fakes, in both halves of a step.

        Args:
            D: maps images (N, 3, H, W) and class labels (N,) to logits.
            micro_batches: the parts of one batch.
            fakes: the fakes of each micro-batch, (N, 3, H, W) in [-1, 1], with gradients.
        """
        with self.autocast():
            return [
                self.fake_input(self, D, part, fake)
                for part, fake in zip(micro_batches, fakes, strict=True)
            ]

    def discriminator(
        self,
        D: nn.Module,
        micro_batches: Sequence[MicroBatch],
        fakes: Sequence[FakeInput],
        step: int,
        backward: Backward,
    ) -> DiscriminatorOutput:
        """Compute the discriminator's loss and the gradients of its weights.

        Unselected paintings, if there are any, are further negatives beside the fakes (Sinha et al.
        2021, "Negative Data Augmentation").

        Args:
            D: maps images (N, 3, H, W) and class labels (N,) to logits.
            micro_batches: the parts of one batch.
            fakes: from `fake_inputs`; they get no gradients.
            step: steps done before this one.
            backward: called once for each micro-batch.

        Returns:
            The results, without gradients.
        """
        penalised = self.gamma > 0 and step % PENALTY_EVERY == 0
        batch_size = sum(len(part.real) for part in micro_batches)
        outputs, losses = [], []
        for part, fake in zip(micro_batches, fakes, strict=True):
            share = len(part.real) / batch_size
            part.real.requires_grad_(penalised)
            images = fake.images.detach().requires_grad_(penalised)
            maps = None if fake.maps is None else [h.detach() for h in fake.maps]
            detached = FakeInput(images, maps)
            with self.autocast():
                output = self.discriminator_terms(self, D, part, detached, penalised)
            backward(output.loss * share)
            losses.append(output.loss.detach() * share)
            outputs.append(output)
        return DiscriminatorOutput(
            loss=torch.stack(losses).sum(),
            real_logits=torch.cat([output.real_logits for output in outputs]),
            fake_logits=torch.cat([output.fake_logits for output in outputs]),
        )

    def generator(
        self,
        D: nn.Module,
        micro_batches: Sequence[MicroBatch],
        fakes: Sequence[Tensor],
        inputs: Sequence[FakeInput],
        output_D: DiscriminatorOutput,
        step: int,
        backward: Backward,
    ) -> Tensor:
        """Compute the generator's loss and the gradients of the weights that made the fakes.

        With `matching`, the distance is computed for one micro-batch after the other.

        Args:
            D: maps images (N, 3, H, W) and class labels (N,) to logits, with frozen weights.
            micro_batches: the parts of one batch.
            fakes: the fakes of each micro-batch, (N, 3, H, W) in [-1, 1], with gradients.
            inputs: from `fake_inputs`.
            output_D: the result of `discriminator` in this step. The relativistic loss compares the
                fakes with its logits of the real images.
            step: steps done before this one.
            backward: called once for each micro-batch.

        Returns:
            The loss, a scalar without gradients and without the term of `matching`.
        """
        matches = self.matching is not None and step % MATCH_EVERY == 0
        batch_size = len(output_D.real_logits)
        all_real_logits = output_D.real_logits.split([len(fake) for fake in fakes])
        losses = []
        for part, fake, seen, real_logits in zip(
            micro_batches, fakes, inputs, all_real_logits, strict=True
        ):
            matched = fake if matches else None
            with self.autocast():
                loss, adversarial = self.generator_terms(self, D, part, seen, real_logits, matched)
            share = len(fake) / batch_size
            backward(loss * share)
            losses.append(adversarial * share)
        return torch.stack(losses).sum()


def captured(objective: Objective, G: nn.Module, backend: str | None = None) -> Objective:
    """Compile the functions of a step, each as one graph; on a GPU they become CUDA graphs.

    Each kind of step, with or without penalties and matching, is compiled when it first occurs.

    Args:
        objective: the objective of an eager training.
        G: the generator, which is compiled in place.
        backend: a backend of `torch.compile`; by default the one that makes CUDA graphs.

    Returns:
        The same objective; its results differ by rounding only.
    """
    # The compiler looks at the gradients of fakes, which no one asked it to keep.
    warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor that is not a leaf")
    # The gradient penalties compute a gradient within the graph.
    torch._dynamo.config.trace_autograd_ops = True
    options: dict[str, Any] = {"fullgraph": True, "dynamic": False}
    options |= {"backend": backend} if backend else {"mode": "reduce-overhead"}
    G.compile(**options)
    compiled = torch.compile(**options)
    return replace(
        objective,
        fake_input=compiled(fake_input),
        discriminator_terms=compiled(discriminator_terms),
        generator_terms=compiled(generator_terms),
    )


def _logits(D: nn.Module, x: Tensor, y: Tensor, maps: list[Tensor] | None) -> Tensor:
    return D(x, y) if maps is None else D(x, y, maps)
