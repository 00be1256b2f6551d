"""Columns of Arrow, as Parquet files give them, turned into arrays."""

from typing import Any


def array_of(column: Any) -> Any:
    """Returns a column of `pyarrow` as an array [N, ...], as a list where it has no such form.

    Lists of numbers of one size become further axes. Of structs with a field `bytes`, as sets of
    images are often kept, that field counts. It is None where lists hold something else.
    """
    import pyarrow as pa  # an extra

    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = column.field("bytes")
    sides = [len(column)]
    while pa.types.is_list(column.type) or (
        pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type)
    ):
        lengths = set(column.value_lengths().to_pylist())
        if len(lengths) != 1 or column.null_count:
            return column.to_pylist()
        sides.append(lengths.pop())
        column = column.flatten()
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False).reshape(sides)
    return column.to_pylist() if len(sides) == 1 else None
