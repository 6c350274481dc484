"""The lessons: which there are, in which tier they run here, and their notebooks.

syllabus      the lessons and what each needs     build            lesson → notebook, references
tiers         pocket, public or gpu, and why      execute          a notebook in a kernel
folder        the learner's own copies            headless         a lesson run, and its figures
predictions   guesses before a run                guess_feedback   how far off a guess was
learner       the file of what a learner did      progress         how far a learner is
exercises     checked answers and hints           recorded_hands   steering for headless runs
"""

from tlcourse.course.recorded_hands import hand
from tlcourse.course.syllabus import TIERS, Lesson, lesson, lessons
from tlcourse.course.tiers import Tier, tier

__all__ = ["TIERS", "Lesson", "Tier", "hand", "lesson", "lessons", "tier"]
