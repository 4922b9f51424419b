"""What a request says, and what it is answered with: the words that provider authors write in.

Knows HTTP requests and texts. Knows no transport's life and no broker.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vumi.damaged_text import decode_text, mend_data, mend_text, read_json
from vumi.errors import VumiError
from vumi.transports.httprpc.fields import parameter_errors, read_parameters
from vumi.transports.httprpc.options import STRICT
from vumi.transports.httprpc.refusals import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vumi.transports.httprpc.fields import Fields
    from vumi.transports.httprpc.http_transport import HttpTransport

    Headers = Mapping[str, str | Sequence[str]]

__all__ = ["JSON", "Answer", "Incoming", "Refused", "json_body"]

JSON = "application/json; charset=utf-8"


def json_body(data: Any) -> str:
    """Data as JSON, in ASCII: what the old Vumi answered, to the byte."""
    encoded = json.dumps(data)
    # Surrogates are escaped as \\ud83d, whether they belong together or not.
    return json.dumps(mend_data(data)) if "\\ud" in encoded else encoded


class Answer:
    """What an HTTP request is answered with.

    :param body: The body; a text goes out as UTF-8.
    :param code: The HTTP status.
    :param headers: Name to a value, or to a list of values. The ``Content-Type`` is the
        transport's, unless it is given here.
    """

    __slots__ = ("body", "code", "headers")

    def __init__(
        self, body: str | bytes = b"", code: int = 200, headers: Headers | None = None
    ) -> None:
        self.body = mend_text(body).encode("utf-8") if isinstance(body, str) else body
        self.code = code
        self.headers: Headers = headers or {}

    @classmethod
    def json(cls, data: Any, code: int = 200, headers: Headers | None = None) -> Answer:
        """An answer whose body is JSON, and whose content type says so."""
        return cls(json_body(data), code, {"Content-Type": JSON, **(headers or {})})

    def __repr__(self) -> str:
        return f"Answer({self.body!r}, {self.code})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answer):
            return NotImplemented
        return (self.body, self.code, dict(self.headers)) == (
            other.body,
            other.code,
            dict(other.headers),
        )

    __hash__ = None  # type: ignore[assignment]  # mutable headers: nothing to look up by


class Refused(VumiError):
    """Raised to refuse a request: nothing is published, the client gets the answer at once.

    :param body: A text; or data, which goes out as JSON: ``{"missing_parameter": ["to"]}``.
    :param code: The HTTP status.
    :param headers: Name to value.
    :param type: What kind of refusal it is, for the status of the ``request`` component.
    """

    def __init__(
        self,
        body: str | bytes | dict[str, Any] | list[Any] = b"",
        code: int = 400,
        headers: Headers | None = None,
        type: str = "invalid_request",
    ) -> None:
        super().__init__(code, body)
        self.reason = body
        self.type = type
        if isinstance(body, dict | list):
            self.answer = Answer.json(body, code, headers)
        else:
            self.answer = Answer(body, code, headers)

    @property
    def words(self) -> str:
        """What was wrong, for the log."""
        kind = self.type.replace("_", " ")
        return f"{kind}: {in_words(self.reason)}".rstrip(": \n")

    @property
    def details(self) -> dict[str, Any]:
        """What was wrong, for a status."""
        if isinstance(self.reason, dict):
            return self.reason
        return {"code": self.answer.code}


class Incoming:
    """One request from the network, as :meth:`~.HttpTransport.receive` gets it.

    :ivar id: The request's id, which becomes the id of the message that it brings.
    :ivar request: Twisted's request object.
    """

    __slots__ = ("id", "request", "transport")

    def __init__(self, request_id: str, request: Any, transport: HttpTransport) -> None:
        self.id = request_id
        self.request = request
        self.transport = transport

    def __contains__(self, name: str) -> bool:
        """Whether the request has a parameter."""
        return name.encode("utf-8") in self.request.args

    def values(self, fields: Fields) -> dict[str, str]:
        """The parameters of the query string and of a form in the body; first values only.

        :param fields: Which there should be.
        :raises Refused: Some are missing, or unexpected (with ``validation_mode: strict``).
        """
        transport = self.transport
        values, unexpected, missing = read_parameters(
            self.request.args, fields.required, fields.others, transport.ENCODING
        )
        if unexpected and transport.validation_mode != STRICT:
            transport.unexpected_names.tell(unexpected)
            unexpected = []
        if unexpected or missing:
            raise Refused(parameter_errors(unexpected, missing), type="invalid_inbound_fields")
        return values

    def get(self, name: str, default: str = "") -> str:
        """One parameter's first value, whatever others there are."""
        values: Any = self.request.args.get(name.encode("utf-8"))
        return decode_text(values[0], self.transport.ENCODING) if values else default

    @property
    def body(self) -> bytes:
        """The request's body as it came."""
        content = self.request.content
        content.seek(0)
        body: bytes = content.read()
        return body

    @property
    def text(self) -> str:
        """The body as a text in the transport's encoding."""
        return decode_text(self.body, self.transport.ENCODING)

    def json(self) -> Any:
        """The body read as JSON, whatever its content type.

        Octets that are no UTF-8, and halves of a character, become U+FFFD.

        :raises Refused: It is no JSON.
        """
        try:
            return read_json(self.body)
        except ValueError:
            raise Refused({"invalid_json": ["body"]}, type="invalid_json") from None

    def json_object(self) -> dict[str, Any]:
        """The body read as a JSON object.

        :raises Refused: It is none.
        """
        data = self.json()
        if not isinstance(data, dict):
            raise Refused({"invalid_json": ["body"]}, type="invalid_json")
        return data

    def header(self, name: str, default: str = "") -> str:
        """The first value of a header."""
        value: Any = self.request.requestHeaders.getRawHeaders(name, [default])[0]
        return str(value)

    @property
    def method(self) -> str:
        """``GET``, ``POST`` or ``PUT``."""
        return str(self.request.method.decode("ascii"))

    @property
    def suffix(self) -> list[str]:
        """What the path has after the transport's own, split at slashes.

        :raises Refused: It is no text in UTF-8.
        """
        try:
            return [part.decode("utf-8") for part in self.request.postpath if part]
        except UnicodeDecodeError:
            raise Refused({"invalid_path": ["path"]}, code=404, type="invalid_encoding") from None
