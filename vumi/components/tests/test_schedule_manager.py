"""Schedules: when they are due, in which zone, and what is said of those that make no sense."""

from __future__ import annotations

from calendar import timegm
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from vumi.components.schedule_manager import ScheduleError, ScheduleManager
from vumi.errors import VumiError


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def seconds(text: str) -> int:
    return timegm(at(text).timetuple())


# definition, since, next
NEXT = [
    ({"recurring": "never"}, "2024-02-10T00:00:00", None),
    # daily
    (
        {"recurring": "daily", "time": "12:00:00"},
        "2024-02-10T11:59:59",
        "2024-02-10T12:00:00",
    ),
    (
        {"recurring": "daily", "time": "12:00:00"},
        "2024-02-10T12:00:00",
        "2024-02-11T12:00:00",
    ),
    ({"recurring": "daily", "time": "00:00:00"}, "2023-12-31T23:59:59", "2024-01-01T00:00:00"),
    # day of month
    (
        {"recurring": "day_of_month", "time": "12:00:00", "days": "1, 15,28"},
        "2024-02-10T12:00:00",
        "2024-02-15T12:00:00",
    ),
    (
        {"recurring": "day_of_month", "time": "12:00:00", "days": "1 15"},
        "2024-02-15T12:00:00",
        "2024-03-01T12:00:00",
    ),
    # A month that lacks a day is skipped for that day.
    (
        {"recurring": "day_of_month", "time": "12:00:00", "days": "31"},
        "2024-03-31T12:00:00",
        "2024-05-31T12:00:00",
    ),
    (
        {"recurring": "day_of_month", "time": "12:00:00", "days": "30"},
        "2023-01-30T12:00:00",
        "2023-03-30T12:00:00",
    ),
    (
        {"recurring": "day_of_month", "time": "00:00:00", "days": "31"},
        "2024-07-31T00:00:00",
        "2024-08-31T00:00:00",
    ),
    # A single number, as YAML reads it.
    (
        {"recurring": "day_of_month", "time": "12:00:00", "days": 5},
        "2024-02-10T12:00:00",
        "2024-03-05T12:00:00",
    ),
    # day of week; the 10th was a Saturday
    (
        {"recurring": "day_of_week", "time": "12:00:00", "days": "1,6"},
        "2024-02-10T11:00:00",
        "2024-02-10T12:00:00",
    ),
    (
        {"recurring": "day_of_week", "time": "12:00:00", "days": "1,6"},
        "2024-02-10T12:00:00",
        "2024-02-12T12:00:00",
    ),
    (
        {"recurring": "day_of_week", "time": "12:00:00", "days": "7"},
        "2024-02-10T12:00:00",
        "2024-02-11T12:00:00",
    ),
    # zones: Johannesburg is two hours ahead all year
    (
        {"recurring": "daily", "time": "08:00:00", "timezone": "Africa/Johannesburg"},
        "2024-02-10T06:00:00",
        "2024-02-11T06:00:00",
    ),
    (
        {
            "recurring": "day_of_week",
            "time": "01:00:00",
            "days": "1",
            "timezone": "Africa/Johannesburg",
        },
        "2024-02-10T12:00:00",
        # Monday morning there, Sunday evening in UTC.
        "2024-02-11T23:00:00",
    ),
    # The day has begun there already, and has its time still to come.
    (
        {"recurring": "daily", "time": "09:00:00", "timezone": "Pacific/Auckland"},
        "2024-07-10T20:00:00",
        "2024-07-10T21:00:00",
    ),
    # Berlin's summer time
    (
        {"recurring": "daily", "time": "08:00:00", "timezone": "Europe/Berlin"},
        "2024-03-30T07:00:00",
        "2024-03-31T06:00:00",
    ),
    # 02:30 is left out: taken as an hour later
    (
        {"recurring": "daily", "time": "02:30:00", "timezone": "Europe/Berlin"},
        "2024-03-30T12:00:00",
        "2024-03-31T01:30:00",
    ),
    # 02:30 comes twice: the first one, once
    (
        {"recurring": "daily", "time": "02:30:00", "timezone": "Europe/Berlin"},
        "2024-10-26T12:00:00",
        "2024-10-27T00:30:00",
    ),
    (
        {"recurring": "daily", "time": "02:30:00", "timezone": "Europe/Berlin"},
        "2024-10-27T00:30:00",
        "2024-10-28T01:30:00",
    ),
]


