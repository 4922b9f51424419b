"""The options that every worker is started with, and the worker made from them.

For ``twistd`` and for programs that start workers themselves: mistakes are raised. What ``twistd``
itself runs is in :mod:`vumi.cli.twistd`, where they end the process.

An option about the broker comes from the command line, else from the file ``--vumi-config``, else
from :attr:`VumiOptions.default_vumi_options`.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.application.service import IServiceMaker
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.python import usage
from zope.interface import implementer

from vumi import __version__
from vumi.broker.address import BrokerAddress
from vumi.checking import Findings, check_worker, load_worker_class
from vumi.config import Config, describe
from vumi.errors import ConfigError, VumiError
from vumi.hangup import stop_at_hangup
from vumi.process_reactor import process_reactor
from vumi.service import WorkerCreator
from vumi.utils import generate_worker_id
from vumi.yamlconfig import (
    SafeLoaderWithInclude,
    filter_null_values,
    overlay_configs,
    read_yaml_config,
    read_yaml_value,
)

if TYPE_CHECKING:
    from vumi.service import Worker

__all__ = [
    "DeprecatedStartWorkerServiceMaker",
    "SafeLoaderWithInclude",
    "StartWorkerOptions",
    "VumiOptions",
    "VumiWorkerServiceMaker",
    "filter_null_values",
    "overlay_configs",
    "read_yaml_config",
    "worker_help",
]

log = Logger()

CLASSIC_BROKER_OPTIONS = ("hostname", "port", "username", "password", "vhost")


class VumiOptions(usage.Options):
    """Command-line options about the broker, for any program that needs one.

    :ivar vumi_options: What was found for them: a dict, once the command line is parsed.
    """

    #: What holds when neither the command line nor the file says otherwise.
    default_vumi_options: ClassVar[dict[str, Any]] = {
        "hostname": "127.0.0.1",
        "port": 5672,
        "username": "vumi",
        "password": "vumi",
        "vhost": "/develop",
        "specfile": "amqp-spec-0-8.xml",
    }

    optParameters: ClassVar[list[list[Any]]] = [
        ["broker", None, None, "The broker's URL: amqp://user:password@host:port/vhost, "
         "amqps://... or memory: (*). Instead of hostname, port, username, password and vhost"],
        ["hostname", None, None, "The broker's host (*) [default: 127.0.0.1]"],
        ["port", None, None, "The broker's TCP port (*) [default: 5672]"],
        ["username", None, None, "The broker's user (*) [default: vumi]"],
        ["password", None, None, "The user's password (*) [default: vumi]"],
        ["vhost", None, None, "The broker's virtual host (*) [default: /develop]"],
        ["specfile", None, None, "No longer used (*)"],
        ["sentry", None, None, "Where to send errors: a Sentry DSN (*)"],
        ["system-id", None, None, "What ids of workers begin with (*) [default: global]"],
        ["vumi-config", None, None, "A YAML file with any of the options marked (*)"],
    ]  # fmt: skip

    vumi_options: dict[str, Any]

    def postOptions(self) -> None:
        """Work out :attr:`vumi_options`.

        :raises ConfigError: The file can't be read.
        :raises twisted.python.usage.UsageError: The command line contradicts itself.
        """
        super().postOptions()
        config_file = self.opts.pop("vumi-config", None)
        from_file = filter_null_values(read_yaml_config(config_file))
        names = [name for name, *_ in VumiOptions.optParameters if name != "vumi-config"]
        given = filter_null_values({name: self.opts.pop(name, None) for name in names})
        _check_broker_options(given, from_file, config_file)
        if "specfile" in given or "specfile" in from_file:
            log.warn("The option specfile is ignored: no specification file is needed.")
        self.vumi_options = overlay_configs(self.default_vumi_options, from_file, given)


def _check_broker_options(
    given: dict[str, Any], from_file: dict[str, Any], config_file: str | None
) -> None:
    """Refuse a command line that would be ignored in part, and make a number of the port."""
    classic = [f"--{name}" for name in CLASSIC_BROKER_OPTIONS if name in given]
    if classic and "broker" in given:
        raise usage.UsageError(f"Give either --broker or {classic[0]}, not both.")
    if classic and "broker" in from_file:
        raise usage.UsageError(
            f"{classic[0]} would be ignored, because {config_file} has the option broker: "
            "give --broker instead."
        )
    if "port" in given:
        given["port"] = _whole_number("--port", given["port"])


def _whole_number(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise usage.UsageError(f"{option} must be a whole number, not {text!r}.") from None


class StartWorkerOptions(VumiOptions):
    """The command-line options of a worker.

    :ivar worker_class: The class's dotted path.
    :ivar worker_config: The worker's configuration: the file's, with what was set on top.
    :ivar maxthreads: How many threads the reactor may use at most; ``None`` is Twisted's default.
    """

    longdesc = (
        "Starts one worker. Example: --worker-class=vumi.demos.words.EchoWorker "
        "--config=config/echo.yaml --set-option=transport_name:telnet"
    )

    optFlags: ClassVar[list[list[Any]]] = [
        ["worker-help", None, "Tell what the worker is and what options it has, and exit"],
        ["check-config", None, "Tell everything that is wrong with the worker's configuration, "
         "or OK, and exit"],
    ]  # fmt: skip

    optParameters: ClassVar[list[list[Any]]] = [
        [
            "worker-class",
            None,
            None,
            "The class of the worker to start, by its dotted path "
            "[default: what worker_class in the file says]",
        ],
        ["worker_class", None, None, "The same; deprecated"],
        ["config", None, None, "A YAML file with the worker's configuration"],
        ["maxthreads", None, None, "How many threads Twisted may use at most"],
    ]

    worker_class: str
    worker_config: dict[str, Any]
    maxthreads: int | None

    def __init__(self) -> None:
        super().__init__()
        self.set_options: dict[str, Any] = {}

    def opt_set_option(self, keyvalue: str) -> None:
        """Set one option of the worker: key:value (a text) or key:=value (YAML). Repeatable."""
        key, _, value = keyvalue.partition(":")
        if not key:
            raise usage.UsageError("--set-option needs key:value or key:=value.")
        if value.startswith("="):
            self.set_options[key] = read_yaml_value(value[1:], f"--set-option {key}")
        else:
            self.set_options[key] = value

    def opt_version(self) -> None:
        """Display the version and exit."""
        print(f"vumi {__version__}")
        sys.exit(0)

    def parseArgs(self, *args: str) -> None:
        """Refuse what is no option."""
        if args:
            raise usage.UsageError(f"Unexpected argument {args[0]!r}: only options are taken.")

    def postOptions(self) -> None:
        """Work out the attributes. ``--worker-help`` and ``--check-config`` end here.

        :raises ConfigError: A file can't be read, or the check has found something.
        :raises VumiError: No class was given.
        :raises SystemExit: Help was given, or the check has found nothing.
        """
        super().postOptions()
        worker_class, config_file = self._take_worker_class(), self.opts.pop("config")
        if worker_class is None:
            worker_class = self._worker_class_of_file(config_file)
        self.worker_class = worker_class
        if self.opts.pop("worker-help"):
            print(worker_help(load_worker_class(self.worker_class)))
            sys.exit(0)
        config = read_yaml_config(config_file)
        self.worker_config = overlay_configs(config, self.set_options)
        self.maxthreads = self._take_maxthreads()
        if self.opts.pop("check-config"):
            findings = check_options(self)
            if findings.problems:
                raise ConfigError(problems=findings.problems)
            print("OK")
            sys.exit(0)

    def _worker_class_of_file(self, config_file: str | None) -> str:
        """What the configuration says, if it is there and says it."""
        config = self.set_options
        if config_file is not None:
            try:
                config = overlay_configs(read_yaml_config(config_file), config)
            except ConfigError as error:
                raise ConfigError(
                    problems=["please specify --worker-class", *error.problems]
                ) from error
        if not config.get("worker_class"):
            raise VumiError("please specify --worker-class")
        return str(config["worker_class"])

    def _take_worker_class(self) -> str | None:
        worker_class = self.opts.pop("worker-class")
        deprecated = self.opts.pop("worker_class")
        if deprecated is not None:
            warnings.warn(
                "--worker_class is deprecated: use --worker-class.",
                DeprecationWarning,
                stacklevel=2,
            )
        given: str | None = worker_class or deprecated
        return given

    def _take_maxthreads(self) -> int | None:
        text = self.opts.pop("maxthreads")
        if text is None:
            return None
        maxthreads = _whole_number("--maxthreads", text)
        if maxthreads < 1:
            raise usage.UsageError("--maxthreads must be at least 1.")
        return maxthreads


def worker_help(worker_class: type[Any]) -> str:
    """What a worker is (its docstring) and what its options are, as text for a terminal."""
    parts = [inspect.cleandoc(worker_class.__doc__ or "It is not documented.")]
    config_class = getattr(worker_class, "CONFIG_CLASS", None)
    if isinstance(config_class, type) and issubclass(config_class, Config):
        parts.append(describe(config_class))
    return "\n\n".join(parts)


def check_options(options: StartWorkerOptions) -> Findings:
    """Check a parsed command line: the broker's address, the worker's class and its config."""
    errors: list[str] = []
    try:
        BrokerAddress.from_options(options.vumi_options)
    except ConfigError as error:
        errors.extend(error.problems)
    try:
        worker_class = load_worker_class(options.worker_class)
    except ConfigError as error:
        return Findings((*errors, *error.problems))
    found = check_worker(worker_class, options.worker_config)
    return Findings((*errors, *found.errors), found.warnings)


@implementer(IPlugin, IServiceMaker)
class VumiWorkerServiceMaker:
    """Makes a worker from its command-line options."""

    tapname = "vumi_worker"
    description = "A Vumi worker"
    options = StartWorkerOptions

    def makeService(self, options: StartWorkerOptions) -> Worker:
        """Make the worker.

        :param options: The options, parsed.
        :returns: The worker, to be started.
        :raises ConfigError: There is no such class, or something is wrong with the broker's
            address or the worker's configuration; all of it.
        """
        findings = check_options(options)
        if findings.errors:
            raise ConfigError(problems=findings.errors)
        vumi_options = dict(options.vumi_options)
        sentry_dsn = vumi_options.pop("sentry", None)
        # The first import of the reactor chooses it, so not at import time.
        reactor = process_reactor()
        stop_at_hangup(reactor)
        if options.maxthreads is not None:
            reactor.suggestThreadPoolSize(options.maxthreads)
        creator = WorkerCreator(vumi_options, reactor)
        worker = creator.create_worker(options.worker_class, options.worker_config)
        name = str(options.worker_config.get("worker_name") or "")
        if name and worker.name is None:
            worker.setName(name)
        if sentry_dsn:
            from vumi.sentry import SentryLoggerService

            logger_name = name or options.worker_class.rpartition(".")[2].lower()
            system_id = vumi_options.get("system-id") or "global"
            worker_id = generate_worker_id(system_id, logger_name)
            SentryLoggerService(sentry_dsn, logger_name, worker_id).setServiceParent(worker)
        return worker


class DeprecatedStartWorkerServiceMaker(VumiWorkerServiceMaker):
    """The same under its old name."""

    tapname = "start_worker"
    description = "Deprecated: use vumi_worker"
