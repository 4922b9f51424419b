"""Users walked through states."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from vumi.application.menus import (
    Choice,
    Conversation,
    End,
    Invalid,
    Menu,
    MenuApplication,
    MenuError,
    Question,
)
from vumi.application.tests.helpers import ApplicationHelper
from vumi.errors import ConfigError, StoreUnavailable
from vumi.tests.helpers import VumiTestCase

ALICE, BOB = "+27831234567", "+27837654321"


class Survey(MenuApplication):
    """A bit of everything."""

    done: list[tuple[str, dict[str, str], str]]

    def setup_application(self) -> None:
        self.done = []

    def states(self) -> list[Any]:
        return [
            Question("age", "How old?", self.by_age, int, "A number, please.", ["adult", "minor"]),
            Menu("adult", self.greeting, self.towns, "bye"),
            Menu(
                "minor",
                "Alone?",
                [Choice("Yes", "y", "age"), Choice(self.no, "n", "bye"), "Maybe"],
                "note",
            ),
            Question("note", "What else?", "bye", optional=True),
            End("bye", lambda conversation: f"Bye, {conversation.answers['stored']}."),
        ]

    def by_age(self, conversation: Conversation) -> str:
        return "adult" if int(conversation.answers["age"]) >= 18 else "minor"

    def greeting(self, conversation: Conversation) -> Deferred[str]:
        return succeed(f"You are {conversation.answers['age']}. Where do you live?")

    async def towns(self, conversation: Conversation) -> list[Choice]:
        return [Choice("Durban", "dbn"), Choice("Cape Town", "cpt"), Choice("Springs")]

    def no(self, conversation: Conversation) -> str:
        return "No"

    async def finished(self, conversation: Conversation, end: End) -> None:
        self.done.append((conversation.user, dict(conversation.answers), end.name))
        conversation.answers["stored"] = f"number {len(self.done)}"


class MenuTests(VumiTestCase):
    """What users are told."""

    def setUp(self) -> None:
        self.helper: Any = self.add_helper(ApplicationHelper(Survey, transport_type="ussd"))

    async def start(self, cls: Any = None, **config: Any) -> Any:
        self.application = await self.helper.get_application(config, cls=cls)
        return self.application

    async def say(
        self, content: str | None, event: str | None = "resume", user: str = ALICE, **fields: Any
    ) -> str:
        """Send a message; gives the reply, with a mark if it closes the session."""
        self.helper.clear_dispatched_outbound()
        await self.helper.make_dispatch_inbound(
            content, session_event=event, from_addr=user, **fields
        )
        [reply] = self.helper.get_dispatched_outbound()
        mark = {"close": " [closed]", None: ""}[reply["session_event"]]
        return f"{reply['content']}{mark}"

    async def test_a_conversation_from_question_to_end(self) -> None:
        app = await self.start()
        assert await self.say(None, "new") == "How old?"
        assert await self.say("30") == (
            "You are 30. Where do you live?\n1. Durban\n2. Cape Town\n3. Springs"
        )
        assert await self.say("2") == "Bye, number 1. [closed]"
        assert app.done == [(ALICE, {"age": "30", "adult": "cpt"}, "bye")]

    async def test_choices_lead_where_they_say_and_the_others_where_the_menu_says(self) -> None:
        app = await self.start()
        await self.say(None, "new")
        assert await self.say("5") == "Alone?\n1. Yes\n2. No\n3. Maybe"
        assert await self.say("1") == "How old?"
        await self.say("6")
        assert await self.say("maybe") == "What else?"
        assert await self.say("") == "Bye, number 1. [closed]"
        assert app.done == [(ALICE, {"age": "6", "minor": "Maybe", "note": ""}, "bye")]

    async def test_an_answer_that_is_refused_is_asked_for_again(self) -> None:
        await self.start()
        await self.say(None, "new")
        assert await self.say("old") == "A number, please.\nHow old?"
        assert await self.say("  ") == "A number, please.\nHow old?"
        assert await self.say(None) == "A number, please.\nHow old?"
        await self.say("7")
        wrong = "Please send the number of your choice.\nAlone?\n1. Yes\n2. No\n3. Maybe"
        for text in ("4", "0", "what?", "", "-1"):
            assert await self.say(text) == wrong
        assert await self.say("2.") == "Bye, number 1. [closed]"

    async def test_users_do_not_get_into_each_others_way(self) -> None:
        await self.start()
        await self.say(None, "new")
        await self.say(None, "new", user=BOB)
        await self.say("7")
        assert "You are 40" in await self.say("40", user=BOB)
        assert await self.say("2") == "Bye, number 1. [closed]"

    async def test_sms_without_sessions_goes_the_same_way(self) -> None:
        await self.start()
        assert await self.say("hello", None) == "How old?"
        assert await self.say("30", None) == (
            "You are 30. Where do you live?\n1. Durban\n2. Cape Town\n3. Springs"
        )
        await self.say("springs", None)
        assert await self.say("hello again", None) == "How old?"

    # Coming back

    async def test_who_comes_back_may_go_on(self) -> None:
        app = await self.start()
        await self.say(None, "new")
        await self.say("7")
        await self.helper.make_dispatch_inbound(None, session_event="close", from_addr=ALICE)
        question = "You have not finished. Go on where you were?\n1. Go on\n2. Start again"
        assert await self.say(None, "new") == question
        assert await self.say("3") == f"Please send the number of your choice.\n{question}"
        assert await self.say("1") == "Alone?\n1. Yes\n2. No\n3. Maybe"
        await self.say("2")
        assert app.done == [(ALICE, {"age": "7", "minor": "n"}, "bye")]

    async def test_who_comes_back_may_start_again(self) -> None:
        app = await self.start()
        await self.say(None, "new")
        await self.say("7")
        await self.say(None, "new")
        assert await self.say("2") == "How old?"
        await self.say("30")
        await self.say("1")
        assert app.done == [(ALICE, {"age": "30", "adult": "dbn"}, "bye")]

    async def test_who_comes_back_twice_is_asked_twice(self) -> None:
        await self.start()
        await self.say(None, "new")
        await self.say("7")
        first = await self.say(None, "new")
        assert await self.say(None, "new") == first
        assert await self.say("1") == "Alone?\n1. Yes\n2. No\n3. Maybe"

    async def test_who_has_answered_nothing_or_everything_is_not_asked(self) -> None:
        await self.start()
        await self.say(None, "new")
        assert await self.say(None, "new") == "How old?"
        await self.say("7")
        await self.say("2")
        assert await self.say(None, "new") == "How old?"

    async def test_a_session_that_nobody_remembers_begins_anew(self) -> None:
        app = await self.start()
        assert await self.say("7", "resume") == "How old?"
        await self.say("7")
        await app.sessions.clear_session(ALICE)
        assert await self.say("2") == "How old?"

    async def test_a_session_that_can_not_be_read_begins_anew(self) -> None:
        app = await self.start()
        for session in ({"state": "age"}, {"shown": "{"}):
            await app.sessions.create_session(ALICE, **session)
            assert await self.say("7") == "How old?"

    # A new release

    CHANGED = "Sorry, this service has changed.\n"

    async def test_a_state_that_is_gone_begins_anew_and_the_user_is_told_once(self) -> None:
        app = await self.start()
        await self.say(None, "new")
        session = await app.sessions.load_session(ALICE)
        await app.sessions.save_session(ALICE, {**session, "state": "weight"}, replace=True)
        assert await self.say("7") == f"{self.CHANGED}How old?"
        assert await self.say("7") == "Alone?\n1. Yes\n2. No\n3. Maybe"

    async def released(self, states: list[Any]) -> None:
        """Have another release go on with the sessions of this one."""

        class Later(Survey):
            def states(self) -> list[Any]:
                return states

        kept = await self.application.sessions.active_sessions()
        await self.helper.worker_helper.cleanup_worker(self.application)
        app = await self.start(Later)
        for user, session in kept:
            await app.sessions.save_session(user, session, replace=True)

    async def at(self, *texts: str) -> None:
        """Walk to a state."""
        await self.start()
        await self.say(None, "new")
        for text in texts:
            await self.say(text)

    async def test_a_state_that_became_an_end_begins_anew(self) -> None:
        await self.at("7")
        await self.released([Question("age", "Age?", "minor"), End("minor", "No minors.")])
        assert await self.say("1") == f"{self.CHANGED}Age?"
        assert await self.say("7") == "No minors. [closed]"

    async def test_an_end_asked_about_at_coming_back_begins_anew(self) -> None:
        await self.at("7")
        assert "Go on" in await self.say(None, "new")
        await self.released([Question("age", "Age?", "minor"), End("minor", "No minors.")])
        assert await self.say("1") == f"{self.CHANGED}Age?"

    async def test_a_choice_whose_target_is_gone_is_asked_again(self) -> None:
        await self.at("7")
        await self.released(
            [
                Question("start", "Start?", "minor"),
                Menu("minor", "With whom?", ["Nobody", "Mother"], "bye"),
                End("bye", "Bye."),
            ]
        )
        again = f"{self.CHANGED}With whom?\n1. Nobody\n2. Mother"
        assert await self.say("1") == again
        assert await self.say("1") == "Bye. [closed]"

    async def test_a_menu_that_became_a_question_and_a_question_that_became_a_menu(self) -> None:
        await self.at("7")
        await self.released([Question("minor", "Name?", "age"), End("age", "Bye.")])
        assert await self.say("1") == f"{self.CHANGED}Name?"
        assert await self.say("1") == "Bye. [closed]"
        await self.helper.worker_helper.cleanup_worker(self.application)
        await self.at()
        await self.released([Menu("age", "Old?", ["Yes", "No"], "bye"), End("bye", "Bye.")])
        assert await self.say("30") == f"{self.CHANGED}Old?\n1. Yes\n2. No"

    async def test_a_text_that_needs_an_answer_of_a_new_question_begins_anew(self) -> None:
        await self.at("7")
        await self.released(
            [
                Question("name", "Name?", "minor"),
                Menu("minor", "Alone?", ["Yes"], "bye"),
                End("bye", lambda conversation: f"Bye, {conversation.answers['name']}."),
            ]
        )
        assert await self.say("3") == f"{self.CHANGED}Name?"
        assert len(self.flushLoggedErrors(KeyError)) == 1
        assert await self.say("Thandi") == "Alone?\n1. Yes"
        assert await self.say("1") == "Bye, Thandi. [closed]"

    async def test_a_session_ends_by_itself(self) -> None:
        app = await self.start(max_session_length=30)
        await self.say(None, "new")
        assert await app.sessions.redis.ttl(f"session:{ALICE}") == 30
        other = await self.start(max_session_length=0, transport_name="other")
        assert other.sessions.max_session_length is None

    # At least once

    async def test_a_message_that_comes_twice_gets_the_same_reply_and_changes_nothing(
        self,
    ) -> None:
        app = await self.start()
        await self.say(None, "new")
        for _ in range(2):
            assert "You are 30" in await self.say("30", message_id="the-age")
        for _ in range(2):
            assert await self.say("1", message_id="the-town") == "Bye, number 1. [closed]"
        assert len(app.done) == 1

    async def test_who_was_not_stored_is_still_there(self) -> None:
        class Failing(Survey):
            async def finished(self, conversation: Conversation, end: End) -> None:
                if not self.done:
                    self.done.append((conversation.user, {}, end.name))
                    raise OSError("The disk is full.")
                conversation.answers["stored"] = "now"

        await self.start(Failing)
        await self.say(None, "new")
        await self.say("30")
        await self.helper.make_dispatch_inbound("1", session_event="resume", from_addr=ALICE)
        assert len(self.flushLoggedErrors(OSError)) == 1
        assert await self.say("1") == "Bye, now. [closed]"

    async def test_an_older_message_that_comes_again_moves_nothing(self) -> None:
        app = await self.start()
        await self.say(None, "new", message_id="m0")
        await self.say("30", message_id="m1")
        last = await self.say("x", message_id="m2")
        for message_id, content, event in (("m0", None, "new"), ("m1", "30", "resume")):
            assert await self.say(content, event, message_id=message_id) == last
        assert await self.say("1") == "Bye, number 1. [closed]"
        for message_id, content, event in (("m0", None, "new"), ("m1", "30", "resume")):
            assert await self.say(content, event, message_id=message_id) == (
                "Bye, number 1. [closed]"
            )
        assert await self.say("hello", None) == "How old?"
        assert await self.say("30", message_id="m1") == "How old?"
        assert len(app.done) == 1

    async def test_a_dead_letter_retried_after_the_user_went_on_moves_nothing(self) -> None:
        class Failing(Survey):
            fails = True

            async def finished(self, conversation: Conversation, end: End) -> None:
                if self.fails:
                    raise OSError("The disk is full.")
                await super().finished(conversation, end)

        app = await self.start(Failing)
        await self.say(None, "new")
        await self.say("30")
        fields = {"session_event": "resume", "from_addr": ALICE, "message_id": "dead"}
        await self.helper.make_dispatch_inbound("1", **fields)
        await self.helper.make_dispatch_inbound("1", **fields)
        assert len(self.flushLoggedErrors(OSError)) == 2
        app.fails = False
        assert await self.say("2") == "Bye, number 1. [closed]"
        assert await self.say("1", message_id="dead") == "Bye, number 1. [closed]"
        assert await self.say(None, "new") == "How old?"
        assert await self.say("1", message_id="dead") == "How old?"
        assert len(app.done) == 1

    async def test_a_dead_letter_retried_before_the_user_went_on_is_handled(self) -> None:
        class Failing(Survey):
            fails = True

            def states(self) -> list[Any]:
                return [Question("name", self.ask, "bye"), End("bye", "Bye.")]

            def ask(self, conversation: Conversation) -> str:
                if self.fails:
                    raise OSError("The disk is full.")
                return "Name?"

        app = await self.start(Failing)
        fields = {"session_event": "new", "from_addr": ALICE, "message_id": "dead"}
        await self.helper.make_dispatch_inbound(None, **fields)
        assert len(self.flushLoggedErrors(OSError)) == 1
        app.fails = False
        assert await self.say(None, "new", message_id="dead") == "Name?"
        assert await self.say("Thandi") == "Bye. [closed]"

    # The store is away

    async def test_without_the_store_a_message_waits_and_nothing_is_done_twice(self) -> None:
        app = await self.start()
        await self.say(None, "new")
        await self.say("30")
        for name in ("load_session", "save_session"):
            method, missed = getattr(app.sessions, name), Deferred[None]()

            def away(*args: Any, _missed: Deferred[None] = missed, **kw: Any) -> Any:
                _missed.callback(None)
                return fail(StoreUnavailable("Redis is away."))

            setattr(app.sessions, name, away)
            self.helper.clear_dispatched_outbound()
            handled = self.helper.make_dispatch_inbound(
                "1", session_event="resume", from_addr=ALICE, message_id=name
            )
            await missed
            assert self.helper.get_dispatched_outbound() == []
            setattr(app.sessions, name, method)
            await handled
            [reply] = self.helper.get_dispatched_outbound()
            assert reply["session_event"] == "close"
            assert app._unsaved == {}
            await self.say(None, "new")
            await self.say("30")
        assert len(app.done) == 2

    # Whatever a person can type

    async def test_whatever_a_person_types_gets_an_answer(self) -> None:
        texts = ["9" * 4301, "\u0661" * 5000, "-" + "9" * 5000, "\ud83d", "1e999", "NaN", "\x00",
                 "a" * 100_000, "\u0301", "1.5", "\u00bd", "\u2460", "{}%s\\"]  # fmt: skip
        await self.start()
        await self.say(None, "new")
        for text in texts:
            assert await self.say(text) == "A number, please.\nHow old?", text
        await self.say("7")
        for text in texts:
            assert "Alone?" in await self.say(text), text
        await self.say("3")
        for text in texts:
            assert await self.say(text) == f"Bye, number {texts.index(text) + 1}. [closed]"
            for answer in ("hello", "7", "3"):
                await self.say(answer)

    async def test_whatever_a_check_raises_for_what_it_can_not_take(self) -> None:
        class Converted(MenuApplication):
            def states(self) -> list[Any]:
                return [
                    Question("sum", "How much?", "code", check=Decimal),
                    Question("code", "Code?", "n", check={"a": 1}.__getitem__),
                    Question("n", "N?", "bye", check=lambda text: int(float(text))),
                    End("bye", "Bye."),
                ]

        await self.start(Converted)
        again = "Please send another answer.\n"
        assert await self.say(None, "new") == "How much?"
        assert await self.say("abc") == f"{again}How much?"
        assert await self.say("1.50") == "Code?"
        assert await self.say("b") == f"{again}Code?"
        assert await self.say("a") == "N?"
        for text in ("1e999", "nan", "x"):
            assert await self.say(text) == f"{again}N?"

    # Pages

    async def test_an_error_text_leaves_a_question_on_its_page(self) -> None:
        class Long(MenuApplication):
            def states(self) -> list[Any]:
                return [
                    Question(
                        "n", "How many are you in all?", "bye", int, "A number and no words."
                    ),
                    End("bye", "Bye."),
                ]

        await self.start(Long, page_length=40)
        assert await self.say(None, "new") == "How many are you in all?"
        assert await self.say("x") == "A number...\nHow many are you in all?"

    async def test_what_is_too_long_is_read_page_by_page(self) -> None:
        class Long(MenuApplication):
            def states(self) -> list[Any]:
                return [
                    Menu("town", "Where do you live?", ["Durban", "Cape Town", "Springs"], "why"),
                    Question("why", "Why do you live there and not in some other place?", "bye"),
                    End("bye", "Thank you very much for all of your answers. Goodbye."),
                ]

        await self.start(Long, page_length=40)
        assert await self.say(None, "new") == "Where do you live?\n1. Durban\n0. More"
        assert await self.say("0") == "2. Cape Town\n3. Springs\n0. Back"
        assert await self.say("0") == "Where do you live?\n1. Durban\n0. More"
        why = "Why do you live there and not in\n0. More"
        assert await self.say("3") == why
        assert await self.say("0") == "some other place?"
        bye = "Thank you very much for all of\n0. More"
        assert await self.say("0") == bye
        assert await self.say("what?") == "your answers. Goodbye. [closed]"

        await self.say(None, "new")
        await self.say("1")
        assert await self.say("because") == bye
        assert await self.say(None, "new") == "Where do you live?\n1. Durban\n0. More"

    async def test_all_that_is_said_may_be_replaced(self) -> None:
        class Polite(Survey):
            more, back = "Next", "First"
            resume_yes = "Yes"
            wrong_choice = "Pardon?"

            async def resume_question(self, conversation: Conversation) -> str:
                return f"{conversation.user}, go on?"

        await self.start(Polite, page_length=0)
        await self.say(None, "new")
        await self.say("7")
        assert await self.say(None, "new") == f"{ALICE}, go on?\n1. Yes\n2. Start again"
        assert (await self.say("9")).startswith("Pardon?\n")

    # Mistakes

    async def dead(self, cls: Any, content: str) -> Any:
        """Have a message fail; gives the error."""
        await self.start(cls)
        await self.say(None, "new")
        await self.helper.make_dispatch_inbound(content, from_addr=ALICE)
        [failure] = self.flushLoggedErrors()
        return failure.value

    async def test_a_function_that_leads_where_it_may_not_is_a_mistake(self) -> None:
        class Astray(Survey):
            def by_age(self, conversation: Conversation) -> str:
                return "bye"

        error = await self.dead(Astray, "7")
        assert isinstance(error, MenuError)
        assert str(error) == "State 'age' leads to 'bye', which is not in its 'leads_to'."

    async def test_a_function_without_choices_is_a_mistake(self) -> None:
        class Nowhere(Survey):
            async def towns(self, conversation: Conversation) -> list[Choice]:
                return []

        error = await self.dead(Nowhere, "77")
        assert str(error) == "State 'adult': its function gave no choices."

    async def test_an_error_of_a_check_is_shown_only_if_it_is_meant_for_users(self) -> None:
        class Checked(MenuApplication):
            def states(self) -> list[Any]:
                return [Question("n", "N?", "bye", check=self.number), End("bye", "Bye.")]

            async def number(self, text: str) -> int:
                if text == "13":
                    raise Invalid("Not that one.")
                return int(text)

        await self.start(Checked)
        await self.say(None, "new")
        assert await self.say("abc") == "Please send another answer.\nN?"
        assert await self.say("13") == "Not that one.\nN?"
        assert await self.say("") == "Please send an answer.\nN?"

    def test_states_and_options_are_checked_before_anything_starts(self) -> None:
        class Wrong(MenuApplication):
            more = "Read what comes next"

            def states(self) -> list[Any]:
                return [Question("a", "?", "b"), End("c", ".")]

        config = {"transport_name": "t", "page_length": 40}
        with self.assertRaises(ConfigError) as caught:
            Wrong.check_config(config)
        assert caught.exception.problems == (
            "State 'a' leads to 'b', which is no state.",
            "No state leads to 'c'.",
            "Field 'page_length' must be at least 44, or 0.",
        )

    def test_options_are_checked(self) -> None:
        for name in ("page_length", "max_session_length"):
            with self.assertRaisesRegex(ConfigError, f"'{name}' must not be negative"):
                Survey.check_config({"transport_name": "t", name: -1})
        with self.assertRaisesRegex(ConfigError, "redis_manager"):
            Survey.check_config({"transport_name": "t", "redis_manager": {"port": "x"}})
        assert Survey.check_config({"transport_name": "t"}) == []

    def test_the_base_says_what_to_override(self) -> None:
        with self.assertRaisesRegex(NotImplementedError, r"must override states\(\)"):
            MenuApplication.check_config({"transport_name": "t"})

    async def test_a_start_that_fails_leaves_no_connection(self) -> None:
        closed = []

        class Failing(Survey):
            def setup_application(self) -> None:
                closing = self.redis.close_manager

                def close() -> Any:
                    closed.append(True)
                    return closing()

                self.redis.close_manager = close  # type: ignore[method-assign]  # to see it called
                raise OSError("no")

        with self.assertRaises(OSError):
            await self.start(Failing)
        assert closed == [True]
