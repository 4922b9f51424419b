"""Higate's XML: events that come in, requests that go out, and what those are answered. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from vumi.errors import VumiError
from vumi.web.xml import MalformedXml, parse_xml, xml_text

__all__ = ["NotHigate", "UssdEvent", "parse_answer", "parse_event", "ussd_reply"]


class NotHigate(VumiError):
    """A document is not what Higate sends."""


@dataclass(frozen=True)
class UssdEvent:
    """Something that a user does in a USSD session.

    :param type: ``Open``, ``Request``, ``Close`` …, in lower case.
    :param text: What the user typed, without spaces around it.
    :param connect_string: What the user has dialled.
    """

    type: str
    session_id: str
    msisdn: str
    connect_string: str
    text: str

    @property
    def is_announcement(self) -> bool:
        """Whether it only says that a session is about to open."""
        return self.type == "new" or (self.type == "request" and self.text == "REQ")


def _read(body: bytes) -> Element:
    try:
        return parse_xml(body)
    except MalformedXml as error:
        raise NotHigate(str(error)) from None


def parse_event(body: bytes) -> UssdEvent | None:
    """Read what Higate posts.

    :returns: The event; ``None`` if it is of another kind, such as one about an SMS.
    :raises NotHigate: It is no XML, or lacks something.
    """
    response = _read(body).find("Response")
    if response is None:
        raise NotHigate("There is no Response in this XML.")
    if response.get("Type") != "OnUSSEvent":
        return None
    event = response.find("OnUSSEvent")
    context = None if event is None else event.find("USSContext")
    if event is None or context is None:
        raise NotHigate("There is no OnUSSEvent with a USSContext in this XML.")
    missing = [name for name in ("SessionID", "MSISDN", "ConnStr") if context.get(name) is None]
    if missing:
        raise NotHigate(f"The USSContext in this XML has no {' and no '.join(missing)}.")
    return UssdEvent(
        type=event.get("Type", "").lower(),
        session_id=context.get("SessionID", ""),
        msisdn=context.get("MSISDN", ""),
        connect_string=context.get("ConnStr", ""),
        text=(event.findtext("USSText") or "").strip(),
    )


def ussd_reply(username: str, password: str, session_id: str, text: str, ends: bool) -> bytes:
    """The request that shows a user a text.

    :param ends: Whether the session ends with it.
    """
    message = Element("Message")
    SubElement(message, "Version", {"Version": "1.0"})
    request = SubElement(
        message,
        "Request",
        {"Flags": "1" if ends else "0", "SessionID": session_id, "Type": "USSReply"},
    )
    SubElement(request, "UserID", {"Orientation": "TR"}).text = xml_text(username)
    SubElement(request, "Password").text = xml_text(password)
    SubElement(request, "USSText", {"Type": "TEXT"}).text = xml_text(text)
    document: bytes = tostring(message, "utf-8")
    return document


def parse_answer(body: bytes) -> str | None:
    """Read what :func:`ussd_reply` was answered.

    :returns: ``None`` if it was accepted, else why not.
    :raises NotHigate: It is no answer of Higate's.
    """
    response = _read(body)
    status = response.get("status_code")
    if response.tag != "Response" or status is None:
        raise NotHigate("There is no Response with a status_code in this XML.")
    if status == "0":
        return None
    told = [
        f"{field.get('name')}: {field.get('value')}"
        for data in response.findall("Data")
        for field in data.findall("field")
    ]
    return ", ".join(told) or f"status_code: {status}"
