"""How large tables, images and texts may be: checked before memory is asked for, lest a small file fill a machine."""

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
LARGEST_IMAGE_FILE = 64 << 20
MOST_PIXELS = 40_000_000
MOST_ARRAYS = 1_000
MOST_INPUTS = 4_000_000
LARGEST_VOCABULARY = 64 << 20
MOST_TOKENS = 1_000_000
LONGEST_TEXT = 1_000_000


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


def require_numbers(rows: int, numbers: int, where: object) -> None:
    """Refuse rows of more than 4 million numbers each, or of more than 250 million together."""
    if numbers > MOST_INPUTS:
        raise InputError(f"each row is {numbers:,} numbers", where=where, expected=f"at most {MOST_INPUTS:,}")
    if rows * numbers > MOST_CELLS:
        raise InputError(
            f"{rows:,} rows of {numbers:,} numbers are too many",
            where=where,
            expected=f"at most {MOST_CELLS:,} numbers",
            do="audit a sample of the rows",
        )


def require_tokens(count: int, where: object) -> None:
    """Refuse a vocabulary of more than a million tokens."""
    if count > MOST_TOKENS:
        raise InputError(f"has {count:,} tokens", where=where, expected=f"at most {MOST_TOKENS:,}")
