"""Layers with a slip in their backward, tests/cases/backwards.toml: the report names the slip."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

import matcalc
from tests.sampling import sample

SHEET = tomllib.loads((Path(__file__).parents[1] / "cases" / "backwards.toml").read_text(encoding="utf-8"))
LAYERS: dict[str, dict[str, Any]] = SHEET["layer"]
BROKEN: list[dict[str, str]] = SHEET["broken"]

SOURCE = """
class Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx, {names}):
        ctx.save_for_backward({names})
        {forward}
    @staticmethod
    def backward(ctx, g):
        {names}, = ctx.saved_tensors
        {backward}
        return {gradients},
"""


def build(layer: dict[str, Any], right: str = "", wrong: str = "") -> Any:
    """The layer with its backward, in which one text is replaced by another."""
    assert right in layer["backward"]
    names = list(layer["shapes"])
    backward = layer["backward"].replace(right, wrong) if right else layer["backward"]
    bodies = {"forward": layer["forward"], "backward": backward}
    indented = {name: "\n        ".join(body.strip().splitlines()) for name, body in bodies.items()}
    made: dict[str, Any] = {"torch": torch}
    source = SOURCE.format(names=", ".join(names), gradients=", ".join(f"d{name}" for name in names), **indented)
    exec(source, made)
    return made["Layer"]


def judge(layer: dict[str, Any], built: Any, wrt: str | None = None) -> matcalc.BackwardReport:
    return matcalc.check_backward(built, layer["formula"], wrt, shapes=layer["shapes"], assume=layer.get("assume"))


@pytest.mark.parametrize("name", sample("layers", LAYERS, 0.2))
def test_a_right_layer_agrees(name):
    report = judge(LAYERS[name], build(LAYERS[name]))
    assert report.verdict == "agrees", report.message


def test_there_are_enough_and_nearly_all_are_named():
    assert len(BROKEN) >= 57
    assert sum(1 for one in BROKEN if one["cause"]) >= 0.95 * len(BROKEN)
    assert {one["layer"] for one in BROKEN} == set(LAYERS)


@pytest.mark.parametrize("place", sample("broken layers", range(len(BROKEN)), 0.1))
def test_the_slip_is_named(place):
    broken = BROKEN[place]
    layer = LAYERS[broken["layer"]]
    report = judge(layer, build(layer, broken["right"], broken["wrong"]), broken["input"])
    found = report.inputs[broken["input"]]
    assert (report.forward.verdict, found.verdict) == ("agrees", "differs")
    assert broken["cause"] in found.message
    assert found.correct
