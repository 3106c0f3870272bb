"""How published datasets and weights get here: the hub, Google Drive, archives."""
