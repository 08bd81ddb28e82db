"""Where objects come from: folders of YAML, a cluster, recordings. Each hands on Changes."""
