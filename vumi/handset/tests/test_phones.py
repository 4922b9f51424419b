"""Phones and their sessions."""

from __future__ import annotations

import pytest

from vumi.handset.phones import HandsetError, Phone, Phones, Spoken

A, B = "+27831234567", "+27837654321"


def test_what_is_said_without_a_session_begins_one() -> None:
    phone = Phone(A, has_sessions=True)
    assert phone.say("") == Spoken(A, "new", None)
    assert phone.say("hello") == Spoken(A, "resume", "hello")
    assert phone.say("") == Spoken(A, "resume", "")
    assert phone.close() == Spoken(A, "close", None)
    assert phone.say("*1#") == Spoken(A, "new", "*1#")


def test_without_sessions_there_is_no_session_event() -> None:
    phone = Phone(A, has_sessions=False)
    assert phone.say("hello") == Spoken(A, None, "hello")
    assert phone.hear("close")
    assert phone.say("again") == Spoken(A, None, "again")
    for action in (phone.dial, phone.close, phone.time_out):
        with pytest.raises(HandsetError, match="no sessions with this transport type"):
            action()


def test_a_session_can_be_begun_once_and_ended_once() -> None:
    phone = Phone(A, has_sessions=True)
    for end in (phone.close, phone.time_out):
        with pytest.raises(HandsetError, match="is in no session"):
            end()
        assert phone.dial("x") == Spoken(A, "new", "x")
        with pytest.raises(HandsetError, match="is in a session"):
            phone.dial()
        end()
        assert not phone.in_session


def test_a_reply_may_end_a_session_and_needs_one() -> None:
    phone = Phone(A, has_sessions=True)
    assert not phone.hear(None)
    phone.dial()
    assert phone.hear(None)
    assert phone.in_session
    assert phone.hear("close")
    assert not phone.in_session
    assert not phone.hear(None)


def test_every_phone_has_a_session_of_its_own() -> None:
    phones = Phones(A, has_sessions=True)
    phones.current.dial()
    assert not phones.take(B).in_session
    assert phones.get(A).in_session
    assert phones.current.address == B
    assert phones.take(A).in_session
    assert [phone.address for phone in phones.all()] == [A, B]
