"""Seeds of training, calibration and test sets, which never share one.

Seeds belong to splits: `SPLITS` cuts them into disjoint ranges. Seeds below 2**40, those that people type into tests
and benchmarks, are all held out for testing.
"""

import operator

#: seeds of each split; set number K of a split has the seeds K * SEEDS_PER_SET and up, see `seed_of`
SPLITS = {"test": range(2**40), "train": range(2**40, 2 * 2**40), "calibrate": range(2 * 2**40, 3 * 2**40)}
SEEDS_PER_SET = 2**20


def seed_of(split: str, number: int, part: int = 0) -> int:
    """Seed of one part of set `number` of a split; no two (split, number, part) share one.

    Parameters
    ----------
    split : {"train", "calibrate", "test"}
    number, part : int
    """
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}; choose from {', '.join(SPLITS)}")
    n_sets = len(SPLITS[split]) // SEEDS_PER_SET
    if not 0 <= number < n_sets:
        raise ValueError(f"seed is {number}: a split has the seeds 0..{n_sets - 1}")
    if not 0 <= part < SEEDS_PER_SET:
        raise ValueError(f"part is {part}: a set has the parts 0..{SEEDS_PER_SET - 1}")
    return SPLITS[split][number * SEEDS_PER_SET + part]


def check_seed(seed: int) -> int:
    """`seed` if it is in one of the splits; raises ValueError else."""
    seed = operator.index(seed)
    if not any(seed in seeds for seeds in SPLITS.values()):
        raise ValueError(f"seed is {seed}: give one of 0..{max(s.stop for s in SPLITS.values()) - 1}, see SPLITS")
    return seed
