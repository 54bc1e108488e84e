"""The extractor against torchvision's own VGG-19 layers, run one by one."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from nst_batch.settings import CONV_LAYERS, VGG19_LAYERS
from nst_batch.transfer.vgg import IMAGENET_MEAN, IMAGENET_STD, VGG19, Network


@pytest.fixture(scope="module")
def reference() -> nn.Sequential:
    torch.manual_seed(0)
    layers: nn.Sequential = make_layers(cfgs["E"]).eval()
    return layers


def every_layer(reference: nn.Sequential, image: Tensor, pool: type[nn.Module]) -> dict[str, Tensor]:
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    x, found, convs = (image - mean) / std, {}, iter(CONV_LAYERS)
    name = ""
    for layer in reference:
        if isinstance(layer, nn.Conv2d):
            name = next(convs)
            x = layer(x)
            found[name] = x
        elif isinstance(layer, nn.ReLU):
            x = torch.relu(x)
            found[name.replace("conv", "relu")] = x
        else:
            x = pool(2, 2)(x)
    return found


@pytest.mark.parametrize(("pooling", "pool"), [("max", nn.MaxPool2d), ("avg", nn.AvgPool2d)])
@torch.no_grad()
def test_every_tap_is_torchvisions_layer(
    reference: nn.Sequential, pooling: Literal["max", "avg"], pool: type[nn.Module]
) -> None:
    image = torch.rand(1, 3, 35, 50, generator=torch.Generator().manual_seed(1))
    expected = every_layer(reference, image, pool)
    found = VGG19(reference.state_dict(), Network(pooling))(image, VGG19_LAYERS)
    assert set(found) == set(VGG19_LAYERS)
    for name in VGG19_LAYERS:
        torch.testing.assert_close(found[name], expected[name])


def test_a_tap_before_the_relu_keeps_its_negative_values(reference: nn.Sequential) -> None:
    found = VGG19(reference.state_dict())(torch.rand(1, 3, 16, 16), ["conv1_1", "relu1_1"])
    assert found["conv1_1"].min() < 0 <= found["relu1_1"].min()


def test_nothing_is_computed_past_the_last_tap(reference: nn.Sequential) -> None:
    network = VGG19(reference.state_dict())
    ran: list[int] = []
    for index, layer in enumerate(network.features):
        layer.register_forward_hook(lambda *_, index=index: ran.append(index))
    network(torch.rand(1, 3, 16, 16), ["conv2_2", "relu1_1"])
    assert ran == list(range(8))  # torchvision's features[7] is conv2_2


def test_weights_take_no_gradient(reference: nn.Sequential) -> None:
    network = VGG19(reference.state_dict())
    image = torch.rand(1, 3, 16, 16).requires_grad_(True)
    network(image, ["relu2_1"])["relu2_1"].sum().backward()
    assert image.grad is not None
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())


def test_an_unknown_tap_is_an_error(reference: nn.Sequential) -> None:
    with pytest.raises(ValueError, match="relu9_9"):
        VGG19(reference.state_dict())(torch.rand(1, 3, 16, 16), ["relu9_9"])


@torch.no_grad()
def test_pooling_can_be_scaled(reference: nn.Sequential) -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    plain, twice = (VGG19(reference.state_dict(), Network("avg", scale)) for scale in (1.0, 2.0))
    first = plain(image, ["relu1_2"])["relu1_2"]
    state = reference.state_dict()
    expected = nn.functional.conv2d(
        2 * nn.functional.avg_pool2d(first, 2), state["5.weight"], state["5.bias"], padding=1
    )
    torch.testing.assert_close(twice(image, ["conv2_1"])["conv2_1"], expected)


@pytest.mark.parametrize("padding", ["replicate", "reflect"])
@torch.no_grad()
def test_padding_is_of_the_first_layer_alone(
    reference: nn.Sequential, padding: Literal["replicate", "reflect"]
) -> None:
    image = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    found = VGG19(reference.state_dict(), Network(padding=padding))(image, ["conv1_1", "conv1_2"])
    mean, std = torch.tensor(IMAGENET_MEAN).view(3, 1, 1), torch.tensor(IMAGENET_STD).view(3, 1, 1)
    framed = nn.functional.pad((image - mean) / std, (1, 1, 1, 1), mode=padding)
    state = reference.state_dict()
    first = nn.functional.conv2d(framed, state["0.weight"], state["0.bias"])
    torch.testing.assert_close(found["conv1_1"], first)
    second = nn.functional.conv2d(first.relu(), state["2.weight"], state["2.bias"], padding=1)
    torch.testing.assert_close(found["conv1_2"], second)


@torch.no_grad()
def test_caffe_sees_bgr_from_0_to_255_less_the_mean(reference: nn.Sequential) -> None:
    image = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(1))
    found = VGG19(reference.state_dict(), Network(caffe=True))(image, ["conv1_1"])["conv1_1"]
    red, green, blue = (255 * image[0]).unbind()
    shifted = torch.stack([blue - 103.939, green - 116.779, red - 123.68])[None]
    torch.testing.assert_close(found, reference[0](shifted), rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_grey_pictures_are_seen_as_three_equal_channels(reference: nn.Sequential) -> None:
    grey = torch.rand(1, 1, 20, 24, generator=torch.Generator().manual_seed(1))
    for network in (VGG19(reference.state_dict(), Network(caffe=caffe)) for caffe in (False, True)):
        one, three = (network(image, ["conv1_1"])["conv1_1"] for image in (grey, grey.expand(1, 3, 20, 24)))
        torch.testing.assert_close(one, three)


@pytest.mark.parametrize("padding", ["zeros", "replicate", "reflect"])
def test_some_rows_are_framed_as_all_are(
    reference: nn.Sequential, padding: Literal["zeros", "replicate", "reflect"]
) -> None:
    network = VGG19(reference.state_dict(), Network(padding=padding))
    image = torch.rand(1, 3, 20, 18)
    whole = network.framed(image)
    for first, end in ((0, 20), (0, 7), (7, 20), (3, 4), (19, 20), (0, 1)):
        assert torch.equal(network.framed(image, first, end), whole[:, :, first : end + 2])
