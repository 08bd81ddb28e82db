"""Discovery: sessions as pure state machines, and the servers around them."""
