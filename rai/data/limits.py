"""How large a table may be. Checked before memory is asked for, so that a small hostile file cannot fill a machine."""

from rai.errors import InputError

LARGEST_FILE = 4 << 30
LARGEST_TABLE = 4 << 30
LONGEST_HEADER = 1 << 20
LONGEST_ROW = 32 << 20
MOST_COLUMNS = 10_000
MOST_CELLS = 250_000_000
MOST_LEVELS = 50
MOST_NUMERIC_LEVELS = 20
MOST_TEXT_CLASSES = 100


def require_file_size(size: int, where: object) -> None:
    """Refuse a file of more than 4 GiB."""
    if size > LARGEST_FILE:
        raise InputError("larger than 4 GiB", where=where, do="audit a sample of the rows")


def require_columns(columns: int, where: object) -> None:
    """Refuse a table of more than 10,000 columns."""
    if columns > MOST_COLUMNS:
        raise InputError(
            f"has {columns:,} columns", where=where, expected=f"at most {MOST_COLUMNS:,}", do="keep the columns needed"
        )


def require_cells(rows: int, columns: int, where: object) -> None:
    """Refuse more than 250 million cells, whether they stand in the file or are what the columns become."""
    if rows * columns > MOST_CELLS:
        raise InputError(
            f"up to {rows:,} rows of {columns:,} columns are too many",
            where=where,
            expected=f"at most {MOST_CELLS:,} cells",
            do="audit a sample of the rows",
        )


def require_memory(size: int, where: object) -> None:
    """Refuse a compressed table that would take more than 4 GiB once unpacked."""
    if size > LARGEST_TABLE:
        raise InputError("unpacks to more than 4 GiB", where=where, do="audit a sample of the rows")
