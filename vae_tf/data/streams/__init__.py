"""Examples that are read from files while a model trains, and are never all in memory.

The way of one example: a reader (`tfrecord`, `parquet`, `folder`) finds the blocks of the files and
reads rows of a block; `Form` makes pixels of what a row holds; a `Stream` answers for any rows, as
an array would; `Streamed` is a split that feeds them, block by block in training.
"""
