"""What is only read, and only where the caller opts in: AES-CBC content, and wrappings that bind no content algorithm.

Nothing here is ever written. Whoever reads neither old objects nor content without a commitment need not read this:
`s3ec.decryption.check` refuses what leads here, before a key is asked for.
"""

from __future__ import annotations
