import base64
import io
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.save import save_generator
from brushwork_demo import paint, serving
from brushwork_demo.models import Models, find_models
from brushwork_demo.rooms import compare, quiz
from brushwork_demo.rooms import paint as room
from brushwork_demo.text import server_answers

TRAINING = {"data": "synthetic", "num_paintings": 9, "fingerprint": "0", "batch_size": 9, "seed": 0}


class NoProgress:
    """Takes the place of Gradio's progress bar."""

    def __call__(self, *_, **__):
        pass


def latents(models, *texts):
    """The latents of recipes that differ in their seed only."""
    return [paint.recipe_request(models, {"painter": "meadows", "seed": t}).z[0] for t in texts]


def angle(one, other):
    """Angle between two latents in degrees."""
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_a_recipe_is_the_first_picture_of_its_seed(models):
    pictures = paint.prepare(models, "meadows", 7, 4, 1, None)
    assert np.array_equal(latents(models, "7")[0], pictures.z[0])


def test_the_first_pictures_of_a_seed_do_not_depend_on_how_many_there_are(models):
    few, many = (paint.prepare(models, "meadows", 7, n, 1, None).z for n in (2, 9))
    assert np.array_equal(few, many[:2])


def test_another_stage_paints_the_same_latents(models):
    early, late = (paint.prepare(models, "meadows", 7, 4, 1, stage) for stage in (1, 3))
    assert np.array_equal(early.z, late.z)
    assert early.folder != late.folder


def test_variations_are_near_their_picture(models):
    own, *near = latents(models, "7", "7.1", "7.2", "7.3")
    strangers = angle(*latents(models, "7", "8"))
    assert all(0 < angle(own, z) < 0.6 * strangers for z in near)


def test_each_picture_has_variations_of_its_own(models):
    """Neither those of another picture nor latents that a seed shows."""
    texts = ["7", "8", "7.1", "7.2", "8.1", "8.2", "7.1.1", "7.2.1", "7.11"]
    found = latents(models, *texts)
    far = [z for z, text in zip(found, texts, strict=True) if "." in text]
    steps = [
        z - latents(models, text.rpartition(".")[0])[0]
        for z, text in zip(far, (t for t in texts if "." in t), strict=True)
    ]
    directions = np.stack([z / np.linalg.norm(z) for z in steps])
    assert (directions @ directions.T - np.eye(len(steps))).max() < 0.6


def test_the_pad_turns_a_latent_and_keeps_its_length(models):
    own, right, left, up, edge = latents(models, "7", "7@0.5,0", "7@-0.5,0", "7@0,0.5", "7@1,0")
    assert np.allclose([np.linalg.norm(z) for z in (right, up, edge)], np.linalg.norm(own))
    assert np.isclose(angle(own, right), 37.5, atol=0.1) and np.isclose(
        angle(own, edge), 75, atol=0.1
    )
    assert np.isclose(angle(left, right), 75, atol=0.1)
    assert np.isclose(
        angle(right, up), np.degrees(np.arccos(np.cos(np.radians(37.5)) ** 2)), atol=0.1
    )
    assert np.array_equal(own, latents(models, "7@0,0")[0])


def test_a_mixture_leads_from_one_picture_to_the_other(models):
    own, other = latents(models, "7.1", "9@0.1,0.2")
    fractions = (0, 0.25, 0.5, 0.75, 1)
    path = latents(models, *(f"(7.1~9@0.1,0.2*{f})" for f in fractions))
    assert np.allclose(path[0], own, atol=1e-5) and np.allclose(path[-1], other, atol=1e-5)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert steps.max() < 1.2 * steps.min()


def test_a_mixture_has_variations_too(models):
    own, near = latents(models, "(7~9*0.5)", "(7~9*0.5).2")
    assert 0 < angle(own, near) < 50


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "7.",
        "7@1",
        "7@2,0",
        "7@0,-1.1",
        "(7~8*0.5",
        "(7~8*2)",
        "7~8",
        "(7*0.5)",
        "-1",
        "4294967296",
        "7.1000",
        "7 8",
        "7;ls",
        "(" * 300,
        "7@nan,0",
        "7@1e9,0",
        "9" * 401,
        "٣",
    ],
)
def test_a_recipe_that_cannot_be_read_is_refused(models, text):
    if text == "":
        assert np.array_equal(*latents(models, "", "0"))  # no seed is the first one
        return
    with pytest.raises(BrushworkError) as error:
        latents(models, text)
    assert len(str(error.value).split()) >= 4


def test_alternative_texts_say_what_is_shown():
    sea = np.zeros((8, 8, 3), np.uint8)
    sea[:4], sea[4:] = (190, 210, 240), (20, 60, 120)
    assert paint.described(sea, "Seas") == (
        "Seas, a generated picture: pale blue above, dark blue below"
    )


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
    torch.nn.init.normal_(network.to_rgb.weight, std=0.3)
    folder = tmp_path_factory.mktemp("conditional") / "genres"
    save_generator(network, folder, TRAINING, 1, "averaged")
    return find_models([str(folder)])


