"""The measurements of the notebooks: the passes agree with one another and with the graph, the processes are real."""

import numpy as np
import pytest
import torch

from matcalc import derive
from matcalc.errors import DeclarationError, EvaluationError
from matcalc.notebook.measure import (
    average_in_processes,
    carry_forward,
    go_back,
    go_back_from_checkpoints,
    measure_accumulation,
    measure_peak,
    plot_accumulation,
    write_network,
)
from matcalc.notebook.plots import plot_unfolded
from tests.sampling import only_in_whole_run

DEPTHS, WIDTH = (1, 3, 16, 100), 8
FLOAT = 8


@pytest.fixture(scope="module")
def table():
    return measure_accumulation(DEPTHS, WIDTH, repeats=1)


@pytest.fixture
def network():
    drawn = torch.randn((6, WIDTH, WIDTH), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return drawn[0, 0].clone(), list(drawn[1:] / WIDTH**0.5)


# --- the passes -----------------------------------------------------------------------------------


def test_all_passes_give_the_gradient_that_matcalc_derives(network):
    x, matrices = network
    values = {"x": x, **{f"W_{layer}": matrix for layer, matrix in enumerate(matrices, start=1)}}
    truth = derive(write_network(len(matrices)), "x", layout="denominator").evaluate(values)
    for found in (carry_forward(x, matrices, WIDTH), go_back(x, matrices), go_back_from_checkpoints(x, matrices)):
        torch.testing.assert_close(found, truth)


def test_one_direction_gives_one_entry(network):
    x, matrices = network
    torch.testing.assert_close(carry_forward(x, matrices, 1), go_back(x, matrices)[:1])


def test_the_network_is_judged_like_any_expression():
    assert derive(write_network(3), "W_2", layout="denominator").check()


# --- memory ---------------------------------------------------------------------------------------


def test_forward_takes_what_the_graph_counts_at_any_depth(table):
    assert {cost.peak_bytes for cost in table.of("forward")} == {FLOAT * (2 * WIDTH**2 + 2 * WIDTH)}
    assert all(cost.peak_bytes == cost.predicted_bytes for cost in table.of("forward"))


def test_reverse_takes_what_the_graph_counts_but_for_a_vector_of_ones(table):
    gaps = {cost.predicted_bytes - cost.peak_bytes for cost in table.of("reverse")}
    assert gaps == {FLOAT * (WIDTH - 2)}


def test_reverse_keeps_a_vector_for_every_layer(table):
    first, *_, last = table.of("reverse")
    assert last.peak_bytes - first.peak_bytes == FLOAT * WIDTH * (last.depth - first.depth)


def test_a_deep_narrow_network_takes_less_memory_forward(table):
    forward, reverse = table.of("forward"), table.of("reverse")
    fewer = {one.depth for one, other in zip(forward, reverse, strict=True) if one.peak_bytes < other.peak_bytes}
    assert fewer == {depth for depth in DEPTHS if depth > 2 * WIDTH}


def test_checkpoints_save_memory_where_the_network_is_deep(table):
    assert table.of("checkpoints")[-1].peak_bytes < table.of("reverse")[-1].peak_bytes / 3


def test_the_graph_counts_a_direction_for_each_entry_forward(table):
    for forward, reverse in zip(table.of("forward"), table.of("reverse"), strict=True):
        assert forward.multiplications == WIDTH * reverse.multiplications
        assert reverse.multiplications == forward.depth * (WIDTH**2 + WIDTH)


def test_what_is_given_up_is_not_counted_twice():
    x = torch.ones(100, dtype=torch.float64)

    def make_and_drop():
        for _ in range(5):
            x + 1

    assert measure_peak(make_and_drop) == 100 * FLOAT
    assert measure_peak(lambda: [x + 1 for _ in range(5)]) == 500 * FLOAT


def test_views_and_held_tensors_take_no_memory():
    x = torch.ones(10, 10, dtype=torch.float64)
    assert measure_peak(lambda: x.T[:5], [x]) == 0
    assert measure_peak(lambda: x.add_(1), [x]) == 0


def test_what_autograd_keeps_is_counted():
    x = torch.ones(100, dtype=torch.float64, requires_grad=True)
    assert measure_peak(lambda: x.exp().exp().exp().sum(), [x]) == 300 * FLOAT + FLOAT


# --- tables and pictures --------------------------------------------------------------------------


def test_a_table_has_a_row_for_each_depth_and_times_apart_from_memory(table):
    memory = table.write_memory().splitlines()
    assert [line.split()[0] for line in memory] == ["depth", *map(str, DEPTHS)]
    assert "ms" not in table.write_memory()
    assert str(table) == table.write_times() + "\n\n" + table.write_memory()
    assert all(cost.seconds > 0 for cost in table)


def test_the_picture_shows_what_was_measured(table):
    times, memory = plot_accumulation(table).axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in memory.lines}
    assert drawn["reverse"] == pytest.approx([cost.peak_bytes / 1e3 for cost in table.of("reverse")])
    assert [line.get_label() for line in times.lines] == list(table.modes)
    assert {panel.get_yscale() for panel in (times, memory)} == {"log"}


