"""Deriving imports neither NumPy nor torch, and the command imports nothing heavy before it must."""

import subprocess
import sys

import pytest

HEAVY = ("numpy", "torch")


def run_and_list_heavy(code: str, heavy: tuple[str, ...] = HEAVY) -> list[str]:
    """Run the code in a fresh Python and return the heavy packages it has imported."""
    listing = f"import sys; print(*[name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{listing}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1].split()


def test_importing_matcalc_is_light():
    assert run_and_list_heavy("import matcalc", (*HEAVY, "sympy")) == []


@pytest.mark.parametrize(
    "call",
    [
        "derive('A@x')",
        "derive('x.T @ A @ x', layout='denominator', assume={'A': 'symmetric'})",
        "derive('logdet(X)', order=2)",
        "derive('softmax(W @ x + b)', 'W', layout='torch')",
        "derive('inv(X)', layout='vec')",
    ],
)
def test_deriving_is_light(call):
    code = f"import matcalc; d = matcalc.{call}; str(d), d.shape, d.entries, d.einsum, d.latex(), d.to_dict()"
    assert run_and_list_heavy(code) == []


@pytest.mark.parametrize("arguments", [["derive", "A@x", "--no-check"], ["rules"], ["derive", "A@@x"]])
def test_the_command_without_check_is_light(arguments):
    assert run_and_list_heavy(f"from matcalc.cli import main; main({arguments!r})") == []
