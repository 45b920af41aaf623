"""Mutation testing of matching: mutmut changes one thing at a time in copies of the engine's
modules, and the tests of tests/mutation/ must notice.

    python scripts/mutation.py                 every mutant; hours on a slow machine
    python scripts/mutation.py --sample 300    a seeded sample, with a confidence interval

mutmut lives in a virtual environment of its own (its click is not ours), and works in
build/mutation/ on copies, so that nothing in the checkout is touched. docs/testing.md tells how to
read the outcome. Exit codes: 0 when at least `--floor` percent are killed, 1 when fewer, 2 when it
could not run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutation"
VENV = WORK / "venv"
TREE = WORK / "tree"
RESULT = ROOT / "benchmarks" / "results" / "mutation.json"
MUTMUT = "mutmut==3.8.1"
MODULES = ("matching", "changes", "book", "client_ids", "tables")
QUICK = ("tests/mutation/test_kills.py",)
# For what survives those: slower, and with the reference book.
THOROUGH = (
    "tests/property/test_boundaries.py",
    "tests/property/test_growth.py",
    "tests/property/test_look_ahead.py",
    "tests/property/test_memory_reuse.py",
    "tests/unit/test_many_ids.py",
    "tests/unit/test_matching_submit.py",
    "tests/unit/test_matching_cancel.py",
    "tests/unit/test_matching_replace.py",
    "tests/unit/test_matching_states.py",
)
# Seconds each, and about what is not mutated or what their neighbours try too.
TOO_SLOW = (
    "the_highest_instrument_and_account or memory_for_sessions or 1500 or every_value_of_every"
)
SUPPORT = ("tests/property", "tests/reference", "tests/mutation", "benchmarks")
NAMES_A_RUN = 400  # a command line is bounded
# Of one test, with a mutant that does not end. What ends takes 1 for QUICK, up to 10 for THOROUGH.
CPU_SECONDS = {QUICK: 4, THOROUGH: 40}


def status_of(exit_code: int | None) -> str:
    """What mutmut's exit code of a mutant means."""
    known = {0: "survived", 1: "killed", 3: "killed", -11: "killed", 5: "no test", 33: "no test"}
    timeouts = {24, -24, 36, 152, 255, -9}
    if exit_code in timeouts:
        return "timeout"
    return known.get(exit_code if exit_code is not None else -1, "suspicious")


# --- preparing ------------------------------------------------------------------------------------


def make_venv() -> None:
    """mutmut and what the engine needs interpreted, in the versions that we use ourselves."""
    if (VENV / "bin" / "mutmut").exists():
        return
    ours = ("pytest", "pytest-timeout", "hypothesis", "mypy-extensions", "librt")
    pinned = [f"{name}=={version(name)}" for name in ours]
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(VENV / "bin" / "pip"), "install", "-q", MUTMUT, *pinned]
    subprocess.run(pip, check=True)


def make_tree(modules: list[str], tests: tuple[str, ...]) -> None:
    """Copies of the engine and of the tests that judge it; an earlier run's outcome is dropped."""
    shutil.rmtree(TREE, ignore_errors=True)
    bare = shutil.ignore_patterns("*.so", "__pycache__", "_compiled.py", "results")
    shutil.copytree(ROOT / "domain", TREE / "domain", ignore=bare)
    for name in SUPPORT:
        shutil.copytree(ROOT / name, TREE / name, ignore=bare)
    for name in tests:
        (TREE / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, TREE / name)
    mutated = [f"domain/{name}.py" for name in modules]
    options = [
        "-p",
        "tests.mutation.plugin",
        *(f"--deselect=tests/unit/{name}" for name in TOO_SLOW),
    ]
    settings = [
        "[tool.mutmut]",
        'source_paths = ["domain"]',
        f"only_mutate = {json.dumps(mutated)}",
        f"also_copy = {json.dumps(SUPPORT)}",
        f"pytest_add_cli_args_test_selection = {json.dumps(tests)}",
        f"pytest_add_cli_args = {json.dumps(options)}",
        "track_dependencies = false",
        "use_git_change_detection = false",
        "timeout_multiplier = 1.0",
        "timeout_constant = 900.0",
        "[tool.pytest.ini_options]",
        'addopts = "--import-mode=importlib"',
        'pythonpath = ["."]',
    ]
    (TREE / "pyproject.toml").write_text("\n".join(settings) + "\n")


# --- running --------------------------------------------------------------------------------------


