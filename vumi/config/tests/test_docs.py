"""Documentation made from declarations."""

from __future__ import annotations

import re
from typing import Any

import pytest

import vumi.config
from vumi.config import (
    Config,
    ConfigClassName,
    ConfigDict,
    ConfigField,
    ConfigInt,
    ConfigList,
    ConfigRegex,
    ConfigServerEndpoint,
    ConfigText,
    ServerEndpointFallback,
    describe,
    field_table_rst,
)


class LineConfig(Config):
    """A line to somewhere.

    It has a second paragraph.
    """

    name = ConfigText(
        "Its name, which becomes the prefix of its queues and so must be lower case "
        "and the only one of its kind in the whole system.",
        required=True,
        static=True,
    )
    limit = ConfigInt("How many messages in a second.", default=20, static=True)
    greeting = ConfigText(
        """
        What it says.

        Markup such as ``this`` is
        taken as it is.
        """,
        default="Hello",
    )
    password = ConfigText("Opens it.", default="sesame", secret=True, static=True)
    endpoint = ConfigServerEndpoint(
        "Where it listens.", required=True, static=True, fallbacks=[ServerEndpointFallback()]
    )
    port = ConfigInt("The port.", static=True)


def test_describe_tells_all_about_each_option() -> None:
    assert (
        describe(LineConfig)
        == """\
LineConfig

A line to somewhere.

It has a second paragraph.

Options:

  name: str, required
      Its name, which becomes the prefix of its queues and so must be lower
      case and the only one of its kind in the whole system.

  limit: int, default 20
      How many messages in a second.

  greeting: str, default "Hello", may change per message
      What it says.

      Markup such as ``this`` is taken as it is.

  password: str, default not shown, secret
      Opens it.

  endpoint: twisted_endpoint, required, or from port
      Where it listens.

  port: int, optional
      The port.
"""
    )


def test_describe_of_a_class_without_options() -> None:
    class Empty(Config):
        pass

    assert describe(Empty) == "Empty\n\nIt has no options.\n"
    assert field_table_rst(Empty) == "There are no options.\n"


class Thing:
    """Has no text of its own."""


class Named:
    """Has one."""

    def __str__(self) -> str:
        return "a name"


@pytest.mark.parametrize(
    ("default", "shown"),
    [
        (True, "true"),
        (0, "0"),
        (1.5, "1.5"),
        ("", '""'),
        ("é", '"é"'),
        ((), "[]"),
        ({"b": [1, None]}, '{"b": [1, null]}'),
        ({1: {"x"}}, '{"1": ["x"]}'),
        (frozenset({"b", "a"}), '["a", "b"]'),
        ({"password": "sesame"}, '{"password": "****"}'),
        ("amqp://u:sesame@h", '"amqp://u:****@h"'),
        (re.compile("a.b"), '"a.b"'),
        (Thing, f'"{__name__}.Thing"'),
        (describe, '"vumi.config.docs.describe"'),
        (Thing(), '"<Thing>"'),
        ([Named()], '["a name"]'),
    ],
)
def test_defaults_are_shown_as_one_would_write_them(default: Any, shown: str) -> None:
    config_class = type(
        "Sample", (Config,), {"option": ConfigField("Doc.", default=default, static=True)}
    )
    assert f"  option: any, default {shown}\n" in describe(config_class)


def test_a_default_that_holds_itself_is_named_by_its_type() -> None:
    knot: list[Any] = []
    knot.append(knot)

    class Knotted(Config):
        option = ConfigList("Doc.", default=knot)

    assert "default <list>" in describe(Knotted)


def test_secret_defaults_are_nowhere() -> None:
    for text in (describe(LineConfig), field_table_rst(LineConfig), LineConfig.__doc__ or ""):
        assert "sesame" not in text


def cells_of(table: str) -> list[list[str]]:
    core = pytest.importorskip("docutils.core")
    nodes = pytest.importorskip("docutils.nodes")
    document = core.publish_doctree(table, settings_overrides={"halt_level": 2})
    return [
        [cell.astext() for cell in row.findall(nodes.entry)] for row in document.findall(nodes.row)
    ]


def test_the_table_is_good_restructuredtext() -> None:
    header, *rows = cells_of(field_table_rst(LineConfig))
    assert header == ["Option", "Type", "Default", "Per message", "Meaning"]
    assert rows[1:] == [
        ["limit", "int", "default 20", "no", "How many messages in a second."],
        [
            "greeting",
            "str",
            'default "Hello"',
            "yes",
            "What it says.\n\nMarkup such as this is taken as it is.",
        ],
        ["password", "str", "default not shown", "no", "Opens it. Secret: never shown."],
        ["endpoint", "twisted_endpoint", "required, or from port", "no", "Where it listens."],
        ["port", "int", "optional", "no", "The port."],
    ]


@pytest.mark.parametrize("default", ["a`b", "``a`` *b* |c| d_", r"\d+\n", "*", "`", "a\nb"])
def test_the_table_takes_any_default(default: str) -> None:
    class Odd(Config):
        option = ConfigRegex("", default=default)
        more = ConfigDict("Doc.", default={default: default})
        router = ConfigClassName("Doc.", default=default)

    rows = cells_of(field_table_rst(Odd))
    written = default.replace("\\", "\\\\").replace("\n", "\\n")
    assert rows[1] == ["option", "regex", f'default "{written}"', "yes", ""]
    assert len(rows) == 4


def test_the_facade_exports_what_it_says() -> None:
    assert sorted(vumi.config.__all__) == vumi.config.__all__
    for name in vumi.config.__all__:
        assert getattr(vumi.config, name) is not None
