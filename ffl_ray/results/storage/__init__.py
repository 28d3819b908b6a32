"""Where studies lie: a folder or an object store, behind a lease, with retries."""
