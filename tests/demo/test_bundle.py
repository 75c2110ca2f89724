import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from brushwork.classifier.identify import ArtistClassifier
from brushwork.errors import BrushworkError
from brushwork.gan.generator import PaintingGenerator
from brushwork_demo.bundle import bundle, lines_on_artists
from brushwork_demo.identify import nearest_html
from brushwork_demo.studio import open_studio


@pytest.fixture(scope="module")
def bundled(run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundled")
    report = folder / "report.json"
    report.write_text(json.dumps({"reports": {"fakes": {"fid_pixels": 12.5, "n_fake": 9}}}))
    return bundle(str(run_folder / "generator"), "meadows", 2, report, into=folder / "checkpoints")


def test_a_bundled_checkpoint_has_half_the_bytes_and_paints_the_same(bundled, run_folder):
    weights = load_file(bundled / "model.safetensors")
    assert {v.dtype for v in weights.values() if v.is_floating_point()} == {torch.float16}
    whole = PaintingGenerator.from_pretrained(run_folder / "generator").sample(4, to="tensor")
    halved = PaintingGenerator.from_pretrained(bundled).sample(4, to="tensor")
    assert (whole - halved).abs().max() < 0.02


def test_stages_of_the_run_come_along_without_the_finished_one_twice(bundled):
    painter = open_studio([str(bundled)]).painter("meadows")
    assert [stage.name for stage in painter.stages] == ["step-000020", "step-000040", "meadows"]
    assert painter.epochs == (20, 40, 60)
    assert len(painter.curves) == 9


def test_measured_numbers_are_in_the_config_and_in_the_card(bundled):
    assert json.loads((bundled / "config.json").read_text())["results"]["fid_pixels"] == 12.5
    assert "- `fid_pixels`: 12.5" in (bundled / "README.md").read_text()


def test_a_name_that_could_be_a_path_is_refused(run_folder, tmp_path):
    with pytest.raises(BrushworkError, match="small letters, digits and hyphens"):
        bundle(str(run_folder / "generator"), "../evil", into=tmp_path)


def test_a_bundle_can_be_bundled_again_onto_itself(bundled, tmp_path):
    shutil.copytree(bundled, tmp_path / "meadows")
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"reports": {"fakes": {"fid_pixels": 7.5}}}))
    again = bundle(str(tmp_path / "meadows"), "meadows", 2, report, into=tmp_path)
    assert json.loads((again / "config.json").read_text())["results"] == {"fid_pixels": 7.5}
    same = {file.relative_to(bundled) for file in bundled.rglob("*")}
    assert {file.relative_to(again) for file in again.rglob("*")} == same
    assert {file.name for file in tmp_path.iterdir()} == {"meadows", "report.json"}


def test_a_broken_report_leaves_the_older_bundle_alone(bundled, run_folder, tmp_path):
    report = tmp_path / "report.json"
    report.write_text("{}")
    with pytest.raises(BrushworkError, match=r"report\.json"):
        bundle(str(run_folder / "generator"), "meadows", report=report, into=bundled.parent)
    assert (bundled / "model.safetensors").is_file()


def test_a_line_on_an_artist_is_drawn_from_the_data(prepared_folder):
    lines = lines_on_artists(str(prepared_folder), ["Haruo Minazuki", "Nobody"])
    assert set(lines) == {"Haruo Minazuki"}
    assert lines["Haruo Minazuki"].startswith("Ukiyo-e; 18")
    assert lines["Haruo Minazuki"].endswith("paintings here")


def test_a_bundled_classifier_names_similar_paintings_without_their_pictures(
    classifier_folder, tmp_path
):
    folder = bundle(str(classifier_folder), "artists", into=tmp_path)
    red = Image.new("RGB", (64, 64), "red")
    whole = ArtistClassifier.from_pretrained(classifier_folder).nearest(red, 3)
    halved = ArtistClassifier.from_pretrained(folder).nearest(red, 3)
    assert [near.title for near in halved] == [near.title for near in whole]
    assert all(near.thumbnail for near in whole)
    assert not any(near.thumbnail for near in halved)
    shown = nearest_html(open_studio([], str(folder)), red)
    assert shown.count("<li>") == 3 and "<img" not in shown
    assert whole[0].title in shown.partition("</li>")[0]
    assert nearest_html(open_studio([], str(classifier_folder)), red).count("<img") == 3
