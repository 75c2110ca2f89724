import sys
import types

import pytest

from brushwork.errors import BrushworkError
from brushwork_demo import studio
from brushwork_demo.studio import MOST_OPEN, open_generator, open_studio


def test_a_run_is_named_by_its_folder_and_its_stages_are_in_the_order_of_training(rooms):
    painter = rooms.painter("meadows")
    assert painter.epochs == (20, 40, 60)
    assert [stage.name for stage in painter.stages] == ["step-000020", "step-000040", "generator"]
    assert painter.stage(None) == painter.stage(3) == painter.stages[-1]


def test_two_painters_of_one_name_can_be_told_apart(rooms):
    assert list(rooms.painters) == ["meadows", "meadows 2"]


def test_what_is_bundled_opens_and_paints():
    rooms = open_studio()
    for painter in rooms.painters.values():
        pictures = studio.paint(studio.order(painter.stages[0], 2, 0, 1.0))
        assert pictures.shape == (2, painter.side, painter.side, 3)


def test_a_classifier_is_no_generator(classifier_folder):
    with pytest.raises(BrushworkError, match="is no painting generator; is it for --classifier"):
        open_studio([str(classifier_folder)])


def test_a_generator_is_no_classifier(run_folder):
    with pytest.raises(BrushworkError, match="is no artist classifier; is it for --generator"):
        open_studio(classifier=str(run_folder / "generator"))


def test_a_folder_that_is_not_there_is_one_sentence():
    with pytest.raises(BrushworkError, match="no checkpoint folder nowhere"):
        open_studio(["nowhere"])


def test_only_a_few_models_are_open_at_once(run_folder, tmp_path):
    for number in range(MOST_OPEN + 3):
        copy = tmp_path / str(number)
        copy.symlink_to(run_folder / "generator")
        open_generator(copy)
    assert open_generator.cache_info().currsize == MOST_OPEN


def test_visitors_with_different_wishes_share_a_batch(rooms):
    orders = [
        studio.order(rooms.painter("meadows").stage(stage), num, seed, truncation)
        for stage, num, seed, truncation in [(1, 2, 0, 1.0), (3, 1, 5, 0.5), (1, 3, 9, 1.0)]
    ]
    together = studio._paint_batch(orders)
    for order, pictures in zip(orders, together, strict=True):
        [alone] = studio._paint_batch([order])
        assert pictures.shape == alone.shape
        assert abs(pictures.astype(int) - alone).max() <= 1


def test_zero_gpu_is_asked_for_where_its_package_is_there(monkeypatch):
    asked = []
    fake = types.ModuleType("spaces")
    fake.GPU = lambda function, duration: asked.append((function, duration)) or function
    monkeypatch.setitem(sys.modules, "spaces", fake)
    assert studio.on_gpu(len) is len
    assert asked == [(len, 20)]
