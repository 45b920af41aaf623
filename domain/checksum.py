"""CRC-32 (ISO 3309, as zlib's), by the quickest implementation there is: ISA-L's is ten times
as quick as zlib's, where its wheel exists.
"""

from __future__ import annotations

try:
    from isal.isal_zlib import crc32
except ImportError:
    from zlib import crc32

__all__ = ["crc32"]
