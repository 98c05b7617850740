"""States of runs: what is written comes back, and nothing else is believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from refusing import Payload, refusal

from slicegan.checkpoint import load_state, save_state
from slicegan.config import GeneratorConfig, Layer
from slicegan.networks import Generator

CONFIG = GeneratorConfig(latent_channels=4, filters=(8,), layers=(Layer(4, 2, 2), Layer(4, 2, 3)))


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(5)
    generator = Generator(CONFIG)
    adam = torch.optim.Adam(generator.parameters())
    generator(torch.ones(1, 4, 4, 4, 4)).square().sum().backward()
    adam.step()
    state = {
        "step": 12,
        "generator": generator.state_dict(),
        "adam": adam.state_dict(),
        "random": random.get_state(),
        "best": [0.5, float("inf"), None, "text"],
    }
    save_state(state, tmp_path / "state.pt")
    again = load_state(tmp_path / "state.pt")
    assert (again["step"], again["best"]) == (12, state["best"])
    for name, tensor in generator.state_dict().items():
        assert torch.equal(again["generator"][name], tensor)
    other = torch.optim.Adam(Generator(CONFIG).parameters())
    other.load_state_dict(again["adam"])
    for new, old in zip(other.state.values(), adam.state.values(), strict=True):
        assert torch.equal(new["exp_avg"], old["exp_avg"])
    expected = torch.rand(5, generator=random)
    fresh = torch.Generator()
    fresh.set_state(again["random"])
    assert torch.equal(torch.rand(5, generator=fresh), expected)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_state_is_refused_and_not_run(zipped: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "state.pt", tmp_path / "trace"
    torch.save({"step": Payload(trace)}, path, _use_new_zipfile_serialization=zipped)
    message = refusal(load_state, path)
    assert message.startswith(f"{path}: cannot be read")
    assert "start the run anew" in message
    assert not trace.exists()


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    assert "No such file" in refusal(load_state, path)
    torch.save([1, 2], path)
    assert "holds a list, not the state of a run" in refusal(load_state, path)
    path.write_text(json.dumps({"step": 1}))
    assert "cannot be read" in refusal(load_state, path)
    save_state({"step": 1, "weights": torch.zeros(1000)}, path)
    content = path.read_bytes()
    for size in (0, 1, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        assert "cannot be read" in refusal(load_state, path)


def test_a_refusal_does_not_advise_to_run_the_code(tmp_path: Path) -> None:
    torch.save({"step": Payload(tmp_path / "trace")}, tmp_path / "state.pt")
    assert "weights_only" not in refusal(load_state, tmp_path / "state.pt")


def test_every_damaged_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state({"step": 1, "weights": torch.arange(100.0)}, path)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 17), *range(len(whole) - 40, len(whole))]:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        assert "cannot be read" in refusal(load_state, path), place


def test_a_state_without_a_checksum_is_of_an_earlier_version(tmp_path: Path) -> None:
    torch.save({"step": 3}, tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt") == {"step": 3}
