"""What an application is given as its configuration."""

from __future__ import annotations

from typing import Any

import pytest

from vumi.application import ApplicationConfig, ApplicationWorker
from vumi.application.sandbox import JsSandbox
from vumi.config import ConfigText
from vumi.demos.clinic import ClinicRegistration
from vumi.demos.words import EchoWorker
from vumi.errors import ConfigError
from vumi.handset import check_application, handset_config
from vumi.multiworker import MultiWorker
from vumi.transports.telnet import TelnetServerTransport


class NamedConfig(ApplicationConfig):
    """Options of an application that needs a name."""

    worker_name = ConfigText("Its name.", required=True, static=True)


class Named(ApplicationWorker):
    """An application that needs a name."""

    CONFIG_CLASS = NamedConfig


CLINIC, ECHO = "vumi.demos.clinic.ClinicRegistration", "vumi.demos.words.EchoWorker"
KV = "vumi.application.sandbox.RedisResource"
LOG = "vumi.application.sandbox.LoggingResource"
STORE = {"redis_manager": {"url": "memory:"}}
ALWAYS = {"transport_name": "handset", "drain_timeout": 1.0}


@pytest.mark.parametrize(
    ("cls", "file", "options", "config"),
    [
        (EchoWorker, {}, {}, ALWAYS),
        (EchoWorker, {"transport_name": "t"}, {}, {**ALWAYS, "transport_name": "t"}),
        (EchoWorker, {"transport_name": "t"}, {"transport_name": "u", "drain_timeout": 3},
         {"transport_name": "u", "drain_timeout": 3}),
        (ClinicRegistration, {}, {}, {**ALWAYS, **STORE}),
        (ClinicRegistration, {"redis_manager": {"url": "redis://far", "db": 3}}, {},
         {**ALWAYS, **STORE}),
        (ClinicRegistration, {"redis_manager": {"host": "far", "key_prefix": "p"}}, {},
         {**ALWAYS, "redis_manager": {"url": "memory:", "key_prefix": "p"}}),
        (ClinicRegistration, {}, {"redis_manager": {"host": "near"}},
         {**ALWAYS, "redis_manager": {"host": "near"}}),
        (EchoWorker,
         {"workers": {"a": ECHO, "b": CLINIC}, "defaults": {"transport_name": "t", "x": 1},
          "a": {"x": 2}, "b": {"x": 3}},
         {},
         {"transport_name": "t", "x": 2, "drain_timeout": 1.0, "worker_name": "a"}),
        (EchoWorker, {"workers": {"a": ECHO, "b": "no.such.Class"}}, {},
         {**ALWAYS, "worker_name": "a"}),
        (JsSandbox,
         {"sandbox": {"kv": {"cls": KV, "redis_manager": {"host": "far", "key_prefix": "p"}},
                      "other": {"cls": KV}, "log": {"cls": LOG, "burst": 5}, "bad": {"cls": 5},
                      "worse": None}},
         {},
         {**ALWAYS,
          "sandbox": {"kv": {"cls": KV, "redis_manager": {"url": "memory:", "key_prefix": "p"}},
                      "other": {"cls": KV, **STORE}, "log": {"cls": LOG, "burst": 5},
                      "bad": {"cls": 5}, "worse": None}}),
        (Named, {}, {}, {**ALWAYS, "worker_name": "handset"}),
        (Named, {"worker_name": "n"}, {}, {**ALWAYS, "worker_name": "n"}),
    ],
)  # fmt: skip
def test_nothing_reaches_outside_of_the_process_unless_it_is_wanted(
    cls: Any, file: dict[str, Any], options: dict[str, Any], config: dict[str, Any]
) -> None:
    before = repr(file)
    assert handset_config(cls, file, options) == config
    assert repr(file) == before


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ({"a": CLINIC}, "0 of the file's 'workers' are of the class"),
        ({"a": ECHO, "b": ECHO}, "2 of the file's 'workers' are of the class"),
        ([], "Field 'workers' is not a dict."),
    ],
)
def test_a_file_for_several_workers_has_one_of_the_class(workers: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        handset_config(EchoWorker, {"workers": workers}, {})


@pytest.mark.parametrize("cls", [TelnetServerTransport, MultiWorker])
def test_only_applications_can_be_talked_to(cls: Any) -> None:
    with pytest.raises(ConfigError, match=f"{cls.__name__}' is no application"):
        handset_config(cls, {}, {})


def test_a_good_configuration_passes() -> None:
    check_application(EchoWorker, ALWAYS)


def test_all_that_is_wrong_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        check_application(ClinicRegistration, {"page_length": "x", "worker_concurrency": "y"})
    assert len(caught.value.problems) == 3
