"""What memory a process holds."""


def resident_bytes(pid):
    """Of its own: what it shares with files, as its programs, is left out."""
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    raise ValueError(f"no RssAnon for {pid}")
