"""The encodings that mobile networks use, beside those that Python knows."""

from vumi.codecs.ivumi_codecs import IVumiCodec
from vumi.codecs.vumi_codecs import (
    GSM7BitCodec,
    UCS2Codec,
    VumiCodec,
    VumiCodecException,
    is_encoding,
)

__all__ = [
    "GSM7BitCodec",
    "IVumiCodec",
    "UCS2Codec",
    "VumiCodec",
    "VumiCodecException",
    "is_encoding",
]
