"""What is put into a template stays in its place, whatever it is."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.external.calls import Call
from vumi.transports.external.sections import Section
from vumi.transports.external.templates import (
    Body,
    DataTemplate,
    PairsTemplate,
    Template,
    TemplateError,
)
from vumi.web.xml import parse_xml, xml_text

KNOWN = ("text", "to", "secrets.key")
#: Halves of characters are gone before a template sees a text.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def call(**options: Any) -> Call:
    problems: list[str] = []
    made = Call.of(Section({"url": "http://a.example/", **options}, "send", problems), KNOWN)
    assert made is not None, problems
    return made


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("plain } { {x} }}", "plain } { {x} }}"),
        ("{{text}}", "hi {{to}}"),
        ("{{ text }}!{{to}}{{text}}", "hi {{to}}!1hi {{to}}"),
        ("{{secrets.key}}", None),
        ("k={{secrets.key}}", "k="),
    ],
)
def test_a_template_is_filled_once(text: str, filled: str | None) -> None:
    assert Template(text, KNOWN).fill({"text": "hi {{to}}", "to": "1"}) == filled


@pytest.mark.parametrize("text", ["{{txt}}", "{{", "{{text", "{{ a b }}", "{{}}", "{{{{text}}}}"])
def test_what_is_no_placeholder_is_refused(text: str) -> None:
    with pytest.raises(TemplateError):
        Template(text, KNOWN)


def test_a_placeholder_that_is_not_known_is_told_with_its_place() -> None:
    with pytest.raises(TemplateError, match="txt") as caught:
        DataTemplate({"messages": [{"text": "{{txt}}"}]}, KNOWN)
    assert caught.value.path == "messages.0.text"


def test_data_that_contains_itself_is_refused() -> None:
    data: dict[str, Any] = {}
    data["more"] = data
    with pytest.raises(TemplateError, match="nested too deep"):
        DataTemplate(data, KNOWN)


def test_what_has_no_value_is_left_out() -> None:
    data = DataTemplate({"a": "{{to}}", "b": ["{{to}}", 1, None], "c": "x{{to}}"}, KNOWN)
    assert data.fill({"to": None}) == {"b": [1, None], "c": "x"}
    pairs = PairsTemplate({"a": "{{to}}", "b": ["{{to}}", 1]}, KNOWN)
    assert pairs.fill({}) == [("b", "1")]
    assert DataTemplate("{{to}}", KNOWN).fill({}) is None


@given(ANY_TEXT)
def test_json_has_the_text_and_nothing_else(text: str) -> None:
    body = Body.of("json", {"a": "{{text}}", "n": 1}, KNOWN).fill({"text": text})
    assert json.loads(body) == {"a": text, "n": 1}


@given(ANY_TEXT)
def test_a_form_has_the_text_and_nothing_else(text: str) -> None:
    body = Body.of("form", {"a": "<{{text}}>", "n": 1}, KNOWN).fill({"text": text})
    found = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert found == [("a", f"<{text}>"), ("n", "1")]


@given(ANY_TEXT)
def test_xml_has_the_text_and_nothing_else(text: str) -> None:
    template = "<m a='{{text}}'><b>{{text}}</b></m>"
    root = parse_xml(Body.of("xml", template, KNOWN).fill({"text": text}))
    # What a reader of XML makes of line ends and spaces.
    plain = xml_text(text).replace("\r\n", "\n").replace("\r", "\n")
    assert [element.tag for element in root.iter()] == ["m", "b"]
    assert (root[0].text or "") == plain
    assert root.get("a") == plain.replace("\n", " ").replace("\t", " ")


@given(ANY_TEXT)
def test_a_url_goes_where_it_says(text: str) -> None:
    made = call(url="https://api.example/v1/{{text}}/send?a={{text}}#", query={"b": "{{text}}"})
    parts = urlsplit(made.make({"text": text}).url)
    assert (parts.scheme, parts.netloc) == ("https", "api.example")
    assert parts.path.count("/") == 3
    assert parse_qsl(parts.query, keep_blank_values=True) == [("a", text), ("b", text)]


@given(ANY_TEXT)
def test_a_header_stays_one_header(text: str) -> None:
    made = call(headers={"X-Text": "a {{text}}"}).make({"text": text})
    assert list(made.headers) == ["X-Text"]
    assert not any(ord(char) < 32 for char in made.headers["X-Text"])


def test_xml_that_would_be_none_is_refused() -> None:
    with pytest.raises(TemplateError, match="would be no XML"):
        Body.of("xml", "<a>{{text}}</b>", KNOWN)
