import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.save import save_generator
from brushwork_demo import compare, paint, serving
from brushwork_demo.models import Models, find_models

TRAINING = {"data": "synthetic", "num_paintings": 9, "fingerprint": "0", "batch_size": 9, "seed": 0}


class NoProgress:
    """Takes the place of Gradio's progress bar."""

    def __call__(self, *_, **__):
        pass


@pytest.fixture
def gallery(models):
    return paint.prepare(models, "meadows", 7, 4, 1, None)


def test_the_first_pictures_of_a_seed_do_not_depend_on_how_many_there_are(models):
    few, many = (paint.prepare(models, "meadows", 7, n, 1, None).request.z for n in (2, 9))
    assert np.array_equal(few, many[:2])


def test_another_stage_paints_the_same_latents(models):
    early, late = (paint.prepare(models, "meadows", 7, 4, 1, stage) for stage in (1, 3))
    assert np.array_equal(early.request.z, late.request.z)
    assert early.request.folder != late.request.folder


def test_variations_are_near_the_chosen_picture_which_comes_first(gallery):
    near = paint.variations(gallery, 2).z
    assert np.array_equal(near[0], gallery.request.z[2])
    distance = np.linalg.norm(near[1:] - near[0], axis=1)
    between_strangers = np.linalg.norm(gallery.request.z[0] - gallery.request.z[1])
    assert (distance > 0).all() and (distance < 0.7 * between_strangers).all()


def test_each_picture_has_variations_of_its_own(models):
    """Neither those of another picture nor latents that a gallery shows."""
    galleries = [paint.prepare(models, "meadows", seed, 6, 1, None) for seed in (0, 1, 7)]
    far = []  # at strength 1 a variation is the random latent itself
    for gallery in galleries:
        for index in range(3):
            far.extend(paint.variations(gallery, index, strength=1.0).z[1:])
            again = replace(gallery, origin=(index,))
            far.extend(paint.variations(again, index, strength=1.0).z[1:])
    shown = [z for gallery in galleries for z in gallery.request.z]
    directions = np.stack([z / np.linalg.norm(z) for z in [*shown, *far]])
    cosines = directions @ directions.T - np.eye(len(directions))
    assert cosines.max() < 0.6


def test_a_mixture_leads_from_one_picture_to_the_other(gallery):
    start, end = paint.only(gallery.request, 0), paint.only(gallery.request, 3)
    z = paint.mixtures(start, end).z
    assert np.allclose(z[0], start.z[0], atol=1e-5) and np.allclose(z[-1], end.z[0], atol=1e-5)
    steps = np.linalg.norm(np.diff(z, axis=0), axis=1)
    assert steps.max() < 1.2 * steps.min()


@pytest.mark.parametrize("count", [1, 3])
def test_a_walk_is_a_video_that_ends_where_it_begins(models, tmp_path, count):
    import av

    file = tmp_path / "walk.mp4"
    paint.walk(paint.prepare(models, "meadows", 7, count, 1, None), file, NoProgress())
    with av.open(str(file)) as film:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]
    assert len(frames) == max(count, 4 if count == 1 else count) * paint.FRAMES_BETWEEN
    jumps = [abs(a - b).mean() for a, b in zip(frames, frames[1:] + frames[:1], strict=True)]
    assert max(jumps) < 10 * np.median(jumps) + 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"painter": "nobody"}, "no painter 'nobody'; choose one of meadows, meadows 2"),
        ({"seed": -1}, "seed -1 is not between 0 and 4,294,967,295"),
        ({"count": 65}, "count 65 is not between 1 and 64"),
        ({"count": "x"}, "count 'x' is not a whole number from 1 to 64"),
        ({"truncation": 2}, "truncation '2' is not between 0.05 and 1"),
        ({"stage": 4}, "stage 4 is not between 1 and 3"),
        ({"label": "cats"}, "painter meadows has no class 'cats'; it has no classes"),
    ],
)
def test_the_message_about_an_invalid_setting_has_the_value_and_the_rule(models, setting, message):
    usual = {"painter": "meadows", "seed": 0, "count": 4, "truncation": 1, "stage": None}
    with pytest.raises(BrushworkError) as error:
        paint.prepare(models, **(usual | setting))
    assert str(error.value) == message


@pytest.fixture(scope="module")
def conditional_models(tmp_path_factory):
    """A generator of three genres that was not trained."""
    torch.manual_seed(0)
    genres = ("landscape", "marina", "portrait")
    network = styled.Generator(styled.StyledConfig(side=32, width=4, classes=genres))
    torch.nn.init.normal_(network.to_rgb[1].weight, std=0.3)
    folder = tmp_path_factory.mktemp("conditional") / "genres"
    save_generator(network, folder, TRAINING, 1, "averaged")
    return find_models([str(folder)])


def test_a_conditional_generator_paints_the_requested_class(conditional_models):
    painter = conditional_models.painter("genres")
    assert paint.class_choices(painter) == ["everything", "landscape", "marina", "portrait"]
    marinas = paint.prepare(conditional_models, "genres", 7, 3, 0.7, None, "marina")
    assert (marinas.request.y == 1).all()
    portraits = paint.prepare(conditional_models, "genres", 7, 3, 0.7, None, "portrait")
    assert np.array_equal(marinas.request.z, portraits.request.z)
    one, other = (serving.paint(gallery.request).astype(int) for gallery in (marinas, portraits))
    assert abs(one - other).max() > 1


def test_variations_have_the_class_of_their_picture(conditional_models):
    mixed = paint.prepare(conditional_models, "genres", 7, 8, 1, None)
    assert len(set(mixed.request.y)) > 1
    assert (paint.variations(mixed, 2).y == mixed.request.y[2]).all()


def test_the_class_of_a_mixture_changes_halfway(conditional_models):
    marina, portrait = (
        paint.prepare(conditional_models, "genres", 7, 1, 1, None, name).request
        for name in ("marina", "portrait")
    )
    assert list(paint.mixtures(marina, portrait, 4).y) == [1, 1, 2, 2]


def test_the_quiz_shows_a_fake_and_a_real_picture_of_the_same_size(models):
    own = (compare.small_jpeg(Image.new("RGB", (300, 400), (200, 200, 200))),)
    fake, pictures = compare.pair(models, "meadows", own)
    assert pictures[0].size == pictures[1].size
    assert (np.asarray(pictures[1 - fake]) == 200).all()


def test_the_servers_copy_of_a_visitors_picture_is_small():
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    encoded = compare.small_jpeg(Image.fromarray(noise))
    assert len(encoded) <= compare.OWN_BYTES
    assert Image.open(io.BytesIO(encoded)).size == (256, 256)


def test_a_comparison_shows_each_painter_and_its_metrics(models):
    page = compare.side_by_side(models, list(models.painters), seed=3)
    assert page.count("<figure>") == 2 and "9 paintings" in page
    assert "No metrics are recorded" in page
    assert list(compare.curves(models, ["meadows"], "loss_D")["epoch"]) == list(range(9))


def test_markup_in_a_checkpoint_is_escaped_on_the_page(models):
    painter = models.painter("meadows")
    assert serving.classes(painter.stages[-1]) == ()
    evil = Models({"<script>": painter}, None)
    assert "<script>" not in compare.side_by_side(evil, ["<script>"], 0)
