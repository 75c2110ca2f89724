import pytest

from brushwork.errors import BrushworkError
from brushwork_demo import serving
from brushwork_demo.models import find_models


def test_a_run_is_named_by_its_folder_and_its_stages_are_in_the_order_of_training(models):
    painter = models.painter("meadows")
    assert painter.epochs == (20, 40, 60)
    assert [stage.name for stage in painter.stages] == ["step-000020", "step-000040", "generator"]
    assert painter.stage(None) == painter.stage(3) == painter.stages[-1]


def test_two_painters_of_one_name_get_different_names(models):
    assert list(models.painters) == ["meadows", "meadows 2"]


def test_bundled_generators_paint():
    models = find_models()
    for painter in models.painters.values():
        pictures = serving.paint(serving.paint_request(painter.stages[0], num=2, seed=0))
        assert pictures.shape == (2, painter.side, painter.side, 3)


def test_a_classifier_is_refused_as_a_generator(classifier_folder):
    with pytest.raises(BrushworkError, match="is not a generator; pass a classifier as `classif"):
        find_models([str(classifier_folder)])


def test_a_generator_is_refused_as_a_classifier(run_folder):
    with pytest.raises(BrushworkError, match="not an artist classifier; pass it as `generator`"):
        find_models(classifier=str(run_folder / "generator"))


def test_a_missing_folder_is_named():
    with pytest.raises(BrushworkError, match="nowhere"):
        find_models(["nowhere"])
