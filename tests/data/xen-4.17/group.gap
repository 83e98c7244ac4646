gap first-domid=31 seconds=31
