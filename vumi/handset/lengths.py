"""How long a text is on its way to a phone. Only re-exports: see :mod:`vumi.sms_text`."""

from vumi.sms_text import Length, measure

__all__ = ["Length", "measure"]
