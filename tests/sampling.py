"""What a run takes of a product of cases, layouts, backends and seeds: everything with --whole, else a sample.

The sample is drawn from a seed, which the header of the run prints: `pytest --sample-seed N` takes the same again.
The seed comes from the package and its rules: what has not changed is tried with the same sample, wherever it is run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import pytest

Item = TypeVar("Item")
Option = TypeVar("Option")

# In the environment, which the processes of pytest-xdist share: each of them must collect the same tests.
WHOLE, SEED = "MATCALC_WHOLE", "MATCALC_SAMPLE_SEED"


_ROOT = Path(__file__).parents[1]
_OF_A_TREE = ("matcalc/**/*.py", "rules/*.toml")


def choose_seed() -> int:
    """The seed of the sample that belongs to the package as it is."""
    digest = sha256()
    for pattern in _OF_A_TREE:
        for path in sorted(_ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:4], "big") % 10**6


def is_whole() -> bool:
    """Whether this run takes everything."""
    return os.environ.get(WHOLE) == "1"


def sample(name: str, items: Iterable[Item], share: float = 0.1) -> list[Item]:
    """The items, or of a sample this share of them, at least one; under another name others are taken."""
    everything = list(items)
    if is_whole() or not everything:
        return everything
    taken = _choose(name).sample(range(len(everything)), max(1, round(share * len(everything))))
    return [everything[place] for place in sorted(taken)]


def spread(name: str, items: Iterable[Item], options: Sequence[Option]) -> list[tuple[Item, Option]]:
    """Every item with every option, or of a sample every item with one of them."""
    choose = _choose(name)
    taken = ((item, options if is_whole() else [choose.choice(options)]) for item in items)
    return [(item, option) for item, some in taken for option in some]


def _choose(name: str) -> random.Random:
    return random.Random(f"{name} {os.environ.get(SEED, '0')}")


def only_in_whole_run() -> pytest.MarkDecorator:
    """Skip a test of many seconds, whose like the short run has, unless everything is run."""
    return pytest.mark.skipif(not is_whole(), reason="takes long; --whole runs it")
