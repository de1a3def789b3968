"""What the installed botocore knows of S3: its oldest supported version lacks what S3 learnt since."""

from __future__ import annotations

import botocore.session
import pytest


def skip_unless_known(operation_name: str, member: str) -> None:
    """Skips a test of a request parameter that this botocore would not send."""
    model = botocore.session.get_session().get_service_model("s3")
    if member not in model.operation_model(operation_name).input_shape.members:
        pytest.skip(f"this botocore knows no {member} of {operation_name}")
