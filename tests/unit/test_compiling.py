"""How the engine is compiled: with a profile where GCC is there, and without where it is not."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from domain import is_compiled, source_hash
from scripts import compile_domain, train_engine


def program(folder: Path, said: str) -> str:
    """A program that says what a compiler says of itself."""
    path = folder / "cc"
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return str(path)


def test_tells_gcc_from_what_only_has_its_name(tmp_path: Path) -> None:
    gcc = "Copyright (C) 2022 Free Software Foundation, Inc."
    assert compile_domain.is_gcc(program(tmp_path, gcc))
    assert not compile_domain.is_gcc(program(tmp_path, "Apple clang version 17.0.0"))


def test_without_a_compiler_it_says_what_that_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CC", "no-such-compiler -O1")
    assert compile_domain.compile_domain(plain=False) == ""
    assert "interpreted, many times slower" in capsys.readouterr().out


def test_another_compiler_than_pythons_own_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(sysconfig, "get_config_var", lambda _: "gcc-of-a-build-farm -pthread")
    assert compile_domain.compiler() == "cc"


@pytest.mark.skipif(not is_compiled(), reason="minutes where the engine is interpreted")
def test_the_training_runs_through() -> None:
    """Else every build would go without its profile."""
    train_engine.main()


@pytest.mark.skipif("CI" not in os.environ, reason="a build by hand may be plain: CI=true asks")
def test_the_engine_under_test_was_compiled_with_a_profile() -> None:
    stamp = (compile_domain.ROOT / "build" / "domain.stamp").read_text()
    if compile_domain.is_gcc(compile_domain.compiler()):
        assert stamp.startswith(source_hash())
        assert stamp.endswith(compile_domain.WITH_PROFILE)
