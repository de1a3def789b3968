"""Dates of answers, read without guessing: botocore hands each to a parser for dates of any kind."""

from __future__ import annotations

import datetime
import re
from typing import Any

from botocore.parsers import ResponseParserFactory
from botocore.utils import parse_timestamp

__all__ = ["parse_date", "parse_dates_quickly"]

# botocore's own objects for UTC: it has one for each form where the machine's time zone is UTC too.
_GMT = parse_timestamp("Thu, 01 Jan 1970 00:00:00 GMT").tzinfo
_ZULU = parse_timestamp("1970-01-01T00:00:00Z").tzinfo
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP_DATE = re.compile(
    rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ({'|'.join(_MONTHS)}) ([12]\d{{3}}) (\d\d):(\d\d):(\d\d) GMT", re.ASCII
)
_ISO_DATE = re.compile(r"([12]\d{3})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{3}))?Z", re.ASCII)


def parse_dates_quickly(client: Any, parsers: type[ResponseParserFactory] = ResponseParserFactory) -> None:
    """Have a client read the two forms of dates that S3 writes without guessing; all others as before.

    Args:
        client: a botocore client. One whose session has a parser of the caller's own is left alone.
        parsers: what a client of its kind makes its parsers with.
    """
    endpoint = getattr(client, "_endpoint", None)
    former = getattr(endpoint, "_response_parser_factory", None)
    if endpoint is None or type(former) is not parsers or getattr(former, "_defaults", None) != {}:
        return
    factory = parsers()
    factory.set_parser_defaults(timestamp_parser=parse_date)
    endpoint._response_parser_factory = factory


def parse_date(value: Any) -> datetime.datetime:
    """A date as botocore's ``parse_timestamp`` reads it.

    Args:
        value: text or a number.

    Raises:
        ValueError: it is not a date.
    """
    if isinstance(value, str):
        try:
            if match := _HTTP_DATE.fullmatch(value):
                day, month, year, *time = match.groups()
                return _date(_GMT, int(year), _MONTHS.index(month) + 1, int(day), *map(int, time))
            if match := _ISO_DATE.fullmatch(value):
                *numbers, milliseconds = map(int, match.groups("0"))
                return _date(_ZULU, *numbers, 1000 * milliseconds)
        except ValueError:
            pass  # no such day or hour: botocore says it in its own words
    parsed: datetime.datetime = parse_timestamp(value)
    return parsed


def _date(zone: datetime.tzinfo | None, *numbers: int) -> datetime.datetime:
    return datetime.datetime(*numbers, tzinfo=zone)  # type: ignore[misc, arg-type]  # year to microsecond
