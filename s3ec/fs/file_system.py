"""`S3ECFileSystem`: s3fs' file system on a client that encrypts.

s3fs decides what a file system does; this changes what it must not do to encrypted objects: take sizes from listings as
they are, read one object in pieces of several versions, copy one by parts without its metadata, append to it by a copy,
and leave uploads open.
"""

from __future__ import annotations

import inspect
import math
import mimetypes
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiobotocore.session import AioSession
from fsspec.asyn import sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.config import apply_config
from s3fs import S3FileSystem
from s3fs.core import version_id_kw

from s3ec.errors import ConfigurationError, UnsupportedOperationError
from s3ec.fs import copies, listings, reads, settings, uploads
from s3ec.fs.connection import EncryptingSession, checked
from s3ec.fs.files import S3ECAsyncStreamedFile, S3ECFile

__all__ = ["S3ECFileSystem"]

MiB = 1024 * 1024
_LONGEST_PUT = 5 * 1024 * MiB  # Amazon S3 User Guide, "Uploading objects"
_MOST_PARTS = 10_000  # the same, "Amazon S3 multipart upload limits"
_LISTS_BY_PAGES = hasattr(S3FileSystem, "_list_pages")  # older ones go by paginators
_OF_READS = ("get_object", "head_object")
_OURS = {
    "EncryptionContext": (*_OF_READS, "put_object", "create_multipart_upload"),
    "InstructionFileSuffix": _OF_READS,
}
_OWN = ("encryption_context", "presigned_downloads")
_OF_FSSPEC = ("use_listings_cache", "listings_expiry_time", "max_paths", "skip_instance_cache")
_KNOWN = frozenset(
    {
        *inspect.signature(S3FileSystem.__init__).parameters,
        *inspect.signature(AioSession.__init__).parameters,
        *_OF_FSSPEC,
        *_OWN,
    }
) - {"self", "kwargs"}


class _ByValue(type(S3FileSystem)):  # type: ignore[misc]
    """Puts names in place of keys before fsspec compares, keeps, shows and pickles a file system's arguments."""

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        keywords = apply_config(cls, keywords)
        settings.refuse_unknown(keywords, _KNOWN)
        keywords = settings.by_value(keywords)
        stamp = settings.stamp_of_files(keywords)
        made = super().__call__(*args, **keywords)
        if made.stamp != stamp:
            # The file of that name holds another key by now: what is kept under these arguments is not what they say.
            cls._cache.pop(made._fs_token, None)
            made = super().__call__(*args, **keywords)
        return made


