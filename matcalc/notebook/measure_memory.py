"""The most bytes that tensors hold at one time while something is computed, observed and not assumed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def measure_peak(run: Callable[[], Any], held: Iterable[Tensor] = ()) -> int:
    """Return the most bytes that tensors made by `run` held at one time; those in `held` were there before.

    Every operation that torch dispatches is observed, those of the backward pass included, and each storage until
    nothing refers to it any more; what an operation holds only inside of itself is not seen, nor
    what torch makes without an operation, as the state of its random numbers.

    >>> import torch
    >>> x = torch.ones(100, dtype=torch.float64)
    >>> measure_peak(lambda: (x + 1).sum(), [x])
    808
    """
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    ledger = _Ledger({tensor.untyped_storage()._cdata for tensor in held})

    class Observer(TorchDispatchMode):
        def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = call(*args, **(kwargs or {}))
            ledger.note(tree_leaves(result))
            return result

    with Observer():
        run()
    return ledger.most


class _Ledger:
    """The storages that are alive, how many bytes they hold, and the most they ever held."""

    def __init__(self, known: set[int]) -> None:
        self.known = known
        self.alive: dict[int, weakref.ref[Any]] = {}
        self.now = self.most = 0

    def note(self, results: Iterable[Any]) -> None:
        """Enter the storages of the tensors among the results of an operation, each of them once."""
        import torch

        for tensor in results:
            if isinstance(tensor, torch.Tensor):
                self._enter(tensor.untyped_storage())

    def _enter(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known or key in self.alive:
            return

        def leave(_: Any) -> None:
            del self.alive[key]
            self.now -= size

        self.alive[key] = weakref.ref(storage, leave)
        self.now += size
        self.most = max(self.most, self.now)
