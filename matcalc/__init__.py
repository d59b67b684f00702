"""matcalc: matrix derivatives in the layout you ask for, each proven against torch.

>>> import matcalc
>>> d = matcalc.derive("A @ x")
>>> print(d, d.shape)
A (m, n)
"""

from matcalc.derivation import Derivative, derive, load_rules
from matcalc.errors import MatcalcError

__all__ = ["Derivative", "MatcalcError", "derive", "load_rules"]
