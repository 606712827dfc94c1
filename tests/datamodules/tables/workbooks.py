"""Workbooks for tests, written by hand: a file of each format in its shortest form."""

import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

Sheets = dict[str, list[list[Any]]]
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def write_xlsx(path: Path, sheets: Sheets) -> Path:
    """Write sheets of texts, numbers and dates as .xlsx and return the path."""
    with zipfile.ZipFile(path, "w") as archive:
        books, links = "", ""
        for number, (name, rows) in enumerate(sheets.items(), 1):
            books += f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>'
            links += f'<Relationship Id="r{number}" Type="{RELATIONS}/worksheet" Target="worksheets/s{number}.xml"/>'
            lines = "".join(
                f'<row r="{line}">{"".join(_cell(index, line, cell) for index, cell in enumerate(row))}</row>'
                for line, row in enumerate(rows, 1)
            )
            sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{lines}</sheetData></worksheet>'
            archive.writestr(f"xl/worksheets/s{number}.xml", sheet)
        formats = '<cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22" applyNumberFormat="1"/></cellXfs>'
        archive.writestr("xl/styles.xml", f'<styleSheet xmlns="{MAIN}">{formats}</styleSheet>')
        links += f'<Relationship Id="rs" Type="{RELATIONS}/styles" Target="styles.xml"/>'
        book = f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>{books}</sheets></workbook>'
        archive.writestr("xl/workbook.xml", book)
        package = "http://schemas.openxmlformats.org/package/2006/relationships"
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{package}">{links}</Relationships>')
        link = f'<Relationship Id="r1" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/>'
        archive.writestr("_rels/.rels", f'<Relationships xmlns="{package}">{link}</Relationships>')
    return path


def _cell(index: int, line: int, cell: Any) -> str:
    place = f"{chr(65 + index)}{line}"
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
    if isinstance(cell, datetime):
        return f'<c r="{place}" s="1"><v>{(cell - datetime(1899, 12, 30)).total_seconds() / 86400}</v></c>'
    return f'<c r="{place}"><v>{cell}</v></c>'


def write_ods(path: Path, sheets: Sheets) -> Path:
    """Write sheets of texts and numbers as .ods and return the path."""
    name = "urn:oasis:names:tc:opendocument:xmlns"
    tables = ""
    for sheet, rows in sheets.items():
        lines = ""
        for row in rows:
            cells = "".join(
                f'<table:table-cell office:value-type="string"><text:p>{escape(cell)}</text:p></table:table-cell>'
                if isinstance(cell, str)
                else f'<table:table-cell office:value-type="float" office:value="{cell}"/>'
                for cell in row
            )
            lines += f"<table:table-row>{cells}</table:table-row>"
        tables += f'<table:table table:name="{sheet}">{lines}</table:table>'
    with zipfile.ZipFile(path, "w") as archive:
        kind, manifest = "application/vnd.oasis.opendocument.spreadsheet", f"{name}:manifest:1.0"
        archive.writestr("mimetype", kind)
        archive.writestr(
            "META-INF/manifest.xml",
            f'<m:manifest xmlns:m="{manifest}"><m:file-entry m:full-path="/" m:media-type="{kind}"/></m:manifest>',
        )
        archive.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{name}:office:1.0" xmlns:table="{name}:table:1.0" '
            f'xmlns:text="{name}:text:1.0"><office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>'
            "</office:document-content>",
        )
    return path
