import numpy as np
import pytest
import torch

from brushwork.classifier.views import TrainingViews, Views, side_schedule, whole_views

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 40, 40, 3), dtype=np.uint8)


def batches(views=None, share=slice(None), seed=0, side=32):
    return TrainingViews(
        PIXELS,
        np.arange(6),
        np.array([0, 1, 2, 0, 1, 2]),
        num_artists=3,
        batch_size=4,
        side=lambda _step: side,
        views=views or Views(),
        seed=seed,
        share=share,
    )


@pytest.mark.parametrize("augment", ["none", "trivial", "rand"])
@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_a_batch_depends_on_seed_and_step_alone(augment, mix):
    views = Views(augment=augment, mix=mix, label_smoothing=0.1)
    first, targets = batches(views)[5]
    torch.manual_seed(123)
    again, same_targets = batches(views)[5]
    assert torch.equal(first, again) and torch.equal(targets, same_targets)
    assert first.shape == (4, 3, 32, 32) and first.dtype == torch.uint8
    torch.testing.assert_close(targets.sum(1), torch.ones(4))
    assert not torch.equal(first, batches(views)[6][0])
    assert not torch.equal(first, batches(views, seed=1)[5][0])


def test_drawing_views_leaves_the_random_state_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    batches(Views(augment="trivial", mix="cutmix"))[0]
    assert torch.equal(torch.rand(3), expected)


def test_two_processes_share_the_batch_of_one():
    whole, _ = batches(Views(augment="trivial"))[2]
    halves = [batches(Views(augment="trivial"), share)[2][0] for share in (slice(2), slice(2, 4))]
    assert torch.equal(torch.cat(halves), whole)


def test_labels_go_with_their_paintings():
    seen = {}
    for step in range(3):
        images, targets = batches(Views(min_area=1.0), side=40)[step]
        for image, target in zip(images, targets, strict=True):
            pixels = image.permute(1, 2, 0).numpy()
            row = next(
                i
                for i, p in enumerate(PIXELS)
                if (p == pixels).all() or (p[:, ::-1] == pixels).all()
            )
            seen[row] = int(target.argmax())
    assert seen == {0: 0, 1: 1, 2: 2, 3: 0, 4: 1, 5: 2}


def test_smoothing_spreads_its_share_over_all_artists():
    _, targets = batches(Views(label_smoothing=0.3))[0]
    assert sorted(targets[0].tolist()) == pytest.approx([0.1, 0.1, 0.8])


def test_ten_views_are_five_crops_and_their_mirror_images():
    x = torch.arange(3 * 16 * 16).float().reshape(1, 3, 16, 16)
    views = whole_views(x, 10)
    assert len(views) == 10
    assert torch.equal(views[0], x[..., :14, :14]) and torch.equal(views[1], views[0].flip(3))
    assert torch.equal(views[8], x[..., 1:15, 1:15])
    assert len(whole_views(x, 2)) == 2 and torch.equal(whole_views(x, 2)[1], x.flip(3))


@pytest.mark.parametrize(
    ("first", "last", "sides"),
    [
        (144, 144, [144, 144, 144, 144]),
        (100, 160, [100, 128, 128, 160]),
        (15, 64, [15, 32, 32, 64]),
        (128, 192, [128, 160, 160, 192]),
    ],
)
def test_sides_begin_and_end_as_asked_and_never_shrink(first, last, sides):
    side = side_schedule(first, last, num_steps=4)
    assert [side(step) for step in range(4)] == sides


def test_degraded_views_show_other_pixels_of_the_same_paintings():
    plain, degraded = (batches(Views(degrade=share), side=40)[1] for share in (0.0, 1.0))
    assert torch.equal(plain[1], degraded[1])  # the targets
    assert not any(torch.equal(a, b) for a, b in zip(plain[0], degraded[0], strict=True))
    assert torch.equal(degraded[0], batches(Views(degrade=1.0), side=40)[1][0])
