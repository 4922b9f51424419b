"""What an application is given as its configuration, to be tried at the handset.

Knows files for one worker and for several, and what must not reach outside of the process.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from vumi.application import ApplicationWorker
from vumi.checking import check_worker, load_worker_class
from vumi.errors import ConfigError
from vumi.loading import load_class_by_string

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["check_application", "handset_config"]

DEFAULT_NAME = "handset"
#: Seconds that the application has, when the handset is put down, for what it has in hand.
DRAIN_TIMEOUT = 1.0


def check_application(worker_class: type[Any], config: Mapping[str, Any]) -> None:
    """Make sure that an application's configuration can be used.

    :raises ConfigError: It can't; with all that is wrong.
    """
    errors = check_worker(worker_class, config).errors
    if errors:
        raise ConfigError(problems=errors)


def handset_config(
    worker_class: type[Any], file_config: Mapping[str, Any], set_options: Mapping[str, Any]
) -> dict[str, Any]:
    """An application's configuration for the handset.

    The key-value store is the one in this process, also that of a sandbox's resources, unless
    `set_options` say otherwise.

    :param file_config: What a file says: the application's own options or, as for ``vumi run``,
        several workers with their sections, one of which is of this class.
    :param set_options: Options that win over those of the file.
    :raises ConfigError: This is no application; or the file is for several workers, but not for
        exactly one of this class.
    """
    if not issubclass(worker_class, ApplicationWorker):
        path = f"{worker_class.__module__}.{worker_class.__qualname__}"
        raise ConfigError(f"{path!r} is no application: the handset talks to applications only.")
    config = dict(file_config)
    if "workers" in config:
        config = _section(worker_class, config)
    fields = worker_class.CONFIG_CLASS._fields
    if fields["worker_name"].required:
        config.setdefault("worker_name", DEFAULT_NAME)
    config = _in_process(config, fields)
    if isinstance(config.get("sandbox"), dict):
        config["sandbox"] = {
            name: _resource_in_process(section) for name, section in config["sandbox"].items()
        }
    config.setdefault("transport_name", DEFAULT_NAME)
    config.setdefault("drain_timeout", DRAIN_TIMEOUT)
    return {**config, **set_options}


def _in_process(config: dict[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """The same options, with a store in this process if there is one among them."""
    if "redis_manager" not in fields:
        return config
    store = config.get("redis_manager")
    prefix = store.get("key_prefix") if isinstance(store, dict) else None
    in_process = {"url": "memory:", **({"key_prefix": prefix} if prefix else {})}
    return {**config, "redis_manager": in_process}


def _resource_in_process(section: Any) -> Any:
    """The same for one of the resources of a sandbox."""
    try:
        fields = load_class_by_string(section["cls"]).CONFIG_CLASS._fields
    except (AttributeError, ImportError, LookupError, TypeError, ValueError):
        # It has no declared options; or it is wrong, which others tell.
        return section
    return _in_process(section, fields)


def _section(worker_class: type[Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the only worker of a class."""
    path = f"{worker_class.__module__}.{worker_class.__qualname__}"
    workers = config["workers"]
    if not isinstance(workers, dict):
        raise ConfigError("Field 'workers' is not a dict.")
    names = [name for name, class_path in workers.items() if _is_same(class_path, worker_class)]
    if len(names) != 1:
        raise ConfigError(
            f"{len(names)} of the file's 'workers' are of the class {path!r}, not 1."
        )
    section: dict[str, Any] = deepcopy(config.get("defaults") or {})
    section.update(deepcopy(config.get(names[0]) or {}))
    section.setdefault("worker_name", names[0])
    return section


def _is_same(class_path: object, worker_class: type[Any]) -> bool:
    try:
        return load_worker_class(str(class_path)) is worker_class
    except ConfigError:
        return False