def mutmut(tests: tuple[str, ...], children: int, *names: str) -> None:
    """Have the mutants of these names judged. Raises CalledProcessError where mutmut fails."""
    env = {
        **os.environ,
        "CROSSBOOK_INTERPRETED": "1",
        "CROSSBOOK_MUTANT_CPU_SECONDS": str(CPU_SECONDS[tests]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [str(VENV / "bin" / "mutmut"), "run", f"--max-children={children}", *names]
    with (WORK / "mutmut.log").open("a") as log:
        subprocess.run(command, cwd=TREE, env=env, check=True, stdout=log, stderr=log)


def outcomes(modules: list[str]) -> dict[str, int | None]:
    """Exit code by mutant, as mutmut keeps it; None for one that was not run."""
    found: dict[str, int | None] = {}
    for module in modules:
        meta = TREE / "mutants" / "domain" / f"{module}.py.meta"
        found |= json.loads(meta.read_text())["exit_code_by_key"]
    return found


def run(modules: list[str], sample: int, seed: int, children: int) -> dict[str, str]:
    """Make all mutants, run all or a sample, and tell the status of each that was run."""
    make_tree(modules, QUICK)
    names = make_mutants(modules)
    chosen = names
    if 0 < sample < len(names):
        chosen = sorted(random.Random(seed).sample(names, sample))
    print(f"{len(names)} mutants, {len(chosen)} of them to run", flush=True)
    statuses = judge(modules, QUICK, chosen, children)
    alive = [name for name, status in statuses.items() if not is_kill(status)]
    if alive:
        print(f"{len(alive)} survive the frozen streams: the other tests try", flush=True)
        make_tree(modules, THOROUGH)
        statuses |= judge(modules, THOROUGH, alive, children)
    return statuses


def make_mutants(modules: list[str]) -> list[str]:
    """The names of all mutants. Raises OSError where mutmut made none.

    mutmut makes them when it runs, and has no command that only makes them: it is asked for one
    that is not there, and ends with that complaint.
    """
    with contextlib.suppress(subprocess.CalledProcessError):
        mutmut(QUICK, 1, "no such mutant")
    return sorted(outcomes(modules))


def judge(
    modules: list[str], tests: tuple[str, ...], chosen: list[str], children: int
) -> dict[str, str]:
    """Run the mutants that are named with the tests of the tree."""
    for at in range(0, len(chosen), NAMES_A_RUN):
        mutmut(tests, children, *chosen[at : at + NAMES_A_RUN])
        print(f"{min(at + NAMES_A_RUN, len(chosen))} done", flush=True)
    codes = outcomes(modules)
    return {name: status_of(codes[name]) for name in chosen}


# --- telling --------------------------------------------------------------------------------------


def interval(killed: int, tested: int) -> tuple[float, float]:
    """Wilson's 95 % interval for a share, in percent."""
    z, share = 1.96, killed / tested
    middle = share + z * z / (2 * tested)
    spread = z * math.sqrt(share * (1 - share) / tested + z * z / (4 * tested * tested))
    scale = 100 / (1 + z * z / tested)
    return round((middle - spread) * scale, 1), round((middle + spread) * scale, 1)


def is_kill(status: str) -> bool:
    """A mutant that never ends is noticed as one that answers wrongly."""
    return status in ("killed", "timeout")


def summary(statuses: dict[str, str], sampled_of: int) -> dict[str, object]:
    """Counts and score, in all and by module. Mutants known to be equivalent count as survivors."""
    tested = len(statuses)
    killed = sum(map(is_kill, statuses.values()))
    by_module: dict[str, dict[str, float]] = {}
    for module in sorted({name.split(".")[1] for name in statuses}):
        ours = [status for name, status in statuses.items() if name.split(".")[1] == module]
        dead = sum(map(is_kill, ours))
        by_module[module] = {
            "tested": len(ours),
            "killed": dead,
            "score_percent": round(100 * dead / len(ours), 1),
        }
    return {
        "mutants": sampled_of,
        "tested": tested,
        "statuses": dict(Counter(statuses.values())),
        "score_percent": round(100 * killed / tested, 1),
        "interval_95_percent": interval(killed, tested) if tested < sampled_of else None,
        "by_module": by_module,
    }


def survivors(statuses: dict[str, str]) -> str:
    """The change that each survivor makes, as mutmut shows it."""
    alive = [name for name, status in sorted(statuses.items()) if not is_kill(status)]
    shown: list[str] = []
    for name in alive:
        command = [str(VENV / "bin" / "mutmut"), "show", name]
        done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)
        shown.append(done.stdout)
    return "\n".join(shown)


def commit() -> str:
    """The commit at work, marked where the checkout differs from it."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description="mutation testing of matching")
    parser.add_argument("--sample", type=int, default=0, help="mutants to run; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    parser.add_argument("--modules", nargs="+", default=list(MODULES), choices=MODULES)
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--floor", type=float, default=85.0, help="percent that must be killed")
    parser.add_argument("--write", action="store_true", help=f"keep it in {RESULT.name}")
    return parser.parse_args()


def main() -> int:
    """Prepare, run, tell."""
    asked = arguments()
    started = time.monotonic()
    try:
        make_venv()
        statuses = run(asked.modules, asked.sample, asked.seed, asked.children)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"mutation testing could not run: {error}", file=sys.stderr)
        return 2
    made = len(outcomes(asked.modules))
    result = {
        "commit": commit(),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "tool": MUTMUT,
        "seed": asked.seed if asked.sample else None,
        "seconds": round(time.monotonic() - started),
        **summary(statuses, made),
    }
    (WORK / "survivors.txt").write_text(survivors(statuses))
    (WORK / "statuses.json").write_text(json.dumps(statuses, indent=1))
    text = json.dumps(result, indent=2)
    print(text)
    print(f"what survived: {(WORK / 'survivors.txt').relative_to(ROOT)}")
    if asked.write:
        RESULT.write_text(text + "\n")
    return 0 if float(str(result["score_percent"])) >= asked.floor else 1


if __name__ == "__main__":
    sys.exit(main())
