"""Products in canonical form: equal products are one node, whatever the names and the order of their indices."""

from __future__ import annotations

from matcalc.engine.index_form import Graph
from matcalc.rule_files import shipped_rules
from tests.engine.index_graphs import K, M, N, add, multiply, variable


def test_names_and_order_of_summed_indices_do_not_matter() -> None:
    graph = Graph()
    a, b = variable(graph, "A", "m", "n"), variable(graph, "B", "n", "k")
    assert multiply(graph, "ij,jk->ik", a, b) is multiply(graph, "pq,rp->rq", b, a)


def test_isomorphic_chains_of_one_matrix_are_one_node() -> None:
    graph = Graph()
    a, x = variable(graph, "A", "n", "n"), variable(graph, "x", "n")
    assert multiply(graph, "i,ij,jk,k->", x, a, a, x) is multiply(graph, "k,ij,jk,i->", x, a, a, x)
    assert multiply(graph, "ij,ji->", a, a) is not multiply(graph, "ij,ij->", a, a)


def test_a_cycle_is_the_same_wherever_it_starts() -> None:
    graph = Graph()
    a, b = variable(graph, "A", "n", "n"), variable(graph, "B", "n", "n")
    assert multiply(graph, "ij,jk,ki->", a, a, b) is multiply(graph, "ij,jk,ki->", b, a, a)


def test_transposes_are_told_apart() -> None:
    graph = Graph()
    a = variable(graph, "A", "n", "n")
    assert multiply(graph, "ij->ji", a) is not a
    assert multiply(graph, "ij->ji", multiply(graph, "ij->ji", a)) is a


def test_indices_of_a_product_used_twice_are_not_captured() -> None:
    graph = Graph()
    a, x = variable(graph, "A", "n", "n"), variable(graph, "x", "n")
    ax = multiply(graph, "ij,j->i", a, x)
    square = multiply(graph, "i,i->", ax, ax)
    assert square is multiply(graph, "ij,j,ik,k->", a, x, a, x)
    assert square is not multiply(graph, "ij,j,ij,j->", a, x, a, x)


def test_deltas_disappear() -> None:
    graph = Graph()
    a, delta = variable(graph, "A", "m", "n"), graph.delta(N)
    assert multiply(graph, "ij,jk->ik", a, delta) is a
    assert multiply(graph, "ij,jk,kl->il", a, delta, delta) is a
    assert multiply(graph, "ii->", delta) is graph.size(N)


def test_a_delta_between_axes_of_the_result_stays() -> None:
    graph = Graph()
    x = variable(graph, "x", "n")
    assert multiply(graph, "i,ij->ij", x, graph.delta(N)) is multiply(graph, "j,ij->ij", x, graph.delta(N))


def test_ones_are_counted_where_they_are_summed() -> None:
    graph = Graph()
    x = variable(graph, "x", "n")
    assert multiply(graph, "i,i->", x, graph.ones(N)) is multiply(graph, "i->", x)
    assert multiply(graph, "i,j->i", x, graph.ones(M)) is multiply(graph, "i,->i", x, graph.size(M))


def test_powers_are_collected() -> None:
    graph = Graph()
    x = variable(graph, "x", "n")
    assert multiply(graph, "i,i->i", x, x) is graph.power(x, 2)
    assert multiply(graph, "i,i->i", graph.power(x, 3), graph.power(x, -3)) is multiply(graph, "i->i", graph.ones(N))
    assert multiply(graph, "i,j->ij", x, x).op == "product"


def test_numbers_move_into_the_coefficient() -> None:
    graph = Graph()
    x = variable(graph, "x", "n")
    assert multiply(graph, ",i,->i", graph.number(2), x, graph.number(3)) is graph.scaled(6, x)
    assert multiply(graph, ",i->i", graph.number(0), x) is graph.zeros((N,))


def test_zeros_make_zeros_of_the_right_shape() -> None:
    graph = Graph()
    a = variable(graph, "A", "m", "n")
    assert multiply(graph, "ij,jk->ik", a, graph.zeros((N, K))) is graph.zeros((M, K))


def test_a_symmetric_matrix_is_its_own_transpose() -> None:
    graph = Graph()
    s, x = variable(graph, "S", "n", "n", assume="symmetric"), variable(graph, "x", "n")
    assert multiply(graph, "ij,j->i", s, x) is multiply(graph, "ji,j->i", s, x)


def test_a_variable_to_differentiate_by_has_no_structure() -> None:
    graph = Graph(frozenset(["S"]))
    s = variable(graph, "S", "n", "n", assume="symmetric")
    assert multiply(graph, "ij->ji", s) is not s


def test_a_skew_matrix_changes_sign_where_it_is_turned() -> None:
    graph = Graph()
    w, x = variable(graph, "W", "n", "n", assume="skew"), variable(graph, "x", "n")
    assert multiply(graph, "ji,j->i", w, x) is multiply(graph, "ij,j->i", w, x, by=-1)


def test_an_inverse_cancels_its_matrix() -> None:
    graph = Graph()
    x = variable(graph, "X", "n", "n")
    inverse = graph.call(shipped_rules()["inv"], 0, [(x, (0, 1))], (N, N))
    assert multiply(graph, "ij,jk->ik", inverse, x) is graph.delta(N)
    assert multiply(graph, "ij,jk->ik", x, inverse) is graph.delta(N)
    assert multiply(graph, "ij,kj->ik", inverse, x).op == "product"


def test_an_orthogonal_matrix_cancels_its_transpose() -> None:
    graph = Graph()
    q, x = variable(graph, "Q", "n", "n", assume="orthogonal"), variable(graph, "x", "n")
    assert multiply(graph, "ij,kj,k->i", q, q, x) is x
    assert multiply(graph, "ij,jk,k->i", q, q, x) is not x


def test_fused_axes_come_apart() -> None:
    graph = Graph()
    fuse, a, b = graph.fuse(M, N), variable(graph, "a", "m"), variable(graph, "b", "n")
    both = multiply(graph, "Iij,i,j->I", fuse, a, b)
    assert multiply(graph, "Iij,I->ij", fuse, both) is multiply(graph, "i,j->ij", a, b)
    assert multiply(graph, "I->", both) is multiply(graph, "i,j->", a, b)


def test_ones_on_fused_axes_are_not_counted() -> None:
    graph = Graph()
    fuse = graph.fuse(M, N)
    whole = multiply(graph, "Iij,i,j->I", fuse, graph.ones(M), graph.ones(N))
    assert whole is multiply(graph, "I->I", graph.ones(M * N))


def test_like_terms_are_added() -> None:
    graph = Graph()
    a, x = variable(graph, "A", "n", "n"), variable(graph, "x", "n")
    ax, xa = multiply(graph, "ij,j->i", a, x), multiply(graph, "j,ij->i", x, a)
    assert add(graph, (1, ax), (1, xa)) is graph.scaled(2, ax)
    assert add(graph, (1, ax), (-1, xa)) is graph.zeros((N,))


def test_a_difference_and_its_opposite_are_one_sum() -> None:
    graph = Graph()
    x, y = variable(graph, "x", "n"), variable(graph, "y", "n")
    assert add(graph, (1, y), (-1, x)) is graph.scaled(-1, add(graph, (1, x), (-1, y)))


def test_roots_of_products_are_taken_apart_only_where_that_is_true() -> None:
    graph = Graph()
    x = variable(graph, "x", "n")
    assert graph.power(graph.power(x, 2), 2) is graph.power(x, 4)
    root = graph.power(graph.power(x, 2), "1/2")  # type: ignore[arg-type]
    assert root is not x
    assert root.op == "power"
