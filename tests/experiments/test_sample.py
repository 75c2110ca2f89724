import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from brushwork import machine
from brushwork.errors import BrushworkError
from brushwork.gan import dcgan, styled
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.sampling import to_arrays
from brushwork.gan.save import save_generator
from brushwork.training.ema import refresh_statistics
from experiments import sample

TRAINING = {"data": "synthetic", "num_paintings": 9, "fingerprint": "0", "batch_size": 8, "seed": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A generator with random weights whose pictures differ clearly."""
    torch.manual_seed(0)
    network = styled.Generator(styled.StyledConfig(side=32, width=4, classes=("sea", "portrait")))
    torch.nn.init.normal_(network.to_rgb.weight, std=0.3)
    torch.nn.init.normal_(network.label.weight)
    refresh_statistics(network, [(torch.randn(64, 100), torch.arange(64) % 2)])
    folder = tmp_path_factory.mktemp("run") / "generator"
    save_generator(network, folder, TRAINING, 1, "averaged")
    return folder


def frames_of(file):
    """The frames of an animation: (N, H, W, 3) uint8."""
    if file.suffix == ".gif":
        with Image.open(file) as animation:
            assert animation.info["loop"] == 0  # repeats for ever
            frames = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(animation)]
    else:
        with av.open(str(file)) as video:
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    return np.stack(frames)


def distance(a, b):
    """The mean absolute difference of pixels, from 0 to 255."""
    return np.abs(np.asarray(a, float) - np.asarray(b, float)).mean()


def test_the_command_writes_single_pictures_and_their_grid(folder, tmp_path):
    flags = ["--num", "5", "--seed", "3", "--enlarge", "2", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, str(Path(sample.__file__)), str(folder), *flags], capture_output=True
    )
    assert done.returncode == 0, done.stderr
    expected = PaintingGenerator.from_pretrained(folder).sample(5, seed=3)
    for i, picture in enumerate(expected):
        with Image.open(tmp_path / "out" / f"seed-3-{i:03d}.png") as written:
            assert written.tobytes() == picture.tobytes()
    with Image.open(tmp_path / "out" / "grid.png") as grid:
        assert grid.size == (3 * 66 + 2, 2 * 66 + 2)
    assert len([*(tmp_path / "out").iterdir()]) == 6


def test_freed_memory_is_kept(folder, tmp_path, run_script, monkeypatch):
    options = {}
    monkeypatch.setattr(machine, "_set_malloc_option", options.__setitem__)
    run_script("sample", folder, "--num", 1, "--out", tmp_path)
    assert options == {machine.M_MMAP_MAX: 0, machine.M_TRIM_THRESHOLD: 2**31 - 1}


@pytest.mark.parametrize("name", ["walk.gif", "walk.mp4"])
def test_a_walk_passes_the_pictures_and_closes(folder, tmp_path, run_script, name):
    file = tmp_path / "new" / name
    flags = ["--num", 3, "--frames", 6, "--seed", 3, "--label", "portrait", "--enlarge", 3]
    run_script("sample", folder, *flags, "--walk", file, "--out", tmp_path / "out")
    frames = frames_of(file)
    assert frames.shape == (3 * 6, 96, 96, 3)
    # Frames 0, 6 and 12 are the pictures, but for the losses of compression.
    pictures = PaintingGenerator.from_pretrained(folder).sample(3, label="portrait", seed=3)
    for i, picture in enumerate(pictures):
        enlarged = picture.resize((96, 96), Image.Resampling.NEAREST)
        distances = [distance(frame, enlarged) for frame in frames]
        assert np.argmin(distances) == 6 * i
        assert distances[6 * i] < 12 < 30 < distances[6 * (i - 1)]
    # The step from the last frame to the first is as small as the others.
    steps = [distance(frames[i - 1], frames[i]) for i in range(18)]
    assert steps[0] < 1.2 * max(steps[1:])
    assert not (tmp_path / "out").exists()  # no single pictures


def test_a_label_and_truncation_change_the_pictures(folder, tmp_path, run_script):
    run_script(
        "sample", folder, "--num", 2, "--label", "portrait", "--truncation", 0.5, "--out", tmp_path
    )
    generator = PaintingGenerator.from_pretrained(folder)
    for i, picture in enumerate(generator.sample(2, label="portrait", truncation=0.5)):
        with Image.open(tmp_path / f"seed-0-{i:03d}.png") as written:
            assert written.tobytes() == picture.tobytes()


def test_the_bundled_generators_are_listed_and_opened_by_name(tmp_path, run_script, capsys):
    run_script("sample", "--list")
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "trained", "on", "side", "classes"]
    assert re.search(r"^landscapes +landscape +128  none$", "\n".join(lines), re.M)
    assert re.search(r"^monet +Claude Monet +128  none$", "\n".join(lines), re.M)
    assert any("14 artists" in line for line in lines)
    assert not any(line.startswith("artists") for line in lines), "the classifier paints nothing"
    assert max(map(len, lines)) <= 80 and not [*tmp_path.iterdir()]
    run_script("sample", "portraits", "--num", 1, "--out", tmp_path)
    with Image.open(tmp_path / "seed-0-000.png") as written:
        assert written.size == (128, 128)


@pytest.mark.parametrize("flags", [["--mix", 2, 3], ["--mix", 2, 3, "--level", 1]])
def test_styles_are_mixed_in_a_grid_with_both_margins(folder, tmp_path, run_script, flags):
    run_script("sample", folder, *flags, "--seed", 3, "--truncation", 0.8, "--out", tmp_path)
    generator = PaintingGenerator.from_pretrained(folder)
    pictures = [np.asarray(x) for x in generator.sample(5, seed=3, truncation=0.8)]
    z, y = generator.latents(5, 3), generator.labels(5, seed=3)
    with Image.open(tmp_path / "mix.png") as sheet:
        assert sheet.size == (36 + 8 + 104, 36 + 8 + 70)
        cells = np.asarray(sheet)
    assert (cells[:44, :44] == 255).all(), "the corner is empty"
    for i in range(2):
        row = slice(46 + 34 * i, 78 + 34 * i)
        assert np.array_equal(cells[row, 2:34], pictures[i])
        for j in range(3):
            column = slice(46 + 34 * j, 78 + 34 * j)
            assert np.array_equal(cells[2:34, column], pictures[2 + j])
            a, b = [i], [2 + j]
            level = 1 if "--level" in flags else 2  # of four levels
            styles = generator.mix(z[a], z[b], level, y[a], y[b], truncation=0.8)
            expected = to_arrays(generator.paint_styles(styles))[0].astype(int)
            with Image.open(tmp_path / f"seed-3-{i:03d}-{2 + j:03d}.png") as written:
                assert np.abs(np.asarray(written) - expected).max() <= 1
                assert np.array_equal(cells[row, column], np.asarray(written))


def test_an_inversion_stands_beside_the_given_picture(folder, tmp_path, run_script, capfd):
    generator = PaintingGenerator.from_pretrained(folder)
    (target,) = generator.sample(1, label="sea", seed=9)
    wide = Image.new("RGB", (64, 32), "red")
    wide.paste(target, (16, 0))
    exif = Image.Exif()
    exif[0x112] = 6  # to be turned a quarter clockwise, as the one decoder does
    wide.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    Image.new("L", (40, 40), 128).save(tmp_path / "b.png")
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    flags = ["--invert", *files, "--steps", 40, "--label", "sea", "--out", tmp_path / "out"]
    run_script("sample", folder, *flags)
    assert "a.png: 100%" in (shown := capfd.readouterr().err) and "40/40" in shown
    with Image.open(tmp_path / "out" / "inversions.png") as sheet:
        cells = np.asarray(sheet)
    assert cells.shape == (2 * 34 + 2, 2 * 34 + 2, 3)
    assert np.array_equal(cells[2:34, 2:34], np.asarray(target))
    with Image.open(tmp_path / "out" / "inversion-000.png") as written:
        found = np.asarray(written)
    assert np.array_equal(cells[2:34, 36:68], found)
    others = generator.sample(20, label="sea", seed=1)
    assert distance(found, target) < min(distance(other, target) for other in others)


def test_a_generator_without_styles_is_one_sentence(tmp_path, run_script):
    network = dcgan.Generator(dcgan.DCGANConfig(side=32, width=2))
    save_generator(network, tmp_path / "generator", TRAINING, 1, "averaged")
    with pytest.raises(BrushworkError, match="a DC-GAN has no styles"):
        run_script("sample", tmp_path / "generator", "--mix", 2, 2, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--frames", 0], "`frames` is 0; it must be between 1 and 10,000"),
        (["--enlarge", 0], "`enlarge` is 0; it must be between 1 and 100"),
        (["--num", 0], "`num` is 0; it must be between 1 and 1,000,000"),
        (["--seed", -1], "`seed` is -1"),
        (["--truncation", 2], "`truncation` is 2; it must be above 0 and at most 1"),
        (["--label", "portraits"], "has no class 'portraits'; did you mean 'portrait'"),
        (["--walk", "walk.avi"], r"\.avi"),
        (["--mix", 0, 2], "`mix` is 0; it must be between 1 and 100"),
        (["--mix", 2, 2, "--level", 5], "`level` is 5; it must be a whole number between 0 and 4"),
        (["--mix", 2, 2, "--walk", "walk.gif"], "only one of `walk`, `mix` and `invert`"),
        (["--invert", "nowhere.jpg"], "cannot read nowhere.jpg: No such file"),
        (["--invert", "nowhere.jpg", "--steps", 0], "`steps` is 0"),
        (["--invert"], "`invert` names no picture"),
        (["--invert", "a.jpg", "--truncation", 0.3], "`truncation` would be ignored with `invert`"),
        (["--num", 5, "--mix", 1, 1], "`num` would be ignored with `mix`"),
        (["--level", 2], "`level` would be ignored for single pictures"),
        (["--frames", 9, "--steps", 9], "`frames`, `steps` would be ignored for single pictures"),
        (["--walk", "walk.gif", "--steps", 9], "`steps` would be ignored with `walk`"),
    ],
)
def test_a_wrong_flag_is_an_error_and_writes_nothing(
    folder, tmp_path, monkeypatch, run_script, flags, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BrushworkError, match=message):
        run_script("sample", folder, *flags)
    assert not [*tmp_path.iterdir()]


def test_a_folder_without_a_checkpoint_is_an_error(tmp_path, run_script):
    with pytest.raises(BrushworkError, match="no checkpoint"):
        run_script("sample", tmp_path)
    with pytest.raises(BrushworkError, match=r"no generator is given; .*`list`"):
        run_script("sample")


def test_a_folder_that_cannot_be_written_is_an_error(folder, tmp_path, run_script):
    (tmp_path / "file").write_text("")
    with pytest.raises(BrushworkError, match="cannot write the pictures"):
        run_script("sample", folder, "--num", 1, "--out", tmp_path / "file" / "out")
