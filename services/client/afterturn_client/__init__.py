"""Hand chat turns to Afterturn. Start at `afterturn_client.memory_client`."""
