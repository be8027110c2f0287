"""One file each: all that makes a backbone."""
