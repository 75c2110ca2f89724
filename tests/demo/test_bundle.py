import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from brushwork.classifier.identify import ArtistClassifier
from brushwork.errors import BrushworkError
from brushwork.gan.generator import PaintingGenerator
from brushwork_demo.bundle import bundle, describe_artists
from brushwork_demo.models import find_models
from brushwork_demo.rooms.identify import nearest_html


@pytest.fixture(scope="module")
def bundled(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundled")
    report = folder / "report.json"
    report.write_text(json.dumps({"reports": {"fakes": {"pixels": {"fid": 12.5, "n_fake": 9}}}}))
    return bundle(str(run_folder / "generator"), "meadows", 2, report, into=folder / "checkpoints")


def test_a_bundled_checkpoint_has_half_the_bytes_and_paints_the_same(bundled, run_folder):
    weights = load_file(bundled / "model.safetensors")
    assert {v.dtype for v in weights.values() if v.is_floating_point()} == {torch.float16}
    whole = PaintingGenerator.from_pretrained(run_folder / "generator").sample(4, to="tensor")
    halved = PaintingGenerator.from_pretrained(bundled).sample(4, to="tensor")
    assert (whole - halved).abs().max() < 0.02


def test_the_stages_of_the_run_are_bundled_without_a_second_finished_one(bundled):
    painter = find_models([str(bundled)]).painter("meadows")
    assert [stage.name for stage in painter.stages] == ["step-000020", "step-000040", "meadows"]
    assert painter.epochs == (20, 40, 60)
    assert len(painter.curves) == 9


def test_metrics_are_in_the_config_and_in_the_card(bundled):
    results = json.loads((bundled / "config.json").read_text())["results"]
    assert results == {"fid_pixels": 12.5, "n_fake": 9}
    assert "| `fid_pixels` | 12.5 |" in (bundled / "README.md").read_text()


def test_the_card_says_what_a_person_sees(run_folder, tmp_path):
    folder = bundle(
        str(run_folder / "generator"), "meadows", appearance="Meadows, too green.", into=tmp_path
    )
    assert (
        "- What the pictures show: Meadows, too green.\n- The pictures"
        in (folder / "README.md").read_text()
    )
    assert json.loads((folder / "config.json").read_text())["appearance"] == "Meadows, too green."


def test_a_name_that_is_a_path_is_refused(run_folder, tmp_path):
    with pytest.raises(BrushworkError, match="lower-case letters, digits and hyphens"):
        bundle(str(run_folder / "generator"), "../evil", into=tmp_path)


def test_a_bundle_can_be_replaced_by_itself_with_metrics_of_an_older_report(bundled, tmp_path):
    shutil.copytree(bundled, tmp_path / "meadows")
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"reports": {"fakes": {"fid_pixels": 7.5}}}))
    again = bundle(str(tmp_path / "meadows"), "meadows", 2, report, into=tmp_path)
    assert json.loads((again / "config.json").read_text())["results"] == {"fid_pixels": 7.5}
    card = (again / "README.md").read_text()
    assert "| `fid_pixels` | 7.5 |" in card and "12.5" not in card
    same = {file.relative_to(bundled) for file in bundled.rglob("*")}
    assert {file.relative_to(again) for file in again.rglob("*")} == same
    assert {file.name for file in tmp_path.iterdir()} == {"meadows", "report.json"}


def test_a_broken_report_does_not_change_the_older_bundle(bundled, run_folder, tmp_path):
    report = tmp_path / "report.json"
    report.write_text("{}")
    with pytest.raises(BrushworkError, match=r"report\.json"):
        bundle(str(run_folder / "generator"), "meadows", report=report, into=bundled.parent)
    assert (bundled / "model.safetensors").is_file()


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_bundle_that_fails_leaves_nothing_behind(run_folder, tmp_path, monkeypatch, error):
    def fail(*_args, **_settings):
        raise error

    monkeypatch.setattr("brushwork_demo.bundle.write_json", fail)  # after the weights
    with pytest.raises(error):
        bundle(str(run_folder / "generator"), "meadows", into=tmp_path / "checkpoints")
    assert not [*(tmp_path / "checkpoints").iterdir()]


def test_a_report_is_refused_for_a_classifier(classifier_folder, tmp_path):
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"reports": {"fakes": {"pixels": {"fid": 1.0}}}}))
    with pytest.raises(BrushworkError, match="is a classifier; `report` is for generators"):
        bundle(str(classifier_folder), "artists", report=report, into=tmp_path)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("classifier", {"appearance": "green"}, "is a classifier; `appearance` is for generators"),
        ("classifier", {"cover": 0}, "is a classifier; `cover` is for generators only"),
        ("generator", {"about": "synthetic"}, "is a generator; `about` is for classifiers only"),
        ("generator", {"cover": -1}, "`cover` is -1; it must be between 0 and 4294967295"),
        ("generator", {"cover": 2**32}, "`cover` is 4294967296; it must be between"),
    ],
)
def test_what_does_not_fit_the_checkpoint_is_refused(
    run_folder, classifier_folder, tmp_path, kind, settings, message
):
    source = classifier_folder if kind == "classifier" else run_folder / "generator"
    with pytest.raises(BrushworkError, match=message):
        bundle(str(source), "new", into=tmp_path, **settings)
    assert not [*tmp_path.iterdir()]


def test_a_cover_is_kept_unless_another_is_chosen(run_folder, tmp_path):
    source = str(run_folder / "generator")
    for cover, expected in ((7, 7), (None, 7), (0, 0)):
        folder = bundle(source, "meadows", num_stages=0, cover=cover, into=tmp_path)
        assert json.loads((folder / "config.json").read_text())["cover_seed"] == expected
        source = str(folder)


def test_artists_are_described_from_the_data(prepared_folder, capsys):
    lines = describe_artists(str(prepared_folder), ["Haruo Minazuki", "Nobody"])
    assert "80 paintings used, 0 left out" in capsys.readouterr().out
    assert set(lines) == {"Haruo Minazuki"}
    assert lines["Haruo Minazuki"].startswith("Ukiyo-e; 18")
    assert lines["Haruo Minazuki"].endswith(" paintings in the data set")


def test_a_bundled_classifier_finds_similar_paintings_but_has_no_thumbnails(
    classifier_folder, tmp_path
):
    folder = bundle(str(classifier_folder), "artists", into=tmp_path)
    red = Image.new("RGB", (64, 64), "red")
    whole = ArtistClassifier.from_pretrained(classifier_folder).nearest(red, 3)
    halved = ArtistClassifier.from_pretrained(folder).nearest(red, 3)
    assert [near.title for near in halved] == [near.title for near in whole]
    assert all(near.thumbnail for near in whole)
    assert not any(near.thumbnail for near in halved)
    shown = nearest_html(find_models([], str(folder)), red)
    assert shown.count("<li>") == 3 and "<img" not in shown
    assert whole[0].title in shown.partition("</li>")[0]
    assert nearest_html(find_models([], str(classifier_folder)), red).count("<img") == 3
