gap first-domid=3 seconds=27
