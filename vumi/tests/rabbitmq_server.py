"""A RabbitMQ node of our own: private, on loopback, started in seconds.

Knows RabbitMQ's scripts, settings and name service; how a process lives and dies is
:mod:`vumi.tests.local_server`'s business. Written for RabbitMQ 3.10 as Debian packages it.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote

from vumi.tests.local_server import (
    LOOPBACK,
    LocalServer,
    ServerError,
    ask,
    find_program,
    not_installed,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vumi.tests.certificates import TLSFiles

__all__ = ["DEFAULT_VHOST", "RabbitMQServer"]

DEFAULT_VHOST = "/develop"

_USER = "vumi"
_PASSWORD = "vumi"
_NODE = "vumi@localhost"
_CTL_SECONDS = 60.0
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
# What RabbitMQ 3.10 has by itself.
_NORMAL_HIGH_WATERMARK = "0.4"
_TINY_HIGH_WATERMARK = "0.00001"


class RabbitMQServer(LocalServer):
    """A RabbitMQ node of our own: user and password ``vumi``, virtual host ``/develop``.

    :param directory: where it keeps everything.
    :param plugins: plugins to enable; ``rabbitmq_management`` gives :attr:`management_port`.
    :param tls: certificates for a second listener that speaks TLS, :attr:`tls_port`.
    :param require_client_certificate: whether that listener refuses clients without one.
    """

    title: ClassVar[str] = "RabbitMQ"
    debian_package: ClassVar[str] = "rabbitmq-server"

    def __init__(
        self,
        directory: Path | str,
        *,
        plugins: Sequence[str] = (),
        tls: TLSFiles | None = None,
        require_client_certificate: bool = False,
        start_timeout: float = 60.0,
        stop_timeout: float = 20.0,
    ) -> None:
        super().__init__(directory, start_timeout=start_timeout, stop_timeout=stop_timeout)
        self._plugins = tuple(plugins)
        self._tls = tls
        self._require_client_certificate = require_client_certificate
        # RabbitMQ tells it to every client, so we know that it is ours that answers.
        self._cluster_name = f"vumi-{secrets.token_hex(8)}"

    @classmethod
    def missing(cls) -> str:
        """What this machine lacks to run the server, in words; empty if nothing."""
        if _rabbitmq_scripts() is None:
            return not_installed(cls, "rabbitmq-server")
        if find_program("epmd") is None:
            return not_installed(cls, "epmd (a part of Erlang)")
        return ""

    @property
    def management_port(self) -> int:
        """The port of the management plugin's HTTP API and pages."""
        return self._port("management")

    @property
    def tls_port(self) -> int:
        """The port of the listener that speaks TLS."""
        return self._port("tls")

    def url(self, vhost: str | None = None, *, tls: bool = False) -> str:
        """The server as a URL, with user and password.

        :param vhost: the virtual host, by default ``/develop``.
        :param tls: whether to name the TLS listener (``amqps:``).
        """
        scheme, port = ("amqps", self.tls_port) if tls else ("amqp", self.port)
        path = quote(DEFAULT_VHOST if vhost is None else vhost, safe="")
        return f"{scheme}://{_USER}:{_PASSWORD}@{LOOPBACK}:{port}/{path}"

    # Asking it

    def rabbitmqctl(self, *args: str) -> str:
        """Run ``rabbitmqctl`` on this node (some tenths of a second, more on a busy machine).

        :return: what it printed.
        :raises ServerError: if it failed; says what it printed.
        """
        scripts = _rabbitmq_scripts()
        if scripts is None:
            raise ServerError(self.missing())
        # It only asks, so it needs no port that others could connect to.
        environment = self._environment() | {"RABBITMQ_CTL_ERL_ARGS": "-dist_listen false"}
        return self._run([scripts / "rabbitmqctl", *args], environment)

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression in the node, in milliseconds where ``erl_call`` exists.

        :param expression: one or more expressions with commas between, without the final stop.
        :return: the value of the last one, as Erlang writes it.
        :raises ServerError: if that failed.
        """
        program = _erl_call()
        if program is None:
            return self.rabbitmqctl("eval", f"{expression}.").strip()
        answer = self._run([program, "-n", _NODE, "-e"], self._environment(), f"{expression}.\n")
        if not answer.startswith("{ok, "):
            self._fail(expression, answer)
        return answer.removeprefix("{ok, ").removesuffix("}")

    def add_vhost(self, name: str) -> str:
        """Make a virtual host in which our user may do everything.

        :return: its URL.
        :raises ServerError: if the server refused.
        """
        vhost, user = _erlang_binary(name), _erlang_binary(_USER)
        everything = _erlang_binary(".*")
        self.evaluate(
            f"ok = rabbit_vhost:add({vhost}, {user}), "
            f"ok = rabbit_auth_backend_internal:set_permissions("
            f"{user}, {vhost}, {everything}, {everything}, {everything}, {user})"
        )
        return self.url(name)

    def delete_vhost(self, name: str) -> None:
        """Delete a virtual host with all its queues; its connections are closed by the server.

        :raises ServerError: if the server refused.
        """
        self.evaluate(f"ok = rabbit_vhost:delete({_erlang_binary(name)}, <<>>)")

    def node_memory_alarm(self, on: bool) -> None:
        """Make the node believe that its memory is full (it blocks publishers), or not.

        :raises ServerError: if the node's alarms don't show it afterwards.
        """
        mark = _TINY_HIGH_WATERMARK if on else _NORMAL_HIGH_WATERMARK
        alarms = self.evaluate(
            f"vm_memory_monitor:set_vm_memory_high_watermark({mark}), rabbit_alarm:get_alarms()"
        )
        if ("memory" in alarms) is not on:
            self._fail("the memory alarm did not change", alarms)

    def _run(
        self, command: Sequence[Path | str], environment: dict[str, str], text: str = ""
    ) -> str:
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_CTL_SECONDS,
            check=False,
        )
        if done.returncode:
            self._fail(f"{Path(command[0]).name} failed", done.stdout + done.stderr)
        return done.stdout

    # How it is started

    def _port_names(self) -> Sequence[str]:
        names = ["amqp", "distribution", "epmd"]
        if "rabbitmq_management" in self._plugins:
            names.append("management")
        if self._tls is not None:
            names.append("tls")
        return names

    def _prepare(self) -> None:
        cookie = self.directory / ".erlang.cookie"
        if not cookie.exists():
            # Erlang refuses a cookie that others may read.
            cookie.touch(mode=0o600)
            cookie.write_text(secrets.token_hex(20), encoding="ascii")
        self._write("rabbitmq.conf", "\n".join(self._configuration()) + "\n")
        self._write("enabled_plugins", f"[{','.join(self._plugins)}].\n")
        # Named in the environment, so that the system's own is not read.
        self._write("rabbitmq-env.conf", "")

    def _configuration(self) -> list[str]:
        lines = [
            f"cluster_name = {self._cluster_name}",
            f"default_vhost = {DEFAULT_VHOST}",
            f"default_user = {_USER}",
            f"default_pass = {_PASSWORD}",
            "default_permissions.configure = .*",
            "default_permissions.read = .*",
            "default_permissions.write = .*",
            "log.console = false",
            "log.file.level = info",
            # A laptop with little room left is no reason to block publishers.
            "disk_free_limit.absolute = 1MB",
        ]
        if "rabbitmq_management" in self._plugins:
            lines += [
                f"management.tcp.ip = {LOOPBACK}",
                f"management.tcp.port = {self.management_port}",
            ]
        if self._tls is not None:
            required = "true" if self._require_client_certificate else "false"
            lines += [
                f"listeners.ssl.1 = {LOOPBACK}:{self.tls_port}",
                f"ssl_options.cacertfile = {self._tls.ca_certificate}",
                f"ssl_options.certfile = {self._tls.server_certificate}",
                f"ssl_options.keyfile = {self._tls.server_key}",
                "ssl_options.verify = verify_peer",
                f"ssl_options.fail_if_no_peer_cert = {required}",
            ]
        return lines

    def _write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text, encoding="utf-8")

    def _helpers(self) -> Sequence[tuple[Sequence[Path | str], int]]:
        # Erlang's name service, which a node would otherwise start and leave behind as a daemon.
        port = self._port("epmd")
        return [([find_program("epmd") or "epmd", "-port", str(port), "-address", LOOPBACK], port)]

    def _command(self) -> Sequence[Path | str]:
        scripts = _rabbitmq_scripts()
        if scripts is None:
            raise ServerError(self.missing())
        # Debian's command in /usr/sbin changes the user; the script behind it doesn't.
        return [scripts / "rabbitmq-server", "-noinput"]

    def _environment(self) -> dict[str, str]:
        here = self.directory
        return super()._environment() | {
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._port("epmd")),
            "ERL_CRASH_DUMP": str(here / "erl_crash.dump"),
            # With it the script becomes the server, instead of staying as its parent: the pid
            # that we know is the server's. Its standard input is closed by -noinput.
            "RABBITMQ_ALLOW_INPUT": "true",
            "RABBITMQ_NODENAME": _NODE,
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._port("distribution")),
            "RABBITMQ_CONF_ENV_FILE": str(here / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(here / "config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(here / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_SCHEMA_DIR": str(here / "schema"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_PID_FILE": str(here / "rabbitmq.pid"),
            # Several nodes, tests and benches share the cores: threads are not bound to cores
            # and don't spin while they wait for work.
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                f"+S {_schedulers()}:{_schedulers()} +sbwt none +sbwtdcpu none +sbwtdio none "
                "-kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }

    def _answers(self) -> bool:
        """Whether our node greets a client: by then its user and virtual host exist."""
        answer = ask(self.port, _AMQP_HEADER, self._cluster_name.encode())
        return self._cluster_name.encode() in answer

    def _logs(self) -> Sequence[Path]:
        return [self.directory / "log" / f"{_NODE}.log"]


def _rabbitmq_scripts() -> Path | None:
    """The folder of RabbitMQ's own scripts, not of a distribution's wrappers around them."""
    folders = [Path("/usr/lib/rabbitmq/bin")]
    if (program := find_program("rabbitmq-server")) is not None:
        folders.insert(0, program.resolve().parent)
    for folder in folders:
        if all((folder / name).is_file() for name in ("rabbitmq-server", "rabbitmq-env")):
            return folder
    return None


def _erl_call() -> Path | None:
    """Erlang's small program that asks a node, beside ``erl`` rather than in ``PATH``."""
    erl = find_program("erl")
    program = erl.resolve().parent / "erl_call" if erl is not None else None
    return program if program is not None and program.is_file() else None


def _erlang_binary(text: str) -> str:
    # As numbers there is nothing to quote.
    return f"<<{','.join(str(byte) for byte in text.encode())}>>"


def _schedulers() -> int:
    """More scheduler threads than this only make the start slower."""
    return min(4, os.cpu_count() or 1)
