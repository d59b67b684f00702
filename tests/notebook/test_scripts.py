"""The scripts beside the notebooks: their arguments, and the sentences where a device is not there."""

import importlib.util

import pytest
import torch

from tests.write_notebooks import FOLDER


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


train = load("train")


def test_arguments_are_kept_as_their_actions_say():
    options = train.make_parser().parse_args(["--samples", "8", "--hidden", "4", "--hidden", "2", "--double"])
    assert (options.samples, options.rate, options.hidden, options.dtype) == (8, 0.1, [4, 2], "float64")
    assert train.make_parser().parse_args([]).hidden is None


def test_a_device_that_is_not_there_is_answered_with_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        train.main(["--device", "cuda:0"])
    assert ended.value.code == 2
    assert "there is no GPU for 'cuda:0' on this machine" in capsys.readouterr().err
    with pytest.raises(ValueError, match="there is no device 'gpu'"):
        train.choose_device("gpu")


def test_a_gpu_is_chosen_by_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert train.choose_device("cuda:1") == torch.device("cuda", 1)
    assert train.choose_device("cuda") == torch.device("cuda")
    with pytest.raises(ValueError, match="there is no GPU number 2: this machine has 2"):
        train.choose_device("cuda:2")


def test_the_same_seed_prints_the_same_and_the_gradient_is_right(capsys):
    printed = []
    for seed in ("1", "1", "2"):
        train.main(["--seed", seed, "--steps", "4", "--samples", "8"])
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1] != printed[2]
    train.main(["--check", "--steps", "0", "--hidden", "3", "--double"])
    checked = capsys.readouterr().out.splitlines()
    told = "its formula agrees, torch has the same numbers: True"
    assert checked[:2] == [f"gradient by {name}: {told}" for name in ("W_1", "w")]


def test_a_wrong_gradient_is_seen(capsys):
    weights = train.make_weights([], torch.device("cpu"), torch.float64)
    X, y = train.make_data(6, "cpu", torch.float64)
    (2 * train.compute_loss(weights, X, y)).backward()
    train.check_gradients(weights, X, y)
    assert capsys.readouterr().out == "gradient by w: its formula agrees, torch has the same numbers: False\n"


def test_images_have_their_classes_and_a_model_may_have_a_layer_that_is_not_used():
    parallel = load("train_parallel")
    images = parallel.Images(20)
    assert (len(images), images[3][0].shape, images[13][1].item()) == (20, (28, 28), 3)
    assert torch.equal(images.images, parallel.Images(20).images)
    assert [*parallel.Model().state_dict()] == ["linear.weight", "linear.bias"]
    assert "extra.weight" in parallel.Model(unused=True).state_dict()
