"""How values are found, what is checked when, and what errors say."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from zope.interface import implementer

from vumi.config import (
    Config,
    ConfigContext,
    ConfigDict,
    ConfigError,
    ConfigField,
    ConfigInt,
    ConfigList,
    ConfigText,
    FieldFallback,
    IConfigData,
    SingleFieldFallback,
)


class EchoConfig(Config):
    """What an echo needs.

    And more of it.
    """

    name = ConfigText("Its name.", required=True, static=True)
    limit = ConfigInt("How many, in messages per second.", default="20", static=True)
    greeting = ConfigText("What it says.")
    tags = ConfigList("Its tags.", default=("a", "b"))


def problems_of(config_class: type[Config], data: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        config_class(data, **options)
    return caught.value.problems


# Finding values


def test_given_values_and_defaults_are_cleaned() -> None:
    config = EchoConfig({"name": "echo"})
    name: str = config.name
    limit: int = config.limit
    assert (name, limit, config.tags) == ("echo", 20, ["a", "b"])
    assert EchoConfig.greeting.get_value(config) is None


def test_null_hides_the_default_and_satisfies_required() -> None:
    config: Any = EchoConfig({"name": None, "limit": None, "tags": None})
    assert (config.name, config.limit, config.tags) == (None, None, None)


def test_each_access_gives_a_fresh_copy() -> None:
    data = {"name": "echo", "tags": [["x"]]}
    config = EchoConfig(data)
    config.tags[0].append("y")
    assert config.tags == [["x"]]
    assert config._config_data is data


def test_a_field_can_not_be_assigned() -> None:
    config = EchoConfig({"name": "echo"})
    with pytest.raises(AttributeError, match="'name' is read-only"):
        setattr(config, "name", "other")  # noqa: B010 (an assignment is what mypy refuses)


def test_the_class_attribute_is_the_field() -> None:
    assert isinstance(EchoConfig.name, ConfigText)
    assert EchoConfig.name.name == "name"


def test_options_are_taken_in_the_old_order() -> None:
    fallback = SingleFieldFallback("other")
    field = ConfigText("Doc.", True, "x", True, [fallback])
    assert (field.doc, field.required, field.default, field.static) == ("Doc.", True, "x", True)
    assert field.fallbacks == (fallback,)
    assert field.secret is False


@implementer(IConfigData)
class Store:
    """Values that are no dict."""

    def __init__(self, **values: Any) -> None:
        self.values = values

    def get(self, field_name: str, default: Any) -> Any:
        return self.values.get(field_name, default)

    def __contains__(self, field_name: str) -> bool:
        return field_name in self.values


def test_data_need_only_get_and_contains() -> None:
    config = EchoConfig(Store(name="echo"))
    assert (config.name, config.limit) == ("echo", 20)
    assert repr(config) == "<EchoConfig {'name': 'echo'}>"
    assert EchoConfig(MappingProxyType({"name": "echo"})).name == "echo"
    assert IConfigData.providedBy({})


@pytest.mark.parametrize("data", [None, [], "name: x", 5])
def test_data_that_is_no_mapping_is_a_config_error(data: Any) -> None:
    kind = type(data).__name__
    sentence = f"A configuration is a mapping of options, not {kind}."
    assert problems_of(EchoConfig, data) == (sentence,)
    assert problems_of(EchoConfig, data, path="echo") == (f"echo: {sentence}",)


# Static


def test_a_static_config_checks_and_shows_static_fields_only() -> None:
    config = EchoConfig({"name": "echo", "greeting": 5}, static=True)
    assert config.static
    assert config.name == "echo"
    with pytest.raises(ConfigError) as caught:
        _ = config.greeting
    assert str(caught.value) == "Field 'greeting' is not marked as static."


def test_a_static_config_may_be_asked_for_by_position() -> None:
    assert EchoConfig({"name": "echo"}, True).static
    assert not EchoConfig({"name": "echo"}).static


# Errors


def test_one_problem_has_exactly_the_old_words() -> None:
    with pytest.raises(ConfigError) as caught:
        EchoConfig({})
    assert str(caught.value) == "Missing required config field 'name'"
    with pytest.raises(ConfigError) as caught:
        EchoConfig({"name": "echo", "limit": "many"})
    assert str(caught.value) == "Field 'limit' could not be converted to int."


def test_all_problems_are_told_at_once_in_the_order_of_the_fields() -> None:
    assert problems_of(EchoConfig, {"tags": 1, "limit": "many", "greeting": 2}) == (
        "Missing required config field 'name'",
        "Field 'limit' could not be converted to int.",
        "Field 'greeting' is not unicode.",
        "Field 'tags' is not a list.",
    )


def test_a_path_stands_before_each_problem() -> None:
    assert problems_of(EchoConfig, {"limit": "many"}, path="middleware.echo") == (
        "middleware.echo: Missing required config field 'name'",
        "middleware.echo: Field 'limit' could not be converted to int.",
    )


def test_paths_of_nested_sections_add_up() -> None:
    class Section(ConfigField[EchoConfig]):
        def clean(self, value: Any) -> EchoConfig:
            return EchoConfig(value, path=f"{self.name}")

    class Outer(Config):
        echo = Section("The echo.")

    assert problems_of(Outer, {"echo": {"name": 1, "tags": 2}}, path="worker") == (
        "worker: echo: Field 'name' is not unicode.",
        "worker: echo: Field 'tags' is not a list.",
    )
    assert Outer({"echo": {"name": "x"}}).echo.name == "x"


class PairConfig(Config):
    """Both or none."""

    user = ConfigText("Who.", static=True)
    password = ConfigText("The word.", static=True, secret=True)
    calls: list[PairConfig]

    def post_validate(self) -> None:
        if (self.user is None) != (self.password is None):
            self.raise_config_error("Give both user and password, or none.")


def test_post_validate_reports_what_concerns_several_fields() -> None:
    words = "Give both user and password, or none."
    for static in (True, False):
        assert problems_of(PairConfig, {"user": "x"}, static=static) == (words,)
    assert problems_of(PairConfig, {"user": "x"}, path="web") == (f"web: {words}",)
    PairConfig({"user": "x", "password": "y"})


def test_post_validate_does_not_run_after_a_field_failed() -> None:
    assert problems_of(PairConfig, {"user": 5}) == ("Field 'user' is not unicode.",)


def test_a_config_error_raised_by_hand_in_post_validate_gets_the_path() -> None:
    class ByHand(Config):
        def post_validate(self) -> None:
            raise ConfigError("No.")

    assert problems_of(ByHand, {}, path="here") == ("here: No.",)
    assert problems_of(ByHand, {}) == ("No.",)


def test_the_cause_of_a_problem_is_kept_when_several_are_told() -> None:
    class Broken(ConfigField[str]):
        def clean(self, value: Any) -> str:
            try:
                raise KeyError("inner")
            except KeyError as error:
                raise ConfigError("Broken.") from error

    class TwoProblems(Config):
        first = ConfigInt("Doc.")
        second = Broken("Doc.")

    with pytest.raises(ConfigError) as caught:
        TwoProblems({"first": "x", "second": "y"})
    assert isinstance(caught.value.__cause__, KeyError)


# Classes


def test_inherited_fields_come_in_the_order_they_were_made() -> None:
    late = ConfigInt("Late.")

    class Mixin:
        mixed = ConfigInt("From a class that is no Config.")

    class Sub(Mixin, EchoConfig):
        own = ConfigInt("Own.")
        made_before = late

    assert Sub._field_names == (
        "name",
        "limit",
        "greeting",
        "tags",
        "made_before",
        "mixed",
        "own",
    )
    assert tuple(Sub._fields) == Sub._field_names
    assert Sub({"name": "x", "mixed": "3"}).mixed == 3
    assert EchoConfig._field_names == ("name", "limit", "greeting", "tags")


def test_a_subclass_redeclares_a_field() -> None:
    class Sub(EchoConfig):
        name = ConfigText("Its name.", default="sub")

    assert Sub({}).name == "sub"
    assert Sub._field_names == ("limit", "greeting", "tags", "name")


def test_a_subclass_removes_a_field_by_assigning_something_else() -> None:
    class Sub(EchoConfig):
        name = None  # type: ignore[assignment] # this is what removes it

    assert "name" not in Sub._fields
    assert Sub({}).name is None

    class SubSub(Sub):
        pass

    assert "name" not in SubSub._fields


def test_one_field_can_not_have_two_names() -> None:
    with pytest.raises(TypeError, match="an option can't have two names"):
        type("Twice", (EchoConfig,), {"other": EchoConfig.name})


def test_options_may_be_called_like_the_constructors_arguments() -> None:
    class Awkward(Config):
        path = ConfigText("A path.", static=True)
        static = ConfigText("A folder of static files.", static=True)  # type: ignore[assignment]  # hides the property

    config = Awkward({"path": "/a", "static": "/b"}, static=True, path="web")
    assert (config.path, config.static) == ("/a", "/b")


def test_the_docstring_has_all_options() -> None:
    assert EchoConfig.__doc__ == (
        "What an echo needs.\n"
        "\n"
        "And more of it.\n"
        "\n"
        "Configuration options:\n"
        "\n"
        ":param str name:\n"
        "\n"
        "    Its name.\n"
        "\n"
        ":param int limit:\n"
        "\n"
        "    How many, in messages per second.\n"
        "\n"
        ":param str greeting:\n"
        "\n"
        "    What it says.\n"
        "\n"
        ":param list tags:\n"
        "\n"
        "    Its tags."
    )


def test_a_class_without_a_docstring_has_its_options_only() -> None:
    class Bare(Config):
        plain: ConfigField[Any] = ConfigField("Of no type.")

    assert Bare.__doc__ == "Configuration options:\n\n:param plain:\n\n    Of no type."


# Other people's fields


class OldStyleField(ConfigField[Any]):
    """Overrides all that the old system let be overridden."""

    field_type = "old"

    def __init__(self, doc: str, required: bool = False, default: Any = None) -> None:
        ConfigField.__init__(self, doc, required, default, True)

    def setup(self, name: str) -> None:
        self.name = f"old-{name}"

    def get_doc(self) -> str:
        return "documented by hand"

    def present(self, config: Config, check_fallbacks: bool = True) -> bool:
        return bool(config._config_data.get(self.name, "-") != "-")

    def find_value(self, config: Config) -> Any:
        return config._config_data.get(self.name, "-")

    def clean(self, value: Any) -> Any:
        if value == "bad":
            self.raise_config_error("is bad.")
        return [value]

    def validate(self, config: Config) -> None:
        super().validate(config)
        if self.get_value(config) == ["ugly"]:
            self.raise_config_error("is ugly.")


class OldStyleConfig(Config):
    opt = OldStyleField("Doc.", required=True)


class OldStyleSubclass(OldStyleConfig):
    pass


@pytest.mark.parametrize("config_class", [OldStyleConfig, OldStyleSubclass])
def test_what_a_field_overrides_is_used(config_class: type[OldStyleConfig]) -> None:
    assert config_class({"old-opt": "x"}, static=True).opt == ["x"]
    assert problems_of(config_class, {}) == ("Missing required config field 'old-opt'",)
    assert problems_of(config_class, {"old-opt": "bad"}) == ("Field 'old-opt' is bad.",)
    assert problems_of(config_class, {"old-opt": "ugly"}) == ("Field 'old-opt' is ugly.",)
    assert "documented by hand" in (config_class.__doc__ or "")


# Secrets


class SecretConfig(Config):
    """Keeps them."""

    user = ConfigText("Who.")
    password = ConfigText("The word.", secret=True, default="default-word")
    pin = ConfigInt("A number.", secret=True)
    redis = ConfigDict("A store.", secret=True)
    url = ConfigText("Where.", fallbacks=[SingleFieldFallback("user")])


SECRETS = {
    "user": "bob",
    "password": "hunter22",
    "pin": 918273,
    "redis": {"host": "db1.internal", "auths": [{"x": "n3sted-w0rd"}], "db": 3},
    "url": "amqp://bob:url%40word@mq/v",
    "unknown": {"api_key": "k-e-y-1"},
}

SECRET_TEXTS = ["hunter22", "918273", "n3sted-w0rd", "db1.internal", "url%40word", "k-e-y-1"]


def test_repr_shows_no_secret() -> None:
    config = SecretConfig(SECRETS)
    assert repr(config) == (
        "<SecretConfig {'user': 'bob', 'password': '****', 'pin': '****',"
        " 'redis': '****', 'url': 'amqp://bob:****@mq/v'}>"
    )


def test_scrub_replaces_every_occurrence_of_a_secret() -> None:
    config = SecretConfig(SECRETS)
    for static in (False, True):
        config = SecretConfig(SECRETS, static=static)
        for secret in SECRET_TEXTS:
            assert config.scrub(f"bob: {secret}, again:{secret}.") == "bob: ****, again:****."
    assert config.scrub("login of bob failed, url@word") == "login of bob failed, ****"


def test_scrub_finds_secrets_as_python_json_and_urls_write_them() -> None:
    config = SecretConfig({"password": 'a"b\\c d/é'})
    for written in (r"a\"b\\c d/é", r"a\"b\\c d/\u00e9", "a%22b%5Cc%20d%2F%C3%A9", 'a"b\\c d/é'):
        assert config.scrub(f"<{written}>") == "<****>"


def test_scrub_replaces_the_longest_secret_first() -> None:
    config = SecretConfig({"password": "abcd", "pin": None, "redis": {"x": "abcdefgh"}})
    assert config.scrub("abcdefgh abcd abc") == "**** **** abc"


def test_scrub_leaves_short_values_and_declared_defaults() -> None:
    assert SecretConfig({"password": "abc"}).scrub("abc default-word") == "abc default-word"
    assert SecretConfig({"password": "default-word"}).scrub("a default-word") == "a default-word"


def test_scrub_reads_what_a_fallback_built() -> None:
    class Built(FieldFallback):
        required_fields = ("user",)

        def build_value(self, config: Config) -> str:
            return f"key-of-{config._config_data['user']}"

    class BuiltConfig(Config):
        user = ConfigText("Who.")
        key = ConfigText("What.", secret=True, fallbacks=[Built()])

    assert BuiltConfig({"user": "bob"}).scrub("key-of-bob, bob") == "****, bob"


def test_scrub_reads_what_a_static_config_may_not_show() -> None:
    class Indirect(Config):
        key = ConfigText("What.", secret=True, fallbacks=[SingleFieldFallback("old_key")])
        old_key = ConfigText("What it was called.")
        broken = ConfigText("Doc.", secret=True, fallbacks=[SingleFieldFallback("nowhere")])

    config = Indirect({"old_key": "hunter22", "x": {"token": b"tok-en"}}, static=True)
    assert config.scrub("hunter22 tok-en") == "**** ****"
    assert config.static


def test_scrub_takes_secrets_that_hold_themselves() -> None:
    knot: dict[str, Any] = {"word": "hunter22"}
    knot["knot"] = [knot]
    config = SecretConfig({"redis": knot, "password": "pass-word", "more": knot})
    assert config.scrub("hunter22 pass-word") == "**** ****"
    assert "hunter22" not in repr(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [("password", ["hunter22"]), ("pin", "hunter22"), ("redis", "hunter22"), ("pin", [918273])],
)
def test_no_error_shows_a_secret(name: str, value: Any) -> None:
    for data in ({name: value}, {name: value, "user": 5}):
        with pytest.raises(ConfigError) as caught:
            SecretConfig(data)
        shown = f"{caught.value!s} {caught.value!r} {caught.value.problems}"
        assert "hunter22" not in shown
        assert "918273" not in shown
        assert f"Field '{name}' " in shown


def test_a_careless_field_that_quotes_its_value_is_scrubbed_with_all_behind_it() -> None:
    class Careless(ConfigField[Any]):
        def clean(self, value: Any) -> Any:
            try:
                return int(value)
            except ValueError:
                self.raise_config_error(f"can't be {value!r}.")

    class CarelessConfig(Config):
        field = Careless("Doc.", secret=True)

    with pytest.raises(ConfigError) as caught:
        CarelessConfig({"field": "hunter22"})
    assert str(caught.value) == "Field 'field' can't be '****'."
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_context_has_what_it_was_given() -> None:
    context = ConfigContext(username="bob", self=1)
    assert (context.username, context.self) == ("bob", 1)
    with pytest.raises(AttributeError):
        _ = context.other
    assert "bob" not in repr(context)
