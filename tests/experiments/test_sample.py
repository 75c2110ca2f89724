import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.generator import PaintingGenerator
from brushwork.gan.save import save_generator
from experiments import sample

TRAINING = {"data": "synthetic", "num_paintings": 9, "fingerprint": "0", "batch_size": 8, "seed": 0}


@pytest.fixture(scope="module")
def painter(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("painter") / "generator"
    save_generator(Generator(DCGANConfig(side=32, width=2)), folder, TRAINING, 1, "averaged")
    return folder


def test_the_command_writes_single_pictures_and_their_grid(painter, tmp_path):
    script = Path(sample.__file__)
    flags = ["--num", "5", "--seed", "3", "--enlarge", "2", "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, str(script), str(painter), *flags], capture_output=True)
    assert done.returncode == 0, done.stderr
    expected = PaintingGenerator.from_pretrained(painter).sample(5, seed=3)
    for i, picture in enumerate(expected):
        with Image.open(tmp_path / "out" / f"seed-3-{i:03d}.png") as written:
            assert written.tobytes() == picture.tobytes()
    with Image.open(tmp_path / "out" / "grid.png") as grid:
        assert grid.size == (3 * 66 + 2, 2 * 66 + 2)


@pytest.mark.parametrize("name", ["walk.gif", "walk.mp4"])
def test_a_walk_is_written_as_an_animation(painter, tmp_path, name):
    sample.main(sample.Config(str(painter), num=3, frames=4, walk=tmp_path / "new" / name))
    assert (tmp_path / "new" / name).stat().st_size > 500


def test_a_folder_that_holds_no_painter_is_one_sentence(tmp_path):
    script = Path(sample.__file__)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no checkpoint" in done.stderr and "Traceback" not in done.stderr
