"""torchvision's classifiers: their list, the user's own weights, and a machine without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from torchvision.models import get_model

from core import InvalidInput, domains
from core.models import pretrained, user_weights


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
    with pytest.raises(InvalidInput, match=r"SqueezeNet 1\.0 could not be downloaded") as refused:
        pretrained.load("squeezenet1_0", tmp_path)
    assert "photographs work without a network" in str(refused.value)


def test_own_weights_come_first_and_say_whose_they_are(own: Path) -> None:
    names = pretrained.names(own)
    assert names[:2] == ("mobilenet_v2_own", "squeezenet1_0_own")
    assert names[2] == "resnet50"
    assert pretrained.title("mobilenet_v2_own") == "MobileNet v2 (your own weights)"


def test_own_weights_recognize_real_images_with_their_own_normalization(own: Path, data: Path) -> None:
    images, labels = domains.get("imagenet").sample(40, seed=0)
    model = pretrained.load("mobilenet_v2_own", own)
    assert model.mean.flatten().tolist() == [0.5] * 3 and model.size == 224
    with torch.inference_mode():
        right = int((model(images).argmax(1) == labels).sum())
    assert right >= 20


def test_weights_without_a_sidecar_take_imagenets_normalization(own: Path) -> None:
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
    with pytest.raises(InvalidInput, match=r"imagenet_resnet18\.json must look like"):
        pretrained.load("resnet18_own", tmp_path)


def test_weights_of_another_architecture_or_none_are_one_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "imagenet_nothing_known.pth").write_bytes(b"")
    assert pretrained.user_weights(tmp_path) == {}, "a name that torchvision has no architecture for"
    torch.save(torch.nn.Linear(2, 2).state_dict(), folder / "imagenet_squeezenet1_0.pth")
    with pytest.raises(InvalidInput, match="does not hold weights of torchvision's squeezenet1_0"):
        pretrained.load("squeezenet1_0_own", tmp_path)
    (folder / "imagenet_squeezenet1_0.pth").write_bytes(b"not a checkpoint")
    with pytest.raises(InvalidInput, match="does not hold weights"):
        pretrained.load("squeezenet1_0_own", tmp_path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    folder, trap = tmp_path / "weights", tmp_path / "sprung"
    folder.mkdir()

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return shutil.rmtree, (str(trap),)

    trap.mkdir()
    torch.save({"features.0.weight": Trap()}, folder / "imagenet_squeezenet1_0.pth")
    with pytest.raises(InvalidInput, match="does not hold weights"):
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


def squeezenet(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    network = get_model("squeezenet1_0", weights=None)
    return {name: tensor * 0.1 for name, tensor in network.state_dict().items()}


STATE = squeezenet()


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in STATE.items()}


WRAPPED = {
    "DataParallel": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "compiled DataParallel": prefixed("module._orig_mod."),
    "Lightning": {"state_dict": prefixed("model."), "epoch": 3, "optimizer_states": [{"lr": 0.1}]},
    "with its optimizer": {"state_dict": prefixed("module."), "optimizer": {"state": {}}, "epoch": torch.tensor(3)},
    "model_state_dict": {"model_state_dict": STATE, "loss": 0.3},
    "nested": {"model": {"state_dict": prefixed("model.module.")}},
    "ema": {"ema": STATE},
    "net": {"net": prefixed("net.")},
    "half precision": {name: tensor.half() for name, tensor in STATE.items()},
    "counters": {**STATE, "total_ops": torch.zeros(1), "features.0.total_params": torch.zeros(1)},
}


@pytest.mark.parametrize("ending", [".pth", ".pt", ".ckpt", ".bin", ".pth.tar"])
def test_every_ending_that_people_use(tmp_path: Path, ending: str) -> None:
    (tmp_path / "weights").mkdir()
    torch.save(STATE, tmp_path / "weights" / f"imagenet_squeezenet1_0{ending}")
    assert pretrained.names(tmp_path)[0] == "squeezenet1_0_own"
    (tmp_path / "weights" / "imagenet_squeezenet1_0.json").write_text('{"size": 64}')
    assert pretrained.load("squeezenet1_0_own", tmp_path).size == 64


def saved(root: Path, found: object, architecture: str = "squeezenet1_0", sidecar: str = '{"size": 64}') -> None:
    (root / "weights").mkdir(exist_ok=True)
    torch.save(found, root / "weights" / f"imagenet_{architecture}.pth")
    (root / "weights" / f"imagenet_{architecture}.json").write_text(sidecar)


@pytest.mark.parametrize("how", WRAPPED)
def test_weights_as_people_have_them(tmp_path: Path, how: str) -> None:
    saved(tmp_path, WRAPPED[how])
    loaded = pretrained.load("squeezenet1_0_own", tmp_path).network.state_dict()
    for name, tensor in STATE.items():
        torch.testing.assert_close(loaded[name], tensor, rtol=1e-3, atol=1e-4)


def changed(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    return {**STATE, name: tensor}


REFUSED = {
    "holds NaN or infinite values in features.0.bias": changed("features.0.bias", torch.full((96,), torch.nan)),
    "holds NaN or infinite values in features.0.bias;": changed("features.0.bias", torch.full((96,), torch.inf)),
    "has 10 outputs; ImageNet has 1000 classes": changed("classifier.1.weight", torch.zeros(10, 512, 1, 1)),
    "it lacks features.0.bias": {name: tensor for name, tensor in STATE.items() if name != "features.0.bias"},
    "it has the unknown something.new": changed("something.new", torch.zeros(1)),
    "features.0.bias is 95 there and must be 96": changed("features.0.bias", torch.zeros(95)),
    "it holds no tensors": {"epoch": 3},
    "it holds a list": [1, 2],
    "it holds a whole model; save model.state_dict": torch.nn.Sequential(torch.nn.Linear(2, 2)),
    "NaN or infinite logits": {name: tensor * 1e30 for name, tensor in STATE.items()},
}


@pytest.mark.parametrize("words", REFUSED)
def test_weights_that_do_not_fit_are_one_sentence_that_names_why(tmp_path: Path, words: str) -> None:
    saved(tmp_path, REFUSED[words])
    with pytest.raises(InvalidInput) as refused:
        pretrained.load("squeezenet1_0_own", tmp_path)
    assert words in str(refused.value) and "imagenet_squeezenet1_0.pth" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        '{"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}',
        '{"std": [58, 57, 57]}',
        '{"mean": [128, 128, 128]}',
    ],
)
def test_a_sidecar_for_8_bit_values_is_refused(tmp_path: Path, text: str) -> None:
    saved(tmp_path, STATE, sidecar=text)
    with pytest.raises(InvalidInput, match="divide them by 255"):
        pretrained.load("squeezenet1_0_own", tmp_path)


def test_a_size_that_the_network_does_not_take_is_one_sentence(tmp_path: Path) -> None:
    with torch.no_grad():
        network = get_model("vit_b_16", weights=None)
    saved(tmp_path, {name: t * 0 for name, t in network.state_dict().items()}, "vit_b_16", '{"size": 256}')
    with pytest.raises(InvalidInput, match="does not take images of 256×256 pixels"):
        pretrained.load("vit_b_16_own", tmp_path)


@pytest.fixture(scope="module")
def googlenet() -> torch.nn.Module:
    torch.manual_seed(0)
    return get_model("googlenet", weights=None, aux_logits=True, init_weights=False)


@pytest.mark.parametrize(
    ("sidecar", "rescales"),
    [
        ('{"size": 64}', True),
        ('{"size": 64, "transform_input": false}', False),
        ('{"size": 64, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}', False),
        ('{"size": 64, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}', True),
    ],
)
def test_googlenet_rescales_its_input_as_torchvisions_weights_want_it(
    googlenet: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sidecar: str, rescales: bool
) -> None:
    state = {n: t for n, t in googlenet.state_dict().items() if not n.startswith("aux") and "num_batches" not in n}
    saved(tmp_path, state, "googlenet", sidecar)
    monkeypatch.setattr(pretrained, "_built", lambda _: googlenet)
    model = pretrained.load("googlenet_own", tmp_path)
    assert model.network.transform_input is rescales
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    values = (image - model.mean) / model.std
    if rescales:  # to what the mean and the standard deviation of 0.5 give
        values = (image - 0.5) / 0.5
    googlenet.eval().transform_input = False  # type: ignore[assignment]
    with torch.inference_mode():
        torch.testing.assert_close(model(image), googlenet(values), rtol=1e-3, atol=1e-3)


def test_old_names_of_densenet() -> None:
    with torch.device("meta"):
        state = get_model("densenet121", weights=None).state_dict()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", name): tensor for name, tensor in state.items()}
    assert set(old) != set(state)
    assert set(user_weights._fitting(old, state)) == set(state)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    os.mkfifo(tmp_path / "weights" / "imagenet_resnet18.pth")
    with pytest.raises(InvalidInput, match="a pipe or a device"):
        pretrained.load("resnet18_own", tmp_path)
