"""matcalc: matrix derivatives in the layout you ask for, each proven against torch.

>>> import matcalc
>>> d = matcalc.derive("A @ x")
>>> print(d, d.shape)
A (m, n)
"""

# The package of the judge is bound first: the name `check` then stays with the function of that name.
import matcalc.check
import matcalc.sympy  # noqa: F401
from matcalc.assertions import assert_backward, assert_derivative
from matcalc.backward import check_backward
from matcalc.claim import check
from matcalc.data_parallel import check_data_parallel
from matcalc.derivation import Derivative, derive
from matcalc.errors import MatcalcError
from matcalc.inputs import load_rules
from matcalc.language.any_text_to_expression import parse_any as parse
from matcalc.notebook import explore, load_ipython_extension
from matcalc.several_variables import BlockHessian, Derivatives

__all__ = [
    "BlockHessian", "Derivative", "Derivatives", "MatcalcError", "assert_backward", "assert_derivative",
    "check", "check_backward", "check_data_parallel", "derive", "explore", "load_ipython_extension", "load_rules",
    "parse",
]  # fmt: skip
