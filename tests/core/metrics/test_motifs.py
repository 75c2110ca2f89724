import pytest
import torch

from brushwork.metrics.motifs import NEIGHBOURS, PATCH, SIDE, patches, repeated_motif, repetition


def pictures(num, seed):
    """Random smooth pictures, uint8 (N, 3, 64, 64)."""
    rough = torch.rand(num, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(rough, size=SIDE, mode="bicubic").clamp(0, 1)
    return (255 * smooth).to(torch.uint8)


def test_a_motif_that_is_stamped_into_some_fakes_is_found_at_its_place():
    real, fake = pictures(240, 0), pictures(120, 1)
    stamp = pictures(1, 2)[0, :, :PATCH, :PATCH]
    stamped = list(range(0, 120, 3))
    brighter = torch.arange(40)[:, None, None, None].to(torch.uint8)  # in another tone each time
    fake[stamped, :, 24 : 24 + PATCH, 40 : 40 + PATCH] = stamp // 2 + brighter
    motif = repeated_motif(real, fake)
    assert motif.top == 24 and abs(motif.left - 40) <= 8  # patches overlap by half
    assert len({*stamped} & {*motif.rows[:40]}) > 30
    assert motif.share == pytest.approx(1 / 3, abs=0.1)
    assert motif.share_of_real < 0.15


def test_the_place_of_a_motif_in_wide_pictures_is_found():
    real, fake = (torch.cat([pictures(n, s), pictures(n, s + 9)[..., :32]], 3) for n, s in
                  ((80, 0), (40, 1)))  # fmt: skip
    fake[::2, :, 32:48, 72:88] = pictures(1, 2)[0, :, :PATCH, :PATCH]
    motif = repeated_motif(real, fake)
    assert abs(motif.top - 32) <= 8 and abs(motif.left - 72) <= 8  # patches overlap by half


def test_other_pictures_repeat_no_more_than_chance_and_flat_ones_nothing():
    motif = repeated_motif(pictures(240, 0), pictures(120, 1))
    assert motif.share < 0.2 and motif.share_of_real < 0.15
    flat = torch.full((9, 3, SIDE, SIDE), 200, dtype=torch.uint8)
    assert not patches(flat).any()
    assert repeated_motif(pictures(18, 0), flat).rows == []


def test_repetition_is_the_similarity_to_the_nearest_but_two_others():
    x = torch.nn.functional.normalize(torch.randn(1, 9, 5), dim=2)
    cosines = torch.nn.functional.cosine_similarity(x[0, :1], x[0, 1:])
    expected = cosines.sort(descending=True).values[NEIGHBOURS - 1]
    torch.testing.assert_close(repetition(x)[0, 0], expected)
