"""The `afterturn` command line. `app` declares the commands, the other modules do their work."""
