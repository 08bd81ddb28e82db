"""What a control plane does to a cluster: keys and roots kept in it, leases held, callers and requests reviewed."""
