//! Parquet bytes: the same for any number of threads, readable, and with the columns the table says.
