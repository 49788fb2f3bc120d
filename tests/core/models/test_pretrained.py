"""torchvision's classifiers: their list, the user's own weights, and a machine without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torchvision.models import get_model

from core import BadInput, domains
from core.models import pretrained


@pytest.fixture
def own(data_root: Path, tmp_path: Path) -> Path:
    """A user's data folder with two weight files of their own."""
    (tmp_path / "weights").mkdir()
    for path in (data_root / "weights").glob("imagenet_*.pth"):
        (tmp_path / "weights" / path.name).symlink_to(path)
    (tmp_path / "weights" / "imagenet_mobilenet_v2.json").write_text(
        '{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'
    )
    return tmp_path


def test_every_classifier_of_the_list_has_the_layer_that_grad_cam_looks_at(tmp_path: Path) -> None:
    names = pretrained.names(tmp_path)
    assert names[0] == "resnet50" and len(names) == len(set(names)) >= 10
    for name in names:
        with torch.device("meta"):  # the shape of the network without its weights
            extra = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
            network = get_model(name, weights=None, **extra)
        network.get_submodule(pretrained._TITLES[name][1])
        assert "downloaded on first use" in pretrained.note(name, tmp_path)


def test_published_weights_without_a_network_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(BadInput, match=r"SqueezeNet 1\.0 could not be downloaded") as refused:
        pretrained.load("squeezenet1_0", tmp_path)
    assert "photographs work without a network" in str(refused.value)


def test_own_weights_come_first_and_say_whose_they_are(own: Path) -> None:
    names = pretrained.names(own)
    assert names[:2] == ("mobilenet_v2_own", "squeezenet1_0_own")
    assert names[2] == "resnet50"
    assert pretrained.title("mobilenet_v2_own") == "MobileNet v2 (your own weights)"


def test_own_weights_recognise_real_pictures_with_their_own_normalisation(own: Path, data: Path) -> None:
    images, labels = domains.get("imagenet").sample(40, seed=0)
    model = pretrained.load("mobilenet_v2_own", own)
    assert model.mean.flatten().tolist() == [0.5] * 3 and model.size == 224
    with torch.inference_mode():
        right = int((model(images).argmax(1) == labels).sum())
    assert right >= 20


def test_weights_without_a_sidecar_take_imagenets_normalisation(own: Path) -> None:
    model = pretrained.load("squeezenet1_0_own", own)
    assert model.mean.flatten().tolist() == pytest.approx(pretrained.MEAN)
    assert model.std.flatten().tolist() == pytest.approx(pretrained.STD)
    with torch.inference_mode():
        assert model(torch.rand(1, 3, 224, 224)).shape == (1, 1000)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"mean": [0.5]}', '{"mean": 0.5}', '{"size": 5}', '{"size": "large"}', '{"std": [0, 1, 1]}']
)
def test_a_sidecar_that_says_nonsense_is_one_sentence(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.save({}, folder / "imagenet_resnet18.pth")
    (folder / "imagenet_resnet18.json").write_text(text)
    with pytest.raises(BadInput, match=r"imagenet_resnet18\.json must look like"):
        pretrained.load("resnet18_own", tmp_path)


def test_weights_of_another_architecture_or_none_are_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "imagenet_nothing_known.pth").write_bytes(b"")
    assert pretrained.own_weights(tmp_path) == {}, "a name that torchvision has no architecture for"
    torch.save(torch.nn.Linear(2, 2).state_dict(), folder / "imagenet_squeezenet1_0.pth")
    with pytest.raises(BadInput, match="does not hold weights of torchvision's squeezenet1_0"):
        pretrained.load("squeezenet1_0_own", tmp_path)
    (folder / "imagenet_squeezenet1_0.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(BadInput, match="does not hold weights"):
        pretrained.load("squeezenet1_0_own", tmp_path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    folder, trap = tmp_path / "weights", tmp_path / "sprung"
    folder.mkdir()

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return shutil.rmtree, (str(trap),)

    trap.mkdir()
    torch.save({"features.0.weight": Trap()}, folder / "imagenet_squeezenet1_0.pth")
    with pytest.raises(BadInput, match="does not hold weights"):
        pretrained.load("squeezenet1_0_own", tmp_path)
    assert trap.exists()


def test_safetensors_are_read_as_well(own: Path) -> None:
    from safetensors.torch import save_file

    path = own / "weights" / "imagenet_squeezenet1_0.pth"
    state = torch.load(path, weights_only=True)
    path.unlink()
    save_file({k: v.contiguous() for k, v in state.items()}, path.with_suffix(".safetensors"))
    loaded = pretrained.load("squeezenet1_0_own", own).network.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert json.dumps(sorted(loaded)) == json.dumps(sorted(state))
