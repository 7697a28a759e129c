"""Jobs on other machines: the executor `ray`, and what a node of its cluster does for it."""
