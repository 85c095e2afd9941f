"""Ways to reach the system: tools, systemd, namespaces, netlink, and the steps for tests."""
