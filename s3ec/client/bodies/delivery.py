"""Bodies for the caller: what a flow says that a body is, as a stream over the connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from s3ec.client.bodies.ciphertext_reader import CiphertextReader
from s3ec.client.bodies.plaintext import DecryptedBody, PlaintextStream
from s3ec.client.bodies.releases import FedSpan, Ready, Release, Slice, open_plaintext
from s3ec.client.options import Options
from s3ec.s3.contents import Content, Nothing, WholeContent
from s3ec.s3.flow import Deliver
from s3ec.s3.receiving import receive_span

__all__ = ["deliver"]


def deliver(options: Options, effect: Deliver) -> DecryptedBody:
    """Make the body that an effect describes; nothing is read yet."""
    content = effect.content
    tagged = not (isinstance(content, WholeContent) and content.cipher.suite.is_legacy)
    reader = CiphertextReader(effect.body, has_tag=tagged)
    stream = PlaintextStream(reader, _opener(options, content, reader), effect.location, effect.answer)
    return DecryptedBody(stream, effect.length)


def _opener(options: Options, content: Content, reader: CiphertextReader) -> Callable[[], Release]:
    if isinstance(content, WholeContent):
        return partial(_open_whole, options, content, reader)
    if isinstance(content, Nothing):
        return Ready
    return lambda: FedSpan(receive_span(content), reader)


def _open_whole(options: Options, content: WholeContent, reader: CiphertextReader) -> Release:
    release = open_plaintext(
        reader,
        content.cipher,
        content.length,
        delayed=content.delayed,
        buffer_size=options.buffer_size,
        spool_directory=options.spool_directory,
    )
    return release if content.span is None else Slice(release, content.span)