class S3ECFileSystem(S3FileSystem, metaclass=_ByValue):  # type: ignore[misc]
    """The file system ``s3ec://``: `s3fs.S3FileSystem` on encrypted objects.

    ::

        fs = fsspec.filesystem("s3ec", kms_key="alias/payroll")
        fs.pipe("bucket/people.csv", b"name,salary")

    Takes the options of `s3fs.S3FileSystem` (credentials, ``endpoint_url``, ``client_kwargs``, …) and those of
    `s3ec.EncryptionClient`. Options are values: what they say can be shown, compared and pickled, and holds no secret.

    Args:
        kms_key: key ID, ARN or alias of a KMS key.
        aes_key_file: path of a file with a raw AES key, to be found in every process.
        rsa_private_key_file: path of a PEM file.
        rsa_public_key_file: path of a PEM file.
        rsa_passphrase_file: path of a file whose first line opens the private key.
        keyring: the place of a keyring, or of a function that makes one, as ``"package.module:name"``; or a keyring,
            which then stays in this process.
        materials_manager: the same for a materials manager.
        enable_legacy_wrapping_algorithms: of a key that is named.
        kms_client_kwargs: how KMS is reached, such as ``region_name`` and ``endpoint_url``; no credentials.
        encryption_context: for everything that is read and written. One file's own is given to `open`.
        presigned_downloads: ``"refuse"`` or ``"allow"`` URLs (`url`, `sign`), which give ciphertext.
        **options: by the names of `s3ec.Options`; policies and suites by their names.

    Without a key the one counts that the environment (``S3EC_KMS_KEY``, …) or the AWS profile names.

    Raises:
        ConfigurationError: no key or two, or options that can never work.
        TypeError: a misspelt option.
    """

    protocol = ("s3ec",)

    def __init__(
        self,
        *args: Any,
        encryption_context: Mapping[str, str] | None = None,
        presigned_downloads: str = "refuse",
        **keywords: Any,
    ) -> None:
        """Make the client's options; nothing is asked of S3 or a key."""
        own = {name: keywords.pop(name) for name in list(keywords) if name in settings.SETTING_NAMES}
        self.stamp = settings.stamp_of_files(own)
        if presigned_downloads not in ("refuse", "allow"):
            raise ConfigurationError(f'presigned_downloads must be "refuse" or "allow", not {presigned_downloads!r}')
        self.options = settings.make_options(own)
        self._session: Any = None
        self._connecting = 0
        super().__init__(*args, **keywords)
        self.encryption_context = dict(encryption_context or {})
        self.presigned_downloads = presigned_downloads
        self.sizes_are_certain = listings.reads_gcm_only(self.options)
        self.hides_instruction_files = self.options.instruction_file_reads

    # --- the connection

    @property
    def session(self) -> Any:
        """The session, as s3fs keeps it; while clients are made from it, one whose clients encrypt.

        So they do whichever session s3fs puts here meanwhile, which differs between its versions.
        """
        plain = self._session is None or not self._connecting
        return self._session if plain else EncryptingSession(self._session, self.options)

    @session.setter
    def session(self, session: Any) -> None:
        self._session = session

    async def set_session(self, refresh: bool = False, kwargs: Mapping[str, Any] | None = None) -> Any:
        """Connect, with a client that encrypts; see `s3fs.S3FileSystem.set_session`.

        Raises:
            ConfigurationError: the client would not encrypt.
        """
        self._connecting += 1
        try:
            return checked(await super().set_session(refresh))
        finally:
            self._connecting -= 1

    _connect = set_session
    connect = sync_wrapper(set_session)

    async def get_s3(self, bucket: str | None = None) -> Any:
        """Return the client for a bucket."""
        client = checked(await super().get_s3(bucket))
        return client if _LISTS_BY_PAGES else listings.lead_on(client)

    def _filter_kwargs(self, s3_method: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        # s3fs drops what botocore's model does not know, without a word.
        kept: dict[str, Any] = super()._filter_kwargs(s3_method, kwargs)
        method = s3_method.__name__
        if self.encryption_context and method in _OURS["EncryptionContext"]:
            kept["EncryptionContext"] = self.encryption_context
        kept.update({name: kwargs[name] for name, methods in _OURS.items() if name in kwargs and method in methods})
        return kept

    async def _call_s3(self, method: str, *akwarglist: Any, **kwargs: Any) -> Any:
        answer = await super()._call_s3(method, *akwarglist, **kwargs)
        if method == "head_object" and not kwargs.keys() & {"Range", "PartNumber"}:
            await listings.state_size(self, kwargs, answer)
        return answer

    call_s3 = sync_wrapper(_call_s3)

    # --- names and sizes

    async def _iterdir(
        self, bucket: str, max_items: int | None = None, delimiter: str = "/", prefix: str = "", versions: bool = False
    ) -> AsyncIterator[dict[str, Any]]:
        entries = super()._iterdir(bucket, max_items=max_items, delimiter=delimiter, prefix=prefix, versions=versions)
        async for entry in listings.in_plaintext(self, bucket, entries):
            yield entry

    async def _list_pages(self, method: str, **kwargs: Any) -> AsyncIterator[dict[str, Any]]:
        async for page in listings.leading_on(super()._list_pages(method, **kwargs)):
            yield page

    # --- reads

    async def _cat_ranges(
        self,
        paths: Any,
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        batch_size: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        given: dict[str, Any] = {"max_gap": max_gap, "batch_size": batch_size, "on_error": on_error, **kwargs}
        found: list[Any] = await super()._cat_ranges(paths, starts, ends, **given)
        for each in found if on_error == "raise" else ():
            if isinstance(each, BaseException):  # which older fsspec returns in the place of the bytes
                raise each
        return found

    cat_ranges = sync_wrapper(_cat_ranges)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        acl: Any = False,
        version_id: str | None = None,
        fill_cache: bool | None = None,
        cache_type: str | None = None,
        autocommit: bool = True,
        size: int | None = None,
        requester_pays: bool | None = None,
        cache_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> S3ECFile:
        if version_id and not self.version_aware:
            raise ValueError("version_id cannot be specified if the filesystem is not version aware")
        more = self.s3_additional_kwargs
        return S3ECFile(
            self,
            path,
            mode,
            block_size=self.default_block_size if block_size is None else block_size,
            acl=acl or more.get("ACL", False) or more.get("acl", False),
            version_id=version_id,
            fill_cache=self.default_fill_cache if fill_cache is None else fill_cache,
            s3_additional_kwargs={**more, **kwargs},
            cache_type=self.default_cache_type if cache_type is None else cache_type,
            autocommit=autocommit,
            requester_pays=bool(self.req_kw) if requester_pays is None else requester_pays,
            cache_options=cache_options,
            size=size,
        )

    async def open_async(self, path: str, mode: str = "rb", **kwargs: Any) -> S3ECAsyncStreamedFile:
        """Open a file for `await file.read()`; what is read is verified.

        Raises:
            ValueError: a text mode, or compression.
        """
        if "b" not in mode or kwargs.get("compression"):
            raise ValueError("open_async opens binary files, without compression")
        return S3ECAsyncStreamedFile(self, path, mode)

    async def _cat_file(
        self,
        path: str,
        version_id: str | None = None,
        start: int | None = None,
        end: int | None = None,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Any,
    ) -> bytes:
        bucket, key, version = self.split_path(path)
        request = {**self.req_kw, **kwargs, "Bucket": bucket, "Key": key, **version_id_kw(version_id or version)}
        for refresh in (False, True):
            wanted = await reads.wanted_range(self, path, version_id, start, end, refresh=refresh)
            if wanted is None:
                return b""
            try:
                content = await reads.whole_body(self, {**request, **wanted.parameters}, wanted.stated)
            except OSError as error:
                # The size that a negative bound was counted from is another object's.
                if refresh or "IfMatch" not in wanted.parameters or not reads.is_replaced(error):
                    raise
            else:
                return b"" if wanted.is_empty else content
        raise AssertionError("unreachable: the second round returns or raises")  # pragma: no cover

    async def _get_file(
        self,
        rpath: str,
        lpath: str,
        callback: Any = DEFAULT_CALLBACK,
        version_id: str | None = None,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        **kwargs: Any,
    ) -> None:
        if os.path.isdir(lpath):
            return
        bucket, key, version = self.split_path(rpath)
        request = {**kwargs, "Bucket": bucket, "Key": key, **version_id_kw(version_id or version)}
        await reads.to_file(self, request, lpath, callback)

    async def _url(self, path: str, expires: int = 3600, client_method: str = "get_object", **kwargs: Any) -> str:
        """Refuse a URL of an object: what it gives is ciphertext.

        Raises:
            UnsupportedOperationError: unless `presigned_downloads` allows it.
        """
        if client_method == "get_object" and self.presigned_downloads != "allow":
            raise UnsupportedOperationError(
                "a presigned URL gives ciphertext to whoever opens it, who cannot read it: open() the file instead, or "
                'make the file system with presigned_downloads="allow" and decrypt with s3ec.decrypt_presigned'
            )
        return str(await super()._url(path, expires=expires, client_method=client_method, **kwargs))

    url = sync_wrapper(_url)

    # --- writes

    async def _pipe_file(
        self,
        path: str,
        data: Any,
        chunksize: int = 50 * MiB,
        max_concurrency: int | None = None,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> Any:
        if len(data) < min(_LONGEST_PUT, 2 * chunksize):
            return await super()._pipe_file(path, data, chunksize, max_concurrency, mode, **kwargs)
        answer = await uploads.in_parts(
            self,
            path,
            uploads.pieces_of_bytes(data, chunksize),
            concurrency=max_concurrency or self.max_concurrency,
            arguments=kwargs,
            condition=_condition(mode),
        )
        self.invalidate_cache(path)
        return answer

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        chunksize: int | None = None,
        max_concurrency: int | None = None,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> None:
        size = os.path.getsize(lpath)
        # As s3fs has it: parts of 50 MiB, or larger ones where those would be more than S3 takes.
        chunksize = chunksize or max(50 * MiB, math.ceil(size / _MOST_PARTS))
        if os.path.isdir(lpath) or size < min(_LONGEST_PUT, 2 * chunksize):
            await super()._put_file(lpath, rpath, callback, chunksize, max_concurrency, mode, **kwargs)
            return
        callback.set_size(size)
        guessed, _ = mimetypes.guess_type(lpath)
        arguments = {"ContentType": guessed, **kwargs} if guessed else kwargs
        with open(lpath, "rb") as file:
            await uploads.in_parts(
                self,
                rpath,
                uploads.pieces_of_file(file, chunksize),
                concurrency=max_concurrency or self.max_concurrency,
                arguments=arguments,
                condition=_condition(mode),
                sent=callback.relative_update,
            )
        self.invalidate_cache(rpath)

    async def _merge(self, path: str, filelist: list[str], **kwargs: Any) -> None:
        """Make one file of several: each is read, verified, and encrypted as a piece of the new one.

        Copying parts, as S3 could, would make an object of several ciphertexts, which nothing could read.
        """
        if self.split_path(path)[2]:
            raise ValueError("Cannot write to an explicit versioned file!")
        sources = []
        for name in filelist:
            bucket, key, version = self.split_path(name)
            sources.append({"Bucket": bucket, "Key": key, **version_id_kw(version)})
        await uploads.in_parts(
            self,
            path,
            uploads.pieces_of_objects(self, sources, self.default_block_size),
            concurrency=2,
            arguments=kwargs,
            condition={},
        )
        self.invalidate_cache(path)

    merge = sync_wrapper(_merge)

    async def _cp_file(self, path1: str, path2: str, preserve_etag: bool | None = None, **kwargs: Any) -> None:
        await copies.copy_file(self, self._strip_protocol(path1), path2, preserve_etag=preserve_etag, **kwargs)

    async def _copy_managed(self, path1: str, path2: str, size: int, block: int = 50 * MiB, **kwargs: Any) -> None:
        if not 5 * MiB <= block <= _LONGEST_PUT:
            raise ValueError("Copy block size must be 5MB<=block<=5GB")
        await copies.copy_in_parts(self, self._strip_protocol(path1), path2, block=block, **kwargs)


def _condition(mode: str) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if mode == "create" else {}
