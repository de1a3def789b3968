"""The audit as one HTML page that needs nothing beside it: styles and charts are in it, scripts there are none.

Every text from the bucket is escaped, and the page forbids itself to load anything: a key or a name in the metadata is
chosen by anyone who may write to the bucket, and the page is opened by its auditors.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from s3ec.errors import escaped
from s3ec.migrate.audit.charts import Slice, bars, donut, human_bytes

__all__ = ["page"]

_FORMATS = {
    "V3": ("V3, committing", "good"),
    "V2": ("V2, authenticated, not committing", "fair"),
    "V1": ("V1, legacy", "poor"),
    "plaintext": ("not encrypted by a client", "bad"),
    "unreadable": ("unreadable", "unknown"),
}
_SERVER_SIDE = {
    "none": ("none reported", "unknown"),
    "AES256": ("SSE-S3", "fair"),
    "aws:kms": ("SSE-KMS", "good"),
    "aws:kms:dsse": ("DSSE-KMS", "good"),
    "SSE-C": ("SSE-C", "poor"),
}
_SHOWN = 4


def page(*audits: Mapping[str, Any]) -> str:
    """The page, of one audit or of several with an overview in front.

    Args:
        audits: what `s3ec.migrate.audit.report.Audit.document` gives; at least one.

    Returns:
        HTML, to be stored as UTF-8.
    """
    title = _place(audits[0]) if len(audits) == 1 else f"{len(audits)} buckets and prefixes"
    style = importlib.resources.files("s3ec.migrate.audit").joinpath("page.css").read_text(encoding="utf-8")
    parts = [_overview(audits)] if len(audits) > 1 else []
    parts += [part for audit in audits for part in _parts(audit)]
    parts.append(_footer(audits[0].get("s3ec_version")))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Encryption audit of {_text(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(parts)
        + "\n</main>\n</body>\n</html>\n"
    )


def _place(audit: Mapping[str, Any]) -> str:
    return f"s3://{audit['bucket']}/{audit['prefix']}"


def _parts(audit: Mapping[str, Any]) -> list[str]:
    return [
        _header(audit, _place(audit)),
        _verdict(audit),
        _numbers(audit),
        _charts(audit),
        _findings("What would block a migration", audit["blocks_migration"], "Nothing would."),
        _findings(
            "What still stops readers from requiring key commitment",
            audit["blocks_require_decrypt"],
            "Nothing does: readers can require key commitment now.",
        ),
        _details(audit),
    ]


def _overview(audits: Sequence[Mapping[str, Any]]) -> str:
    """One row for each bucket, the worst ones by their colour."""
    names = ("plaintext", "V1", "V2", "V3")
    heads = ("Bucket or prefix", "Objects", *names, "unreadable", "Verdict")
    head = "".join(f"<th{'' if i in (0, len(heads) - 1) else ' class=n'}>{text}</th>" for i, text in enumerate(heads))
    rows = ""
    for audit in audits:
        numbers = (audit["objects"], *(audit["formats"][name] for name in names), audit["unreadable"])
        cells = "".join(f"<td class=n>{number:,}</td>" for number in numbers)
        verdict = audit["verdict"]
        said = f'<i class="{verdict["kind"]}"></i>{_text(verdict["text"])}'
        rows += f"<tr><th scope=row>{_text(_place(audit))}</th>{cells}<td class=mark>{said}</td></tr>"
    table = f"<table class=overview><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<header><p class="kind">Encryption audit</p><h1>{len(audits)} buckets and prefixes</h1></header>{table}'


def _text(value: object) -> str:
    """Escaped, with control and direction characters made visible: they could make one key look like another."""
    return escape(escaped(str(value)))


def _header(audit: Mapping[str, Any], place: str) -> str:
    created = audit["created"].replace("T", " ").replace("+00:00", " UTC")
    return (
        f'<header><p class="kind">Encryption audit</p><h1>{_text(place)}</h1>'
        f"<p>{_text(created)}{_known(audit)}. Read from listings and headers alone; nothing was decrypted and nothing "
        "was written.</p></header>"
    )


def _known(audit: Mapping[str, Any]) -> str:
    """Whose bucket it is, where, and who looked: as far as it could be found out."""
    names = (("account", "account"), ("region", "Region"), ("identity", "seen as"))
    return "".join(f", {label} {_text(audit[name])}" for name, label in names if audit.get(name))


def _verdict(audit: Mapping[str, Any]) -> str:
    verdict = audit["verdict"]
    more = f" {_text(verdict['more'])}" if verdict["more"] else ""
    return f'<section class="verdict {verdict["kind"]}"><strong>{_text(verdict["text"])}</strong>{more}</section>'


def _numbers(audit: Mapping[str, Any]) -> str:
    versions = audit["versions"]
    blocked = sum(finding["objects"] for finding in audit["blocks_migration"])
    tiles = [
        (f"{audit['objects']:,}", "objects"),
        (human_bytes(audit["bytes"]), "stored"),
        (f"{audit['formats']['plaintext']:,}", "not encrypted"),
        (f"{versions['noncurrent']:,}", f"old versions ({human_bytes(versions['noncurrent_bytes'])})"),
        (f"{sum(audit['locks'].values()):,}", "locks and holds"),
        (f"{blocked:,}", "would block a migration"),
    ]
    cells = "".join(f"<div><b>{_text(value)}</b><span>{_text(label)}</span></div>" for value, label in tiles)
    return f'<section class="numbers">{cells}</section>'


def _charts(audit: Mapping[str, Any]) -> str:
    counts = {**audit["formats"], "unreadable": audit["unreadable"]}
    classes = audit["storage_classes"]
    charts = [
        ("Objects by format", donut(_slices(counts, _FORMATS), unit="objects")),
        ("Stored bytes by format", donut(_slices(audit["format_bytes"], _FORMATS), unit="bytes", show=human_bytes)),
        ("Server-side encryption", donut(_slices(audit["server_side_encryption"], _SERVER_SIDE), unit="objects")),
        ("Objects by size", bars(_plain(audit["sizes"]))),
        ("Storage classes", bars(_plain(classes))),
        ("Wrapping algorithms", bars(_plain(audit["wrapping_algorithms"])) if audit["wrapping_algorithms"] else ""),
    ]
    figures = "".join(f"<figure><figcaption>{title}</figcaption>{svg}</figure>" for title, svg in charts if svg)
    return f'<section class="charts">{figures}</section>'


def _slices(counts: Mapping[str, int], names: Mapping[str, tuple[str, str]]) -> list[Slice]:
    order = [*names, *(name for name in counts if name not in names)]
    known = {name: names.get(name, (name, "unknown")) for name in order}
    return [Slice(known[name][0], counts[name], known[name][1]) for name in order if counts.get(name)]


def _plain(counts: Mapping[str, int]) -> list[Slice]:
    return [Slice(name, count, "plain") for name, count in counts.items()]


def _findings(title: str, findings: Sequence[Mapping[str, Any]], none: str) -> str:
    if not findings:
        return f'<section><h2>{title}</h2><p class="none">{none}</p></section>'
    rows = "".join(
        f"<tr><th scope=row>{_text(finding['reason'])}</th><td class=n>{finding['objects']:,}</td>"
        f"<td class=n>{human_bytes(finding['bytes'])}</td><td>{_text(finding['advice'])}{_command(finding)}</td>"
        f"<td>{_examples(finding)}</td></tr>"
        for finding in findings
    )
    head = (
        "<tr><th>Reason</th><th class=n>Objects</th><th class=n>Stored</th><th>What to do</th><th>For example</th></tr>"
    )
    table = f"<table class=findings><thead>{head}</thead><tbody>{rows}</tbody></table>"
    return f"<section><h2>{title}</h2>{table}</section>"


def _command(finding: Mapping[str, Any]) -> str:
    """The command, which no browser breaks at the hyphens of its options."""
    words = (finding.get("command") or "").split(" ")
    kept = (f"<span class=w>{_text(word)}</span>" if word.startswith("--") else _text(word) for word in words)
    return f"<br><code>{' '.join(kept)}</code>" if finding.get("command") else ""


def _examples(finding: Mapping[str, Any]) -> str:
    shown = finding["examples"][:_SHOWN]
    more = finding["objects"] - len(shown)
    items = "<br>".join(f"<code>{_text(key)}</code>" for key in shown)
    return f"{items}<br>and {more:,} more" if more > 0 else items


def _details(audit: Mapping[str, Any]) -> str:
    versions = audit["versions"]
    settings = [(name.replace("_", " "), value) for name, value in audit["bucket_settings"].items()]
    versions_rows = [
        ("kept", "yes" if versions["kept"] else "no"),
        ("could be listed", "yes" if versions["readable"] else "no"),
        ("old versions", f"{versions['noncurrent']:,}"),
        ("their bytes", human_bytes(versions["noncurrent_bytes"])),
        ("delete markers", f"{versions['delete_markers']:,}"),
        *((f"old, {name}", f"{count:,}") for name, count in versions["noncurrent_formats"].items()),
    ]
    tables = [
        ("The bucket", settings),
        ("Versions", versions_rows),
        ("Locks and holds", _counted(audit["locks"])),
        ("Algorithm suites", _counted(audit["algorithm_suites"])),
        ("KMS keys named by the metadata", _counted(audit["kms_keys"])),
        ("Server-side KMS keys", _counted(audit["server_side_kms_keys"])),
        (
            "Content metadata",
            [*_counted(audit["metadata_locations"]), ("instruction files", f"{audit['instruction_files']:,}")],
        ),
    ]
    return '<section class="details">' + "".join(_pairs(title, rows) for title, rows in tables if rows) + "</section>"


def _counted(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(name.replace("_", " ") if name.islower() else name, f"{count:,}") for name, count in counts.items()]


def _pairs(title: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th scope=row>{_text(name)}</th><td class=n>{_text(value)}</td></tr>" for name, value in rows)
    return f"<div><h3>{title}</h3><table><tbody>{cells}</tbody></table></div>"


def _footer(version: object = None) -> str:
    by = f"s3ec {_text(version)}, <code>s3ec audit --html</code>" if version else "<code>s3ec audit --html</code>"
    return (
        "<footer><p>Formats: V1 and V2 are what earlier Amazon S3 encryption clients wrote; V3 adds key commitment, so "
        "that no ciphertext opens under two keys. S3's own (server-side) encryption protects objects at rest; "
        "anyone who may read the bucket reads them; client-side encryption keeps S3 and those readers out.</p>"
        f"<p>Made by {by}.</p></footer>"
    )
