"""The certificate authority in the control plane's process: its terms, what it gives the mesh."""
