"""The resource by which a sandboxed program reads its configuration: ``config.get``.

Knows where values are: in the worker's own configuration, and in files. What they mean is the
program's business; the toolkit for JavaScript reads the keys ``config`` and
``translation.<language>``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from vumi.application.sandbox.errors import CommandRefused
from vumi.application.sandbox.resources.declared import TEXT, Argument, DeclaredResource, answers
from vumi.config import Config, ConfigDict

if TYPE_CHECKING:
    from vumi.application.sandbox.api import SandboxApi
    from vumi.application.sandbox.command import SandboxCommand

__all__ = [
    "ConfigResource",
    "ConfigResourceConfig",
    "FileConfigResource",
    "FileConfigResourceConfig",
]

KEY = Argument("key", TEXT, "The value's name.", missing="Missing key.")


class FileConfigResourceConfig(Config):
    """Options of the resource for files."""

    keys = ConfigDict(
        "Key -> the file with its value. Files are read anew whenever a program asks.",
        default={},
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        if not all(isinstance(path, str) for path in self.keys.values()):
            self.raise_config_error("Field 'keys' must be a dict of file names.")


class ConfigResourceConfig(FileConfigResourceConfig):
    """Options of the config resource."""

    values = ConfigDict(
        "Key -> its value, which may be anything that YAML can say. A program gets it as JSON.",
        default={},
        static=True,
    )
    sandboxes = ConfigDict(
        "Sandbox id -> key -> value: what is different for one sandbox of several.",
        default={},
        static=True,
    )

    def post_validate(self) -> None:
        super().post_validate()
        for name, values in {"values": self.values, **self.sandboxes}.items():
            if not isinstance(values, dict):
                self.raise_config_error(f"Field 'sandboxes': {name!r} is not a dict.")
            for key, value in values.items():
                try:
                    _as_json(value)
                except (TypeError, ValueError) as error:
                    self.raise_config_error(
                        f"The value {key!r} of {name!r} can't be written as JSON: {error}."
                    )


def _as_json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _all_as_json(values: dict[str, Any]) -> dict[str, str]:
    return {key: _as_json(value) for key, value in values.items()}


class FileConfigResource(DeclaredResource):
    """Gives a program values that are in files, as they are there."""

    CONFIG_CLASS: ClassVar[type[Config]] = FileConfigResourceConfig

    def __init__(self, name: str, app_worker: Any, config: Any) -> None:
        super().__init__(name, app_worker, config)
        self._keys: dict[str, str] = self.options.keys

    @answers(KEY, value="The value: a text, usually JSON.")
    def handle_get(self, api: SandboxApi, command: SandboxCommand, key: str) -> dict[str, Any]:
        """Give a value. A key that is not configured is an error."""
        return self._read(key)

    def _read(self, key: str) -> dict[str, Any]:
        path = self._keys.get(key)
        if path is None:
            raise CommandRefused(f"Configuration key '{key}' not found")
        try:
            with open(path, encoding="utf-8") as file:
                return {"value": file.read()}
        except (OSError, UnicodeDecodeError) as error:
            self.log.error(error, f"sandbox.{self.name}: {path} can't be read")
            raise CommandRefused(f"Cannot read file '{path}'") from error


class ConfigResource(FileConfigResource):
    """Gives a program values that are in the worker's configuration, or in files."""

    CONFIG_CLASS: ClassVar[type[Config]] = ConfigResourceConfig

    def __init__(self, name: str, app_worker: Any, config: Any) -> None:
        super().__init__(name, app_worker, config)
        self._values = _all_as_json(self.options.values)
        self._sandboxes = {
            sandbox_id: _all_as_json(values)
            for sandbox_id, values in self.options.sandboxes.items()
        }

    @answers(KEY, value="The value as JSON; what is in a file as it is there.")
    def handle_get(self, api: SandboxApi, command: SandboxCommand, key: str) -> dict[str, Any]:
        """Give a value; null if there is none of that key."""
        for values in (self._sandboxes.get(api.sandbox_id, {}), self._values):
            if key in values:
                return {"value": values[key]}
        return self._read(key) if key in self._keys else {"value": None}
