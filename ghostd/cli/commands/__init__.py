"""One verb, one file; `daemon/` holds ghostd's. A file is imported only when its verb is called."""
