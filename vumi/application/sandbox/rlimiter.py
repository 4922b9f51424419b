"""The door that a sandboxed program is started through: limits first, then the program itself.

Runs as a script of its own, ``python -IS rlimiter.py OPTIONS -- PROGRAM ARGS``, so it may import
the standard library's small modules only: what it takes to start is paid for every program. In
the worker it is imported for :class:`SandboxRlimiter`, which makes that command line.

In this order, as each step may need what the next gives up: files are closed, signals are as a
fresh program has them, it becomes the leader of a session (and process group) of its own, it
enters its control group, leaves the network, gives up user and group, can gain no rights any
more, dies with the worker, and gets its limits. Then it becomes the program.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

# Types are written as texts, and nothing is imported for them: see above.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

__all__ = ["NETWORK_CHOICES", "SandboxRlimiter", "limit_number"]

#: ``none``: the program has no network, or does not start. ``auto``: it has none where the
#: kernel lets us take it away. ``host``: it has the worker's.
NETWORK_CHOICES = ("auto", "none", "host")

#: The program could not be prepared; it could not be started (as shells have it).
EXIT_NOT_PREPARED, EXIT_NOT_STARTED = 126, 127

# <linux/sched.h> and <linux/prctl.h>
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38


def limit_number(name: str | int) -> int:
    """The number of a limit.

    :param name: ``RLIMIT_AS`` and so on, or the number itself, also as a text.
    :raises ValueError: This system has no such limit.
    """
    text = str(name)
    for known, number in vars(resource).items():
        if known.startswith("RLIMIT_") and text in (known, str(number)):
            return int(number)
    raise ValueError(f"Unknown resource limit key {name!r}")


class SandboxRlimiter:
    """A program's limits, as the command line that starts it, and the starting itself.

    :param argv: What follows the script's name: ``OPTIONS -- PROGRAM ARGS``.
    """

    def __init__(self, argv: Sequence[str]) -> None:
        end = argv.index("--")
        self.command = list(argv[end + 1 :])
        self.options = dict(option.lstrip("-").split("=", 1) for option in argv[:end])
        self._libc: Any = None

    @staticmethod
    def command_line(
        program: Sequence[str],
        limits: Mapping[str, tuple[int, int]],
        *,
        path: str | None = None,
        network: str = "auto",
        uid: int | None = None,
        gid: int | None = None,
        cgroup: str | None = None,
        nice: int = 0,
    ) -> list[str]:
        """The command line that starts a program with limits.

        :param program: The program, by its whole path, and its arguments.
        :param limits: Name or number of a limit -> soft and hard limit; -1 is no limit.
        :param path: The folder that it runs in; the worker's if ``None``.
        :param network: One of :data:`NETWORK_CHOICES`.
        :param uid: The user that it runs as; the worker's if ``None``.
        :param gid: The group that it runs as; the worker's if ``None``.
        :param cgroup: The folder of the control group that it enters.
        :param nice: By how much its priority is lowered.
        :raises ValueError: This system has no such limit.
        """
        options = {
            "limits": ",".join(
                f"{limit_number(name)}:{soft}:{hard}" for name, (soft, hard) in limits.items()
            ),
            "path": path,
            "network": network,
            "uid": uid,
            "gid": gid,
            "cgroup": cgroup,
            "nice": nice or None,
        }
        given = [f"--{name}={value}" for name, value in options.items() if value is not None]
        # -I and -S: nothing of the worker's environment or site packages plays a part.
        return [sys.executable, "-IS", os.path.abspath(__file__), *given, "--", *program]

    def execute(self) -> None:
        """Become the program. Returns only if that failed, by ending the process."""
        try:
            self._prepare()
        except (OSError, ValueError) as error:
            self._give_up(f"The sandbox could not be prepared: {error}", EXIT_NOT_PREPARED)
        try:
            # Not one of those that search: they import, which a user without rights may not.
            os.execve(self.command[0], self.command, os.environ)  # noqa: S606 (it is the point)
        except OSError as error:
            self._give_up(f"{self.command[0]} could not be started: {error}", EXIT_NOT_STARTED)

    def _prepare(self) -> None:
        if sys.platform.startswith("linux"):
            import ctypes

            self._libc = ctypes.CDLL(None)
        self._close_files()
        self._reset_signals()
        if os.getsid(0) != os.getpid():
            os.setsid()
        if nice := self.options.get("nice"):
            os.nice(int(nice))
        if path := self.options.get("path"):
            os.chdir(path)
        if cgroup := self.options.get("cgroup"):
            self._enter(cgroup)
        wanted = self.options.get("network", "host")
        unshared = wanted == "host" or self._unshare(CLONE_NEWNET)
        self._become_user()
        if not unshared and not self._unshare(CLONE_NEWUSER | CLONE_NEWNET) and wanted == "none":
            raise OSError("the kernel does not let us take the network away (network: none)")
        if self._libc is not None:
            self._libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        self._set_limits()

    def _unshare(self, flags: int) -> bool:
        return self._libc is not None and self._libc.unshare(flags) == 0

    @staticmethod
    def _close_files() -> None:
        # Those that are open, whatever their numbers: a limit on the number says nothing of them.
        for name in os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"):
            if int(name) > 2:
                try:
                    os.close(int(name))
                except OSError:
                    # The listing's own, which is closed by now.
                    continue

    @staticmethod
    def _reset_signals() -> None:
        for number in signal.valid_signals():
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    @staticmethod
    def _enter(cgroup: str) -> None:
        with open(os.path.join(cgroup, "cgroup.procs"), "w") as processes:
            processes.write(str(os.getpid()))

    def _become_user(self) -> None:
        uid, gid = self.options.get("uid"), self.options.get("gid")
        if uid is None and gid is None:
            return
        if os.geteuid() == 0:
            os.setgroups([])
        if gid is not None:
            os.setresgid(int(gid), int(gid), int(gid))
        if uid is not None:
            os.setresuid(int(uid), int(uid), int(uid))

    def _set_limits(self) -> None:
        for limit in self.options.get("limits", "").split(","):
            if not limit:
                continue
            number, soft, hard = (int(part) for part in limit.split(":"))
            current_soft, current_hard = resource.getrlimit(number)
            hard = _lower(hard, current_hard)
            resource.setrlimit(number, (_lower(_lower(soft, hard), current_soft), hard))

    @staticmethod
    def _give_up(message: str, code: int) -> None:
        os.write(2, message.encode("utf-8", "replace") + b"\n")
        os._exit(code)


def _lower(one: int, other: int) -> int:
    if resource.RLIM_INFINITY in (one, other):
        return one if other == resource.RLIM_INFINITY else other
    return min(one, other)


if __name__ == "__main__":
    SandboxRlimiter(sys.argv[1:]).execute()
