import json
from pathlib import Path

import pytest
import torch
import yaml
from huggingface_hub import ModelCard

from brushwork import PaintingGenerator
from brushwork.errors import BrushworkError
from brushwork.gan import styled
from brushwork.gan.dcgan import DCGANConfig, Generator
from brushwork.gan.enlarger import Enlarger
from brushwork.gan.save import model_card, save_enlarged, save_generator

BUNDLED = Path(__file__).parents[3] / "packages/demo/src/brushwork_demo/checkpoints"
TRAINING = {
    "data": "synthetic", "genre": ("landscape",), "style": (), "artist": (), "split": None,
    "num_paintings": 1234, "fingerprint": "abc", "batch_size": 64, "seed": 3,
}  # fmt: skip


def config_of(**training):
    """The config of a checkpoint, for its card alone."""
    done = {"step": 10, "epochs": 0.5, "weights": "averaged"}
    model = {"side": 64, "classes": ()}
    return {"architecture": "modern", "model": model, "training": TRAINING | done | training}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "generator"
    network = Generator(DCGANConfig(side=32, width=4))
    save_generator(network, folder, TRAINING, 10, "averaged")
    return folder


def test_a_saved_generator_opens_with_the_same_weights(tmp_path):
    network = styled.Generator(styled.StyledConfig(side=32, width=4, classes=("sea", "sun")))
    save_generator(network, tmp_path, TRAINING, 10, "raw")
    opened = PaintingGenerator.from_pretrained(tmp_path).network
    assert opened.config == network.config
    for name, value in network.state_dict().items():
        assert torch.equal(opened.state_dict()[name], value), name


def test_the_keys_of_the_config_are_those_of_older_checkpoints(folder):
    config = json.loads((folder / "config.json").read_text())
    assert len(config.pop("weights_sha256")) == 64  # newer than the others, and optional
    assert config["model"].pop("aspect") == "1:1"  # likewise
    assert config == {
        "architecture": "dcgan",
        "model": {"side": 32, "latent_dim": 100, "width": 4},
        "training": {
            **TRAINING, "genre": ["landscape"], "style": [], "artist": [],
            "step": 10, "epochs": 640 / 1234, "weights": "averaged",
        },
    }  # fmt: skip


def test_the_card_describes_the_training(folder):
    card = ModelCard.load(folder / "README.md")
    for words in (
        "dcgan, 32 pixels", "Source: synthetic", "genre: landscape", "1,234 (fingerprint `abc`)",
        "Steps: 10, 64 paintings each", "Epochs: 0.5", "Seed: 3", "Weights: averaged",
    ):  # fmt: skip
        assert words in card.text
    assert "style" not in card.text.partition("## Training")[0]


def test_the_front_matter_of_the_card_is_for_the_hub(folder):
    data = ModelCard.load(folder / "README.md").data.to_dict()
    assert data == {
        "library_name": "brushwork",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["gan", "painting", "dcgan"],
        "license": "other",
        "license_name": "depends-on-the-training-paintings",
    }


def test_the_code_of_the_card_runs(folder, tmp_path, monkeypatch):
    code = ModelCard.load(folder / "README.md").text.split("```")[1].removeprefix("python\n")
    monkeypatch.chdir(tmp_path)
    exec(code.replace("path/to/this/folder", str(folder)))
    assert len([*tmp_path.glob("*.png")]) == 16


@pytest.mark.parametrize(
    "name", ["Monet: late works", "2024", "the \"old\" 'master'", "---", "# - [x]: {y}", "Élève"]
)
def test_a_card_with_any_name_parses(name):
    config = config_of(data=name, artist=(name,), genre=(name, "b"), start=f"/home/ann/{name}")
    config["model"]["classes"] = (name, "sea")
    config["results"] = {"fid_inception": 12.5}
    text = model_card(config)
    card = ModelCard(text)
    front_matter = yaml.safe_load(text.split("\n---\n")[0].removeprefix("---\n"))
    assert front_matter["tags"] == card.data.tags == ["gan", "painting", "modern"]
    assert front_matter["model-index"][0]["results"][0]["dataset"]["name"] == name
    for words in (
        f"Source: {name}",
        f"artist: {name}",
        f"genre: {name}, b",
        f"Classes: {name}, sea",
    ):
        assert words in card.text
    assert f"Initialised from: ann/{name};" in card.text


