"""The answer as plain data, the same fields in every release of version 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matcalc.derivation import Derivative


def write_data(derivative: Derivative) -> dict[str, Any]:
    """Return the fields of a derivative; of a mixed one `wrt` names the variables in their order, "x,y"."""
    by = [wrt.name for wrt in derivative.by]
    return {
        "expression": derivative.text,
        "wrt": ",".join(by) if derivative.is_mixed else by[0],
        "order": derivative.order,
        "layout": derivative.layout,
        "derivative": str(derivative),
        "shape": [str(size) for size in derivative.shape],
        "axes": list(derivative.axes),
        "variables": {name: list(shape) for name, shape in derivative.declared.items()},
        "assumptions": {name: list(words) for name, words in derivative.assumed.items()},
        "result_shape": [str(size) for size in derivative.function.dropped_shape],
        "entries": derivative.entries,
        "einsum": derivative.einsum,
        "vec": derivative.vec,
        "vec_shape": [str(size) for size in derivative.vec_shape],
        "differential": derivative.differential,
        "latex": derivative.latex(),
        "notes": list(derivative.notes),
    }
