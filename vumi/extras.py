"""Libraries that are installed only with one of vumi's extras: the one door to import them by.

Every import of such a library stands in a ``with needs_extra(...)``. Where the library is not
installed, the error names the extra and the command that installs it. Knows how packages are
installed; knows nothing of what the libraries do.
"""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from vumi.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MissingExtra", "how_to_install", "needs_extra"]


#: Modules whose package has another name.
PACKAGES = {"sentry_sdk": "sentry-sdk"}


class MissingExtra(ConfigError):
    """A library is not installed, because an extra was not asked for.

    :ivar extra: The extra's name, such as ``http``.
    """

    def __init__(self, extra: str, module: str) -> None:
        self.extra = extra
        package = f" (package {PACKAGES[module]})" if module in PACKAGES else ""
        super().__init__(
            f"{module} is not installed{package}. It comes with vumi's extra {extra!r}: "
            f"{how_to_install(extra, module)}"
        )


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Import libraries of an extra within this context.

    :raises MissingExtra: A library is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name in ("", "vumi"):
            raise
        raise MissingExtra(extra, name) from error


def how_to_install(extra: str, module: str) -> str:
    """The command that installs an extra, for the way in which vumi itself was installed.

    vumi isn't named without its address: on an index the name may belong to another package.

    :param extra: The extra's name.
    :param module: The library to install by its own name, if vumi itself is not installed.
    """
    pip = f"{sys.executable} -m pip install"
    try:
        vumi = metadata.distribution("vumi")
    except metadata.PackageNotFoundError:
        return f"{pip} {module}"
    origin = json.loads(vumi.read_text("direct_url.json") or "{}")
    url = str(origin.get("url", ""))
    checkout = Path(str(vumi.locate_file("")))
    if not url and (checkout / "setup.py").exists():
        # An old pip has installed it in place, and writes no direct_url.json.
        return f"{pip} -e '{checkout.resolve()}[{extra}]'"
    if origin.get("dir_info", {}).get("editable"):
        return f"{pip} -e '{url.removeprefix('file://')}[{extra}]'"
    if url:
        vcs = origin.get("vcs_info")
        if vcs:
            url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
        return f"{pip} 'vumi[{extra}] @ {url}'"
    names = [
        requirement.partition(";")[0].strip()
        for requirement in vumi.requires or ()
        if f'extra == "{extra}"' in requirement.replace("'", '"')
    ]
    return f"{pip} {' '.join(repr(name) for name in names) or module}"
