"""Files that pages name in commands are no tests."""

collect_ignore = ["files"]
