"""Bookkeeping of publishes and acks, against simple models."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vumi.broker.interface import Publication
from vumi.broker.ledger import AckBatch, PublishLedger


def publication(body: bytes = b"", routing_key: str = "q") -> Publication:
    return Publication("vumi", routing_key, body, None, False, None)


def ledger_with(number: int) -> tuple[PublishLedger, list[Publication]]:
    ledger = PublishLedger()
    publications = [publication(b"%d" % index) for index in range(number)]
    for item in publications:
        ledger.add(item)
        ledger.sent(item)
    return ledger, publications


def test_confirmations_one_by_one_move_the_mark() -> None:
    ledger, publications = ledger_with(3)
    for tag in (1, 2, 3):
        settled = ledger.settle(tag, multiple=False)
        assert settled == [publications[tag - 1]]
        assert ledger.mark_safe(settled)
        assert ledger.confirmed == tag
    assert ledger.outstanding() == []


def test_a_confirmation_out_of_order_moves_nothing_until_the_gap_closes() -> None:
    ledger, publications = ledger_with(3)
    assert not ledger.mark_safe(ledger.settle(2, multiple=False))
    assert not ledger.mark_safe(ledger.settle(3, multiple=False))
    assert ledger.confirmed == 0
    assert ledger.outstanding() == [publications[0]]
    assert ledger.mark_safe(ledger.settle(1, multiple=False))
    assert ledger.confirmed == 3


def test_a_confirmation_of_all_up_to_a_tag_skips_those_confirmed_before() -> None:
    ledger, publications = ledger_with(4)
    ledger.mark_safe(ledger.settle(2, multiple=False))
    assert ledger.settle(3, multiple=True) == [publications[0], publications[2]]


def test_a_confirmation_of_an_unknown_or_old_tag_is_of_nothing() -> None:
    ledger, _ = ledger_with(2)
    assert ledger.settle(3, multiple=False) == []
    ledger.mark_safe(ledger.settle(2, multiple=True))
    assert ledger.settle(1, multiple=False) == []


def test_a_lost_channel_starts_the_tags_anew_with_what_is_outstanding() -> None:
    ledger, publications = ledger_with(3)
    ledger.mark_safe(ledger.settle(1, multiple=False))
    ledger.channel_lost()
    assert ledger.outstanding() == publications[1:]
    for item in ledger.outstanding():
        ledger.sent(item)
    assert ledger.settle(1, multiple=False) == [publications[1]]
    ledger.mark_safe([publications[1]])
    ledger.mark_safe(ledger.settle(2, multiple=True))
    assert ledger.confirmed == 3


def test_a_returned_message_is_found_by_key_and_body_once_each() -> None:
    ledger = PublishLedger()
    twins = [publication(b"same", "a"), publication(b"same", "b"), publication(b"same", "a")]
    for item in twins:
        ledger.add(item)
        ledger.sent(item)
    found = ledger.find_in_flight("a", b"same")
    assert found is twins[0]
    found.returned = True
    assert ledger.find_in_flight("a", b"same") is twins[2]
    assert ledger.find_in_flight("c", b"same") is None


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=40))
def test_the_mark_is_the_longest_confirmed_beginning(confirms: list[tuple[int, bool]]) -> None:
    ledger, _ = ledger_with(20)
    confirmed: set[int] = set()
    for tag, multiple in confirms:
        ledger.mark_safe(ledger.settle(tag, multiple))
        if tag <= 20:
            confirmed |= set(range(1, tag + 1)) if multiple else {tag}
        beginning = 0
        while beginning + 1 in confirmed:
            beginning += 1
        assert ledger.confirmed == beginning
        assert len(ledger.outstanding()) == 20 - len(confirmed)


def test_contiguous_acks_go_out_as_one() -> None:
    batch = AckBatch()
    assert [batch.add(tag) for tag in (1, 2, 3)] == [True, False, False]
    assert batch.flush() == [(3, True)]
    assert batch.flush() == []


def test_acks_out_of_order_go_out_one_by_one() -> None:
    batch = AckBatch()
    batch.add(3)
    batch.add(5)
    assert batch.flush() == [(3, False), (5, False)]
    batch.add(1)
    batch.add(2)
    assert batch.flush() == [(2, True)]
    batch.add(4)
    assert batch.flush() == [(4, False)]
    batch.add(6)
    assert batch.flush() == [(6, False)]


class Channel:
    """A channel as strict as RabbitMQ: acknowledging what it doesn't know is an error."""

    def __init__(self, highest: int) -> None:
        self.unacked = set(range(1, highest + 1))

    def ack(self, tag: int, multiple: bool) -> set[int]:
        assert tag in self.unacked
        acked = {other for other in self.unacked if other <= tag} if multiple else {tag}
        self.unacked -= acked
        return acked


@given(st.permutations(range(1, 16)), st.lists(st.booleans(), min_size=15, max_size=15))
def test_any_order_of_acks_acknowledges_just_what_is_done(
    order: list[int], flushes: list[bool]
) -> None:
    batch, channel, done = AckBatch(), Channel(15), set()
    for tag, flush in zip(order, flushes, strict=True):
        batch.add(tag)
        done.add(tag)
        if flush:
            for ack in batch.flush():
                assert channel.ack(*ack) <= done
            assert channel.unacked == set(range(1, 16)) - done
    for ack in batch.flush():
        channel.ack(*ack)
    assert channel.unacked == set()
