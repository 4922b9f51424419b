"""Commands for operators, each in its module: ``python -m vumi.scripts.NAME``."""
