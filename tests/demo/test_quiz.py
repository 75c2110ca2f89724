import asyncio
import random
from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from brushwork.data import synthetic
from brushwork_demo.models import find_models
from brushwork_demo.rooms import identify, quiz


@pytest.fixture(scope="module")
def first(models):
    """The first round of a game."""
    return quiz.deal(models, quiz.Game(), random.Random(0))


def test_a_round_shows_a_fake_and_a_real_picture_of_one_size(first):
    page = quiz.page(first)
    assert page.count("<img") == 2 and "Round 1 of 10" in page
    assert "Generated" not in page and 'class="fake' not in page, "the answer must not be in it"


def test_right_answers_make_a_streak_and_a_wrong_one_ends_it(models, first):
    game = first
    for _ in range(3):
        game = quiz.deal(models, quiz.answer(game, game.pair.fake), random.Random(1))
    assert (game.right, game.streaks[-1], game.round) == (3, 3, 4)
    game = quiz.answer(game, 1 - game.pair.fake)
    assert (game.right, game.streaks[-1], max(game.streaks)) == (3, 0, 3)
    assert "Wrong." in quiz.page(game) and "Generated: Meadows" in quiz.page(game)


def test_a_round_is_answered_once(first):
    with pytest.raises(gr.Error, match="This round is over"):
        quiz.answer(quiz.answer(first, 0), 1)


def test_an_open_round_is_not_replaced_by_another(models, first):
    assert quiz.deal(models, first, random.Random(5)) is first


def test_ten_rounds_end_with_a_score_and_begin_again(models, first):
    answers = (True, True, True, True, False, True, True, False, True)
    over = quiz.answer(replace(first, answers=answers), first.pair.fake)
    page = quiz.page(over)
    assert "You found 8 of the 10 fakes" in page and "Best streak: 4" in page
    assert over.pair.difference in page, "also the last round says what gave the fake away"
    assert "I found 8 of 10 generated paintings. 🟩🟩🟩🟩🟥🟩🟩🟥🟩🟩" in page
    again = quiz.deal(models, over, random.Random(0))
    assert (again.round, again.right) == (1, 0)


def test_a_deleted_game_is_reported_with_a_button_for_a_new_one(models, first):
    async def functions():  # Gradio creates locks, which need a running event loop
        with gr.Blocks(analytics_enabled=False) as page:
            quiz.room(models)
        return {function.name: function.fn for function in page.fns.values()}

    functions = asyncio.run(functions())
    start, guess = functions["start"], functions["guess"]
    _, unfinished, _ = start(quiz.Game(), False)
    for deleted in (start(quiz.Game(), unfinished), guess(quiz.Game(), None)):
        assert "Yours is deleted, with its score." in deleted[2]
        assert 'class="go">New game' in deleted[2]
        assert "Round 1 of 10" in start(*deleted[:2])[2]
    last = replace(first, answers=(True,) * 9)
    _, unfinished, _ = guess(last, SimpleNamespace(index="0"))
    assert "Round 1 of 10" in start(quiz.Game(), unfinished)[2], "nothing of it was lost"


def test_real_pictures_come_from_the_folder_of_the_genre(run_folder, tmp_path):
    for name, colour in (("landscape/green-hill.png", "green"), ("portrait/red.png", "red")):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (90, 60), colour).save(tmp_path / name)
    models = find_models([str(run_folder / "generator")], pictures=str(tmp_path))
    [painter] = models.painters.values()
    config = painter.config | {"training": {"genre": ["landscape"]}}
    for seed in range(4):
        real, name = quiz.real_picture(models, replace(painter, config=config), random.Random(seed))
        assert real.shape == (32, 32, 3) and name == "Real: Green hill"
        assert np.abs(real.astype(int) - (0, 128, 0)).max() <= 3


def test_a_broken_picture_is_neither_an_example_nor_in_the_quiz(run_folder, tmp_path, capsys):
    (tmp_path / "a broken one.jpg").write_bytes(b"no picture")
    Image.new("RGB", (90, 60), "green").save(tmp_path / "green-hill.png")
    models = find_models([str(run_folder / "generator")], pictures=str(tmp_path))
    assert [file.name for file in identify.example_files(models)] == ["green-hill.png"]
    assert "cannot be read: a broken one.jpg" in capsys.readouterr().out
    [painter] = models.painters.values()
    for seed in range(4):
        assert quiz.real_picture(models, painter, random.Random(seed))[1] == "Real: Green hill"


def test_without_pictures_a_painting_of_the_genre_is_drawn(models):
    painter = models.painter("meadows")
    config = painter.config | {"training": {"genre": "portrait"}}
    real, name = quiz.real_picture(models, replace(painter, config=config), random.Random(0))
    drawn = [
        synthetic.draw(n, side=32)
        for n in _indices(0)
        if synthetic.describe(n)["genre"] == "portrait"
        and synthetic.describe(n)["artist"] in quiz.PAINTED
    ]
    assert np.array_equal(real, np.asarray(drawn[0])) and "drawn by code" in name


def _indices(seed):
    rng = random.Random(seed)
    return [rng.randrange(1_000_000) for _ in range(20)]


def test_what_gives_a_fake_away_is_measured():
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (32, 32, 1), dtype=np.uint8).repeat(3, -1)
    smooth = (
        np.full((32, 32, 3), 100, np.uint8) + (np.arange(32, dtype=np.uint8) * 2)[:, None, None]
    )
    assert "times as much fine detail" in quiz.difference(rough, smooth)
    assert "% as much fine detail" in quiz.difference(smooth, rough)
    assert quiz.difference(rough, rough) == "In detail and colour the two are alike."
