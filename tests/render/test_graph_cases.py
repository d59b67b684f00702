"""The graph of every case: its pictures are read, and the local derivatives accumulate to the derivative."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import prod

import pytest
import torch
from torch import Tensor

import matcalc
from matcalc.check.points import Point
from matcalc.check.torch_values import evaluate, squeeze
from matcalc.render.graph import ComputationGraph, GraphEdge, GraphNode, write_graph
from matcalc.render.graph_picture import Box, Curve
from matcalc.rule_files import shipped_rules
from tests.read_cases import Case, derive_case, error_of, find_point, read_cases
from tests.render.mermaid_grammar import check_mermaid
from tests.sampling import sample

CASES = read_cases()
some_cases = pytest.mark.parametrize("case", sample("graphs", CASES), ids=lambda case: case.id)


@cache
def graph_case(case: Case) -> ComputationGraph:
    return write_graph(derive_case(case), shipped_rules())


# --- the chain rule -------------------------------------------------------------------------------


@some_cases
def test_local_derivatives_accumulate_to_the_derivative(case: Case) -> None:
    graph, point = graph_case(case), find_point(case, 0)
    first = matcalc.derive(case.expr, case.wrt, shapes=case.shapes, assume=case.domain, layout="torch")
    truth = torch.as_tensor(first.evaluate({**point.values, **point.functions}, point.sizes)).detach()
    jacobians = evaluate_edges(graph, point)
    for value in (carry_forward(graph, jacobians, point), carry_back(graph, jacobians, point)):
        assert error_of(value.reshape(truth.shape), truth) < 1e-8


def evaluate_edges(graph: ComputationGraph, point: Point) -> dict[GraphEdge, Tensor]:
    """The local derivatives as matrices, the entries of both sides in the order of torch."""
    nodes = {node.name: node for node in graph.nodes}
    values = dict(point.values)
    for node in graph.nodes:
        if not node.is_input:
            values[node.name] = evaluate(node.body, values, point.sizes, point.functions)
    found = {}
    for edge in graph.edges:
        held = evaluate(edge.expression, values, point.sizes, point.functions)
        value = squeeze(edge.expression, held, point.sizes)
        assert tuple(value.shape) == tuple(size.value(point.sizes) for size in edge.shape)
        rank = len(nodes[edge.target].shape)
        torch_order = value.permute([*range(rank), *reversed(range(rank, value.ndim))])
        found[edge] = torch_order.reshape(count(nodes[edge.target], point), count(nodes[edge.source], point))
    return found


def count(node: GraphNode, point: Point) -> int:
    return prod(size.value(point.sizes) for size in node.shape)


def find_node(graph: ComputationGraph, name: str) -> GraphNode:
    return next(node for node in graph.nodes if node.name == name)


def carry_forward(graph: ComputationGraph, jacobians: dict[GraphEdge, Tensor], point: Point) -> Tensor:
    directions = count(find_node(graph, graph.wrt.name), point)
    carried = {node.name: torch.zeros(count(node, point), directions, dtype=torch.float64) for node in graph.nodes}
    for name in graph.forward.order:
        if name == graph.wrt.name:
            carried[name] = torch.eye(directions, dtype=torch.float64)
        for edge in graph.edges:
            if edge.target == name:
                carried[name] = carried[name] + jacobians[edge] @ carried[edge.source]
    return carried[graph.result.name]


def carry_back(graph: ComputationGraph, jacobians: dict[GraphEdge, Tensor], point: Point) -> Tensor:
    directions = count(graph.result, point)
    carried = {node.name: torch.zeros(directions, count(node, point), dtype=torch.float64) for node in graph.nodes}
    for name in graph.reverse.order:
        if name == graph.result.name:
            carried[name] = torch.eye(directions, dtype=torch.float64)
        for edge in graph.edges:
            if edge.target == name:
                carried[edge.source] = carried[edge.source] + carried[name] @ jacobians[edge]
    return carried[graph.wrt.name]


# --- costs and text -------------------------------------------------------------------------------


@some_cases
def test_costs_hold_together(case: Case) -> None:
    graph, point = graph_case(case), find_point(case, 0)
    sized = graph.with_sizes({letter: point.sizes[letter] for letter in graph.letters})
    assert sized.sizes is not None
    forward, reverse = sized.forward, sized.reverse
    # A direction costs the same both ways, so the totals are as the numbers of directions.
    assert forward.multiplications * reverse.directions == reverse.multiplications * forward.directions
    assert reverse.count(sized.sizes)["kept_memory"] <= reverse.count(sized.sizes)["memory"]
    assert str(graph.result.name) in str(sized)
    json.dumps(sized.to_dict())


# --- pictures -------------------------------------------------------------------------------------


@some_cases
def test_mermaid_is_in_the_grammar(case: Case) -> None:
    graph = graph_case(case)
    nodes, edges = check_mermaid(graph.to_mermaid())
    assert nodes == len(graph.nodes)
    assert edges == sum(len(node.operands) for node in graph.nodes)


@some_cases
def test_nothing_in_a_drawing_lies_over_anything_else(case: Case) -> None:
    graph = graph_case(case)
    drawing = graph.drawing
    assert len(drawing.lines) == sum(len(node.operands) for node in graph.nodes) + len(graph.edges)
    for box in drawing.boxes:
        assert box.width / 2 < box.x < drawing.width - box.width / 2
        assert box.height / 2 < box.y < drawing.height - box.height / 2
        assert not [other for other in drawing.boxes if other is not box and is_over(box, other)], box.lines
        for line in drawing.lines:
            assert not [place for place in follow(line) if is_inside(place, box)], (box.lines, line)


def is_over(one: Box, other: Box) -> bool:
    across, down = (one.width + other.width) / 2, (one.height + other.height) / 2
    return abs(one.x - other.x) < across and abs(one.y - other.y) < down


def is_inside(place: tuple[float, float], box: Box) -> bool:
    return abs(place[0] - box.x) < box.width / 2 - 1 and abs(place[1] - box.y) < box.height / 2 - 1


def follow(line: Curve) -> Iterator[tuple[float, float]]:
    """Places on a line, which leaves and comes upright."""
    for (x, y), (to_x, to_y) in pairwise(line.places):
        for part in (0.0, 0.25, 0.5, 0.75, 1.0):
            across, up = part**2 * (3 - 2 * part), 1.5 * part * (1 - part) + part**3
            yield x + across * (to_x - x), y + up * (to_y - y)


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed")
def test_graphviz_reads_every_graph() -> None:
    text = "\n".join(graph_case(case).to_dot() for case in CASES)
    done = subprocess.run(["dot", "-Tcanon"], input=text, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("digraph {") == len(CASES)


MERMAID = """
import {JSDOM} from 'jsdom'; import fs from 'fs';
const dom = new JSDOM(''); globalThis.window = dom.window; globalThis.document = dom.window.document;
const mermaid = (await import('mermaid')).default;
for (const text of JSON.parse(fs.readFileSync(0))) await mermaid.parse(text);
"""


@pytest.mark.skipif("MERMAID_FOLDER" not in os.environ, reason="MERMAID_FOLDER names no folder with mermaid and jsdom")
def test_mermaid_reads_every_graph() -> None:
    texts = json.dumps([graph_case(case).to_mermaid() for case in CASES])
    command = ["node", "--input-type=module", "-e", MERMAID]
    done = subprocess.run(command, cwd=os.environ["MERMAID_FOLDER"], input=texts, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
