"""Converted generators against an independent statement of the original's networks."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import original_networks as original
import pytest
import torch
from refusing import Payload, refusal
from skimage import io

import slicegan
from metrics.volume import Phase
from slicegan.calibration import image_fractions
from slicegan.checkpoint import load_model, save_model
from slicegan.config import Layer
from slicegan.convert import calibrated, convert
from slicegan.data import load_training_data
from slicegan.places import lattice

# Sums of up to a thousand products in float32, taken in another order, leave some 1e-6.
CLOSE = 1e-5
NET = original.params((8, 16, 8, 3))


def noise(*shape: int, channels: int = 8) -> torch.Tensor:
    return torch.randn(2, channels, *shape, generator=torch.Generator().manual_seed(3))


def output(model: Any, sites: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.generator(sites)


@pytest.mark.parametrize("shape", [(4, 4, 4), (6, 6, 6), (3, 4, 5)])
@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_transpose_net_gives_the_output_of_the_original_at_any_size(
    shape: tuple[int, int, int], parallel: bool, legacy: bool, tmp_path: Path
) -> None:
    made = original.weights(NET)
    model = convert(*original.save(tmp_path, NET, made, parallel=parallel, legacy=legacy))
    expected = original.generate(NET, made, noise(*shape))
    assert expected.std() > 0.1  # a dull output would agree with anything
    assert torch.allclose(output(model, noise(*shape)), expected, rtol=0, atol=CLOSE)


def test_one_changed_weight_of_any_living_layer_changes_the_output(tmp_path: Path) -> None:
    made = original.weights(NET)
    expected = original.generate(NET, made, noise(4, 4, 4))
    living = [name for name in made if not name.startswith("bns.2") and "num_" not in name]
    for name in living:
        spoilt = OrderedDict(made)
        spoilt[name] = 1.1 * made[name]
        model = convert(*original.save(tmp_path, NET, spoilt))
        difference = (output(model, noise(4, 4, 4)) - expected).abs().max()
        assert difference > 100 * CLOSE, name


@pytest.mark.parametrize(("kind", "channels"), [("grey", 1), ("colour", 3)])
def test_intensities_end_in_tanh(kind: Any, channels: int, tmp_path: Path) -> None:
    net = original.params((8, 16, 8, channels))
    made = original.weights(net)
    model = convert(*original.save(tmp_path, net, made), kind=kind)
    expected = original.generate(net, made, noise(4, 4, 4), intensities=True)
    assert torch.allclose(output(model, noise(4, 4, 4)), expected, rtol=0, atol=CLOSE)
    assert model.material.phases == ()


def test_layers_that_break_the_rules_of_density_are_kept(tmp_path: Path) -> None:
    # As in the original's released `interface` generator: its first layer lacks padding.
    net = original.params((8, 16, 8, 3), strides=(1, 2, 2), paddings=(0, 2, 3))
    made = original.weights(net)
    model = convert(*original.save(tmp_path, net, made))
    assert not model.generator.config.dense
    assert model.generator.config.layers[0] == Layer(4, 1, 0)
    expected = original.generate(net, made, noise(2, 2, 3))
    assert torch.allclose(output(model, noise(2, 2, 3)), expected, rtol=0, atol=CLOSE)


@pytest.mark.parametrize("latent_size", [4, 5, 6])
def test_a_resize_net_gives_the_output_of_the_original_at_its_training_size(
    latent_size: int, tmp_path: Path
) -> None:
    made = original.weights(NET, resize=True)
    model = convert(*original.save(tmp_path, NET, made), latent_size=latent_size)
    sites = noise(*[latent_size] * 3)
    expected = original.generate(NET, made, sites)
    assert expected.std() > 0.1
    assert torch.allclose(output(model, sites), expected, rtol=0, atol=CLOSE)
    assert model.generator.size(latent_size) == expected.shape[2]


def test_a_resize_net_keeps_the_factor_of_its_training_size_in_larger_volumes(
    tmp_path: Path,
) -> None:
    # Two hidden layers make 4, 6, 10 sites of 4: upsampled to 18, so by 1.8.
    made = original.weights(NET, resize=True)
    model = convert(*original.save(tmp_path, NET, made))
    assert model.generator.config.upsampling == 1.8
    sites = noise(4, 6, 7)
    expected = original.generate(NET, made, sites, factor=1.8)
    found = output(model, sites)
    assert torch.allclose(found, expected, rtol=0, atol=CLOSE)
    assert found.shape[2:] == tuple(model.generator.size(n) for n in (4, 6, 7))
    # The original's own output: another size along y, and the size of y along x.
    theirs = original.generate(NET, made, sites)
    assert theirs.shape[2:] == (16, 32, 32)
    assert found.shape[2:] == (16, 30, 37)


def test_a_resize_net_ends_in_softmax_whatever_its_kind(tmp_path: Path) -> None:
    made = original.weights(NET, resize=True)
    model = convert(*original.save(tmp_path, NET, made), kind="colour")
    expected = original.generate(NET, made, noise(4, 4, 4))
    assert torch.allclose(output(model, noise(4, 4, 4)), expected, rtol=0, atol=CLOSE)
    grey = original.params((8, 16, 8, 1))
    files = original.save(tmp_path, grey, original.weights(grey, resize=True))
    assert "1 everywhere" in refusal(convert, *files, kind="grey")


def test_phases_are_the_values_the_original_writes_or_those_of_the_training_image(
    tmp_path: Path,
) -> None:
    files = original.save(tmp_path, NET, original.weights(NET))
    default = convert(*files).material
    assert default.phases == (Phase("0", 0, 0), Phase("127", 1, 127), Phase("255", 2, 255))
    assert (default.spacing, default.unit) == ((1.0, 1.0, 1.0), "voxel")
    # Channels are in the order of values, in whatever order they are named.
    named = {"nmc": 128, "binder": 255, "pore": 0}
    material = convert(*files, phases=named, spacing=(2, 0.5, 0.5), unit="um").material
    assert material.phases == (Phase("pore", 0, 0), Phase("nmc", 1, 128), Phase("binder", 2, 255))
    assert (material.spacing, material.unit) == ((2.0, 0.5, 0.5), "um")


def test_a_converted_model_survives_a_file_and_knows_where_it_comes_from(tmp_path: Path) -> None:
    files = original.save(tmp_path, NET, original.weights(NET, resize=True))
    model = convert(*files)
    save_model(model, tmp_path / "new.safetensors")
    again = load_model(tmp_path / "new.safetensors")
    assert torch.equal(output(again, noise(4, 4, 4)), output(model, noise(4, 4, 4)))
    assert re.fullmatch(r"X_Gen\.pt sha256:[0-9a-f]{64}", again.facts["weights"])
    assert re.fullmatch(r"X_params\.data sha256:[0-9a-f]{64}", again.facts["params"])


def test_a_lattice_is_calibrated_away_by_the_training_image(tmp_path: Path) -> None:
    model = convert(*original.save(tmp_path, NET, original.weights(NET)))
    image = tmp_path / "image.png"
    values = np.array([0, 127, 255], np.uint8)
    io.imsave(image, np.random.default_rng(0).choice(values, (64, 64), p=[0.5, 0.2, 0.3]))
    better = calibrated(model, image, volumes=256)
    assert better.generator.config.places == better.generator.stride == 8
    assert better.facts["calibrated"].startswith('{"image.png": "')
    before, after = (
        lattice([slicegan.generate(one, 32, seed=seed) for seed in range(64)], 8)
        for one in (model, better)
    )
    # Each place is seen 2048 times: the rarest phase is set to 4.4 % of itself.
    assert before.worst > 0.2
    assert after.worst < 0.08
    wanted = image_fractions(load_training_data(image))
    assert after.means.mean((1, 2, 3)) == pytest.approx(wanted, abs=0.02)
    # A resize net has no places that keep step: its mean alone is set.
    resize = convert(*original.save(tmp_path, NET, original.weights(NET, resize=True)))
    assert calibrated(resize, image, volumes=8).generator.config.places == 1


def test_an_image_of_other_phases_calibrates_nothing(tmp_path: Path) -> None:
    model = convert(*original.save(tmp_path, NET, original.weights(NET)))
    image = tmp_path / "image.png"
    io.imsave(image, np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (64, 64)))
    assert "the images show 2 phases, the generator makes 3" in refusal(calibrated, model, image)


def test_a_malicious_file_is_refused_and_nothing_in_it_is_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    good = original.save(tmp_path, NET, original.weights(NET))
    for content in (Payload(trace), [*NET[:7], Payload(trace)]):
        bad = tmp_path / "bad"
        bad.write_bytes(pickle.dumps(content))
        assert re.search(
            rf"bad: asks for {os.name}\.mkdir.*refused", refusal(convert, good[0], bad)
        )
        assert "bad: cannot be read" in refusal(convert, bad, good[1])
        torch.save({"convs.0.weight": Payload(trace)}, bad)
        assert "bad: cannot be read" in refusal(convert, bad, good[1])
    assert not trace.exists()
    # The payload does work on whoever trusts the file.
    pickle.loads(pickle.dumps(Payload(trace)))
    assert trace.exists()


def test_files_that_would_take_more_memory_than_they_have_bytes_are_refused(
    tmp_path: Path,
) -> None:
    weights, params = original.save(tmp_path, NET, original.weights(NET))
    for operation in (b"r", b"\x94" * 9 + b"r"):  # LONG_BINPUT into place 2^28: nine bytes
        (tmp_path / "places.data").write_bytes(b"\x80\x02]" + operation + b"\0\0\0\x10.")
        message = refusal(convert, weights, tmp_path / "places.data")
        assert "asks for 268435456 places" in message
    with zipfile.ZipFile(weights) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(weights, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert "X_Gen.pt: is compressed" in refusal(convert, weights, params)


def test_the_refusal_of_code_does_not_say_how_to_run_it(tmp_path: Path) -> None:
    weights, params = original.save(tmp_path, NET, original.weights(NET))
    torch.save({"a": Payload(tmp_path / "trace")}, weights)
    message = refusal(convert, weights, params)
    assert message.endswith(
        "(not tensors and numbers alone): give the _Gen.pt that the original saved"
    )
    assert not (tmp_path / "trace").exists()


def test_data_outside_the_pickle_is_refused(tmp_path: Path) -> None:
    good = original.save(tmp_path, NET, original.weights(NET))
    bad = tmp_path / "bad.data"
    bad.write_bytes(b"Pelsewhere\n.")  # the opcode of a persistent id
    assert "asks for data outside the file" in refusal(convert, good[0], bad)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (NET[:7], "8 lists"),
        ({"gk": [4]}, "8 lists"),
        (7, "8 lists"),
        ([*NET[:7], 3], "8 lists"),
        ([*NET[:7], [2, 2, 3.0]], "8 lists"),
        ([*NET[:7], [2, True, 3]], "8 lists"),
        ([*NET[:7], [2, 2, "3"]], "8 lists"),
        ([*NET[:7], []], "gf holds 4 channel counts for 0 layers"),
        ([*NET[:7], [2, 2]], "gf holds 4 channel counts for 2 layers"),
        ([*NET[:5], [2, 0, 2], *NET[6:]], "gs.1: Input should be greater than 0"),
        ([*NET[:6], [8, -16, 8, 3], NET[7]], "gf.1: Input should be greater than 0"),
        ([*NET[:6], [8, 17, 8, 3], NET[7]], "weights and layers come from different"),
        ([*NET[:4], [4, 4, 6], *NET[5:]], "weights and layers come from different"),
        ([*NET[:6], [8, 10**9, 8, 3], NET[7]], "weights and layers come from different"),
        ([*NET[:6], [8, 10**30, 8, 3], NET[7]], "X_Gen.pt: cannot be converted"),
    ],
)
def test_params_that_are_not_the_originals_or_do_not_fit_are_refused(
    lists: object, message: str, tmp_path: Path
) -> None:
    assert message in refusal(convert, *original.save(tmp_path, lists, original.weights(NET)))


def test_longer_lists_are_cut_as_the_original_cuts_them(tmp_path: Path) -> None:
    made = original.weights(NET)
    longer = [*NET[:5], [2] * 9, *NET[6:]]
    model = convert(*original.save(tmp_path, longer, made))
    expected = original.generate(NET, made, noise(4, 4, 4))
    assert torch.allclose(output(model, noise(4, 4, 4)), expected, rtol=0, atol=CLOSE)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "grey"}, "3 channels, but kind='grey' with 0 phases needs 1"),
        ({"phases": {"pore": 0, "solid": 1}}, "with 2 phases needs 2"),
        ({"phases": {"a": 0, "b": 1, "c": 1}}, "two phases have one value"),
        ({"kind": "rgb"}, "kind must be one of phases, grey, colour"),
        ({"kind": "colour", "phases": {"a": 0}}, "phases= does not apply to colour"),
        ({"spacing": (1.0, 0.0, 1.0), "unit": "um"}, "spacing must be"),
        ({"spacing": 2.0}, "a spacing needs its unit"),
        ({"latent_size": 1}, "latent_size=1 gives no volume"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    files = original.save(tmp_path, NET, original.weights(NET, resize=True))
    assert message in refusal(convert, *files, **options)


def test_files_that_are_missing_damaged_or_exchanged_are_refused(tmp_path: Path) -> None:
    weights, params = original.save(tmp_path, NET, original.weights(NET))
    assert "none.pt: cannot be read (No such file" in refusal(convert, tmp_path / "none.pt", params)
    assert "none.data: cannot be read (No such file" in refusal(
        convert, weights, tmp_path / "none.data"
    )
    assert "X_Gen.pt: has more than 65536 bytes" in refusal(convert, weights, weights)
    assert "X_params.data: " in refusal(convert, params, params)
    content = weights.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        weights.write_bytes(content[:size])
        assert "X_Gen.pt: cannot be read" in refusal(convert, weights, params)
    torch.save([1, 2], weights)
    assert "holds no weights" in refusal(convert, weights, params)


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    made = original.weights(NET)
    made["convs.1.weight"][0, 0, 0, 0, 0] = float("nan")
    assert "convs.1.weight is not finite" in refusal(convert, *original.save(tmp_path, NET, made))
