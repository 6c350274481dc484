"""Readers of one data set each."""
