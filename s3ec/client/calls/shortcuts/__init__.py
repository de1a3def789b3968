"""What botocore does slowly for each request, done once or in a shorter way: the time saved pays for the encryption.

A request's user agent is put together character by character, twice, and the date of each answer is guessed at by a
parser for dates of any kind; together a sixth of a small request. A call of KMS costs as much as the request itself.
The results here are botocore's own, to the last character and microsecond; where botocore is not made as expected, or
anyone listens, nothing is changed. Nothing depends on this package: without it all is the same, and slower. Dates are
read in `s3ec.dates`, by the clients of bucket jobs too.
"""

from __future__ import annotations

from s3ec.client.calls.shortcuts.kms import kms_calls
from s3ec.client.calls.shortcuts.user_agents import remember_user_agent
from s3ec.dates import parse_dates_quickly

__all__ = ["kms_calls", "parse_dates_quickly", "remember_user_agent"]
