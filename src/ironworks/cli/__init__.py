"""The `ironworks` command: a client of the API like any other, with no back door."""
