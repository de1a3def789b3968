"""Every MUST and SHOULD of the S3 Encryption Client specification, and the test that shows it or the reason why not."""

from __future__ import annotations

from conformance import spec_client, spec_content, spec_materials, spec_metadata
from conformance.model import REVISION, SOURCE, Requirement, Section

__all__ = ["REVISION", "SECTIONS", "SOURCE", "Requirement", "Section"]

SECTIONS = (
    *spec_client.SECTIONS,
    *spec_content.SECTIONS,
    *spec_metadata.SECTIONS,
    *spec_materials.SECTIONS,
)
