"""An S3 endpoint on this machine that encrypts and decrypts on the way to the real one: ``s3ec serve``.

What carries content goes through one `EncryptionClient`; everything else is signed again and relayed byte for byte;
what is not known is refused. One request in a sentence: `connection` reads it with h11, `signatures` says who sent it,
`routes` which operation it is, `gateway` what becomes of it, `payloads` verifies its body while `content` or `relay`
carries it.
"""

from __future__ import annotations

from s3ec.serve.gateway import Gateway
from s3ec.serve.server import Server
from s3ec.serve.settings import LocalCredentials, ServeSettings

__all__ = ["Gateway", "LocalCredentials", "ServeSettings", "Server"]
