"""When something that happens regularly is due.

Knows calendars and time zones. Starts nothing and keeps nothing: the caller says when it asked
last.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from twisted.logger import Logger

from vumi.errors import VumiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ScheduleError", "ScheduleManager"]

#: recurring -> the days it may name
DAYS: dict[str, range] = {"day_of_month": range(1, 32), "day_of_week": range(1, 8)}
RECURRING = ("daily", "day_of_month", "day_of_week", "never")

#: A 31st is at most two months away, so this many days have any day there is.
LONGEST_GAP = 62


class ScheduleError(VumiError, ValueError):
    """A schedule's definition makes no sense. The words say what to write."""


class ScheduleManager:
    """A schedule.

    :param schedule_definition: A dict with

        * ``recurring``: ``daily``, ``day_of_month``, ``day_of_week`` or ``never``;
        * ``time``: the time of day, ``HH:MM:SS``;
        * ``days``, for the second and third: numbers with commas or spaces between them, 1 to 31,
          or 1 (Monday) to 7. A month that lacks a day is skipped for that day;
        * ``timezone``: where ``time`` and ``days`` are meant, a name such as
          ``Africa/Johannesburg``; UTC if left out. A time that a change to summer time leaves out
          is taken as much later, one that comes twice is the first.
    """

    log = Logger()

    def __init__(self, schedule_definition: Mapping[str, Any]) -> None:
        self.schedule_definition = schedule_definition

    def is_scheduled(self, then: float, now: float) -> bool:
        """Whether it has become due between two moments.

        :param then: The earlier moment, seconds since 1970; what was due at it doesn't count.
        :param now: The later moment; what is due at it counts.
        """
        next_dt = self.get_next(_utc(then))
        return next_dt is not None and next_dt <= _utc(now)

    def get_next(self, since_dt: datetime) -> datetime | None:
        """When it is due for the first time after a moment.

        :param since_dt: The moment: UTC without a time zone, or with one.
        :returns: Naive UTC; ``None`` if it is never due. A definition that makes no sense is
            logged as an error, and is never due; :meth:`validate` raises.
        """
        try:
            return self._next(since_dt)
        except (ScheduleError, OverflowError) as error:
            # The second: at the end of the calendar, in the year 9999.
            self.log.failure(
                "Error processing schedule {schedule!r}: it is never due. {error}",
                event="schedule-invalid",
                schedule=self.schedule_definition,
                error=error,
            )
            return None

    def validate(self) -> None:
        """Check the definition.

        :raises ScheduleError: Something in it is wrong.
        """
        self._next(datetime(2000, 1, 1))

    def get_next_daily(self, since_dt: datetime) -> datetime:
        """As :meth:`get_next`, whatever ``recurring`` says.

        :raises ScheduleError: The definition makes no sense.
        """
        return self._first(since_dt, lambda day: True)

    def get_next_day_of_month(self, since_dt: datetime) -> datetime:
        """As :meth:`get_next`, whatever ``recurring`` says.

        :raises ScheduleError: The definition makes no sense.
        """
        days = self._days("day_of_month")
        return self._first(since_dt, lambda day: day.day in days)

    def get_next_day_of_week(self, since_dt: datetime) -> datetime:
        """As :meth:`get_next`, whatever ``recurring`` says.

        :raises ScheduleError: The definition makes no sense.
        """
        days = self._days("day_of_week")
        return self._first(since_dt, lambda day: day.isoweekday() in days)

    def _next(self, since_dt: datetime) -> datetime | None:
        recurring = self.schedule_definition.get("recurring")
        if recurring not in RECURRING:
            raise ScheduleError(
                f"'recurring' must be one of {', '.join(RECURRING)}, not {recurring!r}."
            )
        if recurring == "never":
            return None
        found: datetime = getattr(self, f"get_next_{recurring}")(since_dt)
        return found

    # What the definition says

    def _time(self) -> time:
        text = self.schedule_definition.get("time")
        try:
            return datetime.strptime(text or "", "%H:%M:%S").time()
        except (ValueError, TypeError):
            raise ScheduleError(f"'time' must be HH:MM:SS, not {text!r}.") from None

    def _zone(self) -> ZoneInfo:
        name = self.schedule_definition.get("timezone")
        if name is None:
            name = "UTC"
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
            raise ScheduleError(
                f"'timezone' must be the name of a time zone, such as Europe/Berlin, not {name!r}."
            ) from None

    def _days(self, recurring: str) -> frozenset[int]:
        text = self.schedule_definition.get("days")
        allowed = DAYS[recurring]
        words = f"'days' must be numbers from {allowed[0]} to {allowed[-1]}, such as '1, 5'"
        try:
            days = frozenset(map(int, str(text).replace(",", " ").split()))
        except ValueError:
            raise ScheduleError(f"{words}, not {text!r}.") from None
        if not days or not all(day in allowed for day in days):
            raise ScheduleError(f"{words}, not {text!r}.")
        return days

    def _first(self, since_dt: datetime, is_due: Callable[[date], bool]) -> datetime:
        time_of_day, zone = self._time(), self._zone()
        since = since_dt.replace(tzinfo=UTC) if since_dt.tzinfo is None else since_dt
        # The day before too: some clock changes put a time of one day into the next one.
        day = since.astimezone(zone).date() - timedelta(days=1)
        for _ in range(LONGEST_GAP + 2):
            if is_due(day):
                due = datetime.combine(day, time_of_day, zone).astimezone(UTC)
                if due > since:
                    return due.replace(tzinfo=None)
            day += timedelta(days=1)
        raise AssertionError("no day in two months")  # each number of DAYS is among them


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
