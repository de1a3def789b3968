"""S3 URLs, filters, plain tables."""

from __future__ import annotations

import pytest

from s3ec.cli.filters import Filters, merge
from s3ec.cli.main import main
from s3ec.cli.output import Table, human_bytes
from s3ec.cli.urls import S3Url
from s3ec.errors import escaped


@pytest.mark.parametrize(
    ("text", "bucket", "key"),
    [
        ("s3://b-1.x", "b-1.x", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://bucket/a/b c+%20é", "bucket", "a/b c+%20é"),
        ("s3://bucket//a", "bucket", "/a"),
        ("s3://bucket/dir/", "bucket", "dir/"),
        ("S3://bucket/Dir", "bucket", "Dir"),
        ("s3://arn:aws:s3:eu-west-1:1:accesspoint/ap/key/x", "arn:aws:s3:eu-west-1:1:accesspoint/ap", "key/x"),
    ],
)
def test_urls_are_taken_apart_and_nothing_is_decoded(text: str, bucket: str, key: str):
    """Bucket and key are what stands there."""
    url = S3Url.parse(text)
    assert (url.bucket, url.key) == (bucket, key)


@pytest.mark.parametrize("text", ["", "bucket/key", "s3:/bucket", "s3://", "s3:///key", "s3://-b/k", "s3://arn:aws:s3"])
def test_what_is_no_url_is_refused(text: str):
    """The text is named."""
    with pytest.raises(ValueError, match=r"s3|bucket"):
        S3Url.parse(text)


def test_a_folder_ends_in_one_slash():
    """The empty key is the whole bucket."""
    assert [S3Url("b", key).folder for key in ("", "a", "a/")] == ["", "a/", "a/"]


def test_the_last_pattern_that_matches_decides():
    """As `aws s3` has it: order matters, and everything is in at first."""
    assert Filters([]).wants("x")
    words = ["--exclude", "*", "--include=*.txt", "--exclude", "b*"]
    filters = merge(words, includes=["*.txt"], excludes=["*", "b*"])
    assert [filters.wants(name) for name in ("a.txt", "b.txt", "a.log", "d/a.txt")] == [True, False, False, True]
    assert merge(["--include", "*", "--exclude", "*"], ["*"], ["*"]).wants("x") is False


def test_patterns_are_case_sensitive_and_know_sets():
    """Keys differ by case on every system."""
    filters = Filters([(False, "*"), (True, "[ab]?.TXT")])
    assert [filters.wants(name) for name in ("a1.TXT", "a1.txt", "c1.TXT")] == [True, False, False]


def test_plain_tables_are_aligned_whole_and_escaped():
    """No cell is cut, however long, and no cell breaks the line."""
    table = Table(("Name", ">Size"))
    table.add("x" * 300, 1)
    table.add("a\nb", 22)
    lines = list(table.plain_lines())
    assert lines[1] == f"{'x' * 300}     1"
    assert lines[2].startswith("a\\nb ")
    assert lines[2].endswith("  22")


def test_human_bytes():
    """Powers of 1024 with one digit."""
    assert [human_bytes(n) for n in (0, 1023, 1536, 5 * 2**30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]


def test_printable_leaves_letters_of_every_script():
    """Only what does not print is escaped."""
    assert escaped("é漢\u202e\t") == "é漢\\u202e\\t"


@pytest.mark.parametrize("words", [["inspect", "s3://b/\0"], ["migrate", "s3://b/", "--journal", "a\0b"], ["\0"]])
def test_a_zero_byte_is_bad_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """No shell passes one on; Python's files would end with an error of their own."""
    assert main(words) == 2
    assert "a word of the command line contains a zero byte" in capsys.readouterr().err