def test_what_cannot_be_measured_is_refused(table):
    with pytest.raises(DeclarationError, match="depth is a whole number"):
        measure_accumulation([0])
    with pytest.raises(DeclarationError, match="width is a whole number"):
        measure_accumulation([1], width=10**6)
    with pytest.raises(DeclarationError, match="was not measured"):
        table.of("sideways")


# --- data-parallel --------------------------------------------------------------------------------

MEAN = "mean((X@w - y)**2)"


@pytest.fixture(scope="module")
def batch():
    draw = np.random.default_rng(0).normal
    return {"X": draw(size=(8, 3)), "w": draw(size=3), "y": draw(size=8)}


@only_in_whole_run()
def test_equal_shares_average_to_the_gradient_of_a_mean(batch):
    truth = derive(MEAN, "w", layout="denominator").evaluate(batch)
    np.testing.assert_allclose(average_in_processes(MEAN, "w", batch, (4, 4)), truth)


@only_in_whole_run()
def test_unequal_shares_average_to_the_mean_of_their_gradients(batch):
    d = derive(MEAN, "w", layout="denominator")
    first = d.evaluate({**batch, "X": batch["X"][:6], "y": batch["y"][:6]})
    second = d.evaluate({**batch, "X": batch["X"][6:], "y": batch["y"][6:]})
    found = average_in_processes(MEAN, "w", batch, (6, 2))
    np.testing.assert_allclose(found, (first + second) / 2)
    assert not np.allclose(found, d.evaluate(batch))


@pytest.mark.parametrize(
    ("shares", "reason"),
    [((4, 3), "do not deal out the 8 samples"), ((8, 0), "do not deal out"), ((8,), "2 to 16 processes, not 1")],
)
def test_shares_that_are_none_are_refused(batch, shares, reason):
    with pytest.raises(DeclarationError, match=reason):
        average_in_processes(MEAN, "w", batch, shares)


def test_values_that_do_not_fit_are_refused(batch):
    with pytest.raises(EvaluationError, match="w has no value"):
        average_in_processes(MEAN, "w", {"X": batch["X"]})
    with pytest.raises(EvaluationError, match="p cannot be 3"):
        average_in_processes(MEAN, "w", batch | {"y": batch["y"][:3]})


# --- unfolded arrays ------------------------------------------------------------------------------


def test_an_unfolded_jacobian_is_a_kronecker_product():
    d = derive("A @ X @ B", "X", layout="torch")
    point = d.draw_point(dict(zip("mlnk", (2, 3, 4, 5), strict=True)), seed=0)
    (image,) = plot_unfolded(d.evaluate(point)).axes[0].images
    np.testing.assert_allclose(image.get_array(), np.kron(point["A"], point["B"].T))


def test_blocks_are_outlined():
    panel = plot_unfolded(np.arange(24.0).reshape(2, 3, 4), split=1).axes[0]
    assert panel.images[0].get_array().shape == (2, 12)
    assert [line.get_xdata()[0] for line in panel.lines] == [3.5, 7.5]
    assert not plot_unfolded(np.eye(3)).axes[0].lines


def test_zero_is_white_whatever_the_sign_of_the_others():
    image = plot_unfolded([[0.0, 3.0]]).axes[0].images[0]
    assert tuple(image.cmap(image.norm(0.0))) == pytest.approx((0.97, 0.97, 0.97, 1), abs=0.01)
    assert image.get_clim() == (-3, 3)


@pytest.mark.parametrize(("values", "split"), [(np.eye(3), 3), (np.zeros((200, 200)), 1), (np.zeros((0, 2)), 1)])
def test_what_cannot_be_unfolded_is_refused(values, split):
    with pytest.raises(DeclarationError):
        plot_unfolded(values, split=split)
