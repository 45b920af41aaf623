"""`make soak`: as many seeds as asked, on as many cores; the first failures are shown whole.

Exit codes: 0 all passed, 1 some failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.simulation.run import SEEDS, first_failure

BLOCK = 50
SHOWN = 3
SAYS_EVERY_S = 10.0


def main() -> int:
    """Run the seeds and report how many a second."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, default=SEEDS, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    wanted = parser.parse_args()
    last = wanted.first + wanted.seeds
    blocks = [range(first, min(first + BLOCK, last)) for first in range(wanted.first, last, BLOCK)]
    began = said = time.monotonic()
    done, failures = 0, []
    with ProcessPoolExecutor(wanted.jobs) as pool:
        running = {pool.submit(first_failure, block): block for block in blocks}
        for future in as_completed(running):
            done += len(running[future])
            if (failure := future.result()) is not None:
                failures.append(failure)
                if len(failures) <= SHOWN:
                    print(failure, file=sys.stderr)
            if time.monotonic() - said > SAYS_EVERY_S:
                said = time.monotonic()
                print(f"{done:,} seeds, {done / (said - began):.1f} a second", flush=True)
    rate = done / (time.monotonic() - began)
    print(f"{done:,} seeds from {wanted.first}, {rate:.1f} a second, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
