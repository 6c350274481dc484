"""The lessons: which there are, in which tier they run here, and their notebooks.

syllabus   the lessons and what each needs       build     lesson → notebook, references
tiers      pocket, public or gpu, and why        execute   a notebook, headless
folder     the learner's own copies              figures   what a run measured, as JSON
hands      recorded hands for headless runs
"""

from tlcourse.course.hands import hand
from tlcourse.course.syllabus import TIERS, Lesson, lesson, lessons
from tlcourse.course.tiers import Tier, tier

__all__ = ["TIERS", "Lesson", "Tier", "hand", "lesson", "lessons", "tier"]
