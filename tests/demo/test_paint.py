import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.save import save_generator
from brushwork_demo import compare, paint, studio

TRAINING = {"data": "synthetic", "num_paintings": 9, "fingerprint": "0", "batch_size": 9, "seed": 0}


class NoProgress:
    """What a walk tells nobody."""

    def __call__(self, *_, **__):
        pass


@pytest.fixture
def easel(rooms):
    return paint.prepare(rooms, "meadows", 7, 4, 1, None)


def test_the_first_pictures_of_a_seed_do_not_depend_on_how_many_there_are(rooms):
    few, many = (paint.prepare(rooms, "meadows", 7, n, 1, None).order.z for n in (2, 9))
    assert np.array_equal(few, many[:2])


def test_another_stage_paints_the_same_latents(rooms):
    early, late = (paint.prepare(rooms, "meadows", 7, 4, 1, stage) for stage in (1, 3))
    assert np.array_equal(early.order.z, late.order.z)
    assert early.order.folder != late.order.folder


def test_variations_lie_near_the_chosen_picture_which_comes_first(easel):
    near = paint.variations(easel, 2).z
    assert np.array_equal(near[0], easel.order.z[2])
    distance = np.linalg.norm(near[1:] - near[0], axis=1)
    between_strangers = np.linalg.norm(easel.order.z[0] - easel.order.z[1])
    assert (distance > 0).all() and (distance < 0.7 * between_strangers).all()


def test_a_mixture_leads_from_one_picture_to_the_other(easel):
    one, other = paint.only(easel.order, 0), paint.only(easel.order, 3)
    z = paint.mixtures(one, other).z
    assert np.allclose(z[0], one.z[0], atol=1e-5) and np.allclose(z[-1], other.z[0], atol=1e-5)
    steps = np.linalg.norm(np.diff(z, axis=0), axis=1)
    assert steps.max() < 1.2 * steps.min()


@pytest.mark.parametrize("count", [1, 3])
def test_a_walk_is_a_film_that_comes_back(rooms, tmp_path, count):
    import av

    file = tmp_path / "walk.mp4"
    paint.walk(paint.prepare(rooms, "meadows", 7, count, 1, None), file, NoProgress())
    with av.open(str(file)) as film:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in film.decode(video=0)]
    assert len(frames) == max(count, 4 if count == 1 else count) * paint.FRAMES_BETWEEN
    jumps = [abs(a - b).mean() for a, b in zip(frames, frames[1:] + frames[:1], strict=True)]
    assert max(jumps) < 10 * np.median(jumps) + 1


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"painter": "nobody"}, "no painter 'nobody'; there are meadows, meadows 2"),
        ({"seed": -1}, "seed -1 is not between 0 and 4,294,967,295"),
        ({"count": 65}, "count 65 is not between 1 and 64"),
        ({"count": "x"}, "count 'x' is not a whole number from 1 to 64"),
        ({"truncation": 2}, "truncation '2' is not between 0.05 and 1"),
        ({"stage": 4}, "stage 4 is not between 1 and 3"),
        ({"label": "cats"}, "painter meadows knows no 'cats'; it paints only one thing"),
    ],
)
def test_a_wish_that_makes_no_sense_names_value_and_rule(rooms, wish, sentence):
    usual = {"painter": "meadows", "seed": 0, "count": 4, "truncation": 1, "stage": None}
    with pytest.raises(BrushworkError) as error:
        paint.prepare(rooms, **(usual | wish))
    assert str(error.value) == sentence


@pytest.fixture(scope="module")
def conditional_rooms(tmp_path_factory):
    """A painter of three genres that learned nothing."""
    torch.manual_seed(0)
    genres = ("landscape", "marina", "portrait")
    network = styled.Generator(styled.StyledConfig(side=32, width=4, classes=genres))
    torch.nn.init.normal_(network.to_rgb[1].weight, std=0.3)
    folder = tmp_path_factory.mktemp("conditional") / "genres"
    save_generator(network, folder, TRAINING, 1, "averaged")
    return studio.open_studio([str(folder)])


def test_a_conditional_painter_paints_the_class_that_was_asked_for(conditional_rooms):
    painter = conditional_rooms.painter("genres")
    assert paint.choices_of(painter) == ["everything", "landscape", "marina", "portrait"]
    marinas = paint.prepare(conditional_rooms, "genres", 7, 3, 0.7, None, "marina")
    assert (marinas.order.y == 1).all()
    portraits = paint.prepare(conditional_rooms, "genres", 7, 3, 0.7, None, "portrait")
    assert np.array_equal(marinas.order.z, portraits.order.z)
    one, other = (studio.paint(easel.order).astype(int) for easel in (marinas, portraits))
    assert abs(one - other).max() > 1


def test_neighbours_of_a_conditional_painters_picture_are_of_its_class(conditional_rooms):
    mixed = paint.prepare(conditional_rooms, "genres", 7, 8, 1, None)
    assert len(set(mixed.order.y)) > 1
    assert (paint.variations(mixed, 2).y == mixed.order.y[2]).all()


def test_a_mixture_of_two_classes_changes_from_one_to_the_other_halfway(conditional_rooms):
    asked = (conditional_rooms, "genres", 7, 1, 1, None)
    marina, portrait = (paint.prepare(*asked, name).order for name in ("marina", "portrait"))
    assert list(paint.mixtures(marina, portrait, 4).y) == [1, 1, 2, 2]


def test_the_quiz_shows_a_fake_and_a_real_picture_of_one_size(rooms):
    own = (compare.small_jpeg(Image.new("RGB", (300, 400), (200, 200, 200))),)
    machine, pictures = compare.pair(rooms, "meadows", own)
    assert pictures[0].size == pictures[1].size
    assert (np.asarray(pictures[1 - machine]) == 200).all()


def test_a_comparison_shows_each_painter_and_its_numbers(rooms):
    page = compare.side_by_side(rooms, list(rooms.painters), seed=3)
    assert page.count("<figure>") == 2 and "9 paintings" in page
    assert "No numbers were measured" in page
    assert list(compare.curves(rooms, ["meadows"], "loss_D")["epoch"]) == list(range(9))


def test_what_a_checkpoint_claims_is_text_on_the_page(rooms):
    painter = rooms.painter("meadows")
    assert studio.classes(painter.stages[-1]) == ()
    evil = studio.Studio({"<script>": painter}, None)
    assert "<script>" not in compare.side_by_side(evil, ["<script>"], 0)
