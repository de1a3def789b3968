from __future__ import annotations

from collections.abc import Iterator

import pytest

from s3ec.keyrings.kms import KmsBase
from s3ec.keyrings.kms_calls import PlainCalls


@pytest.fixture(autouse=True, scope="module")
def only_what_is_public() -> Iterator[None]:
    """Keyrings as they are without shortcuts: each call is a method of the client. Clients' tests have them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KmsBase, "calls_of", staticmethod(PlainCalls))
        yield
