"""Several processes train one network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file
from torch import nn

from core.training import Trainer, train
from core.training.parallel import Group
from tests.core.training.test_trainer import CPU, small
from tests.core.training.tiny import images, network, plan


def test_two_processes_train_the_same_plan(tiny: dict[str, str], tmp_path: Path) -> None:
    """torchrun with gloo: every process has the same weights in the end, the first one writes, and they are those of one process
    where nothing is drawn and no batch norm looks at a part of the batch."""
    exact = {"architecture": "digit_b", "augment": {"name": "none"}, "mixed_precision": False, "name": "mnist_exact"}
    alone = plan(
        **exact, epochs=1, batch=479, optimizer="sgd"
    )  # 479: the last of four batches has no image but its own
    (tmp_path / "exact.json").write_text(alone.to_json())
    script = tmp_path / "both.py"
    script.write_text(
        "import hashlib, os, sys\n"
        "from pathlib import Path\n"
        "import core.training as training\n"
        "ends = training.Trainer.fit\n"
        "def fit(self, on_progress=None):\n"
        "    done = ends(self, on_progress)\n"
        "    state = self.networks['classifier'].state_dict().values()\n"
        "    text = hashlib.sha256(b''.join(v.numpy().tobytes() for v in state if v.is_floating_point())).hexdigest()\n"
        f"    Path({str(tmp_path)!r}, f'{{self.plan.name}}{{self.group.rank}}').write_text(f'{{self.group.size}} {{text}}')\n"
        "    return done\n"
        "training.Trainer.fit = fit\n"
        "from core.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    words = [
        "train",
        str(tmp_path / "exact.json"),
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run([*command, *words], env=tiny, timeout=400, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = ((tmp_path / f"mnist_exact{rank}").read_text() for rank in (0, 1))
    assert first == second and first.startswith("2 ")
    assert done.stdout.count("Saved in") == 1
    train(alone, tmp_path / "alone", "cpu")
    both, one = (load_file(tmp_path / folder / "mnist_exact.safetensors") for folder in ("out", "alone"))
    assert all(torch.allclose(both[key].float(), one[key].float(), atol=1e-3) for key in one)


class Recording(Group):
    """One process that notes what the processes of a group would have shared."""

    shared: ClassVar[list[tuple[str, nn.Module]]] = []

    def average_buffers(self, network: nn.Module) -> None:
        self.shared.append(("buffers", network))

    def share_weights(self, network: nn.Module) -> None:
        self.shared.append(("weights", network))


def test_processes_share_the_averaged_networks_buffers_and_the_stages_weights() -> None:
    """Else each judges a network of its own, keeps another epoch and begins the next stage with other weights."""
    model = network()
    Recording.shared.clear()
    trainer = Trainer(small(averaged=0.9), {"classifier": model}, images(), CPU, group=Recording())
    assert trainer.fit() and trainer.average is not None
    epochs = [("buffers", model), ("buffers", trainer.average)]
    assert Recording.shared == [*epochs * small().stages[0].epochs, ("weights", model)]
