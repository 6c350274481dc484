"""One URL in, one file out: resumed, judged by its headers, never longer than expected."""
