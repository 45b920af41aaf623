"""What a new exchange begins with: its first accounts, their keys, and about fifty instruments.

Guarantees: running it again changes nothing that is there already. A key that `credentials.json`
lost cannot be shown again, so its account gets a new one.
"""

from __future__ import annotations

from dataclasses import dataclass

from cli.listings import (
    FIRST_ACCOUNTS,
    FIRST_LISTINGS,
    LOT_SIZE,
    TICK_SIZE_TICKS,
    FirstAccount,
)
from cli.run_state import Credential, RunFolder
from commands.directory.application import Directory
from commands.directory.entries import AccountEntry, InstrumentTerms
from commands.directory.keys import matches, split_key
from commands.directory.terms import InstrumentExistsError

BY = "crossbook up"


@dataclass(frozen=True)
class Begun:
    """What was done."""

    credentials: dict[str, Credential]
    accounts_created: int
    keys_created: int
    instruments_listed: int


def begin(directory: Directory, folder: RunFolder) -> Begun:
    """Open the first accounts and list the first instruments, as far as they are missing.

    Raises ValueError where `credentials.json` is damaged, DirectoryError where the store refuses.
    """
    credentials = folder.read_credentials()
    accounts = keys = 0
    for first in FIRST_ACCOUNTS:
        entry = directory.account_named(first.name)
        if entry is None:
            entry = directory.create_account(first.name, by=BY).entry
            accounts += 1
        if not _works(credentials.get(first.name), entry):
            credentials[first.name] = _new_key(directory, entry, first)
            keys += 1
    if keys:
        folder.write_credentials(credentials)
    return Begun(credentials, accounts, keys, _list_first(directory))


def _works(credential: Credential | None, entry: AccountEntry) -> bool:
    """Whether the stored key is one of the account's that is not revoked."""
    parts = split_key(credential.key) if credential is not None else None
    if parts is None:
        return False
    return any(
        key.key_id == parts[0] and not key.revoked and matches(parts[1], key.sha256)
        for key in entry.keys
    )


def _new_key(directory: Directory, entry: AccountEntry, first: FirstAccount) -> Credential:
    _, key = directory.create_key(entry.number, list(first.scopes), by=BY)
    return Credential(entry.number, first.name, key.text)


def _list_first(directory: Directory) -> int:
    listed = 0
    for listing in FIRST_LISTINGS:
        terms = InstrumentTerms(
            listing.symbol,
            tick_size=TICK_SIZE_TICKS,
            lot_size=LOT_SIZE,
            price_collar=listing.price_collar_ticks,
        )
        try:
            directory.list_instrument(terms, by=BY)
        except InstrumentExistsError:
            continue
        listed += 1
    return listed
