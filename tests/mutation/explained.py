"""The changes that no test can notice, or none needs to, each with its reason; `run.py` fails for any other survivor.

By module, then by the text of the change. Each has to exist: `test_changes.py` looks.
"""

from __future__ import annotations

__all__ = ["EXPLAINED"]

EXPLAINED: dict[str, dict[str, str]] = {
    "s3ec/crypto/buffers.py": {
        "_is_free: `return False`: returns None": "it is only asked whether it is true",
        "octets: `if view.format == 'B' and view.ndim == 1 and view.contiguous`: never": (
            "a shortcut: such a view, made one of bytes once more, is the same view"
        ),
    },
    "s3ec/crypto/content.py": {
        "ContentCipher.__post_init__: `del given` taken away": (
            "the frame that calls this one has what was given as well; s3ec itself gives a `Secret`, which hides it"
        ),
    },
    "s3ec/crypto/own/ghash.py": {
        "ResumableEncryptor.__init__: `byte ^ 255`: BitXor becomes BitOr": (
            "no result depends on the nonce of the hashing, whose tags stay here; it must only not be the stream's "
            "own, and is not, unless every bit of a random IV is one"
        ),
        "ResumableEncryptor._absorb: `if self._state_tail`: always": (
            "with nothing left over, the first whole block is hashed by itself and the others after it: the same hash"
        ),
    },
    "s3ec/crypto/wrapping.py": {
        "_open_rsa_oaep: `payload[0] if payload else 0`: 0 becomes 1": (
            "of an empty payload nothing is left for a data key or a text, however long the data key is said to be"
        ),
    },
    "s3ec/keyrings/arn.py": {
        "names_the_key: `asked.replace(f':{wanted.region}:', f':{found.region}:', 1)`: 1 becomes 2": (
            "a Region stands in an ARN once: the account beside it is a number"
        ),
        "parse_arn: `text.split(':', 5)`: 5 becomes 6": (
            "a name with a colon in it, which no KMS key has, is not taken for one"
        ),
    },
    "s3ec/keyrings/caching.py": {
        "CachingMaterialsManager.decrypt_materials: `self._decryption.get(key, 0, lambda: "
        "self._keyring.on_decrypt(request))`: 0 becomes 1": "reads have no limit of bytes",
        "_Cache._drop_stale: `if now < self._next_expiry`: never": (
            "a shortcut: before the next one expires, the search finds nothing that is too old"
        ),
    },
    "s3ec/keyrings/prefetching.py": {
        "PrefetchingMaterialsManager._order: `missing <= 0`: LtE becomes Lt": (
            "where nothing is missing nothing is ordered; at most a thread starts early for what is ordered already"
        ),
    },
    "s3ec/formats/codec.py": {
        "decode_base64: `base64.b64decode(text, validate=True)`: True becomes False": (
            "whatever a lenient decoder takes is not what its bytes are spelled like, and is refused for that"
        ),
    },
    "s3ec/formats/v2.py": {
        "module: `if algorithm.wire_name` of a comprehension: always": (
            "adds what has no name under no name, and an object that names no wrapping is not looked up"
        ),
    },
    "s3ec/s3/multipart/state.py": {
        "UploadState._again: `record.content is not None or record.offset is None`: Or becomes And": (
            "what is kept is encrypted once more, for nothing: what is kept stays, and the other is closed"
        ),
        "UploadState._hold: `return False`: returns None": "it is only asked whether it is true",
        "UploadState._place_tag: `last.has_tag = True`: True becomes False": (
            "who sends a part sees by its length that the tag is there; until then the same tag is put there again"
        ),
        "UploadState._place_tag: `PartRecord(last.number + 1, 0, b'', offset=self._ledger.length, content=content)`: "
        "0 becomes 1": "nobody asks how long the part of the tag is: its content knows",
        "UploadState._sent_parts: `if record.sent is not None` of a comprehension: always": (
            "says to the type checker what the condition above has made sure of"
        ),
    },
    "s3ec/s3/multipart/turnstile.py": {
        "Turnstile._take_turn: `return False`: returns None": "it is only asked whether it is true",
        "Turnstile._take_turn_or_leave: `return False`: returns None": "it is only asked whether it is true",
        "Turnstile._wait_for_turn.turn: `return False`: returns None": "it is only asked whether it is true",
        "Turnstile.state: `if isinstance(self._encryptor, ResumableEncryptor) and self.tag is None`: never": (
            "a shortcut: the tag tells the same state, and goes on from it as well"
        ),
        "Turnstile.state: `self.tag is None`: Is becomes IsNot": (
            "a shortcut, and one that such an encryptor could take when its tag is made, too"
        ),
        "Turnstile.state: `if self.tag is None`: always": (
            "when the tag is made nothing is encrypted any more, by whichever encryptor"
        ),
    },
}
