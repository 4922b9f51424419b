"""What remote methods take and give: declared, checked, and told to others."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from vumi.errors import VumiError
from vumi.rpc import (
    Dict,
    Int,
    List,
    Null,
    RpcCheckError,
    RpcResultError,
    RpcType,
    Signature,
    Tag,
    Unicode,
    signature,
)

# type, values that it takes, values that it refuses
CHECKS: list[tuple[RpcType, list[Any], list[Any]]] = [
    (Null(), [None], [0, "", []]),
    (Unicode(), ["", "ä"], [None, b"bytes", 1]),
    (Unicode(null=True), ["", None], [1]),
    (Int(), [0, -1, 2**70, True], [None, 1.0, "1"]),
    (List(), [[], [1, None, "x"]], [None, (), {}, "x"]),
    (List(item_type=Int()), [[], [1, 2]], [["x"], [1, None]]),
    (List(item_type=Int(null=True)), [[1, None]], [["x"]]),
    (List(length=2), [[1, 2]], [[], [1], [1, 2, 3]]),
    (Dict(), [{}, {"a": 1}], [None, [], "x"]),
    (Dict(item_type=Int()), [{"a": 1}], [{"a": "x"}]),
    (
        Dict(required_fields={"a": Int()}, optional_fields={"b": Unicode()}),
        [{"a": 1}, {"a": 1, "b": "x"}, {"a": 1, "c": None}],
        [{}, {"b": "x"}, {"a": "x"}, {"a": 1, "b": 2}],
    ),
    (
        Dict(required_fields={"a": Int()}, item_type=Unicode()),
        [{"a": 1, "c": "x"}],
        [{"a": 1, "c": 2}],
    ),
    (Dict(optional_fields={"a": Int()}, closed=True), [{}, {"a": 1}], [{"b": 1}]),
    (Tag(), [["pool", "tag"], ("pool", "tag")], [None, "ab", [], ["a"], ["a", 1], ["a"] * 3]),
]


@pytest.mark.parametrize(
    ("rpc_type", "good", "bad"), CHECKS, ids=lambda value: type(value).__name__
)
def test_what_each_type_takes(rpc_type: RpcType, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        rpc_type.check("x", value)
    for value in bad:
        with pytest.raises(RpcCheckError, match="x"):
            rpc_type.check("x", value)


def test_none_is_refused_in_words() -> None:
    with pytest.raises(RpcCheckError, match=r"^name may not be None \(got None\)$"):
        Unicode().check("name", None)


def test_a_type_of_ones_own_says_what_it_takes() -> None:
    with pytest.raises(NotImplementedError):
        RpcType().check("x", 1)


class Greeter:
    @signature(
        name=Unicode("Whom to greet."),
        times=Int(),
        returns=Unicode("The greeting."),
    )
    def greet(self, name: str, times: int = 1) -> Any:
        """Greets somebody.

        Loudly.
        """
        return " ".join([f"Hello {name}"] * times)

    @signature(returns=Unicode())
    def wrong(self) -> Any:
        return 5

    @signature(value=RpcType(null=True), returns=Unicode())
    def later(self, value: None) -> Deferred[Any]:
        return succeed("later")

    @signature(returns=Unicode())
    def wrong_later(self) -> Deferred[Any]:
        return succeed(5)

    @signature()
    def nothing(self) -> None:
        pass


class SignatureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.greeter: Any = Greeter()

    def test_calls_that_fit(self) -> None:
        self.assertEqual(self.greeter.greet("you"), "Hello you")
        self.assertEqual(self.greeter.greet("you", 2), "Hello you Hello you")
        self.assertEqual(self.successResultOf(self.greeter.later(None)), "later")
        self.assertIsNone(self.greeter.nothing())

    def test_calls_that_do_not_fit(self) -> None:
        cases: list[tuple[tuple[Any, ...], dict[str, Any], str]] = [
            ((), {}, "Missing positional argument name."),
            (("you", 1, 2), {}, "Too many positional arguments: 2 at most (got 3)."),
            ((5,), {}, "Unicode value expected for name (got 5)"),
            (("you", "x"), {}, "Int value expected for times (got 'x')"),
            (("you", None), {}, "times may not be None (got None)"),
            (("you",), {"times": 1}, "Keyword parameters not yet supported."),
        ]
        for args, kw, words in cases:
            error = self.assertRaises(RpcCheckError, self.greeter.greet, *args, **kw)
            self.assertEqual(str(error), words)
            self.assertIsInstance(error, VumiError)

    def test_results_are_checked_also_those_that_come_later(self) -> None:
        self.assertRaises(RpcResultError, self.greeter.wrong)
        failure = self.failureResultOf(self.greeter.wrong_later(), RpcResultError)
        self.assertIsInstance(failure.value, RpcCheckError)

    def test_what_others_are_told(self) -> None:
        self.assertEqual(Greeter.greet.__name__, "greet")
        self.assertEqual(
            Greeter.greet.__doc__,
            "Greets somebody.\n\nLoudly.\n\n"
            ":param Unicode name:\n    Whom to greet.\n"
            ":param Int times:\n"
            ":rtype Unicode:\n    The greeting.",
        )
        self.assertEqual(Greeter.nothing.__doc__, ":rtype Null:")
        self.assertEqual(self.greeter.greet.signature, [["string", "string", "int"]])
        self.assertEqual(self.greeter.nothing.signature, [["null"]])
        self.assertIsInstance(self.greeter.greet.signature_object, Signature)

    def test_a_signature_must_fit_its_function(self) -> None:
        functions: list[Any] = [
            lambda self, a: None,
            lambda self, a, b, c: None,
            lambda self, a, *b: None,
            lambda self, a, *, b: None,
            lambda self, a, **b: None,
        ]
        for function in functions:
            self.assertRaises(ValueError, signature(a=Int(), b=Int()), function)

    def test_a_function_without_an_object(self) -> None:
        declared = Signature(lambda a, b=1: None, requires_self=False, a=Int(), b=Int())
        declared.check_params((1,), {})
        self.assertRaises(RpcCheckError, declared.check_params, (), {})
        self.assertEqual(declared.args, ["a", "b"])
        self.assertEqual(declared.defaults, {"b": 1})
