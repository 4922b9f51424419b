"""Requests that go out, described by options. Pure: makes requests, sends none.

Knows templates and what a request consists of. Knows no message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from vumi.transports.external.templates import (
    Body,
    PairsTemplate,
    Template,
    TemplateError,
    encoded_pairs,
    header_value,
    url_value,
)
from vumi.utils import basic_auth_string
from vumi.web.outgoing import OutgoingRequest

if TYPE_CHECKING:
    from collections.abc import Collection

    from vumi.transports.external.sections import Section
    from vumi.transports.external.templates import Values

__all__ = ["Call"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL = re.compile(r"https?://[^\s/?#{}@]+(?:[/?#]\S*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Call:
    """A request that goes out, with placeholders.

    :param login: User name and password, for HTTP Basic.
    """

    method: str
    url: Template
    query: PairsTemplate | None
    headers: PairsTemplate | None
    body: Body | None
    login: tuple[Template, Template] | None

    @classmethod
    def of(cls, section: Section, known: Collection[str]) -> Call | None:
        """Read the options of a request; ``None`` if some are wrong."""
        before = len(section.problems)
        body = section.body(known)
        method = section.choice("method", METHODS, "POST" if body else "GET")
        if body is not None and method == "GET":
            section.wrong("method", f"can't be GET with a body ({body.kind})")
        headers = section.pairs("headers", known)
        for name in headers.keys if headers else ():
            if not _TOKEN.fullmatch(name):
                section.wrong("headers", f"has {name!r}, which is no header's name")
        if not section.has("url"):
            section.wrong("url", "is missing")
        url = section.compiled("url", lambda text: _url_template(text, known))
        login = None
        if section.has("username") or section.has("password"):
            user, password = (
                section.compiled(name, lambda text: Template(str(text), known))
                for name in ("username", "password")
            )
            if user is None or password is None:
                section.wrong("username", "and password go together")
            else:
                login = user, password
        query = section.pairs("query", known)
        if len(section.problems) > before:
            return None
        return cls(method, url, query, headers, body, login)

    @property
    def names(self) -> frozenset[str]:
        """Its placeholders."""
        parts: list[Any] = [self.url, self.query, self.headers, self.body, *(self.login or ())]
        return frozenset(name for part in parts if part is not None for name in part.names)

    def make(self, values: Values) -> OutgoingRequest:
        """The request with values in it."""
        url = self.url.fill(values, url_value) or ""
        if self.query is not None:
            parts = urlsplit(url)
            query = "&".join(filter(None, (parts.query, encoded_pairs(self.query.fill(values)))))
            url = urlunsplit(parts._replace(query=query))
        headers: dict[str, str] = {}
        if self.body is not None:
            headers["Content-Type"] = self.body.content_type
        if self.login is not None:
            user, password = (template.fill(values) or "" for template in self.login)
            headers["Authorization"] = basic_auth_string(user, password)
        for name, value in self.headers.fill(values) if self.headers else ():
            headers[name] = header_value(value)
        body = b"" if self.body is None else self.body.fill(values)
        return OutgoingRequest(self.method, url, body, headers)


def _url_template(text: Any, known: Collection[str]) -> Template:
    template = Template(str(text), known)
    if not _URL.fullmatch(str(text)):
        raise TemplateError(
            "is no URL such as https://api.example/send?to={{to}}: placeholders come after the "
            "host, user name and password are options of their own"
        )
    return template