def test_pictures_that_are_no_squares_are_shown_undistorted(tmp_path):
    network = styled.Generator(styled.StyledConfig(side=32, width=4, aspect="3:2"))
    save_generator(network, tmp_path / "wide", TRAINING, 1, "averaged")
    models = find_models([str(tmp_path / "wide")])
    painter = models.painter("wide")
    assert room.facts(models, "wide") == "48 x 32 pixels, from 9 paintings"
    assert "48 x 32" in compare.all_measures(models, ["wide"])
    assert paint.enlarged(np.zeros((32, 48, 3), np.uint8), 100).size == (96, 64)
    real, _ = quiz.real_picture(models, painter, random.Random(0))
    assert real.shape == (32, 48, 3)
    encoded = room.sheet(models, [{"painter": "wide", "seed": "1"}])["src"].partition(",")[2]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
    shown = np.flatnonzero(sheet.min((1, 2)) < 200)  # rows of the picture, on white
    assert abs(len(shown) - room.SHEET_SIDE * 2 / 3) < 4


def test_a_conditional_generator_paints_the_requested_class(conditional_models):
    requests = [
        paint.recipe_request(conditional_models, {"seed": "7", "truncation": "0.7", "label": label})
        for label in ("marina", "portrait")
    ]
    assert [request.y[0] for request in requests] == [1, 2]
    assert np.array_equal(requests[0].z, requests[1].z)
    one, other = (picture.astype(int) for picture in serving.paint_each(requests))
    assert abs(one - other).max() > 1


def test_a_variation_of_a_place_on_the_pad_is_near_to_it(models):
    for place in ("7@0.5,0.25", "7@0.5,1.0", "7@0.1,0.0"):
        here, one, two = latents(models, place, f"{place}.1", f"{place}.2")
        assert 5 < angle(here, one) < 60 and 5 < angle(one, two) < 80
    whole, decimal = latents(models, "7@0.1,0", "7@0.1,0.0")
    assert np.array_equal(whole, decimal), "links of an earlier version"
    with pytest.raises(BrushworkError, match="cannot be read"):
        latents(models, "7@0.5,0.2.5.x")


def test_a_picture_of_a_class_is_named_after_it(conditional_models):
    recipe = {"seed": "7", "label": "marina"}
    assert paint.title_of_recipe(conditional_models, recipe) == "In the manner of marina"
    [shown] = room.show(conditional_models, [recipe])
    assert shown["alt"].startswith("In the manner of marina, a generated picture")
    for label in ("everything", "free money"):  # a link may name anything
        title = paint.title_of_recipe(conditional_models, {"label": label})
        assert title == next(iter(conditional_models.titles.values()))


def test_the_curves_are_named_and_rounded_for_people(models):
    line = {"epoch": 12.3456, "loss_G": 1.23456}
    painter = replace(models.painter("meadows"), curves=(line,))
    table = compare.curves(replace(models, painters={"meadows": painter}), ["meadows"], "loss_G")
    assert table.to_dict("records") == [
        {"Epoch": 12.3, "Loss of the generator": 1.235, "Generator": "Meadows"}
    ]


def test_the_class_of_a_mixture_changes_halfway(conditional_models):
    classes = {
        text: int(paint.recipe_request(conditional_models, {"seed": text}).y[0])
        for text in ("1", "2", "3", "4", "5", "6")
    }
    one = "1"
    other = next(text for text in classes if classes[text] != classes[one])
    mixed = [
        paint.recipe_request(conditional_models, {"seed": f"({one}~{other}*{f})"}).y[0]
        for f in (0.2, 0.4, 0.6, 0.8)
    ]
    assert mixed == [classes[one]] * 2 + [classes[other]] * 2


def test_several_recipes_are_painted_as_each_alone(conditional_models):
    recipes = [{"seed": "1"}, {"seed": "2", "truncation": "0.5"}, {"seed": "1.3"}]
    requests = [paint.recipe_request(conditional_models, recipe) for recipe in recipes]
    for joined, request in zip(serving.paint_each(requests), requests, strict=True):
        assert abs(joined.astype(int) - serving.paint(request)).max() <= 1


def test_the_room_opens_on_a_picture_and_names_its_painters(models):
    shown = room.covers(models)
    page = room.body(models, shown)
    assert list(shown) == ["meadows", "meadows 2"]
    assert page.count('role="radio"') == 2 and "Meadows" in page
    assert shown["meadows"]["alt"].startswith("Meadows, a generated picture: ")


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "x",
        [],
        {},
        [None],
        [1],
        ["7"],
        [{}] * 17,
        [[]],
        [{"painter": "nobody"}],
        [{"painter": ["a"]}],
        [{"painter": {}, "seed": []}],
        [{"seed": {"a": 1}}],
        [{"truncation": "NaN"}],
        [{"truncation": 5}],
        [{"stage": 99}],
        [{"label": "cats"}],
        [{"seed": "../../etc/passwd"}],
    ],
)
def test_a_call_of_the_script_with_other_values_gets_a_sentence(models, value):
    for function in (room.show, room.sheet):
        answer = server_answers(function, models)(value)
        if isinstance(answer, dict) and "error" in answer:
            assert len(answer["error"].split()) >= 4 and "internal" not in answer["error"]
        else:  # an empty list is the opening picture
            assert value in ([{"painter": {}, "seed": []}], [{}] * 17)


def test_favourites_become_one_sheet(models):
    recipes = [{"painter": "meadows", "seed": str(n)} for n in range(3)]
    url = room.sheet(models, recipes)["src"]
    picture = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert picture.format == "JPEG" and picture.size == (2 * 264 + 8, 2 * 264 + 8)


def test_markup_in_a_checkpoint_is_escaped_on_the_page(models):
    painter = replace(models.painter("meadows"), name="<script>")
    evil = Models({"<script>": painter}, None)
    assert "<script>" not in room.body(evil, room.covers(evil))
    assert "<script>" not in compare.side_by_side(evil, ["<script>"], 0)
    assert "<script>" not in compare.all_measures(evil, ["<script>"])
