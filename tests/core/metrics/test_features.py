"""Images of every kind to features: bit-equal resizing, weights, caching, and errors in words."""

import hashlib
import sys
import warnings

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from brushwork.backbones.create import create_backbone, input_statistics
from brushwork.checkpoint import load_config, update_config
from brushwork.classifier.identify import ArtistClassifier
from brushwork.classifier.save import save_classifier
from brushwork.classifier.space import artist_space
from brushwork.errors import BrushworkError
from brushwork.metrics import features as F
from brushwork.spaces import open_space


def pictures(n: int, side: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    for i, picture in enumerate(pictures(5)):
        where = tmp_path / "fakes" / ("sub" if i % 2 else ".")
        where.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(where / f"{i}.png")
    (tmp_path / "fakes" / "notes.txt").write_text("not an image")
    return tmp_path / "fakes"


class StandIn(nn.Module):
    """The interface of NVIDIA's TorchScript Inception, small and with random weights."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 2048, 9, stride=97), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.output = nn.Linear(2048, 1008)

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor:
        features = self.layers((x - 128) / 128)
        return features if return_features else self.output(features).softmax(1)


@pytest.fixture
def inception_file(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / F.INCEPTION_FILE
    with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
        torch.jit.save(torch.jit.script(StandIn().eval()), path)
    return path


@pytest.mark.parametrize("shape", [(40, 40), (64, 48), (299, 299), (300, 512), (1, 7)])
def test_resizing_is_that_of_pillow_on_each_channel_in_float(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    resized = F.resize(image, 299, 299)
    expected = [
        np.asarray(channel.convert("F").resize((299, 299), Image.Resampling.BICUBIC))
        for channel in Image.fromarray(image).split()
    ]
    assert resized.dtype == np.float32
    assert np.array_equal(resized, np.stack(expected).clip(0, 255))


def test_clean_fid_that_is_not_installed_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanfid.resize", None)
    F._resizer.cache_clear()
    with pytest.raises(BrushworkError, match=r"pip install 'brushwork\[metrics\]'"):
        F.extract(pictures(2), F.pixels(8))
    monkeypatch.undo()
    assert F.extract(pictures(2), F.pixels(8)).features.shape == (2, 192)


def test_every_way_to_pass_the_same_images_gives_the_same_features(folder):
    space, images = F.pixels(16), pictures(5)
    order = [0, 2, 4, 1, 3]  # by path: sub/ comes last
    expected = F.extract(images[order], space).features
    assert expected.shape == (5, 3 * 16 * 16)
    assert torch.equal(F.extract(folder, space).features, expected)
    assert torch.equal(F.extract(str(folder), space).features, expected)
    images = images[order]
    for same in (
        images.transpose(0, 3, 1, 2),
        torch.from_numpy(images),
        torch.from_numpy(images).permute(0, 3, 1, 2),
        list(images),
        iter([images[:2], images[2:]]),
        (Image.fromarray(image) for image in images),
    ):
        got = F.extract(same, space, batch_size=2, workers=1).features
        assert torch.equal(got, expected)


def test_a_progress_bar_changes_nothing(folder, capfd):
    plain = F.extract(folder, F.pixels(8))
    shown = F.extract(folder, F.pixels(8), progress=True)
    assert torch.equal(plain.features, shown.features)
    assert "5/5" in capfd.readouterr().err


def test_grey_and_transparent_files_become_rgb_on_white(tmp_path):
    Image.new("L", (9, 9), 128).save(tmp_path / "a.png")
    Image.new("RGBA", (9, 9), (1, 1, 1, 127)).save(tmp_path / "b.PNG")
    sixteen_bits = np.full((9, 9), 128 * 256, np.uint16)
    Image.fromarray(sixteen_bits).save(tmp_path / "c.png")
    features = F.extract(tmp_path, F.pixels(8)).features
    assert torch.equal(features[0], features[1]) and torch.equal(features[0], features[2])


def test_a_folder_of_pictures_is_seen_as_preparation_sees_it(tmp_path):
    photo = Image.new("RGB", (80, 60), "white")
    photo.paste((200, 0, 0), (0, 0, 80, 10))
    exif = Image.Exif()
    exif[0x112] = 6
    photo.save(tmp_path / "a.png", exif=exif)
    seen = F.thumbnails(F.image_files(tmp_path), 8)[0]
    assert seen[:, -1, 1].max() < 80, "the red edge is on the right"
    assert seen[:, 0].min() > 240


def test_sidecar_files_are_no_images(folder):
    before = F.image_files(folder)
    for name in ("._0.png", ".ipynb_checkpoints/0-checkpoint.png", "__MACOSX/._0.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"no picture")
    assert F.image_files(folder) == before and len(before) == 5


def test_a_link_to_a_folder_is_one_sentence(folder):
    (folder / "more").symlink_to(folder / "sub")
    with pytest.raises(BrushworkError, match="1 links to folders"):
        F.image_files(folder)


def test_a_broken_file_is_named(folder):
    (folder / "3.jpg").write_bytes(b"no image")
    with pytest.raises(BrushworkError, match=r"3\.jpg"):
        F.extract(folder, F.pixels(8))


def test_no_images_is_one_sentence(tmp_path):
    with pytest.raises(BrushworkError, match="no folder"):
        F.extract(tmp_path / "nowhere", F.pixels(8))
    with pytest.raises(BrushworkError, match="no images in"):
        F.extract(tmp_path, F.pixels(8))
    with pytest.raises(BrushworkError, match="at least one"):
        F.extract(iter([]), F.pixels(8))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8)[None],
        7,
    ],
)
def test_what_is_no_image_is_one_sentence(images):
    with pytest.raises(BrushworkError, match="images"):
        F.extract(images, F.pixels(8))


@pytest.mark.parametrize("side", [40, 64])
def test_a_space_gets_contiguous_batches_of_floats(side):
    batches = []

    def embed(x: Tensor) -> Tensor:
        batches.append(x)
        return x.mean((2, 3))

    F.extract(pictures(5), F.FeatureSpace("mine", side, embed), batch_size=2)
    assert [b.shape for b in batches] == [(2, 3, side, side)] * 2 + [(1, 3, side, side)]
    assert all(b.dtype == torch.float32 and b.is_contiguous() for b in batches)


def test_any_callable_is_a_space():
    def embed(x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3)), x.mean((2, 3)).softmax(1)

    features, probabilities = F.extract(pictures(5), F.FeatureSpace("artist", 8, embed))
    assert features.shape == (5, 3) and probabilities is not None
    assert torch.allclose(probabilities.sum(1), torch.ones(5))


def test_a_network_left_in_training_mode_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(192))
    with pytest.raises(BrushworkError, match="training mode"):
        F.extract(pictures(5), F.FeatureSpace("mine", 8, net))
    F.extract(pictures(5), F.FeatureSpace("mine", 8, net.eval()))


def test_a_space_must_give_rows():
    with pytest.raises(BrushworkError, match=r"\(5, 3, 8, 8\)"):
        F.extract(pictures(5), F.FeatureSpace("mine", 8, lambda x: x))


def test_features_may_be_used_outside_of_inference_mode():
    features = F.extract(pictures(3), F.pixels(8)).features
    features.requires_grad_().square().sum().backward()


@pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated, and the weights are TorchScript
def test_inception_gives_the_features_of_its_file_and_probabilities(inception_file):
    space = F.inception(inception_file)
    features, probabilities = F.extract(pictures(3), space, batch_size=2)
    batch = torch.from_numpy(np.stack([F.resize(i, 299, 299) for i in pictures(3)]))
    network = torch.jit.load(inception_file)
    with torch.no_grad():
        expected = network(batch, return_features=True)
    assert torch.allclose(features, expected, rtol=1e-5, atol=1e-6)
    assert probabilities is not None and probabilities.shape == (3, 1008)
    assert torch.allclose(probabilities.sum(1), torch.ones(3))
    # Without the bias of the last layer, as the inception score was defined.
    assert torch.allclose(probabilities, (features @ network.output.weight.T).softmax(1), atol=1e-6)


def test_an_inception_file_of_another_name_is_one_sentence(inception_file):
    renamed = inception_file.rename(inception_file.with_name("inception.pt"))
    with pytest.raises(BrushworkError, match=r"only files named inception-2015-12-05\.pt"):
        F.inception(renamed)


def test_inception_is_fetched_once_and_only_if_its_hash_is_right(
    inception_file, tmp_path, monkeypatch
):
    content = inception_file.read_bytes()
    monkeypatch.setattr(F, "INCEPTION_URL", inception_file.as_uri())
    monkeypatch.setenv("BRUSHWORK_CACHE", str(tmp_path / "cache"))
    kept = tmp_path / "cache" / F.INCEPTION_FILE
    with pytest.raises(BrushworkError, match="invalid hash value"):
        open_space("inception", fetch=True)
    assert not kept.exists()
    monkeypatch.setattr(F, "INCEPTION_SHA256", hashlib.sha256(content).hexdigest())
    assert open_space("inception", fetch=True).name == "inception"
    assert kept.read_bytes() == content
    inception_file.unlink()
    assert open_space("inception", fetch=True).name == "inception", "it is there already"


def test_inception_is_found_in_the_cache(inception_file, monkeypatch):
    monkeypatch.setenv("BRUSHWORK_CACHE", str(inception_file.parent))
    assert F.inception().key == F.inception(inception_file.parent).key


def test_absent_inception_is_one_sentence_and_no_download(tmp_path, monkeypatch):
    def no_network(*_args, **_kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(BrushworkError, match="no Inception weights at"):
        F.inception(tmp_path)
    with pytest.raises(BrushworkError, match="cannot download"):
        F.inception(tmp_path, fetch=True)


@pytest.fixture
def resnet_file(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("resnet10t", pretrained=False)
    save_file(model.state_dict(), tmp_path / "resnet.safetensors")
    return tmp_path / "resnet.safetensors"


def test_timm_space_is_the_model_itself(resnet_file):
    space = F.timm_space("resnet10t", resnet_file, side=64)
    features, probabilities = F.extract(pictures(3), space)
    model = timm.create_model("resnet10t", checkpoint_path=str(resnet_file)).eval()
    mean, std = (torch.tensor(model.pretrained_cfg[k])[:, None, None] for k in ("mean", "std"))
    x = torch.from_numpy(np.stack([F.resize(i, 64, 64) for i in pictures(3)])) / 255
    with torch.no_grad():
        logits = model((x - mean) / std)
    assert features.shape == (3, 512) and probabilities is not None
    assert torch.allclose(probabilities, logits.softmax(1), rtol=1e-4, atol=1e-7)


def test_timm_space_without_the_head_gives_no_probabilities(resnet_file):
    space = F.timm_space("resnet10t", resnet_file, num_classes=7, side=64)
    assert F.extract(pictures(2), space).probabilities is None


@pytest.mark.parametrize(
    ("architecture", "side"),
    [
        ("test_vit", 40),  # any side
        ("swin_tiny_patch4_window7_224", 64),  # must be built for the side
        ("deit_tiny_distilled_patch16_224", None),  # two heads
    ],
)
def test_transformers_are_feature_spaces_too(architecture, side, tmp_path):
    torch.manual_seed(0)
    model = timm.create_model(architecture)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    space = F.timm_space(architecture, tmp_path / "weights.safetensors", side=side)
    features, probabilities = F.extract(pictures(1), space)
    assert space.side == side or model.pretrained_cfg["input_size"][-1]
    assert features.shape == (1, model.num_features) and probabilities.shape == (1, 1000)
    if side is None:
        mean, std = (torch.tensor(model.pretrained_cfg[k])[:, None, None] for k in ("mean", "std"))
        x = torch.from_numpy(F.resize(pictures(1)[0], space.side, space.side))[None] / 255
        with torch.no_grad():
            expected = model.eval()((x - mean) / std).softmax(1)
        assert torch.allclose(probabilities, expected, rtol=1e-4, atol=1e-7)


def test_a_side_that_a_backbone_does_not_take_is_one_sentence(tmp_path):
    with pytest.raises(BrushworkError, match=r"of 20 x 20 pixels \(.*; set `side` to 224"):
        F.timm_space("mixer_s32_224", tmp_path / "weights.safetensors", side=20)


def test_a_space_on_the_hub_is_called_as_its_architecture(tmp_path, monkeypatch):
    torch.manual_seed(0)
    trained = timm.create_model("test_resnet")
    create_model = timm.create_model

    def download(name, pretrained=False, **options):
        assert name == "test_resnet.r160_in1k"
        return trained if pretrained else create_model(name, **options)

    monkeypatch.setattr(timm, "create_model", download)
    space = F.timm_space("hf_hub:timm/test_resnet.r160_in1k", "hub", side=32)
    assert space.name == "test_resnet.r160_in1k"
    features, probabilities = F.extract(pictures(1), space)
    cached = F.cached_features(pictures(1), space, cache=tmp_path)
    assert torch.equal(cached.features, features)
    x = torch.from_numpy(F.resize(pictures(1)[0], 32, 32))[None] / 255
    mean, std = (torch.tensor(trained.pretrained_cfg[k])[:, None, None] for k in ("mean", "std"))
    with torch.no_grad():
        expected = trained.eval()((x - mean) / std).softmax(1)
    assert torch.allclose(probabilities, expected, rtol=1e-4, atol=1e-7)


def test_a_space_of_random_weights_is_refused():
    with pytest.raises(BrushworkError, match="a feature space needs trained ones"):
        F.timm_space("test_resnet", "none")


@pytest.fixture
def small_networks(tmp_path, monkeypatch):
    """A file of random weights for each network on the Hub, with a tiny one in its place."""
    files = {}
    for name, num_classes in ((F.CLIP, 768), (F.DINOV2, 0)):
        monkeypatch.setattr(F, f"{name.upper()}_ARCHITECTURE", "test_vit.r160_in1k")
        torch.manual_seed(num_classes)
        model = timm.create_model("test_vit", num_classes=num_classes)
        files[name] = tmp_path / f"{name}.safetensors"
        save_file(model.state_dict(), files[name])
    return files


def test_dinov2_is_the_class_token_and_has_no_probabilities(small_networks):
    space = F.dinov2(small_networks[F.DINOV2])
    features, probabilities = F.extract(pictures(2), space)
    assert (space.name, space.side, probabilities) == ("dinov2", 224, None)
    model = timm.create_model("test_vit", num_classes=0, dynamic_img_size=True).eval()
    model.load_state_dict(load_file(small_networks[F.DINOV2]))
    assert torch.allclose(features, model_outputs(model, space.side), rtol=1e-4, atol=1e-5)


def test_clip_is_the_projection_with_length_1(small_networks):
    space = F.clip(small_networks[F.CLIP])
    features, probabilities = F.extract(pictures(2), space)
    assert (space.name, probabilities) == ("clip", None)
    model = timm.create_model("test_vit", num_classes=768).eval()
    model.load_state_dict(load_file(small_networks[F.CLIP]))
    outputs = model_outputs(model, space.side)
    expected = outputs / outputs.norm(dim=1, keepdim=True)
    assert torch.allclose(features, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(BrushworkError, match="has no head of 768 outputs"):
        F.clip(small_networks[F.DINOV2])


def model_outputs(model, side):
    """Compute what a model answers for two pictures, without this library."""
    mean, std = (torch.tensor(model.pretrained_cfg[k])[:, None, None] for k in ("mean", "std"))
    x = torch.from_numpy(np.stack([F.resize(i, side, side) for i in pictures(2)])) / 255
    with torch.no_grad():
        return model((x - mean) / std)


@pytest.mark.parametrize("name", [F.CLIP, F.DINOV2])
def test_networks_on_the_hub_are_not_downloaded_unless_asked_for(name, monkeypatch, tmp_path):
    loaded = []
    monkeypatch.setattr(F, "timm_space", lambda *args, **_: loaded.append(args) or F.pixels())
    open_network = {F.CLIP: F.clip, F.DINOV2: F.dinov2}[name]
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(BrushworkError, match=rf"set `fetch` to download .*or pass {name}:FILE"):
        open_network()
    assert not loaded
    open_network(fetch=True)
    cached = str(tmp_path / "model.safetensors")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: cached)
    assert open_network().name == name
    assert [args[1] for args in loaded] == ["hub", "hub"]


def test_unknown_backbone_suggests_near_names(resnet_file):
    with pytest.raises(BrushworkError, match="resnet10t"):
        F.timm_space("resnet10x", resnet_file)


@pytest.fixture
def classifier(tmp_path):
    """Of two artists, untrained, looking at each painting in two views, with a temperature."""
    torch.manual_seed(0)
    network, folder = create_backbone("test_resnet", 2).eval(), tmp_path / "classifier"
    mean, std = input_statistics(network)
    training = {"model": "test_resnet", "artists": ["Claude Monet", "Edgar Degas"], "side": 64,
                "fit": "crop", "data": "drawn", "num_paintings": 4, "min_paintings": 2, "seed": 0,
                "fingerprint": "0", "weights": "none", "epoch": 1}  # fmt: skip
    judging = {"mean": mean, "std": std, "num_views": 2}
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0], [3.0, 0.0], [3.0, 0.0]])
    save_classifier(network, folder, training, judging, logits, np.array([0, 1, 0, 1]))
    return folder


def test_artist_space_is_what_the_classifier_sees_when_it_identifies(classifier, tmp_path):
    files = [tmp_path / f"{i}.jpg" for i in range(3)]  # which it reads as they are
    for file, picture in zip(files, pictures(3, side=64), strict=True):
        Image.fromarray(picture).save(file, quality=90)
    known, space = (
        ArtistClassifier.from_pretrained(classifier),
        open_space(f"artist:{classifier}"),
    )
    assert space.labels == ("Claude Monet", "Edgar Degas") and space.side == 64
    features, probabilities = F.extract(files, space)
    assert probabilities is not None and known.calibration.temperature > 1
    np.testing.assert_allclose(probabilities, known.probabilities(files), atol=1e-5)
    torch.testing.assert_close(features, known.embed(files), rtol=1e-4, atol=1e-5)
    images = torch.rand(2, 3, 64, 64).mul_(255).contiguous(memory_format=torch.channels_last)
    before = images.clone()
    space.embed(images)
    assert torch.equal(images, before), "what was given is left alone"


def test_the_key_of_artist_space_follows_all_that_decides_what_it_sees(classifier):
    key = artist_space(classifier).key
    config = load_config(classifier)
    update_config(classifier, config | {"results": {"test": {}}}, "")
    assert artist_space(classifier).key == key, "a measured classifier sees the same"
    update_config(classifier, config | {"temperature": 3.0}, "")
    assert artist_space(classifier).key != key


def test_no_classifier_is_one_sentence(tmp_path):
    for spec, words in (("artist", "artist:CLASSIFIER"), (f"artist:{tmp_path}", "no checkpoint")):
        with pytest.raises(BrushworkError, match=words):
            open_space(spec)


def test_cached_features_are_computed_once_per_content_and_weights(tmp_path):
    calls = []

    def embed(x: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(x))
        return x.mean((2, 3)), torch.full((len(x), 2), 0.5)

    def cached(images, key="weights A", **options):
        space = F.FeatureSpace("mine", 8, embed, key)
        return F.cached_features(images, space, cache=tmp_path, **options)

    first, again = cached(pictures(4)), cached(pictures(4).copy())
    assert len(calls) == 1
    assert torch.equal(first.features, again.features)
    assert again.probabilities is not None
    cached(pictures(4, seed=1))
    cached(pictures(4), key="weights B")
    assert len(calls) == 3
    cached(iter(pictures(4)), fingerprint="named")
    cached(iter([]), fingerprint="named")
    assert len(calls) == 4
    cached(pictures(4), key="")
    cached(pictures(4), key="")
    assert len(calls) == 6, "a space without a key is never cached"
    with pytest.raises(BrushworkError, match="`fingerprint`"):
        cached(iter(pictures(4)))


def test_a_damaged_cache_file_is_computed_again(tmp_path):
    expected = F.cached_features(pictures(4), F.pixels(8), cache=tmp_path).features
    (file,) = (tmp_path / "features").iterdir()
    file.write_bytes(b"cut off")
    again = F.cached_features(pictures(4), F.pixels(8), cache=tmp_path).features
    assert torch.equal(again, expected) and list((tmp_path / "features").iterdir()) == [file]


def test_fingerprint_follows_content_not_place(folder, tmp_path):
    before = F.content_fingerprint(folder)
    moved = folder.rename(tmp_path / "moved")
    assert F.content_fingerprint(moved) == before
    (moved / "0.png").write_bytes((moved / "2.png").read_bytes())
    assert F.content_fingerprint(moved) != before


def test_spaces_open_by_name(resnet_file, inception_file):
    assert open_space("pixels").side == 32 and open_space("pixels:8").side == 8
    assert open_space(f"resnet10t:{resnet_file}").name == "resnet10t"
    assert open_space(f"inception:{inception_file}").name == "inception"
    for wrong in ("resnet10t", "pixels:x", ""):
        with pytest.raises(BrushworkError, match=r"feature space|no backbone"):
            open_space(wrong)
