"""Tables: from a DataFrame or a file to rows of numbers [N, D], and back to DataFrames.

The way of one column: a `Summary` looks at the training rows (`summary`), which gives it a kind
(`kinds`); as a `Column` it turns values into numbers and numbers into values (`column`). A `Table`
holds the columns. `reading` takes CSV and Parquet files apart by chunks, and `table_data` puts
their rows into the same splits that images have.
"""