def test_the_results_are_in_the_card_for_people_and_for_the_hub():
    text = model_card(config_of() | {"results": {"fid_inception": 12.5, "n_real": 1000}})
    assert "| `fid_inception` | 12.5 |\n| `n_real` | 1,000 |\n" in text
    results = ModelCard(text).data.eval_results
    assert results is not None
    assert [(r.metric_type, r.metric_value) for r in results] == [
        ("fid_inception", 12.5), ("n_real", 1000),
    ]  # fmt: skip
    assert {r.task_type for r in results} == {"unconditional-image-generation"}


def test_without_results_the_card_has_no_results():
    assert "Results" not in model_card(config_of())


def test_a_licence_of_the_settings_is_the_licence_of_the_card():
    card = ModelCard(model_card(config_of(license="cc0-1.0")))
    assert (card.data.license, card.data.license_name) == ("cc0-1.0", None)
    assert "The licence of the model is cc0-1.0." in card.text
    assert "Rights in the training paintings" in ModelCard(model_card(config_of())).text


def test_a_dataset_on_the_hub_is_linked():
    assert ModelCard(model_card(config_of(data="huggan/wikiart"))).data.datasets == [
        "huggan/wikiart"
    ]
    assert ModelCard(model_card(config_of(data="Painter by Numbers"))).data.datasets is None


@pytest.mark.parametrize(
    "file", sorted(f for f in BUNDLED.glob("*/config.json") if '"model": {' in f.read_text()),
    ids=lambda file: file.parent.name,
)  # fmt: skip
def test_the_card_of_a_bundled_generator_can_be_written_again(file):
    config = json.loads(file.read_text())
    card = ModelCard(model_card(config))
    results = {r.metric_type: r.metric_value for r in card.data.eval_results or ()}
    assert results == config.get("results", {})


def test_an_enlarged_generator_opens_and_its_card_tells_of_both_trainings(tmp_path):
    torch.manual_seed(0)
    small = styled.Generator(styled.StyledConfig(side=32, width=4)).eval()
    torch.nn.init.normal_(small.to_rgb.weight, std=0.1)  # pictures that differ clearly
    save_generator(small, tmp_path / "small", TRAINING, 10, "averaged")
    enlarger = Enlarger(4, width=6, size=(32, 32))
    torch.nn.init.normal_(enlarger.to_rgb.weight, std=0.1)
    of_enlarger = TRAINING | {"num_paintings": 77, "fingerprint": "def", "batch_size": 5}
    save_enlarged(tmp_path / "small", enlarger, tmp_path / "large", of_enlarger, step=20)

    opened = PaintingGenerator.from_pretrained(tmp_path / "large")
    assert opened.side == 128
    z = opened.latents(2)
    torch.testing.assert_close(opened.paint(z), enlarger(small(z)).clamp(-1, 1))
    card = ModelCard.load(tmp_path / "large" / "README.md").text
    for words in (
        "modern, 128 pixels", "1,234 (fingerprint `abc`)", "Steps: 10, 64 paintings each",
        "Painted at 32 pixels, then enlarged 4 times",
        "77 paintings (synthetic, fingerprint `def`)",
        "20 steps, 5 patches each",
    ):  # fmt: skip
        assert words in card


def test_a_dcgan_is_not_enlarged(folder, tmp_path):
    with pytest.raises(BrushworkError, match="no styles"):
        save_enlarged(
            folder, Enlarger(2, width=6, size=(32, 32)), tmp_path / "large", TRAINING, step=1
        )
