"""Several workers in one process, on one connection to the broker.

Knows how workers are made, started and stopped together. Knows nothing of what they do.

Theory of operation: the configurations of all children are checked when the MultiWorker is made.
They are made, and started side by side, once the broker is there; they share its connection, so
that with the broker ``memory:`` they can talk. When the MultiWorker stops, all children finish
what is in hand at the same time, and only then is the connection closed.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger

from vumi.checking import Findings, check_worker, load_worker_class
from vumi.config import Config, ConfigDict, ConfigText, unknown_keys
from vumi.errors import ConfigError
from vumi.service import Worker, WorkerCreator
from vumi.tasks import deferred
from vumi.topology import misfits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twisted.python.failure import Failure

__all__ = ["MultiWorker", "MultiWorkerConfig"]


class MultiWorkerConfig(Config):
    """Options of a MultiWorker. Each child also has a section of its name."""

    workers = ConfigDict(
        "The children: name -> class path. What a section of a child's name says is that child's "
        "configuration. A child whose configuration has no worker_name gets its name here as one.",
        default={},
        static=True,
    )
    defaults = ConfigDict(
        "Options that all children have. Of an option that a child's section has too, the "
        "section's value counts, as a whole.",
        default={},
        static=True,
    )
    worker_name = ConfigText("The MultiWorker's own name in logs.", static=True)

    def post_validate(self) -> None:
        super().post_validate()
        problems = list(self._child_problems())
        if problems:
            raise ConfigError(problems=problems)

    def _child_problems(self) -> Iterator[str]:
        for name, class_path in (self.workers or {}).items():
            if not isinstance(name, str):
                yield f"Field 'workers' has a name that is no text: {name!r}."
            elif name in self._fields:
                yield f"Field 'workers' has a child {name!r}: that is the name of an option."
            elif not isinstance(class_path, str):
                yield f"{name}: its class in the field 'workers' is not a dotted path."
            elif not isinstance(self._config_data.get(name, None), dict | None):
                yield f"{name}: its section is not a mapping of options."


class MultiWorker(Worker):
    """Runs several workers in one process.

    .. code-block:: yaml

        workers:
          line: vumi.transports.telnet.TelnetServerTransport
          echo: vumi.demos.words.EchoWorker
        defaults:
          transport_name: telnet
        line:
          twisted_endpoint: tcp:port=9010:interface=127.0.0.1

    If one of them can't start, the MultiWorker has failed to start.

    :param options: The command line's options.
    :param config: The configuration; see :class:`MultiWorkerConfig`.
    :raises ConfigError: There are problems with it or with a child's; all are told at once.
    """

    log: Any = Logger()

    CONFIG_CLASS: ClassVar[type[Config]] = MultiWorkerConfig

    #: Makes the children; called with the options, and with the connection as ``broker``.
    WORKER_CREATOR: ClassVar[Any] = WorkerCreator

    def __init__(self, options: Mapping[str, Any], config: dict[str, Any] | None = None) -> None:
        super().__init__(options, config)
        #: The children, in the order of the configuration, while the MultiWorker runs.
        self.workers: list[Worker] = []
        self._static_config: Any = self.CONFIG_CLASS(self.config, static=True)
        self._failed = False
        #: What was found in the children's configurations, by their names.
        self._findings = {
            name: self._check_child(name, class_path) for name, class_path in self._children()
        }
        problems = [
            f"{name}: {problem}"
            for name, findings in self._findings.items()
            for problem in findings.errors
        ]
        if problems:
            raise ConfigError(problems=problems)

    def _children(self) -> list[tuple[str, str]]:
        return list((self._static_config.workers or {}).items())

    # Config

    def get_static_config(self) -> Any:
        """The MultiWorker's own options."""
        return self._static_config

    def construct_worker_config(self, worker_name: str) -> dict[str, Any]:
        """A child's configuration: the defaults, the child's section on top, and its name."""
        config: dict[str, Any] = deepcopy(self.config.get("defaults") or {})
        config.update(deepcopy(self.config.get(worker_name) or {}))
        config.setdefault("worker_name", worker_name)
        return config

    def _check_child(self, worker_name: str, class_path: str) -> Findings:
        try:
            worker_class = load_worker_class(class_path)
        except ConfigError as error:
            return Findings(errors=error.problems)
        return check_worker(worker_class, self.construct_worker_config(worker_name))

    @classmethod
    def check_config(cls, config: dict[str, Any]) -> list[str]:
        """Check a configuration, the children's included, without starting anything.

        :returns: What looks wrong but is no error (unknown options), one sentence each.
        :raises ConfigError: What is wrong, all of it.
        """
        checked = cls({}, dict(config))
        return [*cls.config_warnings(config), *checked._further_warnings()]

    def _further_warnings(self) -> Iterator[str]:
        """What only a child that was made can tell, and what doesn't fit together."""
        classes = {name: load_worker_class(path) for name, path in self._children()}
        configs = {name: self.construct_worker_config(name) for name in classes}
        for name, worker_class in classes.items():
            if hasattr(worker_class, "config_warnings"):
                known = worker_class.config_warnings(configs[name])
                for warning in self._findings[name].warnings:
                    if warning not in known:
                        yield f"{name}: {warning}"
        yield from misfits((name, found, configs[name]) for name, found in classes.items())

    @classmethod
    def config_warnings(cls, config: Mapping[str, Any]) -> list[str]:
        """Sentences about options, of the MultiWorker or of a child, that are unknown or null."""
        return [*cls._own_warnings(config), *_child_warnings(config)]

    @classmethod
    def _own_warnings(cls, config: Mapping[str, Any]) -> Iterator[str]:
        children = _section(config, "workers")
        for unknown in unknown_keys(cls.CONFIG_CLASS, config, children):
            yield unknown.sentence()
        if not children:
            yield "No workers are listed under 'workers'."

    # Life

    @deferred
    async def startWorker(self) -> None:
        """Make the children and start them all; fires when they run."""
        # Each child logs its own.
        together = misfits(
            (name, load_worker_class(path), self.construct_worker_config(name))
            for name, path in self._children()
        )
        for warning in (*self._own_warnings(self.config), *together):
            self.log.warn("{warning}", warning=warning, event="config-warning")
        self._failed = False
        self.worker_creator = self.WORKER_CREATOR(self.options, broker=self.broker)
        for name, class_path in self._children():
            self.workers.append(self.create_worker(name, class_path))
        for worker in self.workers:
            worker.setServiceParent(self)
        await _all_up(self.workers)

    def tell_ready(self) -> None:
        """Log that all children run, if they do. Each has said so for itself."""
        if not self._failed and self.running:
            names = ", ".join(str(worker.name) for worker in self.workers)
            self.log.info("All workers run: {names}.", names=names, event="all-workers-run")

    def create_worker(self, worker_name: str, worker_class: str) -> Worker:
        """Make a child; it is not started yet.

        :param worker_name: Its name.
        :param worker_class: Its class's dotted path.
        """
        config = self.construct_worker_config(worker_name)
        worker: Worker = self.worker_creator.create_worker(worker_class, config)
        worker.setName(worker_name)
        worker.on_failure(self._child_failed)
        return worker

    def _child_failed(self, failure: Failure) -> None:
        """A child could not start; it has logged why."""
        if self._failed:
            return
        self._failed = True
        for listener in self._failure_listeners:
            listener(failure)

    @deferred
    async def stopWorker(self) -> None:
        """Stop all children at the same time; fires when each has finished what was in hand."""
        workers, self.workers = self.workers, []
        stopping = [maybeDeferred(worker.stopService) for worker in workers]
        results = await DeferredList(stopping, consumeErrors=True)
        for worker, (stopped, result) in zip(workers, results, strict=True):
            if not stopped:
                self.log.failure("Stopping {worker} failed", failure=result, worker=worker.name)
            if worker.parent is not None:
                # It has stopped: otherwise it would be stopped a second time, with its parent.
                worker.disownServiceParent()


