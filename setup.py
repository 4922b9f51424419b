"""Packaging metadata. The tools' settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
# One home for the version: the package. It is read, not imported, as nothing is installed yet.
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "vumi/__init__.py").read_text("utf-8"))[1]

SQL = ["SQLAlchemy >= 2.0.36", "alembic >= 1.13"]

EXTRAS = {
    "redis": ["txredisapi >= 1.6", "hiredis >= 3.0", "redis >= 6.0", "fakeredis[lua] >= 2.30"],
    "http": ["treq >= 24.9"],
    "sql": SQL,
    "postgres": [*SQL, "psycopg[binary] >= 3.2"],
    "sentry": ["sentry-sdk >= 2.30"],
    "supervisor": ["supervisor >= 4.3"],
}

setup(
    name="vumi",
    version=VERSION,
    description="A Twisted framework for conversations over phones: USSD, SMS and chat",
    long_description=(HERE / "README.rst").read_text("utf-8"),
    long_description_content_type="text/x-rst",
    license="BSD-3-Clause",
    python_requires=">=3.11",
    # Says nothing new to a build, but makes 'pip install -e' put the tree itself on sys.path. With
    # its default, a table of packages, twistd would not find twisted/plugins.
    package_dir={"": "."},
    packages=[
        *find_packages(include=["vumi", "vumi.*", "vxsandbox", "vxsandbox.*"]),
        "twisted.plugins",
    ],
    package_data={
        "vumi": [
            "py.typed",
            "cli/new/templates/**/*",
            "resources/*",
            "**/cases/**/*.yaml",
            "application/sandbox/*.js",
            "**/tests/node/*",
        ]
    },
    install_requires=[
        "Twisted[tls] >= 25.5",
        "pika >= 1.4",
        "orjson >= 3.10",
        "PyYAML >= 6.0",
        "zope.interface >= 6.0",
        "click >= 8.1",
        "google-re2 >= 1.1",
        "phonenumbers >= 9.0",
    ],
    extras_require={**EXTRAS, "all": sorted({dep for deps in EXTRAS.values() for dep in deps})},
    entry_points={
        "console_scripts": [
            "vumi = vumi.cli:main",
            "vumi_count_models = vumi.scripts.vumi_count_models:main",
            "vumi_list_messages = vumi.scripts.vumi_list_messages:main",
            "vumi_model_migrator = vumi.scripts.vumi_model_migrator:main",
            "vumi_redis_tools = vumi.scripts.vumi_redis_tools:main",
            "vumi_tagpools = vumi.scripts.vumi_tagpools:main",
        ]
    },
    zip_safe=False,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Communications :: Telephony",
    ],
)
