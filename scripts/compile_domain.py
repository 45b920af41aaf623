"""Compile domain/ and the row encoder of projections/ with mypyc, in place.

    python scripts/compile_domain.py            unless what is there was built from these sources
    python scripts/compile_domain.py --force    anew
    python scripts/compile_domain.py --plain    without a profile: done sooner, a fifth slower

With GCC it is done twice: first instrumented, for `scripts/train_engine.py` to run, then for what
that showed to be hot. Without a C compiler it says so and leaves the exchange interpreted.

The hash of the sources is compiled in as `domain._compiled.SOURCE_HASH`, so that a stale extension
is noticed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from domain import SOURCES, source_hash, source_path  # noqa: E402

# Arithmetic wraps: domain.client_ids and domain.tables rely on it.
FLAGS: Final = "-O2 -g0 -fwrapv -fno-semantic-interposition"
# Inlining across the engine's small functions is worth a tenth of its speed without a profile, and
# a fifth with one (benchmarks.tapes). Without one it costs forty seconds, with one nothing.
INLINING: Final = (
    "-finline-functions --param max-inline-insns-auto=150 --param inline-unit-growth=300"
    " --param large-function-growth=1000 --param large-function-insns=20000"
)
PLAIN, WITH_PROFILE = "--build-plain", "--build-profiled"
PROFILED: Final = "build/profiled"  # where the instrumented build runs, with what it needs
TRAINED_WITH: Final = ("benchmarks", "domain", "projections", "scripts")


def build(*, profiled: bool) -> None:
    """Compile, in a process of its own: setuptools changes the one that it runs in. Raises whatever
    the compilers and the training end with.
    """
    from mypyc.build import mypycify
    from setuptools import setup

    modules = mypycify(
        [
            *(f"{name.replace('.', '/')}.py" for name in [*SOURCES, "domain._compiled"]),
            *("--strict", "--explicit-package-bases", "--follow-imports=silent"),
        ],
        opt_level="2",
        strip_asserts=False,
    )
    given = os.environ.get("CFLAGS", "")

    def compiled(optimizing: str, *arguments: str) -> None:
        os.environ["CFLAGS"] = f"{given} {optimizing}"
        arguments = ("build_ext", "--force", "--parallel=2", "--build-temp=build/temp", *arguments)
        setup(name="crossbook-domain", packages=[], ext_modules=modules, script_args=arguments)

    if profiled:
        # All code is in this one; the others only load it. The lists of flags are shared.
        engine = next(module for module in modules if module.name.endswith("__mypyc"))
        flags, link_flags = engine.extra_compile_args, engine.extra_link_args
        engine.extra_compile_args = [*flags, "-fprofile-arcs"]
        engine.extra_link_args = [*link_flags, "-fprofile-arcs"]
        compiled(FLAGS, f"--build-lib={PROFILED}")
        train()
        engine.extra_compile_args = [*flags, "-fprofile-use", "-Werror=missing-profile"]
        engine.extra_link_args = link_flags
    compiled(f"{FLAGS} {INLINING}", "--inplace")


def train() -> None:
    """Run the instrumented build, which leaves its profile beside its object file."""
    for earlier in Path("build/temp").rglob("*.gcda"):
        earlier.unlink()  # else it would be added to
    for name in TRAINED_WITH:
        ignored = shutil.ignore_patterns("*.so", "__pycache__", "results")
        shutil.copytree(ROOT / name, Path(PROFILED) / name, ignore=ignored, dirs_exist_ok=True)
    for package in Path(PROFILED, "projections").rglob("__init__.py"):
        package.write_text("")  # what they import besides is not installed yet, nor needed here
    env = {name: value for name, value in os.environ.items() if name != "CROSSBOOK_INTERPRETED"}
    command = [sys.executable, "-m", "scripts.train_engine"]
    subprocess.run(command, cwd=PROFILED, env=env, check=True)


def extension_paths() -> list[Path]:
    """The extensions that a whole build leaves beside the sources."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return [source_path(module).with_suffix(suffix) for module in [*SOURCES, "domain._compiled"]]


def remove_extensions() -> None:
    """Delete what an earlier run built."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for path in [*ROOT.glob(f"*__mypyc{suffix}"), *extension_paths()]:
        path.unlink(missing_ok=True)


def compiler() -> str:
    """The command that compiles C, or "" where there is none."""
    wanted = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return next((command for command in (wanted, "cc") if shutil.which(command.split()[0])), "")


def is_gcc(command: str) -> bool:
    """Whether it is GCC, also under another name."""
    program = command.split()[0]
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return "Free Software Foundation" in told.stdout


def compile_domain(*, plain: bool) -> str:
    """Build every extension; returns the way that worked, "" where there is no compiler or it
    fails.
    """
    command = compiler()
    if not command:
        print("no C compiler found: the engine runs interpreted, many times slower")
        return ""
    ways = [PLAIN] if plain or not is_gcc(command) else [WITH_PROFILE, PLAIN]
    log = ROOT / "build" / "compile.log"
    log.unlink(missing_ok=True)
    worked = ""
    for way in ways:
        done = subprocess.run(
            [sys.executable, __file__, way],
            cwd=ROOT,
            env=os.environ | {"CC": command},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            worked = way
            break
        log.write_text(done.stdout + done.stderr)
        remove_extensions()
        if way != ways[-1]:
            print("no profile could be taken (build/compile.log): the engine is a fifth slower")
    else:
        print(
            "compiling failed (build/compile.log): the engine runs interpreted",
            (done.stderr or done.stdout)[-600:],
            sep="\n",
        )
    shutil.rmtree(ROOT / PROFILED, ignore_errors=True)
    return worked


def main() -> None:
    """Build, unless what is there was built from these very sources."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # also where a shell made it ignored
    if PLAIN in sys.argv or WITH_PROFILE in sys.argv:
        build(profiled=WITH_PROFILE in sys.argv)
        return
    (ROOT / "build").mkdir(exist_ok=True)
    wanted = source_hash()
    stamp = ROOT / "build" / "domain.stamp"
    tag = f"{wanted} {sysconfig.get_config_var('EXT_SUFFIX')}"
    built = [path.exists() for path in extension_paths()]
    found = stamp.read_text() if stamp.exists() else ""
    if "--force" not in sys.argv and all(built) and found.startswith(tag):
        return
    stamp.unlink(missing_ok=True)
    remove_extensions()
    text = '"""Generated by scripts/compile_domain.py."""\n\nfrom typing import Final\n\n'
    (ROOT / "domain" / "_compiled.py").write_text(f'{text}SOURCE_HASH: Final = "{wanted}"\n')
    if way := compile_domain(plain="--plain" in sys.argv):
        print("compiled domain/")
        stamp.write_text(f"{tag} {way}")


if __name__ == "__main__":
    main()
