"""Tests for vumi.servicemaker."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from twisted.application.service import IService, IServiceMaker
from twisted.plugin import IPlugin
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from vumi import __version__
from vumi.application import ApplicationWorker
from vumi.config import Config, ConfigText
from vumi.errors import ConfigError, VumiError
from vumi.service import Worker
from vumi.servicemaker import (
    DeprecatedStartWorkerServiceMaker,
    StartWorkerOptions,
    VumiOptions,
    VumiWorkerServiceMaker,
    worker_help,
)
from vumi.tests.utils import LogCatcher

PLAIN = f"{__name__}.PlainWorker"
ECHO = f"{__name__}.EchoWorker"

DEFAULTS = {
    "hostname": "127.0.0.1",
    "port": 5672,
    "username": "vumi",
    "password": "vumi",
    "vhost": "/develop",
    "specfile": "amqp-spec-0-8.xml",
}


class PlainWorker(Worker):
    """Does nothing."""

    def startWorker(self) -> None:
        pass


class EchoWorker(ApplicationWorker):
    """Echoes.

    It does so at once.
    """


class FileCase(SynchronousTestCase):
    """With files and with options."""

    def write(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def parse(self, *args: str) -> StartWorkerOptions:
        options = StartWorkerOptions()
        options.parseOptions(list(args))
        return options

    def printed(self, *args: str) -> str:
        """What is printed before parsing ends the process, with the status 0."""
        out = io.StringIO()
        with redirect_stdout(out):
            ended = self.assertRaises(SystemExit, self.parse, *args)
        self.assertEqual(ended.code, 0)
        return out.getvalue()


class VumiOptionsTests(FileCase):
    def broker_options(self, *args: str) -> dict[str, Any]:
        options = VumiOptions()
        options.parseOptions(list(args))
        return options.vumi_options

    def test_without_anything_the_defaults_hold(self) -> None:
        self.assertEqual(self.broker_options(), DEFAULTS)
        self.assertEqual(VumiOptions.default_vumi_options, DEFAULTS)

    def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(self) -> None:
        path = self.write("hostname: file\nport: 1\nvhost: null\nheartbeat: 7\nsystem-id: s")
        found = self.broker_options("--vumi-config", path, "--port=2", "--sentry=dsn")
        self.assertEqual(
            found,
            {
                **DEFAULTS,
                "hostname": "file",
                "port": 2,
                "heartbeat": 7,
                "system-id": "s",
                "sentry": "dsn",
            },
        )

    def test_every_option_can_be_given_in_both_places(self) -> None:
        for name in ("hostname", "username", "password", "vhost", "sentry", "system-id"):
            with self.subTest(name=name):
                self.assertEqual(self.broker_options(f"--{name}", "x")[name], "x")
                path = self.write(f"{name}: x")
                self.assertEqual(self.broker_options("--vumi-config", path)[name], "x")

    def test_a_broker_url_is_an_option_too(self) -> None:
        self.assertEqual(self.broker_options("--broker=memory:")["broker"], "memory:")
        path = self.write("broker: 'amqp://a'")
        self.assertEqual(self.broker_options("--vumi-config", path)["broker"], "amqp://a")
        given = self.broker_options("--vumi-config", path, "--broker=memory:")
        self.assertEqual(given["broker"], "memory:")

    def test_what_would_be_ignored_is_refused(self) -> None:
        path = self.write("broker: 'memory:'")
        cases = [
            (["--broker=memory:", "--vhost=/x"], "--broker or --vhost"),
            ([f"--vumi-config={path}", "--password=sekrit"], "--password would be ignored"),
        ]
        for args, words in cases:
            with self.subTest(args=args):
                error = self.assertRaises(UsageError, self.broker_options, *args)
                self.assertIn(words, str(error))
                self.assertNotIn("sekrit", str(error))

    def test_a_port_is_a_number(self) -> None:
        error = self.assertRaises(UsageError, self.broker_options, "--port=x")
        self.assertEqual(str(error), "--port must be a whole number, not 'x'.")

    def test_a_specfile_is_ignored_with_a_warning(self) -> None:
        path = self.write("specfile: x.xml")
        for args in (["--specfile=x.xml"], ["--vumi-config", path]):
            with self.subTest(args=args), LogCatcher(message="specfile is ignored") as caught:
                self.broker_options(*args)
                self.assertEqual(len(caught.logs), 1)
        with LogCatcher() as caught:
            self.broker_options()
        self.assertEqual(caught.logs, [])

    def test_a_missing_or_bad_file_is_told(self) -> None:
        for path in ("/no/such/file.yaml", self.write("- a")):
            with self.subTest(path=path):
                self.assertRaises(ConfigError, self.broker_options, "--vumi-config", path)

    def test_a_programs_own_options_stay(self) -> None:
        class ProgramOptions(VumiOptions):
            optParameters: ClassVar[list[list[Any]]] = [["queue", None, "q", "Which queue"]]
            optFlags: ClassVar[list[list[Any]]] = [["quiet", None, "Say nothing"]]

        options = ProgramOptions()
        options.parseOptions(["--quiet", "--hostname=h"])
        self.assertEqual(dict(options), {"queue": "q", "quiet": 1})
        self.assertEqual(options.vumi_options["hostname"], "h")


class StartWorkerOptionsTests(FileCase):
    def test_the_attributes_are_worked_out_and_nothing_else_is_left(self) -> None:
        options = self.parse("--worker-class", PLAIN, "--hostname=h", "--maxthreads=3")
        self.assertEqual(options.worker_class, PLAIN)
        self.assertEqual(options.worker_config, {})
        self.assertEqual(options.maxthreads, 3)
        self.assertEqual(options.vumi_options, {**DEFAULTS, "hostname": "h"})
        self.assertEqual(dict(options.opts), {})

    def test_without_maxthreads_twisted_decides(self) -> None:
        self.assertIsNone(self.parse("--worker-class", PLAIN).maxthreads)

    def test_the_old_spelling_of_the_class_warns_and_loses(self) -> None:
        for args, expected in (
            (["--worker_class", PLAIN], PLAIN),
            (["--worker_class", ECHO, "--worker-class", PLAIN], PLAIN),
        ):
            with self.subTest(args=args):
                options = self.parse(*args)
                [warning] = self.flushWarnings()
                self.assertIs(warning["category"], DeprecationWarning)
                self.assertEqual(options.worker_class, expected)

    def test_the_config_file_is_read_and_options_are_set_on_top(self) -> None:
        path = self.write("a: 1\nb: {x: 1}\nc: 3")
        options = self.parse(
            "--worker-class", PLAIN, "--set-option=a:2", "--config", path, "--set-option=b:={y: 2}"
        )  # fmt: skip
        self.assertEqual(options.worker_config, {"a": "2", "b": {"y": 2}, "c": 3})

    def test_options_are_set_to_texts_or_to_yaml(self) -> None:
        cases: dict[str, tuple[str, Any]] = {
            "key:value": ("key", "value"),
            "key:5": ("key", "5"),
            "key:[1]": ("key", "[1]"),
            "endpoint:tcp:port=1": ("endpoint", "tcp:port=1"),
            "key": ("key", ""),
            "key:": ("key", ""),
            "key:with spaces = yes": ("key", "with spaces = yes"),
            "key:=5": ("key", 5),
            "key:=[a, {b: c}]": ("key", ["a", {"b": "c"}]),
            "key:='5'": ("key", "5"),
            "key:=": ("key", None),
        }
        for given, (key, value) in cases.items():
            with self.subTest(given=given):
                options = self.parse("--worker-class", PLAIN, "--set-option", given)
                self.assertEqual(options.worker_config, {key: value})

    def test_options_set_in_one_command_line_are_not_in_the_next(self) -> None:
        self.parse("--worker-class", PLAIN, "--set-option=a:1")
        self.assertEqual(self.parse("--worker-class", PLAIN).worker_config, {})

    def test_an_empty_file_is_no_option(self) -> None:
        options = self.parse("--worker-class", PLAIN, "--config", self.write(""))
        self.assertEqual(options.worker_config, {})

    def test_what_is_wrong_is_raised(self) -> None:
        cases: list[tuple[list[str], type[Exception], str]] = [
            ([], VumiError, "please specify --worker-class"),
            (["--config=x.yaml"], VumiError, "please specify --worker-class"),
            (["--worker-class", PLAIN, "--config=/no/file"], ConfigError, "/no/file can't be"),
            (["--worker-class", PLAIN, "--set-option=:x"], UsageError, "key:value"),
            (["--worker-class", PLAIN, "--set-option=a:=["], ConfigError, "--set-option a, line"),
            (["--worker-class", PLAIN, "--maxthreads=x"], UsageError, "a whole number"),
            (["--worker-class", PLAIN, "--maxthreads=0"], UsageError, "at least 1"),
            (["--worker-class", PLAIN, "more"], UsageError, "Unexpected argument 'more'"),
            (["--bogus"], UsageError, "bogus"),
        ]
        for args, kind, words in cases:
            with self.subTest(args=args):
                self.assertIn(words, str(self.assertRaises(kind, self.parse, *args)))

    # Telling something instead of starting

    def test_the_workers_help_needs_no_good_config(self) -> None:
        printed = self.printed("--worker-class", ECHO, "--worker-help", "--config=/no/file")
        self.assertTrue(printed.startswith("Echoes.\n\nIt does so at once.\n\n"))
        self.assertIn("transport_name: str, required", printed)
        self.assertTrue(printed.endswith("\n\n"))

    def test_help_for_no_worker_is_refused(self) -> None:
        self.assertRaises(ConfigError, self.parse, "--worker-class=a.B", "--worker-help")
        self.assertRaises(VumiError, self.parse, "--worker-help")

    def test_a_worker_without_declared_options_or_docstring_has_a_help(self) -> None:
        class Silent(Worker):
            pass

        self.assertEqual(worker_help(Silent), "It is not documented.")
        self.assertEqual(worker_help(PlainWorker), "Does nothing.")

    def test_a_config_class_is_described_whoever_has_it(self) -> None:
        class OwnConfig(Config):
            colour = ConfigText("Which colour.")

        class Coloured:
            """Has a colour."""

            CONFIG_CLASS = OwnConfig

        self.assertIn("Which colour.", worker_help(Coloured))

    def test_a_good_config_is_ok(self) -> None:
        args = ("--worker-class", ECHO, "--set-option=transport_name:x", "--check-config")
        self.assertEqual(self.printed(*args), "OK\n")

    def test_a_check_tells_all_problems_unknown_options_included(self) -> None:
        error = self.assertRaises(
            ConfigError,
            self.parse,
            "--check-config",
            "--worker-class",
            ECHO,
            "--broker=what",
            "--set-option=transport_nam:x",
            "--set-option=worker_concurrency:x",
        )
        self.assertEqual(len(error.problems), 4)
        for problem, words in zip(
            error.problems,
            ("'what' is not", "worker_concurrency", "transport_name", "Did you mean"),
            strict=True,
        ):
            self.assertIn(words, problem)

    def test_a_check_tells_of_the_broker_and_of_a_bad_class_at_once(self) -> None:
        error = self.assertRaises(
            ConfigError, self.parse, "--check-config", "--worker-class=a.B", "--broker=what"
        )
        self.assertEqual(len(error.problems), 2)

    def test_the_version_is_ours(self) -> None:
        self.assertEqual(self.printed("--version"), f"vumi {__version__}\n")


class ServiceMakerTests(FileCase):
    def make(self, *args: str) -> Worker:
        return VumiWorkerServiceMaker().makeService(self.parse(*args))

    def test_both_are_plugins_that_differ_only_in_name(self) -> None:
        for maker, name in (
            (VumiWorkerServiceMaker(), "vumi_worker"),
            (DeprecatedStartWorkerServiceMaker(), "start_worker"),
        ):
            with self.subTest(name=name):
                verifyObject(IPlugin, maker)
                verifyObject(IServiceMaker, maker)
                self.assertEqual(maker.tapname, name)
                self.assertIs(maker.options, StartWorkerOptions)

    def test_the_worker_is_made_with_its_options_and_its_config(self) -> None:
        worker = self.make(
            "--worker-class", PLAIN, "--set-option=a:1", "--broker=memory:", "--system-id=s"
        )  # fmt: skip
        verifyObject(IService, worker)
        self.assertIsInstance(worker, PlainWorker)
        self.assertEqual(worker.config, {"a": "1"})
        self.assertEqual(worker.options["system-id"], "s")
        self.assertEqual(worker.options["broker"], "memory:")
        self.assertIsNone(worker.name)

    def test_a_named_worker_has_its_name_as_a_service(self) -> None:
        worker = self.make("--worker-class", PLAIN, "--set-option=worker_name:echo")
        self.assertEqual(worker.name, "echo")

    def test_the_threads_are_limited(self) -> None:
        from twisted.internet import reactor

        with mock.patch.object(reactor, "suggestThreadPoolSize") as suggest:
            self.make("--worker-class", PLAIN)
            suggest.assert_not_called()
            self.make("--worker-class", PLAIN, "--maxthreads=7")
            suggest.assert_called_once_with(7)

    def test_all_that_is_wrong_is_raised_at_once(self) -> None:
        error = self.assertRaises(
            ConfigError, self.make, "--worker-class", ECHO, "--broker=what", "--set-option=a:b"
        )  # fmt: skip
        self.assertEqual(len(error.problems), 2)
        self.assertIn("'what' is not a broker URL", error.problems[0])
        self.assertIn("transport_name", error.problems[1])

    def test_an_unknown_option_does_not_keep_a_worker_from_starting(self) -> None:
        self.make("--worker-class", ECHO, "--set-option=transport_name:x", "--set-option=a:b")

    def test_what_is_no_worker_is_refused(self) -> None:
        for class_path in ("a.B", f"{__name__}.FileCase"):
            with self.subTest(class_path=class_path):
                self.assertRaises(ConfigError, self.make, "--worker-class", class_path)

    def test_a_sentry_dsn_makes_a_child_service_and_is_kept_from_the_worker(self) -> None:
        cases = [
            ([], "global:plainworker"),
            (["--set-option=worker_name:Echo"], "global:Echo"),
            (["--set-option=worker_name:Echo", "--system-id=s"], "s:Echo"),
        ]
        for args, worker_id in cases:
            with self.subTest(args=args), mock.patch("vumi.sentry.vumi_raven_client") as client:
                worker = self.make("--worker-class", PLAIN, "--sentry=https://key@s/1", *args)
                client.assert_called_once_with("https://key@s/1")
                [service] = worker.services
                self.assertEqual(service.name, "Sentry Logger")
                self.assertEqual(service.sentry_log_observer.worker_id, worker_id)
                self.assertEqual(
                    service.sentry_log_observer.logger_name, worker_id.partition(":")[2]
                )
                self.assertNotIn("sentry", worker.options)

    def test_sentry_without_its_library_is_refused(self) -> None:
        missing: dict[str, Any] = {"sentry_sdk": None}
        with mock.patch.dict(sys.modules, missing):
            error = self.assertRaises(
                ConfigError, self.make, "--worker-class", PLAIN, "--sentry=https://key@s/1"
            )
        self.assertIn("sentry-sdk", str(error))
