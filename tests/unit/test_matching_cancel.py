"""Cancels, mass cancels and the kill switch."""

from __future__ import annotations

import pytest

from domain.codes import CommandType, Reason
from domain.commands import CancelOrder, MassCancel, SubmitOrder
from domain.events import OrderRejected
from tests.reference.tables import Story, play

STRANGE_IDS = (1, -1, 2**63 - 1, -(2**63), 3 << 55, 4 << 55 | 2 << 16)


def test_a_cancel_takes_off_all_that_is_open() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        bob sells 2 at 100           | accepted; 2 at 100 with a
        ann cancels a                | a cancelled 3 by_request
        levels                       | bid 100: 0 in 0
        bids                         | -
    """)


def test_a_cancel_leaves_the_others_in_their_order() -> None:
    play("""
        a: ann buys 1 at 100         | accepted
        b: bob buys 2 at 100         | accepted
        c: cat buys 3 at 100         | accepted
        bob cancels b                | b cancelled 2 by_request
        bids                         | 100: a 1, c 3
        ann cancels a                | a cancelled 1 by_request
        cat sells 3 at 100           | accepted; 3 at 100 with c
    """)


def test_a_cancel_by_client_order_id() -> None:
    play("""
        a: ann buys 5 at 100 id=x          | accepted
        bob cancels id=x                   | refused unknown_order
        ann cancels id=x in CCC            | refused unknown_order
        ann cancels id=y                   | refused unknown_order
        ann cancels id=x in UNLISTED       | refused unknown_instrument
        ann cancels id=x                   | a cancelled 5 by_request
        ann cancels id=x                   | refused unknown_order
    """)


def test_nobody_learns_of_another_s_order() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        bob cancels a                | refused unknown_order
        bob replaces a 3             | refused unknown_order
        stranger cancels a           | refused unknown_account
        bids                         | 100: a 5
    """)


def test_orders_that_do_not_rest_cannot_be_cancelled() -> None:
    play("""
        a: ann buys 5 at 100 ioc     | accepted; a cancelled 5 ioc_remainder
        ann cancels a                | refused unknown_order
        b: ann buys 5 at 103 in BBB  | refused price_not_on_tick
        ann cancels b                | refused unknown_order
        c: ann sells 5 at 100        | accepted
        bob buys 5 at 100            | accepted; 5 at 100 with c
        ann cancels c                | refused unknown_order
    """)


def test_the_order_id_counts_and_must_be_of_the_instrument_beside_it() -> None:
    play("""
        a: ann buys 5 at 100         | accepted
        ann cancels a in UNLISTED    | refused unknown_order
        ann cancels a                | a cancelled 5 by_request
    """)
    story = Story()
    story.send([SubmitOrder(1, 1, 0, 0, 0, 100, 5, b"x")])
    order_id = 3 << 55 | 2 << 16
    (refused,) = story.send([CancelOrder(1, 1, order_id + 1, b"x")])
    assert refused == OrderRejected(
        0, CommandType.CANCEL_ORDER, Reason.UNKNOWN_ORDER, 1, 1, order_id + 1, 0, 0, 0, 0, 0, b"x"
    )


@pytest.mark.parametrize("order_id", STRANGE_IDS)
def test_strange_order_ids_are_unknown(order_id: int) -> None:
    story = Story()
    story.send([SubmitOrder(1, 1, 0, 0, 0, 100, 5)])
    (refused,) = story.send([CancelOrder(1, 1, order_id)])
    assert isinstance(refused, OrderRejected)
    assert (refused.reason, refused.order_id) == (Reason.UNKNOWN_ORDER, order_id)


@pytest.mark.parametrize("text", [b"", b"white space", b"\xff" * 36])
def test_a_cancel_that_names_nothing_is_unknown(text: bytes) -> None:
    story = Story()
    (refused,) = story.send([CancelOrder(1, 1, 0, text)])
    assert isinstance(refused, OrderRejected)
    assert (refused.reason, refused.client_order_id) == (Reason.UNKNOWN_ORDER, text)


@pytest.mark.parametrize("state", ["open", "halted", "cancel-only", "closed"])
def test_cancels_are_taken_in_every_state(state: str) -> None:
    story = play("""
        a: ann buys 5 at 100 gtc     | accepted
        b: ann buys 6 at 99 gtc      | accepted
    """)
    story.tell(f"market is {state}")
    assert story.tell("ann cancels a") == "a cancelled 5 by_request"
    assert story.tell("ann mass-cancels") == "b cancelled 6 by_mass_cancel; 1 cancelled"


