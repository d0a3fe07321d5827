"""Tables of numbers as files: Parquet by pyarrow, or CSV by the standard library."""

import csv
from array import array
from pathlib import Path
from typing import Any, Literal

from shoal.model.errors import NotSupported

Table = dict[str, "array[int]"]
Format = Literal["parquet", "csv"]

_TYPES = {"b": "int8", "B": "uint8", "i": "int32", "q": "int64", "Q": "uint64"}


def check(form: Format) -> None:
    """Raise NotSupported if this format cannot be written here: better before a long run."""
    if form == "parquet":
        _pyarrow()


def write(path: Path, table: Table, form: Format) -> None:
    """Write a table to `path` with the format's ending."""
    if form == "csv":
        with path.with_suffix(".csv").open("w", encoding="ascii", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(table)
            writer.writerows(zip(*table.values(), strict=True))
        return
    pyarrow, parquet = _pyarrow()
    columns = [
        pyarrow.Array.from_buffers(
            getattr(pyarrow, _TYPES[column.typecode])(),
            len(column),
            [None, pyarrow.py_buffer(column)],
        )
        for column in table.values()
    ]
    parquet.write_table(
        pyarrow.table(columns, names=list(table)), path.with_suffix(".parquet"), compression="zstd"
    )


def _pyarrow() -> tuple[Any, Any]:
    # Imported late: 45 MB that only this needs.
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise NotSupported(
            "tables in Parquet need pyarrow: install it (`pip install pyarrow`) "
            "or ask for CSV with --format csv"
        ) from error
    return pyarrow, parquet
