"""The one-machine stack: real servers from packages, started and watched by one process. Linux and macOS only."""
