"""Tests for the clinic's registration."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from vumi.application.menus import Invalid
from vumi.application.tests.helpers import ApplicationHelper
from vumi.demos.clinic import ClinicRegistration
from vumi.multiworker import MultiWorker
from vumi.tests.helpers import VumiTestCase

SAMPLE = Path(__file__).parents[3] / "config" / "demos" / "clinic.yaml"
ADDRESS = "+41791234567"


class Clinic(ClinicRegistration):
    """On a day that stays."""

    today = staticmethod(lambda: date(2020, 6, 15))


@pytest.mark.parametrize(
    ("text", "born"),
    [
        ("1990-05-31", date(1990, 5, 31)),
        ("19900531", date(1990, 5, 31)),
        ("2020-06-15", date(2020, 6, 15)),
        ("1900-01-01", date(1900, 1, 1)),
        ("2020-06-16", "That day is yet to come."),
        ("1899-12-31", "Nobody is over 120 years old."),
    ],
)
def test_dates_of_birth(text: str, born: date | str) -> None:
    clinic = Clinic({}, {"transport_name": "any"})
    if isinstance(born, date):
        assert clinic.as_birthday(text) == born
    else:
        with pytest.raises(Invalid) as caught:
            clinic.as_birthday(text)
        assert str(caught.value) == born


class ClinicTests(VumiTestCase):
    """The conversation."""

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(Clinic, transport_type="ussd"))

    async def talk(self, *texts: str) -> list[str]:
        """Dial and say some texts; gives all replies."""
        await self.helper.make_dispatch_inbound(None, session_event="new")
        for text in texts:
            await self.helper.make_dispatch_inbound(text, session_event="resume")
        return [reply["content"] for reply in self.helper.get_dispatched_outbound()]

    async def test_a_patient_is_registered_in_the_language_that_was_chosen(self) -> None:
        for choice, question, thanks in (
            (
                "1",
                "Name: Thandi M.\nBorn: 1990-05-31\nIs that right?\n1. Yes\n2. No",
                "Thank you, Thandi M.. You are registered.",
            ),
            (
                "2",
                "Jina: Thandi M.\nKuzaliwa: 1990-05-31\nNi sahihi?\n1. Ndiyo\n2. Hapana",
                "Asante, Thandi M.. Umesajiliwa.",
            ),
            (
                "3",
                "Igama: Thandi M.\nUzalwe: 1990-05-31\nKulungile?\n1. Yebo\n2. Cha",
                "Siyabonga, Thandi M.. Usubhalisiwe.",
            ),
        ):
            app = await self.helper.get_application({})
            replies = await self.talk("Thandi  M.", "1990-05-31", choice, "1")
            assert replies[-2:] == [question, thanks]
            assert self.helper.get_dispatched_outbound()[-1]["session_event"] == "close"
            assert await app.redis.hgetall(f"patient:{ADDRESS}") == {
                "name": "Thandi M.",
                "born": "1990-05-31",
                "language": {"1": "en", "2": "sw", "3": "zu"}[choice],
            }
            await self.helper.cleanup_worker(app)
            self.helper.clear_all_dispatched()

    async def test_what_can_not_be_is_asked_for_again(self) -> None:
        await self.helper.get_application({})
        replies = await self.talk("T", "12", "Thandi", "yesterday", "2020-06-16", "2020-06-15")
        questions = [replies[0], replies[3]]
        name, born = questions
        assert replies == [
            name,
            f"A name has 2 to 40 letters.\n{name}",
            f"A name has 2 to 40 letters.\n{name}",
            born,
            f"Please write the date like this: 1990-05-31.\n{born}",
            f"That day is yet to come.\n{born}",
            "Which language do you prefer?\n1. English\n2. Kiswahili\n3. isiZulu",
        ]

    async def test_what_is_not_right_is_asked_for_anew(self) -> None:
        app = await self.helper.get_application({})
        replies = await self.talk("Thandy", "1990-05-31", "1", "2", "Thandi", "1990-05-31", "1")
        assert replies[4] == replies[0]
        assert await app.redis.hgetall(f"patient:{ADDRESS}") == {}
        assert replies[-1].startswith("Name: Thandi\n")

    async def test_all_fits_into_messages_of_160_characters(self) -> None:
        await self.helper.get_application({"page_length": 160})
        replies = await self.talk("T" * 40, "x", "1990-05-31", "2", "1")
        assert not [reply for reply in replies if "0. More" in reply]
        assert max(map(len, replies)) <= 160

    async def test_what_becomes_of_a_registration_can_be_changed(self) -> None:
        registered = []

        class Publishing(Clinic):
            async def register(self, address: str, patient: Any) -> None:
                registered.append((address, patient["name"]))

        await self.helper.get_application({}, cls=Publishing)
        await self.talk("Thandi", "1990-05-31", "1", "1")
        assert registered == [(ADDRESS, "Thandi")]

    def test_nobody_is_born_after_today(self) -> None:
        before = date.today()
        assert before <= ClinicRegistration.today() <= date.today()

    def test_the_sample_is_good(self) -> None:
        sample = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
        assert MultiWorker.check_config(sample) == []