@pytest.mark.parametrize(("definition", "since", "expected"), NEXT)
def test_when_it_is_due_next(definition: dict[str, Any], since: str, expected: str | None) -> None:
    due = ScheduleManager(definition).get_next(at(since))
    assert due == (None if expected is None else at(expected))
    ScheduleManager(definition).validate()


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "recurring"),
    ({"recurring": "hourly"}, "'hourly'"),
    ({"recurring": ["daily"]}, "recurring"),
    ({"recurring": "daily"}, "HH:MM:SS"),
    ({"recurring": "daily", "time": "25:00:00"}, "25:00:00"),
    ({"recurring": "daily", "time": 43200}, "43200"),
    ({"recurring": "daily", "time": "12:00:00", "timezone": "Mars/Olympus"}, "Mars/Olympus"),
    ({"recurring": "daily", "time": "12:00:00", "timezone": "../etc"}, "timezone"),
    ({"recurring": "daily", "time": "12:00:00", "timezone": ""}, "timezone"),
    ({"recurring": "daily", "time": "12:00:00", "timezone": 2}, "timezone"),
    ({"recurring": "day_of_month", "time": "12:00:00"}, "1 to 31"),
    # Looked for until the end of the calendar, in the old Vumi.
    ({"recurring": "day_of_month", "time": "12:00:00", "days": ""}, "1 to 31"),
    ({"recurring": "day_of_month", "time": "12:00:00", "days": " , "}, "1 to 31"),
    ({"recurring": "day_of_month", "time": "12:00:00", "days": "1, 32"}, "1, 32"),
    ({"recurring": "day_of_month", "time": "12:00:00", "days": "first"}, "first"),
    ({"recurring": "day_of_week", "time": "12:00:00", "days": "0"}, "1 to 7"),
    ({"recurring": "day_of_week", "time": "12:00:00", "days": "8"}, "1 to 7"),
]


class WrongTests(SynchronousTestCase):
    def test_what_makes_no_sense_is_logged_and_never_due(self) -> None:
        for definition, words in WRONG:
            schedule = ScheduleManager(definition)
            self.assertIsNone(schedule.get_next(at("2024-02-10T12:00:00")))
            self.assertFalse(schedule.is_scheduled(0, 2**31))
            [first, _] = self.flushLoggedErrors(ScheduleError)
            self.assertIn(words, str(first.value))

    def test_it_can_be_checked_before(self) -> None:
        for definition, words in WRONG:
            error = self.assertRaises(ScheduleError, ScheduleManager(definition).validate)
            self.assertIn(words, str(error))
            self.assertIsInstance(error, VumiError)
            self.assertIsInstance(error, ValueError)

    def test_the_single_kinds_raise(self) -> None:
        for recurring in ("daily", "day_of_month", "day_of_week"):
            schedule = ScheduleManager({"recurring": recurring, "days": "40"})
            method = getattr(schedule, f"get_next_{recurring}")
            self.assertRaises(ValueError, method, at("2024-02-10T12:00:00"))

    def test_the_end_of_the_calendar_is_no_crash(self) -> None:
        schedule = ScheduleManager({"recurring": "daily", "time": "12:00:00"})
        self.assertIsNone(schedule.get_next(datetime(9999, 12, 31, 13)))
        self.assertEqual(len(self.flushLoggedErrors(OverflowError)), 1)


def test_what_is_due_at_the_later_moment_counts_and_at_the_earlier_one_not() -> None:
    schedule = ScheduleManager({"recurring": "daily", "time": "12:00:00"})
    noon = seconds("2024-02-10T12:00:00")
    assert not schedule.is_scheduled(noon - 60, noon - 1)
    assert schedule.is_scheduled(noon - 60, noon)
    assert not schedule.is_scheduled(noon, noon + 60)
    assert schedule.is_scheduled(noon, noon + 24 * 60 * 60)


def test_a_moment_may_say_its_zone() -> None:
    schedule = ScheduleManager({"recurring": "daily", "time": "12:00:00"})
    since = datetime(2024, 2, 10, 13, 30, tzinfo=timezone(timedelta(hours=2)))
    assert schedule.get_next(since) == at("2024-02-10T12:00:00")


ZONES = ["UTC", "Africa/Johannesburg", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"]


@given(
    since=st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)),
    zone=st.sampled_from(ZONES),
    time_of_day=st.times().map(lambda time: time.replace(microsecond=0)),
    recurring=st.sampled_from(["day_of_week", "day_of_month"]),
    day=st.integers(1, 7),
)
def test_it_is_due_at_the_time_and_on_the_day_that_were_asked_for(
    since: datetime, zone: str, time_of_day: Any, recurring: str, day: int
) -> None:
    definition = {
        "recurring": recurring,
        "time": time_of_day.isoformat(),
        "days": str(day),
        "timezone": zone,
    }
    due = ScheduleManager(definition).get_next(since)
    assert due is not None
    assert since < due <= since + timedelta(days=32 if recurring == "day_of_month" else 8)
    local = due.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    wanted = datetime.combine(local.date(), time_of_day, ZoneInfo(zone))
    # Unless the clocks' change has left that time, or as once in Apia that day, out.
    if wanted.astimezone(UTC).astimezone(ZoneInfo(zone)) == wanted and local.time() == time_of_day:
        assert (local.isoweekday() if recurring == "day_of_week" else local.day) == day
