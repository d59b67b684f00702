"""torch's modes: what a caller has switched on is set aside while the judge computes, and is as before afterwards.

They change derivatives or values in silence: inside `torch.inference_mode()` every derivative is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from matcalc.errors import EvaluationError


def find_strange_mode() -> str | None:
    """Return what is switched on that cannot be set aside, and what to do about it, or None."""
    if torch.jit.is_tracing():
        return "torch.jit.trace is recording what torch computes: call matcalc outside of what is traced"
    modes = [*_get_current_dispatch_mode_stack(), *_get_current_function_mode_stack()]
    strange = [type(mode).__name__ for mode in modes if not isinstance(mode, DeviceContext)]
    return f"{strange[-1]} is active and changes what torch computes: call matcalc outside of it" if strange else None


@contextmanager
def own_modes(dtype: str | None = "float64", device: str = "cpu") -> Iterator[None]:
    """Compute with gradients, in full precision, with the given default dtype and device, whatever is switched on.

    Without a dtype the default one is left.  Raises EvaluationError for a mode that cannot be set aside.
    """
    if strange := find_strange_mode():
        raise EvaluationError(strange)
    with ExitStack() as stack:
        stack.enter_context(temporarily_clear_interpreter_stack())  # vmap, grad and jvp of torch.func
        stack.enter_context(torch.inference_mode(False))  # which switches gradients on as well, forward and backward
        stack.enter_context(without_autocast("cpu", torch.device(device).type))
        stack.enter_context(_without_saved_tensors_hooks())
        stack.enter_context(_shared_settings(dtype))
        if torch.empty(0).device != torch.device(device):
            # Not always: every call of torch takes longer under a device that is the default one.
            stack.enter_context(torch.device(device))
        yield


@contextmanager
def without_autocast(*device_types: str) -> Iterator[None]:
    """Compute in the dtype of the tensors on these types of devices."""
    with ExitStack() as stack:
        for device_type in dict.fromkeys(device_types):
            if torch.amp.is_autocast_available(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        yield


@contextmanager
def _without_saved_tensors_hooks() -> Iterator[None]:
    """Save tensors for the backward pass as they are."""
    hooks = torch._C._autograd
    read_top = getattr(hooks, "_top_saved_tensors_default_hooks", lambda _: None)  # torch tells them from 2.8 on
    found = []
    while pair := read_top(True):
        found.append(pair)
        hooks._pop_saved_tensors_default_hooks()
    try:
        yield
    finally:
        for pair in reversed(found):
            hooks._push_saved_tensors_default_hooks(*pair)


# --- settings of the whole process ----------------------------------------------------------------


@dataclass(frozen=True)
class _Setting:
    """What torch keeps once for all threads, and the values that will do; the first is set where another is found."""

    read: Callable[[], Any]
    write: Callable[[Any], None]
    fit: tuple[Any, ...]


def _read_determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _write_determinism(found: tuple[bool, bool]) -> None:
    torch.use_deterministic_algorithms(found[0], warn_only=found[1])


def _read_anomaly() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


def _write_anomaly(found: tuple[bool, bool]) -> None:
    torch.set_anomaly_enabled(*found)


def _read_precision(backend: Any) -> str:
    return str(backend.fp32_precision)


def _write_precision(backend: Any, found: str) -> None:
    # A backend of which nothing is said reads as what holds for all of them: only what differs from that is its own.
    backend.fp32_precision = "none"
    if backend.fp32_precision != found:
        backend.fp32_precision = found


def _list_precisions() -> list[_Setting]:
    """Return how precise products of float32 matrices are, which torch keeps for each backend from 2.9 on."""
    if not hasattr(torch.backends, "fp32_precision"):
        return [_Setting(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, ("highest",))]
    backends = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    return [
        _Setting(partial(_read_precision, one), partial(_write_precision, one), ("ieee", "none")) for one in backends
    ]


_SETTINGS = (
    _Setting(_read_determinism, _write_determinism, ((False, False), (False, True))),
    # Detecting anomalies ends a check where a derivative is not a number; another point may do.
    _Setting(_read_anomaly, _write_anomaly, ((False, True), (False, False))),
    *_list_precisions(),
)

_Found = dict[Callable[[Any], None], Any]

_entered: list[_Found] = []
_lock = Lock()


@contextmanager
def _shared_settings(dtype: str | None) -> Iterator[None]:
    """Set what the process keeps once for all threads.

    Threads need not leave in the reverse order of entering: one that leaves early hands what it found to the one that
    entered after it, so that the last one restores what the first one found.
    """
    with _lock:
        found = _set(_SETTINGS if dtype is None else (_fix_dtype(dtype), *_SETTINGS))
        _entered.append(found)
    try:
        yield
    finally:
        with _lock:
            place = next(number for number, one in enumerate(_entered) if one is found)
            del _entered[place]
            if _entered[place:]:
                _entered[place].update(found)
            else:
                for write, value in found.items():
                    write(value)


def _fix_dtype(dtype: str) -> _Setting:
    return _Setting(torch.get_default_dtype, torch.set_default_dtype, (getattr(torch, dtype),))


def _set(settings: tuple[_Setting, ...]) -> _Found:
    """Set each setting whose value will not do; return what was found, by what writes it."""
    found: _Found = {}
    for setting in settings:
        value = setting.read()
        if value not in setting.fit:
            found[setting.write] = value
            setting.write(setting.fit[0])
    return found
