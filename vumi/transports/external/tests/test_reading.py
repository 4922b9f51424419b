"""What is looked for is found, or not; nothing else is raised than that it can't be read."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vumi.transports.external.reading import (
    KINDS,
    Document,
    Source,
    Unreadable,
    json_path,
    xml_path,
)

JSON = Document(
    b'{"a": {"b": [{"c": "x"}, 7]}, "a.b": "dot", "n": null, "t": true, "f": 1.50, "e": ""}'
)
XML = Document(b"<r id='1'><m k='v'>te<b>x</b>t </m><m>2</m></r>")
FORM = Document(b"a=1&a=2&b=&c=caf%E9\n")
TEXT = Document(b'Success "abc-1"\n', header={"X-Id": "h"}.get, encoding="ascii")  # type: ignore[arg-type]  # gives None where the real one gives nothing


@pytest.mark.parametrize(
    ("document", "source", "found"),
    [
        (JSON, Source("json", json_path("a.b.0.c")), "x"),
        (JSON, Source("json", json_path("a.b.1")), "7"),
        (JSON, Source("json", json_path("a.b.2")), None),
        (JSON, Source("json", json_path("a.b.-1")), None),
        (JSON, Source("json", json_path("a.b.99999999999999999999")), None),
        (JSON, Source("json", json_path(["a.b"])), "dot"),
        (JSON, Source("json", json_path("n"), default="d"), "d"),
        (JSON, Source("json", json_path("t")), "true"),
        (JSON, Source("json", json_path("f")), "1.5"),
        (JSON, Source("json", json_path("e")), ""),
        (JSON, Source("json", json_path("e.x.y")), None),
        (XML, Source("xml", xml_path("m")), "text"),
        (XML, Source("xml", xml_path("m/@k")), "v"),
        (XML, Source("xml", xml_path("@id")), "1"),
        (XML, Source("xml", xml_path("m[2]")), "2"),
        (XML, Source("xml", xml_path(".")), "text 2"),
        (XML, Source("xml", xml_path("no/@k")), None),
        (FORM, Source("parameter", "a"), "1"),
        (FORM, Source("parameter", "b"), ""),
        (FORM, Source("parameter", "z"), None),
        (FORM, Source("parameter", "c", charset="latin-1"), "café"),
        (TEXT, Source("body"), 'Success "abc-1"\n'),
        (TEXT, Source("body", regex=re.compile('"(.+)"')), "abc-1"),
        (TEXT, Source("body", regex=re.compile("Suc+ess")), "Success"),
        (TEXT, Source("body", regex=re.compile("Error"), default="none"), "none"),
        (TEXT, Source("header", "X-Id"), "h"),
        (TEXT, Source("header", "X-No"), None),
        (TEXT, Source("constant", "8123"), "8123"),
        (FORM, Source("parameter", "a", values={"1": "one"}), "one"),
        (FORM, Source("parameter", "b", values={"1": "one"}), None),
        (FORM, Source("constant", "2603", is_hex=True, charset="utf-16-be"), "☃"),
        (
            FORM,
            Source(
                "constant",
                "02",
                is_hex=True,
                charset=Source("parameter", "a", values={"1": "gsm0338"}),
            ),
            "$",
        ),
        (FORM, Source("constant", "0711000001", country_code="256"), "+256711000001"),
        # what is damaged was refused
        (FORM, Source("parameter", "c"), "caf\ufffd"),
        (Document(b"caf\xff"), Source("body"), "caf\ufffd"),
        (Document(b"a", encoding="no-such"), Source("body"), "a"),
        (Document(b'{"a": "ok \\ud83d"}'), Source("json", json_path("a")), "ok \ufffd"),
        (FORM, Source("constant", "2603260", is_hex=True, charset="utf-16-be"), "☃\ufffd"),
    ],
)
def test_what_is_found(document: Document, source: Source, found: str | None) -> None:
    assert source.find(document) == found


@pytest.mark.parametrize(
    ("document", "source", "what"),
    [
        (TEXT, Source("json", json_path("a")), "the JSON"),
        (TEXT, Source("xml", "a"), "the XML"),
        (JSON, Source("json", json_path("a.b")), "a.b"),
        (JSON, Source("json", json_path("")), "body"),
        (TEXT, Source("constant", "0g", is_hex=True), "0g"),
        (Document(b'{"a": NaN}'), Source("json", json_path("a")), "the JSON"),
    ],
)
def test_what_can_not_be_read_is_told(document: Document, source: Source, what: str) -> None:
    with pytest.raises(Unreadable) as caught:
        source.find(document)
    assert caught.value.what == what


@given(
    st.binary(max_size=80)
    | st.sampled_from([JSON.body, XML.body, FORM.body])
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda items: st.lists(items) | st.dictionaries(st.sampled_from("abmn"), items),
    ).map(lambda data: repr(data).replace("'", '"').encode("utf-8", "replace")),
    st.builds(
        Source,
        st.sampled_from(KINDS),
        st.sampled_from(["a", "m", "a.b"]),
        regex=st.none() | st.just(re.compile("[^*]*$")),
        values=st.none() | st.just({"1": "one"}),
        is_hex=st.booleans(),
        charset=st.sampled_from([None, "latin-1", "utf-16-be", "gsm0338", "rot13"]),
        country_code=st.sampled_from([None, "", "27"]),
    ),
    st.sampled_from(["utf-8", "latin-1", "idna", "punycode", "undefined", "\x00", ""]),
)
def test_anything_gives_a_text_or_nothing(body: bytes, source: Source, encoding: str) -> None:
    if source.kind == "json":
        path: Any = json_path(source.where)
        source = Source("json", path, source.regex, source.values)
    with suppress(Unreadable):
        found = source.find(Document(body, encoding=encoding))
        assert found is None or isinstance(found, str)


@given(st.text(max_size=20))
def test_any_path_in_xml_is_good_or_refused_at_once(path: str) -> None:
    with suppress(ValueError):
        Source("xml", xml_path(path)).find(XML)
