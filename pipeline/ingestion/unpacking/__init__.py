"""Reading archives member by member: which kinds there are, and what their members are called."""
