"""Local ImageNet weights into timm models: every tensor, or an error."""

import random
import sys
from argparse import Namespace
from types import SimpleNamespace

import pytest
import timm
import torch
from safetensors.torch import save_file

from brushwork.backbones.weights import PACKAGES, load_backbone, match_by_order
from brushwork.errors import BrushworkError


def resnet(num_classes: int = 1000, seed: int = 0):
    torch.manual_seed(seed)
    return timm.create_model("resnet10t", pretrained=False, num_classes=num_classes)


def equal(a, b, *, but: str = "\0") -> bool:
    a, b = a.state_dict(), b.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a if not name.startswith(but))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".bin"])
def test_every_tensor_is_filled(tmp_path, suffix):
    trained, fresh, path = resnet(), resnet(seed=1), tmp_path / f"weights{suffix}"
    state = trained.state_dict()
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    assert load_backbone(fresh, path) is True
    assert equal(trained, fresh)


@pytest.mark.parametrize("num_classes", [0, 7])
def test_a_head_of_another_size_is_left_alone(tmp_path, num_classes):
    trained, fresh = resnet(), resnet(num_classes, seed=1)
    before = [p.clone() for p in fresh.get_classifier().parameters()]
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    assert load_backbone(fresh, tmp_path / "weights.pth") is False
    assert equal(fresh, trained, but="fc")
    after = fresh.get_classifier().parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_torchvision_resnets_have_the_same_names(tmp_path):
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    trained = torchvision.models.resnet18(weights=None).eval()
    torch.save(trained.state_dict(), tmp_path / "weights.pth")
    fresh = timm.create_model("resnet18", pretrained=False).eval()
    assert load_backbone(fresh, tmp_path / "weights.pth") is True
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(trained(x), fresh(x), atol=1e-5)


def test_files_of_torchvision_that_do_not_count_batches_are_loaded(tmp_path):
    trained, fresh = resnet(), resnet(seed=1)
    old = {k: t for k, t in trained.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "weights.pth")
    assert load_backbone(fresh, tmp_path / "weights.pth") is True
    assert equal(trained, fresh)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.backbone."]
)
def test_a_prefix_of_all_names_is_removed(tmp_path, prefix):
    trained, fresh = resnet(), resnet(5, seed=1)
    state = {f"{prefix}{name}": tensor for name, tensor in trained.state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    assert load_backbone(fresh, tmp_path / "weights.safetensors") is False
    assert equal(fresh, trained, but="fc")


def test_names_of_compiled_parts_are_those_of_the_parts(tmp_path):
    trained, fresh = resnet(), resnet(seed=1)
    state = {k.replace("layer1.", "layer1._orig_mod."): t for k, t in trained.state_dict().items()}
    torch.save(state, tmp_path / "weights.pth")
    assert load_backbone(fresh, tmp_path / "weights.pth") is True
    assert equal(trained, fresh)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_ema", "model_state_dict", "net"])
def test_weights_inside_a_training_checkpoint_are_found(tmp_path, key):
    trained, fresh = resnet(), resnet(seed=1)
    state = {f"module.{name}": tensor for name, tensor in trained.state_dict().items()}
    file = {"epoch": 3, "optimizer": {"state": {}}, "args": Namespace(lr=0.1), key: state}
    torch.save(file, tmp_path / "weights.pth")
    assert load_backbone(fresh, tmp_path / "weights.pth") is True
    assert equal(trained, fresh)


def test_a_file_without_tensors_is_one_sentence(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(BrushworkError, match="contains no tensors"):
        load_backbone(resnet(), tmp_path / "weights.pth")


def test_weights_of_another_architecture_are_refused_and_nothing_is_changed(tmp_path):
    fresh, before = resnet(), resnet()
    for other in ("resnet14t", "resnet26"):
        torch.save(timm.create_model(other).state_dict(), tmp_path / "weights.pth")
        with pytest.raises(BrushworkError, match="does not fit ResNet"):
            load_backbone(fresh, tmp_path / "weights.pth")
    assert equal(fresh, before)


def test_absent_broken_and_pickled_files_are_one_sentence(tmp_path):
    with pytest.raises(BrushworkError, match="no weights at"):
        load_backbone(resnet(), tmp_path / "nowhere.pth")
    for name in ("broken.pth", "broken.safetensors"):
        (tmp_path / name).write_bytes(b"cut off")
        with pytest.raises(BrushworkError, match="cannot read weights"):
            load_backbone(resnet(), tmp_path / name)
    torch.save({"state_dict": {"a": SimpleNamespace()}}, tmp_path / "code.pth")
    with pytest.raises(BrushworkError, match="cannot read weights"):
        load_backbone(resnet(), tmp_path / "code.pth")


def test_matching_by_order_refuses_any_other_order():
    own = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    renamed = {f"x{i}.{name.rpartition('.')[2]}": t for i, (name, t) in enumerate(own.items())}
    assert all(t is own[name] for name, t in match_by_order(renamed, own).items())
    for seed in range(5):
        items = list(renamed.items())
        random.Random(seed).shuffle(items)
        with pytest.raises(BrushworkError, match="another architecture"):
            match_by_order(dict(items), own)
    with pytest.raises(BrushworkError, match="tensors, but the model has"):
        match_by_order(dict(list(renamed.items())[1:]), own)


@pytest.mark.parametrize(("package", "architecture"), PACKAGES.items())
def test_an_absent_package_is_one_sentence(monkeypatch, package, architecture):
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    with pytest.raises(BrushworkError, match=f"pip install {package}"):
        load_backbone(timm.create_model(architecture), package)


@pytest.mark.parametrize(("package", "architecture"), PACKAGES.items())
def test_a_package_fills_its_network(package, architecture):
    pytest.importorskip(package.replace("-", "_"), reason=f"no package {package}")
    model = timm.create_model(architecture, pretrained=False).eval()
    assert load_backbone(model, package) is True
    # The batch norms of a fresh network hold ones.
    assert all(
        not torch.equal(buffer, torch.ones_like(buffer))
        for name, buffer in model.named_buffers()
        if name.endswith("running_var")
    )
    forty = timm.create_model(architecture, pretrained=False, num_classes=40)
    assert load_backbone(forty, package) is False
    assert equal(forty, model, but="classifier")
