"""The table of generation: every way makes the same volume, and its page says how."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.speed import generation
from benchmarks.speed.original import SIGNATURE

linux_only = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="peak memory needs Linux"
)

# A stand-in with the interface and the state of the original's generator.
NETWORKS = """
from pathlib import Path

from torch import nn, softmax

def slicegan_nets(pth, Training, imtype, dk, ds, df, dp, gk, gs, gf, gp):
    Path(pth + "_params.data").write_text("settings")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            layers = list(zip(gf, gf[1:], gk, gs, gp))
            self.convs = nn.ModuleList(nn.ConvTranspose3d(*layer, bias=False) for layer in layers)
            self.bns = nn.ModuleList(nn.BatchNorm3d(width) for width in gf[1:])

        def forward(self, x):
            for conv, norm in zip(self.convs[:-1], self.bns):
                x = norm(conv(x)).relu()
            return softmax(self.convs[-1](x), 1)

    return None, Net
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    package = tmp_path / "checkout" / "slicegan"
    package.mkdir(parents=True)
    (package / "networks.py").write_text(NETWORKS)
    (package / "model.py").write_text(f"{SIGNATURE}: ...\n")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run(["git", "-C", str(package.parent), *who, *words], check=True)
    return package.parent


@linux_only
def test_all_ways_make_the_same_volume(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = ["--filters", "4,4,4,4", "--sizes", "64", "--large", "65", "--repeats", "1"]
    options = [*tiny, "--reference", str(checkout), "--out", str(tmp_path)]
    assert generation.main(options) == 0
    table = pd.read_csv(tmp_path / "speed_generate.csv")
    assert list(table["code"]) == ["ours, whole", "ours, streamed", "original", "ours, streamed"]
    assert list(table["voxels"]) == ["64^3"] * 3 + ["65^3"]
    # Float32 in another order: a few ties of 262 144 voxels may fall the other way.
    assert np.ptp(table["first phase"][:3]) < 1e-4
    assert 0.05 < table["first phase"][0] < 0.95
    np.testing.assert_allclose(table["voxels/s"][:3] * table["s"][:3], 64**3, rtol=1e-4)
    assert table["speed-up"][2] == 1
    assert np.isnan(table["speed-up"][3])
    assert (table["peak RSS, GiB"] > 0.05).all()  # Python and PyTorch alone
    assert (table["B/voxel"][:3] > 0).any()
    page = (tmp_path / "speed_generate.md").read_text()
    for fact in (
        "- command: python -m benchmarks.speed.generation",
        "SliceGAN at ",
        "- device: cpu",
    ):
        assert fact in page
    assert "original" in capsys.readouterr().out


def test_the_originals_network_gives_our_probabilities(checkout: Path) -> None:
    model = generation.model_of("4,3,2,5")
    for norm in model.generator.norms:
        norm.running_mean.uniform_(-1, 1)  # type: ignore[union-attr, operator]
    original = generation.original_network(model.generator, checkout)
    noise = torch.randn(1, 64, 3, 4, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # One float32 rounding a layer.
        torch.testing.assert_close(original(noise), model.generator(noise), rtol=0, atol=1e-5)


@linux_only
def test_without_the_original_its_rows_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def rows(filters: str, size: int, ways: list[str], args: object) -> list[dict]:
        asked.append((filters, size, ways))
        return [{"s": 1.0}]

    monkeypatch.setattr(generation, "rows_of", rows)
    assert generation.main(["--out", str(tmp_path), "--large"]) == 0
    ours = ["ours, whole", "ours, streamed"]
    paper, small = generation.PAPER, generation.SMALL
    assert asked[:3] == [(paper, 64, ours), (paper, 128, ours), (paper, 256, ours)]
    assert asked[-1] == (small, 1024, ["ours, streamed"])
    assert (
        "- original: not measured: give --reference" in (tmp_path / "speed_generate.md").read_text()
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_and_no_original_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, message in (
        (["--device", "cuda"], "no GPU that PyTorch can use"),
        (["--reference", str(tmp_path)], "is not the original SliceGAN"),
    ):
        assert generation.main([*options, "--out", str(tmp_path / "out")]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
    assert not (tmp_path / "out").exists()
