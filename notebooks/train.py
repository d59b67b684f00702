"""Trains a small network on made-up data: arguments, a seed, a device, and its gradient checked by matcalc.

python train.py --help
"""

import argparse
import sys


def make_parser():
    """Describe the arguments: the default action, "store", keeps one value of the given type."""
    parser = argparse.ArgumentParser(description="Train a network on samples of a noisy function.")
    parser.add_argument("--samples", type=int, default=64, help="how many samples (64)")
    parser.add_argument("--rate", type=float, default=0.1, help="learning rate (0.1)")
    parser.add_argument("--steps", type=int, default=100, help="steps of gradient descent (100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (0)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, or cuda:0 for the first GPU (cpu)")
    parser.add_argument("--hidden", action="append", type=int, metavar="UNITS",
                        help="a hidden layer; give it again for more")
    parser.add_argument("--double", action="store_const", const="float64", default="float32", dest="dtype",
                        help="compute in float64 instead of float32")
    parser.add_argument("--check", action="store_true", help="check the first gradient with matcalc")
    return parser


def choose_device(name):
    """Return the torch device; raises ValueError with a sentence where there is no such device."""
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"there is no device {name!r}: say cpu, cuda or cuda:0") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"there is no GPU for {name!r} on this machine: leave --device out, or say --device cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"there is no GPU number {device.index}: this machine has {torch.cuda.device_count()}")
    return device


def make_data(samples, device, dtype):
    """Draw inputs with three features, and noisy targets."""
    import torch

    X = torch.randn(samples, 3, dtype=dtype)
    y = torch.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * torch.randn(samples, dtype=dtype)
    return X.to(device), y.to(device)


def make_weights(hidden, device, dtype):
    """Draw a matrix for each hidden layer, W_1, W_2, ..., and the vector w of the last."""
    import torch

    sizes = [3, *hidden]
    weights = {f"W_{place}": torch.randn(rows, columns, dtype=dtype) / rows**0.5
               for place, (rows, columns) in enumerate(zip(sizes, sizes[1:]), 1)}
    weights["w"] = torch.randn(sizes[-1], dtype=dtype) / sizes[-1] ** 0.5
    return {name: weight.to(device).requires_grad_() for name, weight in weights.items()}


def compute_loss(weights, X, y):
    """Return the mean squared error: tanh behind every hidden layer, none behind the last."""
    import torch

    layer = X
    for name, weight in weights.items():
        layer = layer @ weight if name == "w" else torch.tanh(layer @ weight)
    return ((layer - y) ** 2).mean()


def check_gradients(weights, X, y):
    """Print for each weight whether torch's gradient is the one that matcalc derives, and the formula of w's."""
    import torch

    import matcalc

    layer = "X"
    for name in weights:
        layer = f"{layer} @ w" if name == "w" else f"tanh({layer} @ {name})"
    values = {name: tensor.detach() for name, tensor in {**weights, "X": X, "y": y}.items()}
    for name, weight in weights.items():
        derivative = matcalc.derive(f"mean(({layer} - y)**2)", name, layout="denominator")
        numbers = torch.as_tensor(derivative.evaluate(values)).to(weight)
        same = torch.allclose(numbers, weight.grad, rtol=1e-4, atol=1e-6)
        print(f"gradient by {name}: its formula {derivative.check().verdict}, torch has the same numbers: {same}")


def main(arguments=None):
    parser = make_parser()
    options = parser.parse_args(arguments)
    import torch  # here and not above: --help, and a wrong argument, need not wait for it

    try:
        device = choose_device(options.device)
    except ValueError as error:
        parser.error(str(error))
    torch.manual_seed(options.seed)
    X, y = make_data(options.samples, device, getattr(torch, options.dtype))
    weights = make_weights(options.hidden or [], device, X.dtype)
    for step in range(options.steps + 1):
        loss = compute_loss(weights, X, y)
        loss.backward()
        if step == 0 and options.check:
            check_gradients(weights, X, y)
        if step % (options.steps // 4 or 1) == 0:
            print(f"step {step:4}   loss {loss.item():.6f}")
        with torch.no_grad():
            for weight in weights.values():
                weight -= options.rate * weight.grad
                weight.grad = None


if __name__ == "__main__":
    sys.exit(main())
