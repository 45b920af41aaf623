"""`crossbook audit` on a directory of its own."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from cli.main import app
from cli.settings import Settings
from commands.directory.application import Directory, DirectoryApplication, sqlite_environment
from commands.directory.entries import InstrumentTerms, Limits


def make_directory(folder: Path) -> str:
    """Some changes; returns the secret of the key among them."""
    settings = Settings(data_dir=folder)
    settings.logs.mkdir(parents=True)
    application = DirectoryApplication(sqlite_environment(settings.logs / "directory.sqlite"))
    directory = Directory(application, 1)
    directory.create_account("desk", Limits(10, 250_000, 0), by="crossbook up")
    _, key = directory.create_key(1, ["read"], by="key:000000000001")
    directory.list_instrument(InstrumentTerms("A", 100, reference_price=12_500), by="crossbook up")
    directory.resume_clocks(by="crossbook clock resume")
    directory.close()
    return key.secret


def run(folder: Path, *more: str) -> str:
    result = CliRunner().invoke(app, ["audit", "--data-dir", str(folder), *more])
    assert result.exit_code == 0, result.output
    return result.output


def test_tells_who_did_what_newest_first(tmp_path: Path) -> None:
    secret = make_directory(tmp_path)
    lines = run(tmp_path).splitlines()
    assert [line.split("  ")[-1] for line in lines] == [
        "clock.resumed",
        "instrument.listed A symbol=A number=1 shard=0 tick_size=0.0100 lot_size=1 "
        "price_collar=none reference_price=1.2500 state=open",
        lines[2].split("  ")[-1],
        "account.created 1 number=1 name=desk order_quantity_max=10 order_notional_max=25.0000 "
        "open_orders_max=none",
    ]
    assert "account.key-created 1 key_id=" in lines[2] and lines[2].endswith("scopes=read")
    assert secret not in run(tmp_path) and "sha256" not in run(tmp_path)


def test_some_of_it_as_json(tmp_path: Path) -> None:
    make_directory(tmp_path)
    lines = run(tmp_path, "--json", "--by", "crossbook up").splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["instrument.listed", "account.created"]
    assert len(run(tmp_path, "--limit", "2").splitlines()) == 2


def test_no_exchange_is_a_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["audit", "--data-dir", str(tmp_path / "none")])
    assert result.exit_code == 1
