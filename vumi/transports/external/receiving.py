"""What comes in: messages and delivery reports in requests, and what those are answered. Pure.

Knows sources, and the fields of messages. Knows no transport's life.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vumi.transports.external.reading import JsonPath, Source, Unreadable, json_path
from vumi.transports.httprpc import Answer, Refused
from vumi.transports.httpsms import DeliveryReport

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from vumi.transports.external.reading import Document
    from vumi.transports.external.sections import Section
    from vumi.transports.external.templates import Body, Values

__all__ = ["METADATA", "Inbound", "Items", "Receipts", "Response"]

#: The key of :attr:`~vumi.message.TransportMessage.transport_metadata` that is ours.
METADATA = "external"

REQUIRED = ("from_addr", "to_addr", "content")
OPTIONAL = ("message_id", "group", "session_event", "provider")
SESSION_EVENTS = ("new", "resume", "close")
OURS, THEIRS = "ours", "theirs"
PENDING, DELIVERED, FAILED, IGNORED = "pending", "delivered", "failed", "ignored"
STATUSES = (PENDING, DELIVERED, FAILED, IGNORED)

#: Stands for a source that is said wrongly.
NOWHERE = Source("constant")

#: Bodies of answers to requests.
RESPONSE_KINDS = ("text", "json", "xml", "form")


@dataclass(frozen=True)
class Response:
    """What a request is answered with.

    :param body: With placeholders; ``None``: empty.
    """

    status: int
    body: Body | None

    @classmethod
    def of(
        cls, section: Section, known: Collection[str], status: int = 200, most: int = 299
    ) -> Response:
        """Read the options of an answer.

        :param status: Its HTTP status, if that isn't said.
        :param most: The highest that it may have.
        """
        response = cls(
            section.number("status", status, 200, most), section.body(known, RESPONSE_KINDS)
        )
        section.close()
        return response

    def answer(self, values: Values) -> Answer:
        """The answer with values in it."""
        if self.body is None:
            return Answer(b"", self.status)
        headers = {"Content-Type": self.body.content_type}
        return Answer(self.body.fill(values), self.status, headers)


@dataclass(frozen=True)
class Items:
    """What a request has brought.

    :param good: What could be read.
    :param problems: What is wrong with the rest.
    """

    good: list[Any]
    problems: list[Unreadable | Refused]

    @classmethod
    def of(
        cls, document: Document, each: JsonPath | None, read: Callable[[Document], Any]
    ) -> Items:
        """Read all items of a request.

        :param each: The way to a list of them in JSON; ``None``: there is one.
        :param read: Reads one; gives ``None`` for one that is passed over.
        :raises Unreadable: There is no such list.
        """
        items = cls([], [])
        for one in [document] if each is None else document.items(each):
            try:
                found = read(one)
            except (Unreadable, Refused) as error:
                items.problems.append(error)
                continue
            if found is not None:
                items.good.append(found)
        return items


@dataclass(frozen=True)
class Inbound:
    """How a request brings messages.

    :param fields: A message's field -> where it is found.
    :param metadata: What goes into its ``transport_metadata``, too.
    :param each: The way to a list of messages in JSON; ``None``: there is one message.
    :param skips_incomplete: Whether what lacks a field is passed over.
    """

    fields: Mapping[str, Source]
    metadata: Mapping[str, Source]
    each: JsonPath | None
    skips_incomplete: bool
    response: Response | None

    @classmethod
    def of(cls, section: Section) -> Inbound:
        """Read the options of ``inbound``."""
        fields = section.section("fields")
        found: dict[str, Source] = {}
        if fields is None:
            section.wrong("fields", "is missing")
        else:
            for name in (*REQUIRED, *OPTIONAL):
                source = fields.source(name, required=name in REQUIRED)
                if source is not None:
                    found[name] = source
            _check_session_event(fields, found.get("session_event"))
            fields.close()
        response = section.section("response")
        inbound = cls(
            found,
            section.sources("metadata"),
            _each(section),
            section.flag("ignore_incomplete"),
            None if response is None else Response.of(response, {"message_id"}),
        )
        section.close()
        return inbound

    def messages(self, document: Document) -> Items:
        """The fields of the messages in a request.

        :raises Unreadable: It is of another kind.
        """
        return Items.of(document, self.each, self._message)

    def _message(self, document: Document) -> dict[str, Any] | None:
        fields, missing = self._fields(document)
        if missing and not self.skips_incomplete:
            raise Refused({"missing_parameter": missing}, type="invalid_inbound_fields")
        return None if missing else fields

    def _fields(self, document: Document) -> tuple[dict[str, Any], list[str]]:
        fields: dict[str, Any] = {
            name: source.find(document) for name, source in self.fields.items()
        }
        missing = [
            self.fields[name].shown
            for name in REQUIRED
            # Who has sent an empty text has sent one; nobody has no address.
            if fields[name] is None or (name != "content" and not fields[name])
        ]
        event = fields.get("session_event")
        if event is not None and event not in SESSION_EVENTS:
            raise Unreadable(self.fields["session_event"].shown)
        if event == "new" and not fields["content"]:
            # Who has only dialled has typed nothing.
            fields["content"] = None
            missing = [name for name in missing if name != self.fields["content"].shown]
        fields["transport_metadata"] = {METADATA: found_in(document, self.metadata)}
        return fields, missing


def _check_session_event(fields: Section, source: Source | None) -> None:
    if source is None:
        return
    said = [*(source.values or {}).values(), *filter(None, [source.default])]
    said += [source.where] if source.kind == "constant" else []
    for event in said:
        if event not in SESSION_EVENTS:
            fields.wrong(
                "session_event", f"is one of {', '.join(SESSION_EVENTS)}, not {str(event)!r}"
            )


def _each(section: Section) -> JsonPath | None:
    if not section.has("each"):
        return None
    value = section.raw("each")
    return json_path(value if isinstance(value, list) else section.text("each"))


def found_in(document: Document, sources: Mapping[str, Source]) -> dict[str, str]:
    """Names and texts of what is there."""
    found: dict[str, str] = {}
    for name, source in sources.items():
        try:
            text = source.find(document)
        except Unreadable:
            # Details: they must not cost the message.
            continue
        if text is not None:
            found[name] = text
    return found


@dataclass(frozen=True)
class Receipts:
    """How a request brings delivery reports.

    :param path: Where to; empty: where messages go.
    :param id: Where the message's id is.
    :param is_ours: Whether that is our id.
    :param status: Where the status is.
    :param statuses: Its values -> one of :data:`STATUSES`.
    :param default_status: That of all other values.
    """

    path: str
    id: Source
    is_ours: bool
    status: Source
    statuses: Mapping[str, str]
    default_status: str
    metadata: Mapping[str, Source]
    each: JsonPath | None
    response: Response | None

    @classmethod
    def of(cls, section: Section) -> Receipts:
        """Read the options of ``receipts``."""
        message_id = section.source("id", required=True)
        status = section.source("status", required=True)
        response = section.section("response")
        path = section.text("path")
        if response is not None and not path:
            section.wrong("response", "needs path: at the path of messages, theirs is given")
        receipts = cls(
            path,
            message_id or NOWHERE,
            section.choice("id_is", (OURS, THEIRS), THEIRS) == OURS,
            status or NOWHERE,
            section.texts("statuses", STATUSES),
            section.choice("default_status", STATUSES, PENDING),
            section.sources("metadata"),
            _each(section),
            None if response is None else Response.of(response, ()),
        )
        section.close()
        return receipts

    def are_in(self, document: Document) -> bool:
        """Whether a request that may be of both kinds is about a delivery report."""
        try:
            documents = [document] if self.each is None else document.items(self.each)
            return any(
                self.id.find(one) is not None and self.status.find(one) is not None
                for one in documents
            )
        except Unreadable:
            return False

    def reports(self, document: Document) -> Items:
        """The delivery reports in a request.

        :raises Unreadable: It is of another kind.
        """
        return Items.of(document, self.each, self._report)

    def _report(self, document: Document) -> DeliveryReport | None:
        message_id, told = self.id.find(document), self.status.find(document)
        if not message_id or told is None:
            pairs = ((self.id, message_id), (self.status, told))
            missing = [source.shown for source, text in pairs if not text]
            raise Refused({"missing_parameter": missing}, type="invalid_inbound_fields")
        status = self.statuses.get(told, self.default_status)
        if status == IGNORED:
            return None
        metadata = {"status": told, **found_in(document, self.metadata)}
        ids = {"user_message_id" if self.is_ours else "sent_message_id": message_id}
        return DeliveryReport(status, **ids, transport_metadata={METADATA: metadata})
