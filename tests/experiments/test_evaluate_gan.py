"""The script on tiny generators and folders, once by its real command line."""

import csv
import json
import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import save_file

from brushwork.backbones.create import create_backbone, input_statistics
from brushwork.classifier.save import save_classifier
from brushwork.data.prepared import open_prepared
from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.evaluate import open_pictures
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.save import save_generator
from brushwork.gan.styled import StyledConfig
from brushwork.metrics import distances
from brushwork.metrics.features import extract, pixels, thumbnails
from brushwork.metrics.motifs import repeated_motif
from brushwork.metrics.texture import radial_spectrum
from brushwork.spaces import open_space
from experiments import evaluate_gan as script
from settings import read_flags

TRAINING = {"data": "synthetic", "num_paintings": 9, "fingerprint": "0", "batch_size": 8, "seed": 0}


def save_small(folder, seed):
    torch.manual_seed(seed)
    save_generator(Generator(DCGANConfig(side=32, width=2)), folder, TRAINING, 1, "averaged")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder: the final generator, and two that were kept during training."""
    folder = tmp_path_factory.mktemp("run") / "gan"
    save_small(folder / "generator", 0)
    save_small(folder / "kept" / "step-000010", 1)
    save_small(folder / "kept" / "step-000020", 0)
    return folder


TINY = ("--num-fakes", 21, "--num-pairs", 20)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def evaluate(cache, monkeypatch, prepared_folder, run_script):
    """The script in this process, with flags as on its command line."""
    monkeypatch.setenv("BRUSHWORK_CACHE", cache)

    def call(*flags, draws=False):
        tiny = TINY if not {*TINY} & {*flags} else ()
        run_script("evaluate_gan", *flags, "--data", prepared_folder, *tiny, draws=draws)

    return call


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rejected.csv", "my,list\n"),
        ("brushwork.json", "{}"),
        ("config.json", "{}"),  # of a checkpoint or a run
        ("curves.png", "mine"),
        ("report.json", '{"reports": {}}'),  # of another script
    ],
)
def test_files_of_someone_else_are_never_replaced(evaluate, run, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(BrushworkError, match=r"`out` is .*, which holds other files"):
        evaluate(run, "--out", tmp_path)
    assert (tmp_path / name).read_text() == content


def test_an_evaluation_replaces_an_earlier_one_and_nothing_in_a_run(single, run, tmp_path):
    earlier = tmp_path / "earlier"
    script.check_out(earlier)
    earlier.mkdir()
    (earlier / "rejected.csv").write_text("source,reason\n")
    script.check_out(earlier)
    script.check_out(single[1])
    shutil.copy(single[1] / "report.json", earlier)
    (earlier / "spectrum.png").touch()
    script.check_out(earlier)
    for folder in (run, run / "generator"):
        with pytest.raises(BrushworkError, match="holds other files"):
            script.check_out(folder)


@pytest.fixture(scope="module")
def line(run, prepared_folder):
    """The command line of an evaluation; without the folder that it writes."""
    flags = [script.__file__, run, "--split", "train", "--data", prepared_folder, *TINY]
    return [*map(str, flags), "--out"]


def read(out):
    """Metrics by name and feature space."""
    return json.loads((out / "report.json").read_text())["reports"]


@pytest.fixture(scope="module")
def single(line, cache, tmp_path_factory):
    """The evaluation by its real command line."""
    out = tmp_path_factory.mktemp("single")
    environment = os.environ | {"BRUSHWORK_CACHE": cache, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *line, str(out)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done, out


def test_a_run_is_measured_drawn_and_written(single, run):
    done, out = single
    (report,) = read(out).values()
    assert report.keys() == {"pixels", "texture"}
    assert report["pixels"]["n_fake"] == 21 and report["pixels"]["n_pairs"] == 20
    opened, heading, *lines = done.stdout.splitlines()
    assert opened.endswith("paintings used, 0 left out")
    assert heading.split() == ["pixels", str(run)]
    shown = {line.split()[0] for line in lines if line}
    for metric in ("fid", "kid", "mmd", "emd", "one_nn", "recall", "authenticity", "copying"):
        assert metric in report["pixels"] and metric in shown
    settings = json.loads((out / "report.json").read_text())["settings"]
    assert (settings["split"], settings["num_fakes"], settings["fakes"]) == (
        "train",
        21,
        [str(run)],
    )
    assert {f.name for f in out.iterdir()} == {
        "report.json",
        "report.html",
        "figure-00.png",
        "figure-01.png",
        "figure-02.png",
        "spectrum.png",
    }
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r'(src|href)="(?!data:)', page), "everything is in the one file"
    assert "21/21" in done.stderr


def test_wide_fakes_are_compared_with_wide_paintings(evaluate, tmp_path, monkeypatch):
    folder, out = tmp_path / "wide", tmp_path / "out"
    torch.manual_seed(0)
    wide = Generator(DCGANConfig(side=32, width=2, aspect="3:2"))
    save_generator(wide, folder, TRAINING, 1, "averaged")
    seen = []

    def recorded(images):
        seen.append(tuple(images.shape[1:]))
        return radial_spectrum(images)

    monkeypatch.setattr(script, "radial_spectrum", recorded)
    evaluate(folder, "--out", out)
    (report,) = read(out).values()
    assert report.keys() == {"pixels", "texture"}
    assert all(np.isfinite(value) for space in report.values() for value in space.values())
    assert seen == [(3, 32, 48)] * 2  # of the paintings and of the fakes
    assert "of 96 pixels from the left" in (out / "report.html").read_text()
    with Image.open(out / "figure-00.png") as figure:  # eight of 48 and gaps, twice
        assert figure.width == 2 * (8 * 50 + 2) + 16


def test_two_processes_give_the_numbers_of_one(single, line, forked, cache, tmp_path, monkeypatch):
    monkeypatch.setenv("BRUSHWORK_CACHE", cache)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    first, second = forked.run_two(*line, tmp_path)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    (ours,), (expected,) = read(tmp_path).values(), read(single[1]).values()
    assert ours["pixels"] == pytest.approx(expected["pixels"], rel=1e-9)
    assert "11/11" in first.stderr, "the first process sees 11 of the 21 pictures"


def test_the_numbers_are_those_of_the_metrics(run, evaluate, tmp_path):
    fakes = PaintingGenerator.from_pretrained(run / "generator").sample(21, seed=0, to="array")
    for name, images in (("real", 255 - fakes), ("fake", fakes)):
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / name / f"{i:02}.png")
    flags = ["--real", tmp_path / "real", "--out", tmp_path / "out"]
    evaluate(tmp_path / "fake", run, *flags)
    of_folder, of_run = read(tmp_path / "out").values()
    assert of_folder == of_run, "files and checkpoint hold the same pictures"
    x, y = (extract(images, pixels()).features for images in (255 - fakes, fakes))
    assert of_run["pixels"]["fid"] == pytest.approx(distances.frechet(x, y))
    assert of_run["pixels"]["kid"] == pytest.approx(distances.kid(x, y).value)
    floor = distances.frechet_floor(x, 21)
    assert of_run["pixels"]["fid_floor"] == pytest.approx(floor)
    assert of_run["pixels"]["fid_to_floor"] == pytest.approx(of_run["pixels"]["fid"] / floor)
    at_infinity = distances.frechet_at_infinity(x, y)
    assert of_run["pixels"]["fid_infinity"] == pytest.approx(at_infinity)
    record = json.loads((tmp_path / "out" / "report.json").read_text())
    # The motifs need as many fakes as half of the real pictures, which are drawn by the seed.
    of_real = (255 - fakes)[random.Random(0).sample(range(21), 20)]
    tensors = [torch.from_numpy(images).permute(0, 3, 1, 2) for images in (fakes[:10], of_real)]
    ratios = radial_spectrum(tensors[0]) / radial_spectrum(tensors[1])
    smaller = [torch.from_numpy(thumbnails(x, 64)).permute(0, 3, 1, 2) for x in (of_real, fakes)]
    motif = repeated_motif(*smaller)
    assert record["motifs"][str(run)]["share"] == pytest.approx(motif.share)
    assert [*record["spectra"][str(run)].values()] == pytest.approx(ratios.tolist(), rel=1e-4)
    (note,) = [note for note in record["notes"] if note.startswith(f"Power spectrum of {run}")]
    told = ratios[:11]  # up to 11 of 32 cycles per pixel
    assert f"{told[told.log().abs().argmax()].item():.2f} times" in note


def test_a_space_in_the_training_comes_last_and_says_so(evaluate, run, tmp_path, capsys):
    weights = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("resnet10t", pretrained=False).state_dict(), weights)
    torch.manual_seed(0)
    G = Generator(DCGANConfig(side=32, width=2))
    training = TRAINING | {"backbone": f"resnet10t:{weights}"}
    save_generator(G, tmp_path / "gan" / "generator", training, 1, "averaged")
    evaluate(
        *(run, tmp_path / "gan", "--spaces", f"resnet10t:{weights}", "texture"),
        *("--out", tmp_path / "out"),
    )
    printed = capsys.readouterr().out
    marked = f"resnet10t (in the training of {tmp_path / 'gan'})"
    assert printed.index("texture ") < printed.index(marked)
    assert marked in (tmp_path / "out" / "report.html").read_text()


def test_several_runs_stand_side_by_side_with_the_best_marked(evaluate, run, tmp_path, capsys):
    torch.manual_seed(0)
    weights = tmp_path / "resnet.safetensors"
    save_file(timm.create_model("resnet10t", pretrained=False).state_dict(), weights)
    names = [str(run / "kept" / f"step-0000{step}0") for step in (1, 2)]
    spaces = ["--spaces", "pixels:8", f"resnet10t:{weights}"]
    evaluate(*names, *spaces, "--out", tmp_path / "out")
    reports = read(tmp_path / "out")
    assert list(reports) == names
    assert list(reports[names[0]]) == ["pixels", "resnet10t"]
    assert "mode_score" in reports[names[0]]["resnet10t"]
    fids = [reports[name]["pixels"]["fid"] for name in names]
    printed = capsys.readouterr().out
    line = next(line for line in printed.splitlines() if line.startswith("fid "))
    assert printed.index("pixels") < printed.index("fid ") < printed.index("resnet10t ")
    marks = [cell.endswith("*") for cell in line.split()[1:]]
    assert marks == [fids[0] < fids[1], fids[1] < fids[0]]
    assert 'class="best"' in (tmp_path / "out" / "report.html").read_text()


def test_a_classifier_gives_labels_to_fakes_and_learns_from_them(
    evaluate, prepared_folder, tmp_path
):
    table = open_prepared(prepared_folder).table
    artists = sorted(table["artist"].value_counts().index[:2])
    torch.manual_seed(0)
    config = StyledConfig(side=32, width=2, classes=tuple(artists))
    training = TRAINING | {"condition": "artist", "artist": [artists[0].lower()]}
    painter = styled.Generator(config)
    save_generator(painter, tmp_path / "gan" / "generator", training, 1, "averaged")
    network = create_backbone("test_resnet", 2).eval()
    mean, std = input_statistics(network)
    learned = TRAINING | {"model": "test_resnet", "artists": artists, "side": 32, "fit": "crop",
                          "min_paintings": 1, "weights": "none", "epoch": 1}  # fmt: skip
    judging = {"mean": mean, "std": std, "num_views": 1}
    save_classifier(
        network, tmp_path / "classifier", learned, judging, torch.eye(2), np.array([0, 1])
    )
    spaces = ["--spaces", f"artist:{tmp_path / 'classifier'}", "pixels:8"]
    evaluate(tmp_path / "gan", *spaces, "--out", tmp_path / "out")
    (report,) = read(tmp_path / "out").values()
    space = open_space(f"artist:{tmp_path / 'classifier'}")
    fakes = open_pictures(tmp_path / "gan", num=21)
    p = extract(fakes.images(range(21)), space).probabilities
    assert p is not None
    named, meant = p.argmax(1).tolist(), [artists.index(a) for a in fakes.columns["artist"]]
    artist, raw = report["artist"], report["pixels"]
    assert artist["agreement"] == pytest.approx(np.mean([n == 0 for n in named]))
    assert artist["intended"] == np.mean([n == m for n, m in zip(named, meant, strict=True)])
    assert artist["confidence"] == pytest.approx(p.max(1).values.mean().item())
    assert {"confidence_real", "label_entropy", "is"} <= artist.keys()
    assert not {"agreement", "confidence", "is"} & raw.keys(), "pixels know no labels"
    for value in (artist["cas"], raw["cas_by_chance"], raw["cas_of_real"]):
        assert 0 <= value <= 1
    page = (tmp_path / "out" / "report.html").read_text()
    most = max(named, key=named.count)
    share = named.count(most) / len(named)
    assert ">agreement<" in page and f"{artists[most]} {share:.0%}" in page


def test_kept_checkpoints_make_curves(evaluate, run, tmp_path, monkeypatch):
    written, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure,
        "savefig",
        lambda figure, *args, **options: written.append(figure) or save(figure, *args, **options),
    )
    evaluate(run, "--kept", "--out", tmp_path, draws=True)
    drawn, spectrum = written
    assert len(spectrum.axes) == 1 and len(spectrum.axes[0].lines) == 2
    assert list(read(tmp_path)) == ["step 10", "step 20"]
    titles = [axis.get_title() for axis in drawn.axes]
    assert "KID" in titles and "authenticity (copies lower it)" in titles
    fids = [report["pixels"]["fid"] for report in read(tmp_path).values()]
    line, of_texture = drawn.axes[titles.index("Fréchet distance (FID)")].lines
    assert (line.get_label(), of_texture.get_label()) == ("pixels: fid", "texture: fid")
    assert line.get_xydata().tolist() == [[10, fids[0]], [20, fids[1]]]
    with Image.open(tmp_path / "curves.png") as curves:
        assert curves.width > curves.height


def test_a_run_that_copies_its_paintings_is_seen(evaluate, prepared_folder, tmp_path):
    paintings = open_prepared(prepared_folder)
    train = paintings.table.index[paintings.table["split"] == "train"]
    (tmp_path / "copies").mkdir()
    for row in train[:25]:
        noise = np.random.default_rng(row).integers(-2, 3, (32, 32, 3))
        image = (paintings.pixels(32)[row] + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(image).save(tmp_path / "copies" / f"{row}.png")
    evaluate(tmp_path / "copies", "--split", "train", "--out", tmp_path / "out")
    (report,) = read(tmp_path / "out").values()
    assert report["pixels"]["authenticity"] == 0 and report["pixels"]["copying"] > 0.9
    assert report["pixels"]["one_nn"] < 0.4


def test_what_is_left_out_of_folders_is_printed_and_listed(evaluate, run, tmp_path, capsys):
    fakes = PaintingGenerator.from_pretrained(run / "generator").sample(23, seed=0)
    for name in ("real", "fake"):
        (tmp_path / name).mkdir()
        for i, image in enumerate(fakes):
            image.save(tmp_path / name / f"{i:02}.png")
    (tmp_path / "real" / "00.png").write_bytes(b"")
    (tmp_path / "real" / "notes.txt").write_text("no picture")
    for i in (1, 2):
        (tmp_path / "fake" / f"{i:02}.png").write_bytes(b"no picture")
    out, flags = tmp_path / "out", ["--real", tmp_path / "real", "--out", tmp_path / "out"]
    evaluate(tmp_path / "fake", run, *flags)
    real, fake, *others = capsys.readouterr().out.splitlines()
    rejected = out / "rejected.csv"
    assert real == (
        f"{tmp_path / 'real'}: 22 pictures used, 1 left out (1 empty file; listed in {rejected}); "
        "ignored 1 files without a picture's suffix"
    )
    assert fake.startswith(f"{tmp_path / 'fake'}: 21 pictures used, 2 left out (2 not a picture")
    assert not any("pictures used" in line for line in others), "a generator leaves out nothing"
    with rejected.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"].removeprefix(f"{tmp_path}/") for row in rows] == [
        "real/00.png", "fake/01.png", "fake/02.png",
    ]  # fmt: skip
    of_fakes, _ = read(out).values()
    assert (of_fakes["pixels"]["n_real"], of_fakes["pixels"]["n_fake"]) == (22, 21)
    # The list of an earlier evaluation goes.
    for file in rows:
        Path(file["source"]).unlink()
    evaluate(tmp_path / "fake", *flags)
    assert not rejected.exists()
    assert "22 pictures used, 0 left out; ignored" in capsys.readouterr().out


def test_bundled_models_are_measured_by_their_names(evaluate, tmp_path):
    evaluate("portraits", "--out", tmp_path)
    assert list(read(tmp_path)) == ["portraits"]
    assert len(open_space("artist:artists").labels) == 40


def test_held_out_are_the_same_artists_even_where_there_are_none(prepared_folder, monkeypatch):
    table = open_prepared(prepared_folder).table
    sizes = table[table["split"] == "train"]["artist"].value_counts()
    least = int(sizes.iloc[1])  # more than any artist has to be tested on
    assert least > table[table["split"] == "test"]["artist"].value_counts().max()
    known = {*sizes.index[sizes >= least]}
    for split, other in (("train", "test"), ("test", "train")):
        flags = ["--data", prepared_folder, "--split", split, "--min-paintings", least]
        cfg = read_flags(script.Config, None, [*map(str, flags)])
        real, held_out = script.open_real(cfg, 32, "1:1")
        assert {*real.columns["artist"]} <= known and {*real.columns["split"]} == {split}
        assert {*held_out.columns["artist"]} <= known and {*held_out.columns["split"]} == {other}

    # An artist with paintings to train on alone has none held out, and none to be compared with.
    alone = table.assign(split=table["split"].where(table["artist"] != sizes.index[0], "train"))
    monkeypatch.setattr(
        script, "open_data", lambda _: replace(open_prepared(prepared_folder), table=alone)
    )
    train, test = (
        read_flags(script.Config, None, ["--artist", sizes.index[0], "--split", split])
        for split in ("train", "test")
    )
    assert script.open_real(train, 32, "1:1").held_out is None
    with pytest.raises(BrushworkError, match="`split` test"):
        script.open_real(test, 32, "1:1")


def test_pictures_without_a_spectrum_are_refused_before_the_work(evaluate, run, tmp_path):
    for i in range(21):
        Image.new("RGB", (2, 9), (i, 0, 0)).save(tmp_path / f"{i}.png")
    with pytest.raises(BrushworkError, match=r"shorter side of 2 pixels .* at least 4 pixels"):
        evaluate(run, "--real", tmp_path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["nowhere/at/all"], "no checkpoint"),
        (["landscape"], r"did you mean landscapes\?"),
        (["RUN", "--spaces", "inception"], "no Inception weights at"),
        (["RUN", "--spaces", "resnet10t:gone.pth"], r"no weights at gone\.pth"),
        (["RUN", "--spaces", "artist:EMPTY"], "no checkpoint folder EMPTY"),
        (["RUN", "--spaces", "pixels:8", "pixels:4"], "two feature spaces have the name pixels"),
        (["RUN", "--spaces", "pixels:0"], "no feature space"),
        (["RUN", "--spaces"], "`spaces` is empty; name at least one"),
        (["RUN", "--real", "EMPTY"], "no images in"),
        (["RUN", "--real", "RUN"], "`real` is .*, which holds a checkpoint; pass a folder"),
        (["RUN", "--real", "monet"], "no folder monet; pass a folder of images"),
        (["RUN", "--real", "EMPTY", "--genre", "abstract"], "leave out `genre`"),
        (["RUN", "--num-fakes", 5], "5 fakes, but the metrics need at least 6"),
        (["RUN", "--num-pairs", 5], "`num_pairs` is 5; it must be at least 6"),
        (["RUN", "RUN", "--kept"], "`kept` measures one run, not 2"),
        (["EMPTY", "--kept"], "no checkpoints in"),
    ],
)
def test_mistakes_are_told(evaluate, run, tmp_path, flags, sentence):
    places = {"RUN": run, "EMPTY": tmp_path}
    with pytest.raises(BrushworkError, match=sentence):
        evaluate(*(places.get(flag, flag) for flag in flags), "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
