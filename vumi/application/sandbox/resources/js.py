"""The resource that hands a script to the runner before a message comes. It has no commands.

Knows the ``initialize`` command; where the script comes from is the worker's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vumi.application.sandbox.command import SandboxCommand
from vumi.application.sandbox.resources.base import SandboxResource

if TYPE_CHECKING:
    from vumi.application.sandbox.api import SandboxApi

__all__ = ["JsSandboxResource"]


class JsSandboxResource(SandboxResource):
    """Sends the script, and what it may use, when a message is about to come."""

    def sandbox_init(self, api: SandboxApi) -> None:
        """Send ``initialize``."""
        worker = self.app_worker
        api.sandbox_send(
            SandboxCommand(
                cmd="initialize",
                javascript=worker.javascript_for_api(api),
                app_context=worker.app_context_for_api(api),
                # Beyond what runners of old know: they leave unknown fields alone.
                filename=worker.filename_for_api(api),
                modules=worker.modules_for_api(api),
            )
        )
