"""Exercises: one module for each lesson, which says what is right, what is wrong, and why.

    @exercise("02.1", hints=("Look at …", "Try …", "It is …"))
    def the_smallest_rate_that_bites(rate) -> str:
        if rate > 1:
            wrong("At that rate the loss jumps: look at the first ten steps of the curve.")
        return "It moves the head and leaves the old features alone."

In the lesson a cell holds `rate = ...  # your turn`, the solution between `# SOLUTION` and `# END`, and
last `tl.check("02.1", rate)`. The function may compute; it gets the learner's answer as it is, so a
shape that it did not expect may raise: `check` makes a sentence of it.
"""

from tlcourse.course.exercises.mechanism import (
    Exercise,
    Hint,
    Verdict,
    check,
    exercise,
    exercises,
    hint,
    wrong,
)

__all__ = ["Exercise", "Hint", "Verdict", "check", "exercise", "exercises", "hint", "wrong"]
