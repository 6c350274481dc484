"""MobileNetV2 is what the int8 file says, and its BatchNorms can be trained."""

import numpy as np
import pytest
import torch

from tests.models import graph
from tlcourse import load_data, load_model
from tlcourse.data.sources.photos import decode
from tlcourse.errors import ModelError
from tlcourse.models import coral, mobilenet
from tlcourse.supply import fetch

pytestmark = pytest.mark.public

# What the int8 network itself says (LiteRT 2.3.0, 224 px): the best class and its probability.
KNOWN = {
    "grand_piano/image_0001.jpg": ("grand piano", 0.941),
    "trilobite/image_0001.jpg": ("trilobite", 0.973),
    "starfish/image_0002.jpg": ("starfish", 0.945),
    "scorpion/image_0002.jpg": ("scorpion", 0.938),
    "butterfly/image_0002.jpg": ("monarch", 0.895),
    "laptop/image_0002.jpg": ("laptop", 0.535),
    "laptop/image_0001.jpg": ("notebook", 0.684),
    "kangaroo/image_0002.jpg": ("wallaby", 0.941),
    "Leopards/image_0002.jpg": ("cheetah", 0.734),
    "sunflower/image_0002.jpg": ("daisy", 0.973),
    "ewer/image_0003.jpg": ("pitcher", 0.535),
}


@pytest.fixture(scope="module")
def imagenet():
    return load_model("mobilenetv2", classes="imagenet").eval()


@pytest.fixture(scope="module")
def path():
    return fetch("mobilenetv2") / mobilenet.WEIGHTS


def folded(path):
    body = load_model("mobilenetv2", classes=2, pretrained=False).body.eval()
    mobilenet.load_folded(body, coral.read_layers(path)[:-1])
    return body


def test_known_photos_are_what_the_int8_network_says(imagenet):
    folder = fetch("caltech24") / "101_ObjectCategories"
    x = torch.stack([torch.tensor(decode(folder / id, 224)) for id in KNOWN])
    with torch.inference_mode():
        best = imagenet(x.permute(0, 3, 1, 2).float() / 255).softmax(1).max(1)
    named = [imagenet.classes[index].split(",")[0] for index in best.indices]
    assert named == [label for label, _ in KNOWN.values()]
    differences = best.values - torch.tensor([p for _, p in KNOWN.values()])
    assert differences.abs().max() < 0.08  # the int8 network also rounds its activations


def test_the_imagenet_head_has_a_thousand_names(imagenet):
    assert len(imagenet.classes) == imagenet.head.out_features == 1000
    assert imagenet.classes[0] == "tench, Tinca tinca" and imagenet.recipe["classes"] == "imagenet"


def test_logits_equal_the_files_own_graph_computed_in_numpy(imagenet, path):
    x = torch.rand(1, 3, 65, 96, generator=torch.Generator().manual_seed(0))
    values = graph.run(path, x[0].permute(1, 2, 0).double().numpy() * 2 - 1)
    reference = list(values.values())[-1].ravel()[1:]  # row 0 is "background"
    with torch.inference_mode():
        logits = imagenet(x)[0].numpy()
    assert np.abs(logits - reference).max() < 1e-3 * reference.std()


def test_statistics_leave_the_function_unchanged_in_eval_mode(path):
    body = folded(path)
    x = load_data("caltech24", labels_per_class=1).train.x[:4].float() / 127.5 - 1
    with torch.inference_mode():
        before = body(x)
        mobilenet.set_statistics(body, *mobilenet.read_statistics())
        after = body(x)
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-4)
    changed = [norm.running_mean.abs().max() > 0.01 for norm in mobilenet.batch_norms(body)]
    assert all(changed)


def test_in_train_mode_the_folded_network_is_ruined_and_ours_is_not(path):
    """Normalising by the batch replaces a folded bias by nothing; beside real statistics it drifts."""
    x = load_data("caltech24", labels_per_class=2).train.x.float() / 127.5 - 1
    naive, ours = folded(path), load_model("mobilenetv2", classes=2).body.eval()
    with torch.inference_mode():
        expected = ours(x)
        similar = [
            torch.cosine_similarity(body.train()(x), expected).mean().item()
            for body in (naive, ours)
        ]
    assert similar[0] < 0.2 and similar[1] > 0.5  # measured: 0.01 and 0.63


def test_every_batchnorm_resembles_what_photos_do_to_it():
    """The shipped statistics, of other photos at 224 px, against caltech24 at 128 px."""
    body = load_model("mobilenetv2", classes=2).body.eval()
    seen = {}

    def watch(norm, inputs):
        seen[norm] = inputs[0].var((0, 2, 3))

    hooks = [norm.register_forward_pre_hook(watch) for norm in mobilenet.batch_norms(body)]
    with torch.inference_mode():
        body(load_data("caltech24", labels_per_class=2).train.x.float() / 127.5 - 1)
    for hook in hooks:
        hook.remove()
    for norm, variance in seen.items():
        alive = (norm.running_var > 1e-4) & (variance > 1e-4)
        ratio = (variance[alive] / norm.running_var[alive]).log().abs().median()
        assert alive.float().mean() > 0.5 and ratio < 0.7


def test_weights_of_another_shape_are_refused_before_anything_changes(path):
    body = load_model("mobilenetv2", classes=2, pretrained=False).body
    before = {key: value.clone() for key, value in body.state_dict().items()}
    layers = coral.read_layers(path)[:-1]
    with pytest.raises(ModelError, match=r"it has 51 convolutions where the model has 52"):
        mobilenet.load_folded(body, layers[:-1])
    with pytest.raises(
        ModelError, match=r"convolution 0 has shape \(32, 1, 3, 3\).*\(32, 3, 3, 3\)"
    ):
        mobilenet.load_folded(body, [layers[1], layers[0], *layers[2:]])
    assert all(torch.equal(before[key], value) for key, value in body.state_dict().items())


def test_another_file_is_refused(tmp_path):
    other = tmp_path / "weights.tflite"
    other.write_bytes(b"something else entirely")
    with pytest.raises(ModelError, match="weights.tflite is no TFLite file"):
        coral.read_layers(other)
