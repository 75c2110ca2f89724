import itertools

import numpy as np
import pytest
import torch

from brushwork.data.batches import latents, share_of, to_uint8
from brushwork.gan import batches as module
from brushwork.gan.augment import augmentation_numbers
from brushwork.gan.batches import BLOCK, MicroBatch, gan_batches

CPU = torch.device("cpu")


@pytest.fixture(autouse=True, params=["read by a thread", "on the device"])
def where_the_paintings_are(request, monkeypatch):
    if request.param == "on the device":
        monkeypatch.setattr(module, "fits", lambda *_, **__: True)


def batches(pixels, rows, **changed):
    """List the paintings as uint8, latents, labels and, optionally, others of four steps."""
    settings = {"batch_size": 8, "latent_dim": 4, "seed": 1, "flip": True, "device": CPU} | changed
    steps = itertools.islice(gan_batches(pixels, rows, **settings), 4)
    return [
        (to_uint8(part.real), part.z, part.y)
        + (() if part.others is None else (to_uint8(part.others),))
        for (part,) in steps
    ]


def test_two_processes_share_the_batches_of_one():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)
    rows = np.arange(3, 27)
    whole = batches(pixels, rows)
    halves = zip(*(batches(pixels, rows, share=share_of(8, i, 2)) for i in (0, 1)), strict=True)
    for (real, z, _), ((real_0, z_0, _), (real_1, z_1, _)) in zip(whole, halves, strict=True):
        assert torch.equal(real, torch.cat([real_0, real_1]))
        assert torch.equal(z, torch.cat([z_0, z_1]))


def test_batches_taken_up_later_are_the_same():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    whole, later = (batches(pixels, np.arange(30), first_step=step) for step in (0, 2))
    for (real, z, _), (real_again, z_again, _) in zip(whole[2:], later[:2], strict=True):
        assert torch.equal(real, real_again) and torch.equal(z, z_again)


def test_paintings_by_others_come_last_and_each_once_per_epoch():
    pixels = np.zeros((50, 4, 4, 3), np.uint8) + np.arange(50, dtype=np.uint8)[:, None, None, None]
    rows, others = np.arange(10), np.arange(10, 42)
    plain, more = batches(pixels, rows), batches(pixels, rows, others=others)
    for (*same, theirs), expected in zip(more, plain, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(same, expected, strict=True))
        assert theirs.shape == (8, 3, 4, 4)
    seen = torch.cat([theirs[:, 0, 0, 0] for *_, theirs in more])
    assert sorted(seen.tolist()) == others.tolist()  # 4 batches of 8
    shares = [batches(pixels, rows, others=others, share=share_of(8, i, 2)) for i in (0, 1)]
    halves = [torch.cat([first[-1], second[-1]]) for first, second in zip(*shares, strict=True)]
    assert torch.equal(torch.cat(halves), torch.cat([theirs for *_, theirs in more]))


def test_labels_stay_with_their_paintings():
    pixels = np.zeros((50, 4, 4, 3), np.uint8) + np.arange(50, dtype=np.uint8)[:, None, None, None]
    rows = np.arange(10, 40, 3)
    for real, z, y in batches(pixels, rows, labels=rows % 7, share=slice(2, 7)):
        assert torch.equal(real[:, 0, 0, 0] % 7, y) and len(z) == 5
    assert all((y == 0).all() for _, _, y in batches(pixels, rows))


def test_only_the_chosen_rows_come_and_half_are_mirrored():
    pixels = np.zeros((50, 4, 4, 3), np.uint8)
    pixels[:, :, 0] = np.arange(50)[:, None, None]  # the left column says which painting it is
    real = torch.cat([real for real, *_ in batches(pixels, np.arange(10, 20), batch_size=100)])
    left, right = real[:, 0, 0, 0], real[:, 0, 0, -1]
    assert set((left + right).tolist()) == set(range(10, 20))
    assert 0.4 < (right > 0).float().mean() < 0.6
    unflipped = batches(pixels, np.arange(10, 20), flip=False)
    assert all((real[..., -1] == 0).all() for real, *_ in unflipped)


def test_reading_leaves_the_memory_map_as_it_was(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    batches(np.load(tmp_path / "pixels.npy", mmap_mode="r"), np.arange(9))
    assert np.array_equal(np.load(tmp_path / "pixels.npy"), pixels)


def test_the_numbers_of_each_step_are_those_of_its_seed_and_step_across_blocks():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 3), dtype=np.uint8)
    steps = gan_batches(pixels, np.arange(9), 6, latent_dim=4, seed=2, flip=True, device=CPU)
    for step, (part,) in enumerate(itertools.islice(steps, 2 * BLOCK + 1)):
        assert torch.equal(part.z, latents(step, 6, 4, seed=2))
        assert torch.equal(part.u, augmentation_numbers(step, 6, seed=2))


def test_micro_batches_together_are_the_whole_batch():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)

    def first(num_micro_batches):
        return next(
            gan_batches(
                pixels,
                np.arange(20),
                batch_size=8,
                latent_dim=4,
                seed=1,
                flip=True,
                device=CPU,
                num_micro_batches=num_micro_batches,
                labels=np.arange(20) % 3,
                others=np.arange(20, 30),
            )
        )

    (whole,), parts = first(1), first(3)
    assert [len(part.real) for part in parts] == [3, 3, 2]
    for name in MicroBatch._fields:
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(joined, getattr(whole, name))
    assert whole.real.min() >= -1 and whole.real.max() <= 1