# --- mass cancel --------------------------------------------------------------------------------


def test_one_account_s_orders_go_in_ascending_order_id() -> None:
    play("""
        a: ann buys 5 at 99           | accepted
        b: ann sells 6 at 101         | accepted
        c: bob buys 7 at 100          | accepted
        d: ann buys 10 at 100 in BBB  | accepted
        e: ann buys 9 at 100          | accepted
        ann replaces a 4 at 98        | replaced 4 at 98
        ann mass-cancels in ALL       | a cancelled 4 by_mass_cancel;
                                      | b cancelled 6 by_mass_cancel;
                                      | d cancelled 10 by_mass_cancel;
                                      | e cancelled 9 by_mass_cancel; 4 cancelled
        levels                        | bid 98: 0 in 0; ask 101: 0 in 0; #2 bid 100: 0 in 0;
                                      | bid 100: 7 in 1
        bids                          | 100: c 7
    """)


def test_everyone_s_orders_go_book_by_book_in_priority_order() -> None:
    play("""
        a: ann buys 10 at 100 in BBB  | accepted
        b: ann sells 1 at 102         | accepted
        c: bob sells 2 at 101         | accepted
        d: cat buys 3 at 99           | accepted
        e: bob buys 4 at 100          | accepted
        f: ann buys 5 at 100          | accepted
        everyone mass-cancels in ALL  | e cancelled 4 by_mass_cancel;
                                      | f cancelled 5 by_mass_cancel;
                                      | d cancelled 3 by_mass_cancel;
                                      | c cancelled 2 by_mass_cancel;
                                      | b cancelled 1 by_mass_cancel;
                                      | a cancelled 10 by_mass_cancel; 6 cancelled
        levels                        | bid 100: 0 in 0; bid 99: 0 in 0; ask 101: 0 in 0;
                                      | ask 102: 0 in 0; #2 bid 100: 0 in 0
    """)


def test_a_mass_cancel_keeps_to_its_account_instrument_and_side() -> None:
    play("""
        a: ann buys 5 at 99           | accepted
        b: ann sells 5 at 101         | accepted
        c: bob buys 5 at 99           | accepted
        d: ann buys 5 at 99 in CCC    | accepted
        ann mass-cancels buys         | a cancelled 5 by_mass_cancel; 1 cancelled
        bob mass-cancels sells        | 0 cancelled
        levels                        | -
        everyone mass-cancels sells   | b cancelled 5 by_mass_cancel; 1 cancelled
        bids                          | 99: c 5
        bids of CCC                   | 99: d 5
    """)


def test_a_mass_cancel_checks_side_then_instrument_then_account() -> None:
    story = Story()
    for command, reason in (
        (MassCancel(9, 7, 3), Reason.INVALID_SIDE),
        (MassCancel(9, 7, 255), Reason.INVALID_SIDE),
        (MassCancel(9, 7, 2), Reason.UNKNOWN_INSTRUMENT),
        (MassCancel(9, 1, 2), Reason.UNKNOWN_ACCOUNT),
    ):
        (refused,) = story.send([command])
        assert refused == OrderRejected(
            0,
            CommandType.MASS_CANCEL,
            reason,
            command.account,
            command.instrument,
            0,
            command.side & 3,
            0,
            0,
            0,
            0,
            b"",
        )


# --- kill switch --------------------------------------------------------------------------------


def test_a_kill_cancels_an_account_s_orders_and_refuses_new_ones() -> None:
    play("""
        a: ann buys 5 at 99           | accepted
        b: bob buys 6 at 99           | accepted
        c: ann sells 10 at 100 in BBB | accepted
        ann is killed                 | done; a cancelled 5 by_kill_switch;
                                      | c cancelled 10 by_kill_switch
        levels                        | bid 99: 6 in 1; #2 ask 100: 0 in 0
        d: ann buys 5 at 99           | refused account_killed
        ann cancels a                 | refused unknown_order
        ann is killed                 | done
        bob sells 6 at 99             | accepted; 6 at 99 with b
        ann is revived with 0         | done
        e: ann buys 5 at 99           | accepted
    """)
