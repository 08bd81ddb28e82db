"""From a raw object to a typed resource, or to the findings that say what is wrong with it."""
