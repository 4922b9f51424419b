"""The application that walks users through states.

Knows messages, sessions and the order in which things happen. What states are, how texts are cut
into pages and what a session holds are its neighbours' business.

Theory of operation. A session in the key-value store says where a user is and what was shown last.
Each message is one step: load the session, take the answer, go to the next state, save the
session, reply. A message that comes again after its step, or that failed and comes again when the
user has gone on, changes nothing and is given the last reply. Without the store the message waits:
nothing was done yet, or what was done is kept in this process until it is saved.

A session that the user or the network has closed stays: who comes back is asked whether to go on
there. A session that an older release has left and that no longer fits the states is begun anew,
or asked again where that is enough.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from vumi.application.base import ApplicationWorker
from vumi.application.menus.options import MenuConfig
from vumi.application.menus.pages import (
    LEAST_ROOM,
    fits,
    numbered,
    room_for_text,
    shortened,
    split_pages,
)
from vumi.application.menus.progress import Option, Progress
from vumi.application.menus.states import (
    Conversation,
    End,
    Invalid,
    Menu,
    Question,
    find_problems,
    fingerprint,
    leads_astray,
    offered,
    targets,
    words,
)
from vumi.components.session import SessionManager
from vumi.connectors import IgnoreMessage
from vumi.errors import ConfigError, HandleLater, StoreUnavailable
from vumi.persist.txredis_manager import TxRedisManager
from vumi.tasks import before_all_else, deferred, settle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vumi.application.menus.states import Next, State, Words
    from vumi.message import TransportUserMessage

__all__ = ["MenuApplication", "MenuConfig"]

#: More steps than this are not kept in memory while the store is away.
MOST_UNSAVED = 1000

GO_ON, START_AGAIN = "go on", "start again"


class MenuApplication(ApplicationWorker):
    """Walks users through questions and menus. Override :meth:`states`.

    .. code-block:: python

        class Survey(MenuApplication):
            def states(self):
                return [
                    Question("age", "How old are you?", check=int, error="A number, please.",
                             next="sure"),
                    Menu("sure", "Is that right?", [Choice("Yes", next="thanks"),
                                                    Choice("No", next="age")]),
                    End("thanks", "Thank you."),
                ]

            def finished(self, conversation, end):
                self.log.info("Age:", conversation.answers["age"])

    The first state is where users begin. What a user has answered, and how far that was, is kept
    in the key-value store under the user's address. Who comes back with a new session, having
    answered something but not all, is asked whether to go on.

    The texts below may be replaced by other texts or, where they depend on the user, by methods
    that take the :class:`Conversation`; all but :attr:`more` and :attr:`back`, which are texts.
    """

    CONFIG_CLASS: ClassVar[Any] = MenuConfig

    #: What the line says that leads to the next page.
    more: str = "More"
    #: What the line says that leads from the last page of a menu to the first.
    back: str = "Back"
    #: Asked of a user who comes back.
    resume_question: Words = "You have not finished. Go on where you were?"
    resume_yes: Words = "Go on"
    resume_no: Words = "Start again"
    #: Said before a menu if what was sent is none of its choices.
    wrong_choice: Words = "Please send the number of your choice."
    #: Said before a question if nothing was sent, and the question has no error text.
    no_answer: Words = "Please send an answer."
    #: Said before a question if its check refuses an answer, and the question has no error text.
    wrong_answer: Words = "Please send another answer."
    #: Said once to a user whose session is from before the application was changed, and can't go
    #: on where it was.
    changed: Words = "Sorry, this service has changed."

    #: The key-value store, while the application runs. Its keys begin with the prefix that
    #: ``redis_manager`` has; keys beginning with ``menus:`` are in use.
    redis: TxRedisManager
    #: The sessions, while the application runs.
    sessions: SessionManager

    # To be overridden

    def states(self) -> Sequence[State]:
        """The states, the one where users begin first. To be overridden.

        Called when the worker starts, and when its configuration is checked: before anything is
        set up.
        """
        raise NotImplementedError(f"{type(self).__name__} must override states().")

    def finished(self, conversation: Conversation, end: End) -> Any:
        """Called when a user comes to an :class:`End`, before its text is sent.

        Here answers are stored or sent on. May return a Deferred or be ``async``. What it puts
        into ``conversation.answers`` is there for the end's text. If it raises, the message is a
        dead letter, and the user is where the last answer was asked for; after a crash it may be
        called again with the same answers.

        :param end: Which end it is.
        """

    # Life

    def _validate_config(self) -> Any:
        problems = find_problems(states := list(self.states()))
        config = self.get_static_config()
        self._page_length = config.page_length or 0
        room = room_for_text(self._page_length, self.more, self.back)
        if self._page_length and room < LEAST_ROOM:
            least = self._page_length + LEAST_ROOM - room
            problems.append(f"Field 'page_length' must be at least {least}, or 0.")
        if problems:
            raise ConfigError(problems=problems)
        self._states = {state.name: state for state in states}
        self._first = states[0].name
        self._release = fingerprint(states)
        #: Ids of messages -> steps that could not be saved yet
        self._unsaved: dict[str, Progress] = {}
        return super()._validate_config()

    @deferred
    async def setup_worker(self) -> None:
        config = self.get_static_config()
        self.redis = await TxRedisManager.from_config(config.redis_manager or {})
        try:
            self.sessions = SessionManager(
                self.redis.sub_manager(f"menus:{self.transport_name}"),
                max_session_length=config.max_session_length or None,
            )
            await super().setup_worker()
        except BaseException:
            # What has not come up is not torn down.
            await settle(self.redis.close_manager())
            raise

    @deferred
    async def teardown_worker(self) -> None:
        try:
            await super().teardown_worker()
        finally:
            await settle(self.redis.close_manager())

    # Messages

    def consume_user_message(self, message: TransportUserMessage) -> Any:
        return self._step(message, begins=False)

    def new_session(self, message: TransportUserMessage) -> Any:
        return self._step(message, begins=True)

    async def _step(self, message: TransportUserMessage, begins: bool) -> None:
        user = str(message.user())
        message_id: str = message["message_id"]
        progress = self._unsaved.get(message_id)
        if progress is None:
            session = await before_all_else(self.sessions.load_session(user))
            before = self._read(user, session)
            if before is not None and before.knows(message_id):
                self.log.info("Message", message_id, "was answered before; it changes nothing")
                await self._say(message, before)
                return
            progress = await self._next(message, before, begins)
        await self._save(user, progress)
        await self._say(message, progress)

    async def _say(self, message: TransportUserMessage, progress: Progress) -> None:
        await self.reply_to(message, progress.reply, continue_session=not progress.is_over)

    async def _next(
        self, message: TransportUserMessage, before: Progress | None, begins: bool
    ) -> Progress:
        """The step that a message makes."""
        user, message_id = str(message.user()), message["message_id"]
        conversation = Conversation(user, {} if before is None else dict(before.answers))
        conversation.message = message
        try:
            progress = await self._advance(conversation, before, begins)
        except (HandleLater, StoreUnavailable, IgnoreMessage):
            raise
        except Exception:
            await self._note_failure(user, before, message_id)
            raise
        progress.follow(before, message_id)
        progress.answers = conversation.answers
        progress.release = self._release
        return progress

    async def _save(self, user: str, progress: Progress) -> None:
        """Save a step.

        :raises HandleLater: The store is away. The step is kept here, so that it isn't made twice.
        """
        try:
            await self.sessions.save_session(user, progress.to_session(), replace=True)
        except StoreUnavailable as error:
            while len(self._unsaved) >= MOST_UNSAVED:
                del self._unsaved[next(iter(self._unsaved))]
            self._unsaved[progress.message_id] = progress
            raise HandleLater(str(error)) from error
        self._unsaved.pop(progress.message_id, None)

    async def _note_failure(self, user: str, before: Progress | None, message_id: str) -> None:
        """Remember a message that becomes a dead letter: retried, it may come too late."""
        # Who has no session begins with the next message.
        noted = Progress(self._first, pages=[""], ends=True) if before is None else before
        noted.note_failure(message_id)
        try:
            await self.sessions.save_session(user, noted.to_session(), replace=True)
        except Exception:  # noqa: BLE001 (the error that counts is the message's own)
            self.log.warning("That message", message_id, "failed could not be remembered")

    def _read(self, user: str, session: Mapping[str, str]) -> Progress | None:
        """What a session says; ``None`` if the user is to begin."""
        if not session:
            return None
        try:
            return Progress.from_session(session)
        except ValueError as error:
            self.log.warning("The session of", user, "can't be read; it begins anew:", error)
            return None

    async def _advance(
        self, conversation: Conversation, progress: Progress | None, begins: bool
    ) -> Progress:
        """One step: what to say next."""
        if progress is None or progress.is_over or (begins and progress.ends):
            return await self._begin(conversation)
        state = self._states.get(progress.state)
        if state is None or (isinstance(state, End) and not progress.ends):
            return await self._begin_changed(conversation)
        try:
            return await self._go_on(conversation, progress, begins)
        except (HandleLater, StoreUnavailable, IgnoreMessage):
            raise
        except Exception:
            if progress.release == self._release:
                raise
            self.log.err(None, f"The session of {conversation.user} is of an older release")
            return await self._begin_changed(conversation)

    async def _go_on(
        self, conversation: Conversation, progress: Progress, begins: bool
    ) -> Progress:
        """A step of a conversation that is not over."""
        if begins:
            # Nothing is lost by showing the first question again.
            if progress.state == self._first and not conversation.answers:
                return await self._begin(conversation)
            return await self._ask_to_go_on(conversation, progress.state)
        text = str(conversation.message["content"] or "").strip()
        if progress.turns_page(text):
            turned = replace(progress)
            turned.turn_page()
            return turned
        if progress.asks_to_go_on:
            option = progress.chosen(text)
            if option is None:
                return await self._ask_to_go_on(conversation, progress.state, again=True)
            if option.value == START_AGAIN:
                return await self._begin(conversation)
            return await self._show(conversation, progress.state)
        try:
            next_state = await self._take_answer(conversation, progress, text)
        except Invalid as error:
            return await self._show(conversation, progress.state, str(error))
        return await self._show(conversation, next_state)

    async def _begin(self, conversation: Conversation, before: str = "") -> Progress:
        conversation.answers.clear()
        return await self._show(conversation, self._first, before)

    async def _begin_changed(self, conversation: Conversation) -> Progress:
        return await self._begin(conversation, await words(self.changed, conversation))

    # Answers

    async def _take_answer(self, conversation: Conversation, progress: Progress, text: str) -> str:
        """Keep an answer, and give the state that follows.

        :raises Invalid: It can't be taken; the user is told why.
        """
        state = cast("Question | Menu", self._states[progress.state])
        leads_to: Next | None
        if isinstance(state, Menu) != bool(progress.options):
            # It was a question, and is a menu now, or the other way round.
            raise Invalid(await words(self.changed, conversation))
        if isinstance(state, Menu):
            option = progress.chosen(text)
            if option is None:
                raise Invalid(await words(self.wrong_choice, conversation))
            if option.next is not None and option.next not in targets(state):
                raise Invalid(await words(self.changed, conversation))
            conversation.answers[state.name] = option.value
            leads_to = option.next or state.next
        else:
            conversation.answers[state.name] = await self._checked(state, conversation, text)
            leads_to = state.next
        name = await settle(leads_to(conversation)) if callable(leads_to) else leads_to
        if name not in targets(state):
            raise leads_astray(state, name)
        return cast("str", name)

    async def _checked(self, question: Question, conversation: Conversation, text: str) -> str:
        error = question.error
        if not text and not question.optional:
            raise Invalid(await words(error or self.no_answer, conversation))
        if question.check is None:
            return text
        try:
            return str(await settle(question.check(text)))
        except Invalid:
            raise
        except (ValueError, ArithmeticError, LookupError) as problem:
            # What a converter such as int, Decimal or a dict's look-up says of what it can't take.
            if error is None:
                self.log.warning("State", question.name, "took no answer:", repr(problem))
            raise Invalid(await words(error or self.wrong_answer, conversation)) from None

    # Questions

    async def _show(self, conversation: Conversation, name: str, before: str = "") -> Progress:
        """Come to a state.

        :param before: What to say before the state's own text.
        """
        state = self._states[name]
        options: list[Option] = []
        if isinstance(state, End):
            await settle(self.finished(conversation, state))
        elif isinstance(state, Menu):
            options = await offered(state, conversation)
        text = await words(state.text, conversation)
        progress = self._progress(name, text, options, before)
        progress.ends = isinstance(state, End)
        return progress

    async def _ask_to_go_on(
        self, conversation: Conversation, state: str, again: bool = False
    ) -> Progress:
        text = await words(self.resume_question, conversation)
        before = await words(self.wrong_choice, conversation) if again else ""
        options = [
            Option(await words(self.resume_yes, conversation), GO_ON),
            Option(await words(self.resume_no, conversation), START_AGAIN),
        ]
        progress = self._progress(state, text, options, before)
        progress.asks_to_go_on = True
        return progress

    def _progress(self, state: str, text: str, options: list[Option], before: str) -> Progress:
        """What is shown of a state.

        :param before: What to say before it. A state that has room on one page stays there.
        """
        lines = numbered([option.label for option in options])
        whole = "\n".join([text, *lines])
        if before and fits(whole, self._page_length):
            before = shortened(before, whole, self._page_length)
        text = f"{before}\n{text}" if before else text
        pages = split_pages(text, lines, self._page_length, self.more, self.back)
        return Progress(state, pages=pages, options=options)
