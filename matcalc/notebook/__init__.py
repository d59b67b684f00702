"""matcalc in notebooks: the explorer and the magics; what they need is imported when they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matcalc.errors import INSTALL_NOTEBOOK, MatcalcError

if TYPE_CHECKING:
    from matcalc.inputs import Layout
    from matcalc.language.declarations import Declared
    from matcalc.notebook.explorer import Explorer

__all__ = ["explore", "load_ipython_extension"]


def explore(
    expr: Any = None,
    wrt: str | None = None,
    *,
    layout: Layout = "numerator",
    shapes: Declared = None,
    assume: Declared = None,
    order: int = 1,
    claim: str = "",
    rules: Any = None,
) -> Explorer:
    """Open the explorer: a panel in which an expression, its variables, the layout and a claim are edited.

    It shows the derivative with its shape and verdict, the judge's answer to the claim, and tabs with steps, graph,
    code and numbers; the arguments, those of `derive` and `check`, are only where it starts, least squares where
    there is none.  The panel's
    `derivative`, `report` and `claim_report` are what it shows at the moment.  Raises MatcalcError where ipywidgets
    is not installed, and for declarations that cannot be read at all.
    """
    from importlib.util import find_spec

    if find_spec("ipywidgets") is None:
        raise MatcalcError("the explorer needs ipywidgets, which is not installed", advice=INSTALL_NOTEBOOK)
    from matcalc.notebook.exploration import FIRST_EXPRESSION, explore_state
    from matcalc.notebook.explorer import Explorer

    chosen = FIRST_EXPRESSION if expr is None else expr
    return Explorer(
        explore_state(
            chosen, wrt, layout=layout, shapes=shapes, assume=assume, order=order, claim=claim, rules=rules
        )
    )


def load_ipython_extension(ipython: Any) -> None:
    """Give IPython %matcalc and %%matcalc: `%load_ext matcalc` calls this."""
    from matcalc.notebook.magic import register_magics

    register_magics(ipython)
