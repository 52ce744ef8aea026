"""The way in from outside: addresses, hosts, certificates, who gets through, and steady requests."""
