"""Published tables of results, read, recomputed and searched for rows that contradict themselves."""