async def _all_up(workers: list[Worker]) -> None:
    """Wait until every worker has started, or failed to."""
    waiting = {id(worker) for worker in workers if worker._starting is not None}
    all_up: Deferred[None] = Deferred()

    def is_up(result: Any, worker: Worker) -> Any:
        waiting.discard(id(worker))
        if not waiting and not all_up.called:
            all_up.callback(None)
        return result

    for worker in workers:
        if worker._starting is not None:
            _ = worker._starting.addBoth(is_up, worker)
    if waiting:
        await all_up


def _child_warnings(config: Mapping[str, Any]) -> Iterator[str]:
    children = _section(config, "workers")
    classes = dict(_loadable(children))
    defaults = _section(config, "defaults")
    for name, worker_class in classes.items():
        section = _section(config, name)
        for warning in _warnings(worker_class, section, {**defaults, **section}):
            yield f"{name}: {warning}"
    if not classes or len(classes) < len(children):
        return  # What options some child has is not known.
    for key, value in defaults.items():
        # One that is for some of the children only is no mistake.
        found = [
            _warnings(worker_class, {key: value}, {**defaults, **_section(config, name)})
            for name, worker_class in classes.items()
        ]
        if all(found):
            # The longest has a suggestion, if there is any.
            yield f"defaults: {max((said[0] for said in found), key=len)}"


def _loadable(children: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The classes of the children that declare their options."""
    for name, class_path in children.items():
        try:
            worker_class = load_worker_class(class_path)
        except ConfigError:
            continue  # That is an error, and told as one.
        if hasattr(worker_class, "config_warnings"):
            yield name, worker_class


def _warnings(worker_class: Any, part: dict[str, Any], whole: dict[str, Any]) -> list[str]:
    """What a class says of a part of its configuration."""
    if "middleware" in whole:
        # The list of the middlewares tells which sections are theirs.
        part = {"middleware": whole["middleware"], **part}
    found: list[str] = worker_class.config_warnings(part)
    return found


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}
