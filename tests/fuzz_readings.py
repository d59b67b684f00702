"""Random and mutated texts in every syntax: each is read, or refused with a MatcalcError, within two seconds.

`python -m tests.fuzz_readings 20000 [SEED]` prints what was read, refused and asked, the slowest texts, and what broke.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

from matcalc.errors import MatcalcError
from matcalc.language.any_text_to_expression import SYNTAXES, parse_any
from matcalc.language.habits import AmbiguityError
from tests.read_cases import read_cases
from tests.written import CASES, read_written

LIMIT = 2.0
PIECES = (
    *"AxXybcIJnkλμσΣβ012|()[]{}'\"^_.,;:+-*/@<>=!?#&~\\ \t",
    *"** .T ^T ^{-1} ᵀ ⁻¹ ² ‖ ⊙ ⊗ ∑ ∏ ∂ ∇ ⟨ ⟩ · × √ ½ （ ＋ 0x 1e5 if é %*% .* ./ .^ x'* A\\b vector(1)".split(),
    *"tr( log| x_i A_{ij} x[0] X[:,k] exp( norm( softmax( np. torch. F.softmax( .sum( axis=0 dim=1".split(),
    *r"\frac{ \top \mathbf{ \lVert \sum_{i=1}^n \operatorname{ \left \begin{aligned} $ \\ dy/dx x∈R^n".split(),
    "X[i, j]", "det ", "sum_i ", " where ", "lambda x: ", "return ", "d/dx ", "p = softmax(x); ", ", A symmetric",
)  # fmt: skip


def list_texts() -> list[str]:
    """Return what people write, what it means, and the cases of the language."""
    files = ("written.toml", "written_more.toml", "written_third.toml")
    spellings = [case for name in files for case in read_written(CASES.with_name(name))]
    return [*(case["written"] for case in spellings), *(case.expr for case in read_cases())]


def make_texts(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield texts, each with the syntax in which it is read: heaps of pieces, and texts cut, joined and changed."""
    generator, known = random.Random(seed), list_texts()
    for _ in range(count):
        text = generator.choice(known)
        match generator.randrange(5):
            case 0:
                text = "".join(generator.choices(PIECES, k=generator.randint(1, 14)))
            case 1:
                other = generator.choice(known)
                text = text[: generator.randint(0, len(text))] + other[generator.randint(0, len(other)) :]
            case 2:
                for _ in range(generator.randint(1, 3)):
                    place = generator.randint(0, len(text))
                    text = text[:place] + generator.choice(PIECES) + text[place + generator.randint(0, 2) :]
            case 3:
                text = generator.choice(["+", " ", "*", " @ ", "(", "|"]).join([text] * generator.randint(2, 5))
            case _:
                text = "".join(generator.sample(text, len(text)))
        yield text, generator.choice(SYNTAXES)


def read_one(text: str, syntax: str) -> tuple[str, float]:
    """Return what became of a text and how long that took; any exception but a MatcalcError goes on."""
    started = time.process_time()
    try:
        parse_any(text, choose_wrt=False, syntax=syntax)
        word = "read"
    except AmbiguityError:
        word = "asked"
    except MatcalcError as error:
        word = "refused" if str(error) else "broke"
    return word, time.process_time() - started


def main() -> None:
    """Print how many texts were read, asked and refused, and those that broke or took too long."""
    given = [int(word) for word in sys.argv[1:3]]
    count, seed = given + [20_000, 0][len(given) :]
    table: Counter[str] = Counter()
    slowest: list[tuple[float, str, str]] = []
    for text, syntax in make_texts(count, seed):
        try:
            word, seconds = read_one(text, syntax)
        except Exception as error:
            word, seconds = "broke", 0.0
            print("broke:", type(error).__name__, str(error)[:100], repr(text), syntax)
        table[word] += 1
        slowest = sorted([*slowest, (seconds, text, syntax)], reverse=True)[:5]
        if seconds > LIMIT:
            table["too slow"] += 1
            print(f"{seconds:.1f} s:", repr(text), syntax)
    print(dict(table))
    for seconds, text, syntax in slowest:
        print(f"{seconds:.2f} s  {syntax:8} {text[:100]!r}")


if __name__ == "__main__":
    main()
