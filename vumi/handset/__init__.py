"""A handset in the terminal: an author talks to an application, without any network or server.

The application runs as in production: a real worker with real connectors, on the broker in this
process, with a real transport at the other end. Only the network behind that transport is played.

From the inside out: :mod:`~vumi.handset.phones` knows sessions, :mod:`~vumi.handset.switchboard`
runs the workers, :mod:`~vumi.handset.handset` does what :mod:`~vumi.handset.commands` say and
tells :mod:`~vumi.handset.happenings`. Two sit on top of it: :mod:`~vumi.handset.shell` for people
(:mod:`~vumi.handset.screen`, :mod:`~vumi.handset.terminal`, :mod:`~vumi.handset.editing`) and
:mod:`~vumi.handset.player` for scripts (:mod:`~vumi.handset.script`). The command is ``vumi
chat``.
"""

from vumi.handset.commands import COMMANDS
from vumi.handset.handset import Handset
from vumi.handset.phones import HandsetError
from vumi.handset.player import Player, ScriptFailed
from vumi.handset.script import parse_script
from vumi.handset.settings import check_application, handset_config
from vumi.handset.shell import Shell
from vumi.handset.switchboard import Switchboard

__all__ = [
    "COMMANDS",
    "Handset",
    "HandsetError",
    "Player",
    "ScriptFailed",
    "Shell",
    "Switchboard",
    "check_application",
    "handset_config",
    "parse_script",
]
