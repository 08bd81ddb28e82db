"""The certificate authority that gives every workload of a mesh its SPIFFE identity. Knows nothing of pilotpy.

Empty so far: until it is filled, a mesh runs as if PeerAuthentication said DISABLE.
"""

__version__ = "0.1.0"
