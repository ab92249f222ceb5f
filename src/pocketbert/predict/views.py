"""String and binary views of Arrow: read as plain text and bytes, written so that readers make views of them again.

A Parquet file holds plain columns and a hint of what they were in Arrow. The library takes no rows of views, and writes
structs of them only where these are short.
"""

import base64
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet

HINT = "ARROW:schema"
"""Key in the metadata of a Parquet file under which the library looks for the types of Arrow."""

_PLAIN = {"string_view": pa.large_string(), "binary_view": pa.large_binary()}
"""By name, for older versions of the library lack these types."""


def plain_table(table: pa.Table) -> pa.Table:
    """The same rows without views."""
    schema = plain_schema(table.schema)
    return table if schema.equals(table.schema) else table.cast(schema)


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The same columns, with plain types in place of views."""
    return pa.schema([_plain_field(field) for field in schema], metadata=schema.metadata)


def view_writer(file: BinaryIO, schema: pa.Schema) -> Any:
    """A writer of a Parquet file that takes plain tables; readers find the types of ``schema``."""
    writer = pyarrow.parquet.ParquetWriter(file, plain_schema(schema), store_schema=False)
    hint = base64.b64encode(schema.serialize().to_pybytes())
    writer.add_key_value_metadata({**(schema.metadata or {}), HINT: hint})
    return writer


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(_plain_type(field.type))


def _plain_type(kind: Any) -> Any:
    if pa.types.is_struct(kind):
        return pa.struct([_plain_field(kind.field(place)) for place in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(_plain_field(kind.key_field), _plain_field(kind.item_field), kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_plain_field(kind.value_field), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_plain_field(kind.value_field))
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain_field(kind.value_field))
    return _PLAIN.get(str(kind), kind)
