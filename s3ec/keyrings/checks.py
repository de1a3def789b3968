"""What every keyring checks, although the gates have checked it before.

The gates know only the capabilities of the materials manager, which may choose among keyrings that differ.
"""

from __future__ import annotations

from s3ec.errors import ConfigurationError, KeyringError, LegacyAlgorithmError
from s3ec.materials import DecryptionMaterialsRequest, KeyringCapabilities, is_text_map

__all__ = ["check_request", "may_bind_gcm_for_cbc", "text_pairs"]


def check_request(request: DecryptionMaterialsRequest, capabilities: KeyringCapabilities) -> None:
    """Refuse what the keyring cannot or may not open, before any key is used.

    Raises:
        KeyringError: the wrapping algorithm belongs to another kind of keyring.
        LegacyAlgorithmError: it is a legacy algorithm, and those are off.
    """
    algorithm = request.encrypted_data_key.wrapping_algorithm
    if algorithm not in capabilities.wrapping_algorithms:
        raise KeyringError(
            f"a data key wrapped by {algorithm.label} needs another kind of keyring ({algorithm.family})"
        )
    if algorithm.is_legacy and not capabilities.enable_legacy_wrapping_algorithms:
        raise LegacyAlgorithmError(
            f"the data key is wrapped by {algorithm.label}, a legacy algorithm; to read such objects, give the keyring "
            "enable_legacy_wrapping_algorithms=True",
            setting="enable_legacy_wrapping_algorithms",
        )


def may_bind_gcm_for_cbc(request: DecryptionMaterialsRequest, capabilities: KeyringCapabilities) -> bool:
    """True if a wrapping that binds AES-GCM may open AES-CBC content: like a legacy one, it binds none of it."""
    return request.from_instruction_file and capabilities.enable_legacy_wrapping_algorithms


def text_pairs(name: str, pairs: object) -> dict[str, str]:
    """Return a copy of a mapping of text to text, in its order.

    Raises:
        ConfigurationError: it is something else; the text names the parameter.
    """
    if pairs is None:
        return {}
    if not is_text_map(pairs):
        raise ConfigurationError(f"{name} must map str to str")
    return dict(pairs)
