"""The certificate authority that gives every workload of a mesh its SPIFFE identity. Knows nothing of pilotpy.

`keeper` owns keys and changes them over time; `authority` signs; `authenticators` say who asks; `service` answers one
request; `front` and `server` are the network. Time is passed in everywhere but in `server`, `control` and `cli`.
"""

__version__ = "0.1.0"
