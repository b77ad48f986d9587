from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only this machine's own programs reach what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
