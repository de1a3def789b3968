"""Every error of s3ec's own, ordered by whose fault it is.

::

    S3ECError
    ├── ConfigurationError (ValueError)     you wired it wrong
    ├── UnsupportedOperationError           this call would leak or corrupt
    ├── MetadataError                       the object cannot be understood
    │   ├── NotEncryptedError
    │   ├── MalformedMetadataError
    │   └── InstructionFileError
    ├── PolicyError (.setting)              understood, but forbidden here
    │   ├── LegacyAlgorithmError
    │   ├── CommitmentPolicyError
    │   └── UnauthenticatedRangeError
    ├── KeyringError                        the data key could not be made or opened
    │   ├── EncryptionContextMismatchError
    │   └── KeyUnwrapError
    ├── SecurityError                       evidence of tampering; page someone
    │   ├── AuthenticationError
    │   ├── CommitmentMismatchError
    │   ├── ConflictingMetadataError
    │   └── MisplacedObjectError
    ├── SourceChangedError                  a body gave other bytes when it was read again
    ├── ObjectTooLargeError                 above what one GCM stream may carry, or what S3 takes
    ├── MultipartStateError                 parts that can never become one sound object
    └── MigrationError                      a bucket job that could not do what was asked

Errors of S3 itself stay botocore's ``ClientError``: they are never wrapped.
"""

from __future__ import annotations

__all__ = [
    "AuthenticationError",
    "CommitmentMismatchError",
    "CommitmentPolicyError",
    "ConfigurationError",
    "ConflictingMetadataError",
    "EncryptionContextMismatchError",
    "InstructionFileError",
    "KeyUnwrapError",
    "KeyringError",
    "LegacyAlgorithmError",
    "MalformedMetadataError",
    "MetadataError",
    "MigrationError",
    "MisplacedObjectError",
    "MultipartStateError",
    "NotEncryptedError",
    "ObjectTooLargeError",
    "PolicyError",
    "S3ECError",
    "SecurityError",
    "SourceChangedError",
    "UnauthenticatedRangeError",
    "UnsupportedOperationError",
]


def escaped(text: str) -> str:
    """Escape foreign text (keys, headers, what a service says) for a message, a log or a terminal.

    Line feeds would forge lines of a log, escape sequences control a terminal, and characters that turn the direction
    of writing show a different text from the one that is there. They are escaped; letters of any language stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


class S3ECError(Exception):
    """Base of all errors of s3ec.

    The layers that find a fault do not know the bucket; the client adds the place on the way out with `locate`, so
    that the text always says which object it is about.

    Attributes:
        location: ``s3://bucket/key`` with ``?versionId=…`` where one is known, or None.
    """

    location: str | None = None

    def __init__(self, *args: object) -> None:
        """Take the message; foreign characters in it are escaped, wherever it comes from."""
        super().__init__(*(escaped(arg) if isinstance(arg, str) else arg for arg in args))

    def locate(self, location: str) -> S3ECError:
        """Note which object the error is about; the first one noted stays. Returns the error itself."""
        if self.location is None:
            self.location = escaped(location)
        return self

    def __str__(self) -> str:
        """Return the message, followed by the object it is about."""
        text = super().__str__()
        return f"{text} [{self.location}]" if self.location else text


class ConfigurationError(S3ECError, ValueError):
    """The client, a keyring or a request is wired in a way that can never work."""


class UnsupportedOperationError(S3ECError):
    """The call would store or expose plaintext, or break an encrypted object; the text names the alternative."""


class MetadataError(S3ECError):
    """The object's content metadata cannot be understood."""


class NotEncryptedError(MetadataError):
    """The object carries no content metadata: it was not written by an S3 encryption client."""


class MalformedMetadataError(MetadataError):
    """Content metadata is there, but a value is missing, has a wrong length or is not what its format says."""


class InstructionFileError(MetadataError):
    """The object's instruction file is missing, unreadable or not allowed here."""


class PolicyError(S3ECError):
    """The object is understood, but this client's settings forbid it.

    Attributes:
        setting: the one option of the client or keyring that decides.
    """

    def __init__(self, message: str, setting: str = "") -> None:
        """Take the text and the name of the option that decides."""
        super().__init__(message, setting)
        self.setting = setting

    def __str__(self) -> str:
        """Return the message, without the setting's name repeated."""
        text = str(self.args[0])
        return f"{text} [{self.location}]" if self.location else text


class LegacyAlgorithmError(PolicyError):
    """A legacy content or wrapping algorithm, which is off unless switched on."""


class CommitmentPolicyError(PolicyError):
    """The commitment policy forbids this object."""


class UnauthenticatedRangeError(PolicyError):
    """A partial range that nothing here can authenticate."""


class KeyringError(S3ECError):
    """The data key could not be made or opened."""


class EncryptionContextMismatchError(KeyringError):
    """The encryption context given on the read is not the one that the object was written with."""


class KeyUnwrapError(KeyringError):
    """The encrypted data key does not open with this keyring."""


class SecurityError(S3ECError):
    """Evidence that an object was tampered with."""


class AuthenticationError(SecurityError):
    """The content does not verify against its authentication tag."""


class CommitmentMismatchError(SecurityError):
    """The data key is not the one that the object commits to."""


class ConflictingMetadataError(SecurityError):
    """Content metadata of different formats, or of one format in the wrong place: a forgery, not an accident."""


class MisplacedObjectError(SecurityError):
    """A bucket job met an object that is bound to another place, or to another context than the one asserted.

    Anyone who may write to a bucket can put one encrypted object in another's place; rewritten there, it would be made
    valid. An object that was moved on purpose is accepted by name (``accept_moved``).
    """


class SourceChangedError(S3ECError):
    """A body that had to be read again gave other bytes; none of them were sent."""


class ObjectTooLargeError(S3ECError):
    """More bytes than one GCM stream may carry (2^36 - 32), or than S3 takes in one request."""


class MultipartStateError(S3ECError):
    """A multipart call whose outcome would be a broken object."""


class MigrationError(S3ECError):
    """A migration, rewrap or verification that could not do what was asked."""
