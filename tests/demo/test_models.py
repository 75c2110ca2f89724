import json
import shutil
from dataclasses import replace

import pytest

from brushwork.errors import BrushworkError
from brushwork_demo import app, serving
from brushwork_demo.models import find_models


def test_a_run_is_named_by_its_folder_and_its_stages_are_in_the_order_of_training(models):
    painter = models.painter("meadows")
    assert painter.epochs == (20, 40, 60)
    assert [stage.name for stage in painter.stages] == ["step-000020", "step-000040", "generator"]
    assert painter.stage(None) == painter.stage(3) == painter.stages[-1]


@pytest.mark.parametrize(
    ("inside", "place", "name"),
    [
        (".", ".", "meadows"),
        (".", "generator", "meadows"),
        ("generator", ".", "meadows"),
        ("generator", "..", "meadows"),
        ("kept", "../generator/..", "meadows"),
        ("kept/step-000020", ".", "step-000020"),
        ("kept", "step-000020/../step-000040", "step-000040"),
    ],
)
def test_a_relative_place_has_the_name_of_its_folder(run_folder, monkeypatch, inside, place, name):
    monkeypatch.chdir(run_folder / inside)
    painter = find_models([place]).painter(name)
    assert len(painter.stages) == (3 if name == "meadows" else 1)


def test_a_link_to_a_run_has_its_own_name(run_folder, tmp_path):
    (tmp_path / "best").symlink_to(run_folder)
    assert [*find_models([str(tmp_path / "best")]).painters] == ["best"]


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


def test_bundled_models_are_the_default_and_have_names():
    painters = find_models().painters
    assert {"landscapes", "monet"} <= painters.keys() and "artists" not in painters
    sides = [painter.side for painter in painters.values()]
    assert sides == sorted(sides, reverse=True) and sides[0] > sides[-1]
    (chosen,) = find_models(["monet"]).painters.values()
    assert chosen == painters["monet"]
    classifier = find_models().classifier
    assert classifier and classifier == find_models(classifier="artists").classifier


def test_the_page_opens_on_the_bundled_generator_with_the_most_varied_large_pictures():
    """Of the largest pictures, and among these trained on the most paintings."""
    models = find_models()
    best = models.painter(None)
    assert best.side == max(painter.side for painter in models.painters.values())
    rivals = [p for p in models.painters.values() if p.side == best.side]
    numbers = [p.config["training"]["num_paintings"] for p in rivals]
    assert best.config["training"]["num_paintings"] == max(numbers)


def test_painters_have_titles_for_people():
    titles = find_models().titles
    assert titles["monet"] == "After Claude Monet" and titles["landscapes"] == "Landscapes"
    assert titles["in-the-manner-of"] == "In the manner of 14 artists"


def test_equal_titles_contain_the_names():
    models = find_models()
    same = {name: replace(models.painters["monet"], name=name) for name in ("one", "two")}
    assert replace(models, painters=same).titles == {
        "one": "After Claude Monet (one)",
        "two": "After Claude Monet (two)",
    }


def test_a_folder_without_pictures_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear painter")
    with pytest.raises(BrushworkError, match=r"`pictures` is .*, which has no JPEG, PNG or WebP"):
        find_models(pictures=str(tmp_path))


def test_a_missing_folder_is_named():
    with pytest.raises(BrushworkError, match="nowhere"):
        find_models(["nowhere"])


@pytest.fixture
def broken_classifier(classifier_folder, tmp_path):
    folder = tmp_path / "classifier"
    shutil.copytree(classifier_folder, folder)
    return folder


@pytest.mark.parametrize("file", ["model.safetensors", "index.safetensors"])
def test_a_broken_classifier_is_refused_at_the_start(run_folder, broken_classifier, file):
    models = find_models([str(run_folder / "generator")], str(broken_classifier))
    content = (broken_classifier / file).read_bytes()
    (broken_classifier / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(BrushworkError, match=file):
        app.launch(models)


@pytest.mark.parametrize("key", ["artists", "mean", "threshold"])
def test_a_classifier_whose_config_lacks_a_key_is_refused_at_the_start(
    run_folder, broken_classifier, key
):
    config = json.loads((broken_classifier / "config.json").read_text())
    del config[key]
    (broken_classifier / "config.json").write_text(json.dumps(config))
    with pytest.raises(BrushworkError, match=r"config\.json|not the checkpoint"):
        app.launch(find_models([str(run_folder / "generator")], str(broken_classifier)))


@pytest.mark.parametrize("place", ["generator", "kept/step-000020"])
def test_a_broken_generator_of_any_stage_is_refused_at_the_start(run_folder, tmp_path, place):
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    models = find_models([str(run / "generator")], None)
    weights = run / place / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:999])
    with pytest.raises(BrushworkError, match=r"model\.safetensors"):
        app.launch(models)


def test_a_generator_without_a_model_in_its_config_is_refused(run_folder, tmp_path):
    folder = tmp_path / "generator"
    shutil.copytree(run_folder / "generator", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model": None}))
    with pytest.raises(BrushworkError, match=r"config\.json"):
        find_models([str(folder)])


def test_a_torn_last_line_of_the_curves_is_dropped(run_folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(run_folder, run)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "epo')
    painter = find_models([str(run / "generator")]).painter("run")
    assert len(painter.curves) == 9
