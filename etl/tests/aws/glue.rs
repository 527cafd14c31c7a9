//! Tables of the Glue Data Catalog.
