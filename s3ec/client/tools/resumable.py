"""Multipart uploads that go on in another process, and why that cannot encrypt two plaintexts with one keystream.

An upload is one AES-GCM stream under one key. Where a part lies in it is fixed by the parts before, so a process that
takes an upload over has no choice of another key, IV or counter: it must know of every part whose ciphertext *may* have
left before, whole or in pieces, with certainty about its bytes. Two ciphertexts for one range give the XOR of two
plaintexts to anyone who sees both, and S3 sees both; two tags under one IV give away the key that authenticates.

Asking S3 does not give that certainty. ListParts does not show a part of which half was sent when the process died,
and the party that answers is the one that client-side encryption does not trust. So the knowledge is written ahead:

* `export_upload` with ``save`` hands every new state to ``save`` *before* the first byte of a part leaves. A state
  knows each encrypted part's length and a keyed MAC of its plaintext. After a crash, a part that may have left is in
  the state: sent again with the same bytes it gives the same ciphertext, with other bytes it is refused.
* `export_upload` without ``save`` is a hand-over: from that moment this client encrypts nothing more for the upload.
* The tag counts as a part: the state says that it may have left before it does, and then takes no further part.
* `resume_upload` wants ``save`` too, for its own process may die next.
* Parts that waited here for an earlier one were never encrypted. No state knows them; they may come back changed.
* `resume_upload` compares with ListParts nevertheless: a part at S3 that the state does not know proves that the state
  is not the newest, and is refused.

What remains with the caller: a state must be used by one process at a time, and always the newest. A caller who resumes
one state twice at the same time, or an older copy of which only unfinished parts have left since, and gives *other*
bytes, is not stopped here, because nothing outside of S3 is shared by the two. `UploadStateFile` keeps both rules on
one machine; across machines it takes a store with a lock or a conditional write, at a place where readers of the
bucket cannot bring an older state back.

A state is sealed (AES-256-GCM) under a data key of its own from the client's keyring, with the encryption context of
the object. It holds no plaintext key: to resume, the keyring opens both data keys.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from s3ec import decryption, encryption
from s3ec.algorithms import GCM_TAG_LENGTH
from s3ec.client.calls.around import Around
from s3ec.client.calls.wire import Wire
from s3ec.client.encryption_client import EncryptionClient
from s3ec.client.multipart.handlers import MultipartUploads, Work
from s3ec.client.multipart.live_upload import LiveUpload
from s3ec.client.multipart.requests import with_server_side_mode_of
from s3ec.client.multipart.resumed_uploads import resumed_uploads
from s3ec.client.options import Options
from s3ec.client.server_side import rules as server_side
from s3ec.client.tools.resumable_format import ExportedUpload, Sealing, parse, read_header
from s3ec.crypto.content import ContentCipher
from s3ec.errors import ConfigurationError, MultipartStateError
from s3ec.formats import ContentMetadata, MetadataLocation
from s3ec.materials import STORED_CONTEXT
from s3ec.s3.flow import Flow, new_data_key, open_cipher
from s3ec.s3.multipart.requests import EncryptedUpload, list_parts, recorded_part
from s3ec.s3.multipart.snapshot import UploadSnapshot
from s3ec.s3.objects import EncryptedObject, describe

__all__ = ["export_upload", "exporting", "resume_upload", "resuming"]

Save: TypeAlias = Callable[[bytes], object]
"""Keeps a state. What it returns is waited for where that can be."""


def export_upload(client: EncryptionClient, upload_id: str, *, save: Callable[[bytes], None] | None = None) -> bytes:
    """The sealed state of a multipart upload, to go on with it in another process.

    Args:
        client: the client that began (or resumed) the upload.
        upload_id: S3's name for it.
        save: keeps the upload going here: called with the state now, and again before each further part leaves; it
            must return only when the state is safe, and what it raises keeps the part from leaving. Without it this
            is a hand-over, and the client lets go of the upload.

    Returns:
        The state as of now: some hundred bytes, and about sixty for each part.

    Raises:
        MultipartStateError: the client does not have the upload, or it has ended.
        KeyringError: no data key could be obtained for the state.
    """
    return client._s3ec_wire.run(exporting(client._s3ec_uploads, upload_id, save))


def exporting(uploads: MultipartUploads, upload_id: str, save: Save | None) -> Flow[bytes]:
    """The flow of `export_upload`.

    Args:
        uploads: of the client that began (or resumed) the upload.
        upload_id: S3's name for it.
        save: keeps the upload going here; see there.
    """
    state = uploads.find(upload_id)
    options, upload = state.options, state.upload
    sealing = yield from _sealing_for(options, upload)
    if save is None:
        blob = sealing.seal(_exported(options, upload, (yield from state.hand_over())))
        uploads.forget(upload_id)
        yield from state.close("the upload was exported and goes on where its state is resumed")
        return blob
    resumed_uploads.note(state)
    latest = b""

    def save_snapshot(snapshot: UploadSnapshot) -> object:
        nonlocal latest
        latest = sealing.seal(_exported(options, upload, snapshot))
        return save(latest)

    yield from state.keep_saved(save_snapshot)
    return latest


def resume_upload(
    client: EncryptionClient, blob: bytes, *, save: Callable[[bytes], None], **parameters: Any
) -> dict[str, Any]:
    """Go on with an upload whose state another process exported.

    Args:
        client: with a keyring that opens what the exporting client's keyring wrapped.
        blob: the newest state, from a place that can be trusted like the keyring itself.
        save: as in `export_upload`; called with the state before anything leaves.
        parameters: what every request of the upload needs and no state holds: the ``SSECustomer…`` members.

    Returns:
        ``Bucket``, ``Key``, ``UploadId``; ``Parts``: those that S3 has, with ``PartNumber``, ``ETag`` and ``Size`` (of
        plaintext), as ``complete_multipart_upload`` wants them listed; ``MissingParts``: those that may have left and
        that S3 does not have, with ``PartNumber`` and ``Size``. They must be sent again with the same bytes, everything
        else is free.

    Raises:
        AuthenticationError, MalformedMetadataError: the state was altered, or is none.
        KeyringError: the keyring does not open it.
        MultipartStateError: the client has the upload already, another client of this process resumed it, or S3 has
            parts that the state does not know: it is not the newest. Give the upload up and start again.
        botocore.exceptions.ClientError: as S3 answers, ``NoSuchUpload`` among others.
    """
    wire: Wire = client._s3ec_wire
    options, flow = wire.run(resuming(wire, client._s3ec_uploads, bytes(blob), save, parameters))
    return wire.with_options(options).run(flow)


def resuming(
    wire: Around,
    uploads: MultipartUploads,
    blob: bytes,
    save: Save,
    parameters: Mapping[str, Any],
) -> Flow[Work]:
    """The flow of `resume_upload` as far as it opens the state; what is left is to be run under the upload's options.

    Args:
        wire: of the client.
        uploads: of the client.
        blob: the state.
        save: called with the state before anything leaves; see there.
        parameters: the ``SSECustomer…`` members.
    """
    found = yield from _opened(wire, blob)
    if found.upload_id in uploads:
        raise MultipartStateError("this client has the upload already, in a state of its own")
    options, upload = yield from _upload_of(wire, found, parameters)
    return options, _go_on(wire.with_options(options), uploads, found, upload, save)


def _go_on(
    own: Around,
    uploads: MultipartUploads,
    found: ExportedUpload,
    upload: EncryptedUpload,
    save: Save,
) -> Flow[dict[str, Any]]:
    options = own.options
    state = LiveUpload(upload, options, uploads.make_room(options), found.snapshot)
    resumed_uploads.take(state)
    entered = False
    try:
        at_s3, missing = yield from _compare_with_s3(own, upload, found.snapshot, state)
        sealing = yield from _sealing_for(options, upload)
        yield from resumed_uploads.end_origin(state, found.snapshot)
        yield from state.keep_saved(lambda snapshot: save(sealing.seal(_exported(options, upload, snapshot))))
        yield from uploads.add(state, new=True)
        entered = True
    finally:
        if not entered:
            resumed_uploads.release(state)
    place = {"Bucket": upload.request["Bucket"], "Key": upload.request["Key"], "UploadId": upload.upload_id}
    return {**place, "Parts": at_s3, "MissingParts": missing}


def _sealing_for(options: Options, upload: EncryptedUpload) -> Flow[Sealing]:
    """A data key for states of this upload, one for each process that saves them."""
    found = EncryptedObject(upload.content_metadata, MetadataLocation.OBJECT_METADATA)
    request = encryption.prepare(
        options.manager.capabilities,
        commitment_policy=options.commitment_policy,
        algorithm_suite=options.algorithm_suite,
        encryption_context=describe(found, authenticated=True)["encryption_context"],
    )
    materials = yield from new_data_key(options.manager, request)
    return Sealing(*encryption.finish(request, materials.reveal()))


def _exported(options: Options, upload: EncryptedUpload, snapshot: UploadSnapshot) -> ExportedUpload:
    request = {
        name: value
        for name, value in upload.request.items()
        if isinstance(value, (str, int)) and not name.startswith("SSECustomer")
    }
    return ExportedUpload(
        request=request,
        upload_id=upload.upload_id,
        content_metadata=upload.content_metadata,
        instruction_file=upload.instruction_file,
        customer_key=isinstance(options.server_side_encryption, server_side.SseC),
        snapshot=snapshot,
    )


def _opened(wire: Around, blob: bytes) -> Flow[ExportedUpload]:
    content_metadata, sealed, header = read_header(blob)
    cipher = yield from _cipher(wire, content_metadata)
    return parse(cipher.key, sealed, header)


def _cipher(wire: Around, content_metadata: ContentMetadata) -> Flow[ContentCipher]:
    options = wire.options
    checked = decryption.check(
        content_metadata,
        materials_manager=options.manager,
        commitment_policy=options.commitment_policy,
        enable_legacy_unauthenticated_modes=False,
        encryption_context=STORED_CONTEXT,
    )
    return open_cipher(checked)


def _upload_of(
    wire: Around, exported: ExportedUpload, parameters: Mapping[str, Any]
) -> Flow[tuple[Options, EncryptedUpload]]:
    foreign = sorted(name for name in parameters if not name.startswith("SSECustomer"))
    if foreign:
        raise ConfigurationError(f"resume_upload takes no {', '.join(foreign)}; the state holds what S3 needs")
    request = {**exported.request, **parameters}
    options = with_server_side_mode_of(wire.options, request)
    customer_key = isinstance(options.server_side_encryption, server_side.SseC)
    if exported.customer_key and not customer_key:
        raise ConfigurationError(
            "the upload was begun with SSE-C: give SSECustomerAlgorithm and SSECustomerKey, which no state holds"
        )
    if customer_key and not exported.customer_key:
        # The default of this client is not that of the one that began the upload.
        options = dataclasses.replace(wire.options, server_side_encryption=None)
    return options, EncryptedUpload(
        upload_id=exported.upload_id,
        request=request,
        content_metadata=exported.content_metadata,
        cipher=(yield from _cipher(wire, exported.content_metadata)),
        instruction_file=exported.instruction_file,
    )


def _compare_with_s3(
    wire: Around, upload: EncryptedUpload, snapshot: UploadSnapshot, state: LiveUpload
) -> Flow[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    listed = yield from list_parts(upload.parameters(wire, "ListParts", {}))
    stored = {part["PartNumber"]: {**recorded_part(part["PartNumber"], part), "Size": part["Size"]} for part in listed}
    last = snapshot.parts[-1][0] if snapshot.parts else 0
    known = {number for number, _, _ in snapshot.parts}
    if snapshot.sealed:
        known.add(last + 1)  # where the tag went if the last part had been sent before
    if unknown := sorted(stored.keys() - known):
        raise MultipartStateError(
            f"S3 has the parts {', '.join(map(str, unknown))}, which this state does not know: another process went on "
            "with the upload after the state was saved. Use the newest state, or abort the upload and start it again"
        )
    at_s3, missing = [], []
    for number, length, _ in snapshot.parts:
        part = stored.get(number)
        has_tag = snapshot.sealed and number == last and part is not None and part["Size"] == length + GCM_TAG_LENGTH
        if part is None or (part["Size"] != length and not has_tag):
            missing.append({"PartNumber": number, "Size": length})
            continue
        state.restore(number, part, has_tag=has_tag)
        at_s3.append({"PartNumber": number, "ETag": part["ETag"], "Size": length})
    return at_s3, missing
