"""What a sandboxed program says about an HTTP request, and what it is told about the response.

Knows the commands' fields. Makes no request.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any
from urllib.parse import urlsplit

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.tls import SSL_METHODS, VERIFY_OPTIONS

__all__ = ["RequestRefused", "check_tls", "check_url", "checked_headers", "form", "told_body"]

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: What says how a request is framed; that is not the program's to say.
FRAMING = frozenset(("connection", "content-length", "te", "transfer-encoding", "upgrade"))


class RequestRefused(CommandRefused):
    """What a program asks for can't be made a request; the words say why."""


def check_url(url: str) -> None:
    """Make sure that a URL is one of HTTP.

    :raises RequestRefused: It isn't.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise RequestRefused(f"The URL can't be read: {error}.") from None
    if parts.scheme not in ("http", "https"):
        raise RequestRefused("The URL must begin with http:// or https://.")
    if not host or port == 0:
        raise RequestRefused("The URL has no host, or no port that can be.")
    if "@" in parts.netloc:
        raise RequestRefused(
            "The URL must not have a user or password: set the header Authorization."
        )


def check_tls(verify_options: list[str] | None, ssl_method: str | None) -> None:
    """Make sure that what is said about TLS are words that there are.

    :raises RequestRefused: They aren't.
    """
    for option in verify_options or ():
        if option not in VERIFY_OPTIONS:
            raise RequestRefused(f"'verify_options' can't be {option!r}.")
    if verify_options is not None and not verify_options:
        raise RequestRefused("'verify_options' must not be empty.")
    if ssl_method is not None and ssl_method not in SSL_METHODS:
        raise RequestRefused(f"'ssl_method' can't be {ssl_method!r}.")


def checked_headers(headers: dict[str, Any]) -> dict[str, list[str]]:
    """The headers to send.

    :param headers: Name -> a text, or a list of texts.
    :raises RequestRefused: They can't be sent.
    """
    checked: dict[str, list[str]] = {}
    for name, values in headers.items():
        values = [values] if isinstance(values, str) else values
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise RequestRefused(f"The header {name!r} must be a list of texts.")
        if not TOKEN.fullmatch(name) or re.search(r"[\r\n\0]", "".join(values)):
            raise RequestRefused(f"The header {name!r} can't be sent.")
        if name.lower() not in FRAMING:
            checked[name] = values
    return checked


def form(files: dict[str, Any], fields: Any) -> tuple[Any, str]:
    """The body of a form, and its type.

    :param files: Name -> ``file_name``, ``content_type`` and ``data`` in base64.
    :param fields: Name -> text; or ``None``.
    :raises RequestRefused: They are something else.
    """
    from treq.multipart import MultiPartProducer

    from vumi.web.site import StringProducer

    if fields is not None and not isinstance(fields, dict):
        raise RequestRefused("With 'files', 'data' must be an object of texts.")
    parts: list[tuple[str, Any]] = []
    for name, value in (fields or {}).items():
        if not isinstance(value, str):
            raise RequestRefused(f"The field {name!r} must be a text.")
        parts.append((name, value))
    for name, file in files.items():
        try:
            file_name, content_type = file["file_name"], file["content_type"]
            content = base64.b64decode(file["data"], validate=True)
            if not isinstance(file_name, str) or not isinstance(content_type, str):
                raise TypeError
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise RequestRefused(
                f"The file {name!r} must have 'file_name', 'content_type' and 'data', that in "
                "base64."
            ) from None
        if re.search(r"[\r\n\0]", file_name + content_type + name):
            raise RequestRefused(f"The file {name!r} has a name or type that can't be sent.")
        parts.append((name, (file_name, content_type, StringProducer(content))))
    body = MultiPartProducer(parts)
    return body, f"multipart/form-data; boundary={body.boundary.decode('ascii')}"


# What a program is told


def told_body(response: Any, encoding: str) -> str:
    """The body of a response as a text.

    :param response: The :class:`~vumi.web.client.HttpResponse`.
    :param encoding: ``text`` or ``base64``.
    :raises RequestRefused: It is none.
    """
    content: bytes = response.delivered_body
    if encoding == "base64":
        return base64.b64encode(content).decode("ascii")
    charset = response.charset or "utf-8"
    try:
        return content.decode(charset)
    except LookupError:
        charset = "utf-8"
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise RequestRefused(
            f"The body is no text in {charset}: ask for it with body_encoding 'base64'."
        ) from None
